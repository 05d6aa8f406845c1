"""Networks that grow at either end: real weights, and the scalar perpetuity that has the same law.

With independent random layers F_1, F_2, … the network F_1∘…∘F_k grows at its input side and F_k∘…∘F_1 at its
output side; at each depth both have one law, but only the first converges along a path.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation
from fracrepro.theory.arrays import WIDTHS
from fracrepro.theory.layer import check_layer
from fracrepro.theory.simulate import DEPTHS, simulate_log_norms

__all__ = ["BothEnds", "both_ends", "grow_both_ends", "perpetuity"]

_COUNTS = "[1, 1000000000]"


def grow_both_ends(
    inputs: np.ndarray,
    depths: Sequence[int],
    activation: Activation,
    variance: float,
    *,
    bias_std: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the outputs of networks that grow at the input side and, by the same layers, at the output.

    One layer is F(x) = φ(W x + b) with W_ij ~ N(0, σ²) and b_i ~ N(0, σ_b²), in every network anew.
    Random slopes belong to the layer: two inputs on the same side of zero meet the same slope.

    Args:
        inputs: x, of shape (networks, width).
        depths: the numbers of layers k, increasing integers from 1; K is the last.
        activation: of every layer.
        variance: σ² > 0 of the weights.
        bias_std: σ_b ≥ 0, standard deviation of the biases.
        rng: a numpy Generator.

    Returns:
        Two arrays of shape (depths, networks, width): F_1∘…∘F_k (x), and the output after the k layers
        F_K, …, F_{K+1-k}, in that order, of which every further one is a new last layer.
        At k = K both are the same network.

    Raises:
        ArgumentError: outside these ranges, before anything is drawn.

    Source:
        derived on page 04, thm-tail-input-side.

    >>> import fracrepro as fr
    >>> rng = np.random.default_rng(0)
    >>> inputs = np.ones((2, 3))
    >>> front, back = grow_both_ends(inputs, [1, 4], fr.ReLU(), 2 / 3, bias_std=0.1, rng=rng)
    >>> front.shape, bool(np.array_equal(front[-1], back[-1]))
    ((2, 2, 3), True)
    """
    start = arguments.reals("inputs", inputs, "(-inf, inf)")
    if start.ndim != 2 or start.size == 0:
        raise ArgumentError(f"inputs has shape {start.shape}: need (networks, width)")
    at = np.atleast_1d(arguments.integers("depths", depths, DEPTHS)).tolist()
    if not at or at != sorted(set(at)):
        raise ArgumentError(f"depths = {depths!r}: need increasing depths")
    activation = check_layer(activation, "gaussian")
    std = math.sqrt(arguments.real("variance", variance, "(0, inf)"))
    bias_std = arguments.real("bias_std", bias_std, "[0, inf)")
    arguments.generator("rng", rng)
    networks, width = start.shape
    last = at[-1]
    # Column j is the network of depth at[-1 - j]: it starts when that many layers are left.
    x = np.repeat(start[:, :, None], len(at), axis=2)
    back = np.empty((len(at), networks, width))
    for passed in range(1, last + 1):
        w = std * rng.standard_normal((networks, width, width))
        b = bias_std * rng.standard_normal((networks, width, 1))
        up, down = _slopes(activation, (networks, width, 1), rng)
        running = sum(k > last - passed for k in at)
        z = w @ x[:, :, :running] + b
        x[:, :, :running] = np.where(z > 0.0, up, down) * z
        if passed in at:
            back[at.index(passed)] = x[:, :, 0]
    return np.moveaxis(x, 2, 0)[::-1], back


def perpetuity(
    n: int,
    depth: int,
    width: int,
    activation: Activation,
    variance: float,
    *,
    bias_std: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the partial sums r_k² = ε² Σ_{i≤k} M_1²⋯M_i² with ε = σ_b/σ, and log(M_1⋯M_k).

    An input of norm r_0 adds M_1²⋯M_k² r_0², and that is the law of the squared norm at depth k.

    Args:
        n: number of sequences, from 1.
        depth: the largest k, from 1.
        width: neurons a layer, from 1.
        activation: of every layer.
        variance: σ² > 0 of the weights.
        bias_std: σ_b > 0, standard deviation of the biases.
        rng: a numpy Generator.

    Returns:
        Two arrays of shape (n, depth + 1); column k is depth k; a factor 0 makes the logarithm -inf for good.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        derived on page 04, thm-tail-input-side.

    >>> import fracrepro as fr
    >>> rng = np.random.default_rng(0)
    >>> squares, logs = perpetuity(5, 3, 4, fr.Linear(), 0.2, bias_std=0.2**0.5, rng=rng)
    >>> bool(np.allclose(squares[:, 3] - squares[:, 2], np.exp(2 * logs[:, 3])))
    True
    """
    n = arguments.integer("n", n, _COUNTS)
    width = arguments.integer("width", width, WIDTHS)
    bias_std = arguments.real("bias_std", bias_std, "(0, inf)")
    logs = simulate_log_norms(n, depth, width, activation, variance, rng=rng)
    terms = bias_std**2 / variance * np.exp(2.0 * logs)
    terms[:, 0] = 0.0
    return np.cumsum(terms, axis=1), logs


@dataclass(frozen=True)
class BothEnds:
    """Norms of networks grown at both ends by the same layers, and of the series with the same law.

    Attributes:
        outer: norms at every depth of the networks grown at the output side, of shape (depths, n).
        inner: norms at the last depth K of those grown at the input side, of shape (n,).
        series: r_K of the series from an input of norm 1, of shape (n,).
        products: log(M_1⋯M_K) of the series, of shape (n,); -inf where a factor is 0.
        inner_rate: slope of log‖X_k - X_K‖ over depth at the input side, the mean over the networks that have
            not met X_K; -inf if all have.
        outer_rate: the same at the output side.
    """

    outer: np.ndarray
    inner: np.ndarray
    series: np.ndarray
    products: np.ndarray
    inner_rate: float
    outer_rate: float


def both_ends(
    n: int,
    depths: Sequence[int],
    width: int,
    activation: Activation,
    variance: float,
    *,
    bias_std: float,
    between: tuple[int, int],
    rng: np.random.Generator,
    series_rng: np.random.Generator,
) -> BothEnds:
    """Draw networks that grow at both ends from an input of norm 1, and as many draws of the series.

    Args:
        n: networks, from 1.
        depths: the numbers of layers k, increasing integers from 1; K is the last.
        width: neurons a layer, from 1.
        activation: of every layer.
        variance: σ² > 0 of the weights.
        bias_std: σ_b > 0, standard deviation of the biases.
        between: the two of the depths, below K, between which the slopes are taken.
        rng: a numpy Generator, of the networks.
        series_rng: a numpy Generator, of the series.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        derived on page 04, thm-tail-input-side.

    >>> import fracrepro as fr
    >>> first, second = np.random.default_rng(0), np.random.default_rng(1)
    >>> found = both_ends(
    ...     9, [1, 4, 8], 2, fr.Linear(), 0.1,
    ...     bias_std=0.3, between=(1, 4), rng=first, series_rng=second,
    ... )
    >>> found.outer.shape, found.inner_rate < 0
    ((3, 9), True)
    >>> bool(np.array_equal(found.outer[-1], found.inner))
    True
    """
    n, width = arguments.integer("n", n, _COUNTS), arguments.integer("width", width, WIDTHS)
    at = np.atleast_1d(arguments.integers("depths", depths, DEPTHS)).tolist()
    early, late = between
    if not (early in at and late in at and early < late < at[-1]):
        raise ArgumentError(f"between = {between!r}: need two increasing depths of {at} below the last")
    bias_std = arguments.real("bias_std", bias_std, "(0, inf)")
    arguments.generator("series_rng", series_rng)
    x = np.zeros((n, width))
    x[:, 0] = 1.0
    law = (activation, variance)
    inner, outer = grow_both_ends(x, at, *law, bias_std=bias_std, rng=rng)
    squares, logs = perpetuity(n, at[-1], width, *law, bias_std=bias_std, rng=series_rng)
    first, second = at.index(early), at.index(late)
    rates = (_approach(ends, first, second) / (late - early) for ends in (inner, outer))
    return BothEnds(
        np.linalg.norm(outer, axis=2),
        np.linalg.norm(inner[-1], axis=1),
        np.sqrt(squares[:, -1] + np.exp(2.0 * logs[:, -1])),
        logs[:, -1],
        *rates,
    )


def _approach(outputs: np.ndarray, first: int, second: int) -> float:
    """The mean log ratio of the distances from the last output, over the networks apart from it at both."""
    before, after = (np.linalg.norm(outputs[i] - outputs[-1], axis=1) for i in (first, second))
    apart = (before > 0.0) & (after > 0.0)
    return float(np.log(after[apart] / before[apart]).mean()) if apart.any() else -math.inf


def _slopes(
    activation: Activation, shape: tuple[int, ...], rng: np.random.Generator
) -> tuple[np.ndarray | float, np.ndarray | float]:
    """The slopes of the units of one layer above and below zero, masked units with 0."""
    law = activation.slopes
    up, down = (low if low == high else rng.uniform(low, high, shape) for low, high in law.sides)
    if law.kept == 1.0:
        return up, down
    kept = rng.random(shape) < law.kept
    return up * kept, down * kept
