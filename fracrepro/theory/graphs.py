"""Graph networks X′ = φ(A X W) at initialization: bounds on their size, the wide limit, and full weights.

All is about the Gram matrix of the nodes, G = X Xᵀ/width; `constant` is C, with weights N(0, C/fan_in).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation, check_activation
from fracrepro.theory.aggregation import check_aggregation
from fracrepro.theory.kernels import angles, unit_means

__all__ = ["Pass", "energy_bounds", "propagate", "smallest_cosine", "wide_gradients", "wide_grams"]

_DEPTHS = "[1, 100000]"


def energy_bounds(depth: int, gram: ArrayLike, aggregation: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    r"""Return what E tr G lies between at the depths 0 … depth, at every width, where C·Eφ(g)² = 1.

    .. math:: \operatorname{tr}(A^k G A^{k\top}) \le E \operatorname{tr} G_k
        \le \Bigl\| A^k \bigl(\sqrt{G_{ii}}\bigr)_i \Bigr\|^2

    for a matrix A without negative entries and any positively homogeneous φ with fixed slopes; with another
    constant both bounds are multiplied by (C·Eφ(g)²)^k.

    Args:
        depth: layers, from 1.
        gram: G of the input, (N, N).
        aggregation: A, (N, N), entries at least 0.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Derived on page 15, graph-thm-energy.

    >>> low, high = energy_bounds(1, np.eye(2), [[0.5, 0.5], [0.5, 0.5]])
    >>> low.tolist(), high.tolist()
    ([2.0, 1.0], [2.0, 2.0])
    """
    depth = arguments.integer("depth", depth, _DEPTHS)
    matrix, gram = _pair(gram, aggregation)
    if matrix.min() < 0.0:
        raise ArgumentError(f"aggregation = {matrix.min()}: need entries of at least 0")
    sizes = np.sqrt(np.diag(gram))
    low, high = [np.trace(gram)], [sizes @ sizes]
    for _ in range(depth):
        gram, sizes = matrix @ gram @ matrix.T, matrix @ sizes
        low.append(np.trace(gram))
        high.append(sizes @ sizes)
    return np.array(low), np.array(high)


def wide_grams(
    depth: int,
    gram: ArrayLike,
    aggregation: ArrayLike,
    activation: Activation,
    constant: float,
    skip_scale: float | None = None,
) -> np.ndarray:
    r"""Return the Gram matrices of infinitely wide graph networks at the depths 0 … depth.

    .. math:: G' = E\,\varphi(h) \varphi(h)^\top, \qquad h \sim N(0, C A G A^\top),

    which is the mean of one layer at every width; with a residual connection, X′ = X + α φ(A X W) V and
    weights N(0, 1/fan_in) in V, it is G + α² times this.

    Args:
        depth: layers, from 1.
        gram: G of the input, (N, N).
        aggregation: A, (N, N).
        activation: φ.
        constant: C, positive.
        skip_scale: α of residual connections; None for none.

    Returns:
        An array of shape (depth + 1, N, N).

    Raises:
        ArgumentError: outside these ranges.

    Source:
        The mean over the weights is derived on page 15, graph-thm-energy.

    >>> import fracrepro as fr
    >>> wide_grams(1, np.eye(2), np.eye(2), fr.ReLU(), 2.0)[1].round(6).tolist()    # the cosine is 1/π
    [[1.0, 0.31831], [0.31831, 1.0]]
    """
    depth = arguments.integer("depth", depth, _DEPTHS)
    matrix, gram = _pair(gram, aggregation)
    phi = check_activation("activation", activation)
    constant = arguments.real("constant", constant, "(0, inf)")
    alpha = None if skip_scale is None else arguments.real("skip_scale", skip_scale, "(-inf, inf)")
    grams = [gram]
    for _ in range(depth):
        branch = unit_means(phi, constant * matrix @ grams[-1] @ matrix.T, 1, False)
        grams.append(branch if alpha is None else grams[-1] + alpha**2 * branch)
    return np.array(grams)


def wide_gradients(
    grams: ArrayLike, aggregation: ArrayLike, activation: Activation, constant: float
) -> np.ndarray:
    r"""Return the Gram matrices of the gradient in infinitely wide networks, at the depths 0 … L.

    .. math:: B_{k-1} &= C A^\top \bigl(B_k \circ E\,\varphi'(h) \varphi'(h)^\top\bigr) A,
        \qquad B_L = I, \\
        h &\sim N(0, C A G_{k-1} A^\top),

    with ∘ the product entry by entry: a gradient that enters with independent coordinates, and weights that
    count as drawn anew on the way back, as is usual in this limit.

    Args:
        grams: what :func:`wide_grams` returned without residual connections, (L + 1, N, N).
        aggregation: A, (N, N).
        activation: φ with fixed slopes.
        constant: C, positive.

    Returns:
        An array of the shape of `grams`; index 0 is at the input.

    Raises:
        ArgumentError: outside these ranges.

    >>> import fracrepro as fr
    >>> grams = wide_grams(3, np.eye(2), np.eye(2), fr.ReLU(), 2.0)
    >>> np.trace(wide_gradients(grams, np.eye(2), fr.ReLU(), 2.0)[0]).item()    # without a graph it is kept
    2.0
    """
    matrix = check_aggregation("aggregation", aggregation)
    found = arguments.reals("grams", grams, "(-inf, inf)")
    if found.ndim != 3 or found.shape[1:] != matrix.shape:
        raise ArgumentError(f"grams has shape {found.shape}: need (L + 1, N, N) with N = {len(matrix)}")
    constant = arguments.real("constant", constant, "(0, inf)")
    above, below = _slopes(activation)
    gradient = np.eye(len(matrix))
    back = [gradient]
    for gram in found[-2::-1]:
        h = matrix @ gram @ matrix.T
        scale = np.sqrt(np.outer(np.diag(h), np.diag(h)))
        _, same = angles(np.clip(h / np.where(scale > 0.0, scale, 1.0), -1.0, 1.0))
        same[np.diag_indices_from(same)] = math.pi
        alike = same / math.pi  # the probability that both are above zero or both below
        product = (above**2 + below**2) / 2 * alike + above * below * (1.0 - alike)
        gradient = constant * matrix.T @ (gradient * product) @ matrix
        back.append(gradient)
    return np.array(back[::-1])


def smallest_cosine(gram: ArrayLike) -> np.ndarray:
    """Return the smallest cosine between the features of two nodes, of the last two axes.

    Nodes whose features are all 0 are left out; it is 1 where less than two nodes are left.

    >>> smallest_cosine([[1.0, 0.5], [0.5, 1.0]]).item()
    0.5
    """
    matrix = np.asarray(gram, dtype=float)
    size = np.sqrt(np.diagonal(matrix, axis1=-2, axis2=-1))
    scale = size[..., :, None] * size[..., None, :]
    cosine = np.where(scale > 0.0, matrix / np.where(scale > 0.0, scale, 1.0), 1.0)
    least: np.ndarray = cosine.min(axis=(-2, -1))
    return least


class Pass(NamedTuple):
    """The squared sizes of features and gradients in full networks, of shape (draws, depth + 1).

    Attributes:
        features: ‖X_k‖² behind every layer, the input first.
        gradients: ‖∂L/∂X_k‖² of a random linear L of the output, the input first.
        output: the features of the last layer, (draws, N, width).
    """

    features: np.ndarray
    gradients: np.ndarray
    output: np.ndarray


def propagate(
    draws: int,
    depth: int,
    features: ArrayLike,
    aggregation: ArrayLike,
    activation: Activation,
    variance: float,
    rng: np.random.Generator,
) -> Pass:
    """Send features through networks with all weights, and a normal gradient of mean square 1 back.

    Args:
        draws: networks, from 1.
        depth: layers, from 1, all as wide as the input.
        features: X of the input, (N, width).
        aggregation: A, (N, N).
        activation: φ with fixed slopes.
        variance: of a weight, positive.
        rng: a numpy Generator.

    Raises:
        ArgumentError: outside these ranges.

    >>> import fracrepro as fr
    >>> found = propagate(3, 2, np.eye(2), np.eye(2), fr.ReLU(), 1.0, np.random.default_rng(0))
    >>> found.features.shape, found.gradients.shape, found.output.shape
    ((3, 3), (3, 3), (3, 2, 2))
    """
    draws = arguments.integer("draws", draws, "[1, inf)")
    depth = arguments.integer("depth", depth, _DEPTHS)
    matrix = check_aggregation("aggregation", aggregation)
    start = arguments.reals("features", features, "(-inf, inf)")
    if start.ndim != 2 or len(start) != len(matrix):
        raise ArgumentError(f"features has shape {start.shape}: need a row for each of {len(matrix)} nodes")
    above, below = _slopes(activation)
    sd = math.sqrt(arguments.real("variance", variance, "(0, inf)"))
    x = np.broadcast_to(start, (draws, *start.shape))
    width, sizes, layers = start.shape[1], [_squares(x)], []
    for _ in range(depth):
        weights = sd * arguments.generator("rng", rng).standard_normal((draws, width, width))
        h = matrix @ x @ weights
        slopes = np.where(h > 0, above, below)
        x = h * slopes
        layers.append((weights, slopes))
        sizes.append(_squares(x))
    gradient = rng.standard_normal(x.shape)
    back = [_squares(gradient)]
    for weights, slopes in reversed(layers):
        gradient = matrix.T @ (gradient * slopes) @ weights.mT
        back.append(_squares(gradient))
    return Pass(np.stack(sizes, 1), np.stack(back[::-1], 1), x)


def _slopes(activation: Activation) -> tuple[float, float]:
    """The slopes above zero and below, where they are fixed."""
    slopes = check_activation("activation", activation).slopes
    (above, top), (below, bottom) = slopes.sides
    if above != top or below != bottom or slopes.kept < 1.0:
        raise ArgumentError(f"activation = {activation!r}: need fixed slopes")
    return above, below


def _squares(x: np.ndarray) -> np.ndarray:
    """‖x‖² over the last two axes."""
    total: np.ndarray = np.square(x).sum(axis=(-2, -1))
    return total


def _pair(gram: ArrayLike, aggregation: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The aggregation and a Gram matrix of its size."""
    matrix, square = check_aggregation("aggregation", aggregation), check_aggregation("gram", gram)
    if square.shape != matrix.shape:
        raise ArgumentError(f"gram has shape {square.shape}: need that of the aggregation, {matrix.shape}")
    return matrix, square
