"""Forward and backward passes with all weights: what the scalar reduction replaces, and what it cannot do.

One layer is a = W x + b, y = m φ(a), with weights W of any law, optional biases b, an optional mask m
(dropout) and any activation φ on coordinates; backward it is h = m φ'(a) g, then Wᵀ h.
Many networks pass at once: vectors have the shape (networks, width), matrices (networks, outputs, inputs).
A layer draws in this order: weights, biases, mask, slopes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation
from fracrepro.theory.joint import GramChain
from fracrepro.theory.weights import WIDTHS

# Draws an array of the shape from the generator; for weights with mean 0 and variance 1.
Law = Callable[[np.random.Generator, tuple[int, ...]], Any]
# A function of the pre-activations and its derivative, for activations that are not homogeneous.
Pointwise = tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw standard normal weights."""
    return rng.standard_normal(shape)


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw weights uniform on [-√3, √3], which has variance 1."""
    return rng.uniform(-math.sqrt(3.0), math.sqrt(3.0), shape)


def _tanh_slope(z: np.ndarray) -> np.ndarray:
    """1/cosh², without overflow."""
    return 1.0 / np.cosh(np.clip(z, -300.0, 300.0)) ** 2


#: The hyperbolic tangent and its derivative: an activation that no law here describes.
TANH: Pointwise = (np.tanh, _tanh_slope)


@dataclass(frozen=True)
class Layer:
    """One layer of many networks, as :func:`forward` passed it.

    Attributes:
        inputs: x, of shape (networks, inputs).
        weights: W, of shape (networks, outputs, inputs).
        preactivations: a = W x + b, of shape (networks, outputs).
        slopes: φ'(a), of that shape.
        mask: m, of that shape, or 1 without a mask.
        outputs: y = m φ(a), of that shape.
    """

    inputs: np.ndarray
    weights: np.ndarray
    preactivations: np.ndarray
    slopes: np.ndarray
    mask: np.ndarray | float
    outputs: np.ndarray


def forward(
    inputs: np.ndarray,
    stds: Sequence[float] | np.ndarray,
    activation: Activation | Pointwise,
    rng: np.random.Generator,
    *,
    widths: Sequence[int] | None = None,
    law: Law = normal,
    bias: Law | None = None,
    mask: Law | None = None,
    tied: bool = False,
    normalize: bool = False,
) -> Iterator[Layer]:
    """Pass inputs through fresh random networks, one a row, and yield the layers from the first on.

    Nothing but the present layer is held; make a list of the layers to pass back through them.

    Args:
        inputs: x⁽⁰⁾, of shape (networks, width).
        stds: the standard deviation of the weights of each layer, at least 0; their number is the depth.
        activation: an :class:`Activation`, or a function and its derivative such as ``TANH``.
        rng: a numpy Generator.
        widths: outputs of each layer; by default the width of the inputs throughout.
        law: draws the weights before they are multiplied by the standard deviation.
        bias: draws the biases of a layer, of shape (networks, outputs); None for no biases.
        mask: draws the factors of the outputs, of that shape, see :func:`dropout`; None for no mask.
        tied: whether one draw of weights and biases serves all layers.
        normalize: whether every layer takes its input divided by its norm (0 stays 0), so that no depth
            overflows; then log‖x⁽ᵏ⁾‖ = log‖x⁽⁰⁾‖ + Σ log‖outputs‖ over the first k layers.
            For homogeneous activations without biases only.

    Raises:
        ArgumentError: outside these ranges, before anything is drawn.

    Source:
        Defined on page 01, variance-def-passes.

    >>> import fracrepro as fr
    >>> rng = np.random.default_rng(0)
    >>> layers = forward(np.ones((2, 3)), [1.0, 1.0], fr.ReLU(), rng, widths=[4, 5])
    >>> [layer.outputs.shape for layer in layers]
    [(2, 4), (2, 5)]
    """
    x = arguments.reals("inputs", inputs, "(-inf, inf)")
    if x.ndim != 2 or x.size == 0:
        raise ArgumentError(f"inputs has shape {x.shape}: need (networks, width)")
    stds = np.atleast_1d(arguments.reals("stds", stds, "[0, inf)")).tolist()
    same = [x.shape[1]] * len(stds)
    sizes = same if widths is None else arguments.integers("widths", widths, WIDTHS).tolist()
    if len(sizes) != len(stds):
        raise ArgumentError(f"widths = {widths!r}: need one width for each of the {len(stds)} layers")
    if tied and len({*sizes, x.shape[1]}) * len(set(stds)) > 1:
        raise ArgumentError(f"tied = {tied!r}: need one width and one standard deviation throughout")
    if normalize and (bias is not None or not isinstance(activation, Activation)):
        raise ArgumentError(f"normalize = {normalize!r}: need a homogeneous activation and no biases")
    arguments.generator("rng", rng)

    def layers() -> Iterator[Layer]:
        x_now, w, b = x, None, 0.0
        for std, size in zip(stds, sizes, strict=True):
            x_now = units(x_now) if normalize else x_now
            shape = (len(x_now), size)
            if w is None or not tied:
                w = std * law(rng, (*shape, x_now.shape[1]))
                b = 0.0 if bias is None else bias(rng, shape)
            z = product(w, x_now) + b
            m = 1.0 if mask is None else mask(rng, shape)
            values, slopes = respond(activation, z, rng)
            layer = Layer(x_now, w, z, slopes, m, values if mask is None else m * values)
            yield layer
            x_now = layer.outputs

    return layers()


def backward(
    layers: Sequence[Layer], gradients: np.ndarray, *, normalize: bool = False
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pass gradients back and yield (h⁽ˡ⁾, g⁽ˡ⁻¹⁾) for every layer l from the last to the first.

    The gradient with respect to pre-activations is h⁽ˡ⁾ = m φ'(a⁽ˡ⁾) g⁽ˡ⁾, with respect to the layer's input
    g⁽ˡ⁻¹⁾ = W⁽ˡ⁾ᵀ h⁽ˡ⁾, and with respect to the weights h⁽ˡ⁾ x⁽ˡ⁻¹⁾ᵀ.

    Args:
        layers: what :func:`forward` yielded.
        gradients: g⁽ᴸ⁾, of shape (networks, outputs).
        normalize: whether every layer takes its gradient divided by its norm, as in :func:`forward`.

    Raises:
        ArgumentError: if there is no layer, or the gradients have not the shape of the last layer's outputs.

    Source:
        Defined on page 01, variance-def-passes.

    >>> import fracrepro as fr
    >>> rng = np.random.default_rng(0)
    >>> layers = list(forward(np.ones((1, 3)), [1.0], fr.Linear(), rng))
    >>> [(h, g)] = backward(layers, np.ones((1, 3)))
    >>> bool(np.array_equal(h, [[1, 1, 1]]) and np.allclose(g, layers[0].weights.sum(1)))
    True
    """
    if not layers or np.shape(gradients) != layers[-1].outputs.shape:
        need = layers[-1].outputs.shape if layers else "at least one layer"
        raise ArgumentError(f"gradients has shape {np.shape(gradients)}: need {need}")

    def steps() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        g = np.asarray(gradients)
        for layer in reversed(layers):
            h = layer.mask * layer.slopes * (units(g) if normalize else g)
            g = product(layer.weights.mT, h)
            yield h, g

    return steps()


def gram_matrices(
    chain: GramChain, inputs: np.ndarray, n: int, depth: int, *, rng: np.random.Generator, law: Law = normal
) -> np.ndarray:
    """Return the Gram matrices of several inputs in `n` networks whose weights are all drawn.

    What :meth:`fracrepro.GramChain.sample` replaces; every input has masks and slopes of its own.

    Args:
        chain: width, activation, variance, biases and aggregation of the networks.
        inputs: of shape (m, dimension).
        n: number of networks, from 1.
        depth: number of layers, from 1.
        rng: a numpy Generator.
        law: draws the weights before they are multiplied by the standard deviation.

    Returns:
        An array of shape (n, depth + 1, m, m).

    Raises:
        ArgumentError: outside these ranges, and for a chain whose inputs share masks and slopes.

    Source:
        Derived on page 12, thm-gram-chain.

    >>> import fracrepro as fr
    >>> chain, rng = fr.GramChain(5, fr.ReLU(), 0.4, 0.1), np.random.default_rng(0)
    >>> gram_matrices(chain, np.eye(2), 3, 4, rng=rng).shape
    (3, 5, 2, 2)
    """
    x = arguments.reals("inputs", inputs, "(-inf, inf)")
    if x.ndim != 2 or x.size == 0:
        raise ArgumentError(f"inputs has shape {x.shape}: need (m, dimension)")
    if chain.shared:
        raise ArgumentError(f"chain = {chain!r}: need inputs with masks and slopes of their own")
    n, depth = (arguments.integer(name, v, WIDTHS) for name, v in (("n", n), ("depth", depth)))
    arguments.generator("rng", rng)
    mixing = np.eye(len(x)) if chain.aggregation is None else chain.aggregation
    x = np.broadcast_to(x, (n, *x.shape))
    result = [x @ x.mT]
    for _ in range(depth):
        weights = math.sqrt(chain.variance) * law(rng, (n, x.shape[-1], chain.width))
        biases = chain.bias_std * normal(rng, (n, 1, chain.width))
        x = chain.activation.apply(mixing @ x @ weights + biases, rng)
        result.append(x @ x.mT)
    return np.stack(result, axis=1)


def dropout(p: float) -> Law:
    """Return the mask of dropout: 0 with probability `p`, else 1/(1 - p).

    Args:
        p: in [0, 1).

    >>> dropout(0.5)(np.random.default_rng(0), (1, 3)).tolist()
    [[0.0, 2.0, 2.0]]
    """
    keep = 1.0 - arguments.real("p", p, "[0, 1)")
    return lambda rng, shape: (rng.random(shape) < keep) / keep


def respond(
    activation: Activation | Pointwise, z: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return φ(z) and φ'(z), with fresh slopes where they are random."""
    if isinstance(activation, Activation):
        slopes = activation.draw_slopes(z, rng)
        return slopes * z, slopes
    function, derivative = activation
    return function(z), derivative(z)


def product(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return every matrix times its vector."""
    return (matrices @ vectors[..., None])[..., 0]


def norms(vectors: np.ndarray) -> np.ndarray:
    """Return the Euclidean norm of every row."""
    return np.linalg.norm(vectors, axis=1)


def units(vectors: np.ndarray) -> np.ndarray:
    """Return vectors divided by their norms; 0 stays 0."""
    length = norms(vectors)[:, None]
    return vectors / np.where(length > 0.0, length, 1.0)
