"""Norms at every depth of networks drawn with all their weights, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory import passes
from fracrepro.theory.activations import Activation
from fracrepro.theory.passes import Pointwise
from fracrepro.theory.simulate import DEPTHS
from fracrepro.theory.weights import WIDTHS

# Weights held at once, of all layers together; a constant, so that a seed gives the same bits.
_BLOCK = 1 << 22
_COUNTS = "[1, 1000000000000]"
# Makes the gradients at the top from the generator and the outputs; both of shape (networks, outputs).
Top = Callable[[np.random.Generator, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Norms:
    """Norms at every depth of a network with L layers, or their logs; the first axis counts networks.

    Attributes:
        signals: ‖x⁽ˡ⁾‖ for l = 0 … L, of shape (networks, L + 1).
        gradients: ‖g⁽ˡ⁾‖ for l = 0 … L, gradients with respect to x⁽ˡ⁾, of shape (networks, L + 1).
        weight_gradients: ‖h⁽ˡ⁾‖ ‖x⁽ˡ⁻¹⁾‖ for l = 1 … L, the Frobenius norms of the gradients with respect
            to the weight matrices, of shape (networks, L).
        first: pre-activations of the first layer, of shape (networks, width); never logs.
        last: those of the last layer.
    """

    signals: np.ndarray
    gradients: np.ndarray
    weight_gradients: np.ndarray
    first: np.ndarray
    last: np.ndarray


def isotropic(rng: np.random.Generator, outputs: np.ndarray) -> np.ndarray:
    """Draw standard normal gradients of the shape of the outputs, independent of the network."""
    return rng.standard_normal(outputs.shape)


def output_norm(outputs: int) -> Top:
    """Return the gradient of ‖V x‖ at the top, with fresh read-out weights V of variance 1/width.

    Args:
        outputs: rows of V, from 1.

    Raises:
        ArgumentError: outside this range.

    Source:
        Derived on page 08, backward-thm-loss.

    >>> output_norm(2)(np.random.default_rng(0), np.ones((3, 4))).shape
    (3, 4)
    """
    outputs = arguments.integer("outputs", outputs, WIDTHS)

    def top(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
        read_out = rng.standard_normal((len(x), outputs, x.shape[1])) / math.sqrt(x.shape[1])
        return passes.product(read_out.mT, passes.units(passes.product(read_out, x)))

    return top


def cross_entropy(outputs: int) -> Top:
    """Return the gradient of the cross entropy of logits V x and random labels, V as in :func:`output_norm`.

    Args:
        outputs: classes, from 1.

    Raises:
        ArgumentError: outside this range.

    Source:
        The definition of the loss.

    >>> cross_entropy(1)(np.random.default_rng(0), np.ones((1, 2))).tolist()   # one class: nothing to learn
    [[0.0, 0.0]]
    """
    outputs = arguments.integer("outputs", outputs, WIDTHS)

    def top(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
        read_out = rng.standard_normal((len(x), outputs, x.shape[1])) / math.sqrt(x.shape[1])
        logits = passes.product(read_out, x)
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(x)), rng.integers(outputs, size=len(x))] -= 1
        return passes.product(read_out.mT, p)

    return top


def propagate(
    networks: int,
    sizes: Sequence[int],
    stds: Sequence[float] | np.ndarray,
    activation: Activation | Pointwise,
    rng: np.random.Generator,
    *,
    top: Top = isotropic,
    logs: bool = False,
    **options: Any,
) -> Norms:
    """Pass the input (1, …, 1) forward and a gradient back, and return the norms at every depth.

    The networks are independent and drawn a few at a time, so memory does not grow with their number.

    Args:
        networks: how many, from 1.
        sizes: widths from the input to the output, one more than there are layers.
        stds: the standard deviation of the weights of each layer.
        activation: as in :func:`fracrepro.theory.passes.forward`.
        rng: a numpy Generator.
        top: makes the gradients g⁽ᴸ⁾ from the generator and the outputs; both of shape (networks, outputs).
        logs: whether to return logs of norms, -inf for 0, which neither overflow nor underflow;
            needs what `normalize` of :func:`fracrepro.theory.passes.forward` needs.
        options: law, bias, mask and tied of :func:`fracrepro.theory.passes.forward`.

    Raises:
        ArgumentError: outside these ranges, before anything is drawn.

    Source:
        Defined on page 01, variance-def-passes.

    >>> import fracrepro as fr
    >>> found = propagate(10, [3, 5, 4], [0.5, 0.5], fr.ReLU(), np.random.default_rng(0))
    >>> found.signals.shape, found.gradients.shape, found.weight_gradients.shape
    ((10, 3), (10, 3), (10, 2))
    """
    networks = arguments.integer("networks", networks, _COUNTS)
    sizes = arguments.integers("sizes", sizes, WIDTHS).tolist()
    if len(sizes) < 2:
        raise ArgumentError(f"sizes = {sizes!r}: need the width of the input and of at least one layer")
    block = max(1, _BLOCK // sum(a * b for a, b in pairwise(sizes)))
    parts = []
    for start in range(0, networks, block):
        x = np.ones((min(block, networks - start), sizes[0]))
        layers = passes.forward(x, stds, activation, rng, widths=sizes[1:], normalize=logs, **options)
        parts.append(_norms(x, list(layers), top, rng, logs))
    return Norms(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def forward_log_norms(
    inputs: np.ndarray,
    stds: Sequence[float] | np.ndarray,
    activation: Activation,
    rng: np.random.Generator,
    **options: Any,
) -> np.ndarray:
    """Pass inputs forward through fresh networks, one a row, and return log‖x⁽ˡ⁾‖ at every depth.

    One layer of all networks is held at a time.

    Args:
        inputs: x⁽⁰⁾, of shape (networks, width).
        stds: the standard deviation of the weights of each layer; their number L is the depth.
        activation: homogeneous.
        rng: a numpy Generator.
        options: widths, law, mask and tied of :func:`fracrepro.theory.passes.forward`.

    Returns:
        Shape (networks, L + 1); -inf where a network is dead.

    Raises:
        ArgumentError: outside these ranges, before anything is drawn.

    Source:
        Defined on page 01, variance-def-passes.

    >>> import fracrepro as fr
    >>> x = np.array([[3.0, 4.0]])
    >>> rng, ones = np.random.default_rng(0), lambda rng, shape: np.ones(shape)
    >>> logs = forward_log_norms(x, [1.0], fr.Linear(), rng, law=ones)
    >>> (np.exp(logs) ** 2).round(10).tolist()   # 5², then 2 · 7²
    [[25.0, 98.0]]
    """
    layers = passes.forward(inputs, stds, activation, rng, normalize=True, **options)
    return _collect([passes.norms(inputs), *(passes.norms(layer.outputs) for layer in layers)], True)


def gaussian_log_norms(
    n: int,
    depth: int,
    width: int,
    std: float,
    activation: Activation | Pointwise,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw log(r_k/r_0) at r_0 = 1 for networks of Gaussian weights and any activation on coordinates.

    Given ‖x‖ = r the pre-activations are independent N(0, σ² r²), so one normal vector replaces a matrix.
    For homogeneous activations `fracrepro.simulate_log_norms` has the same law and draws one number a layer.

    Args:
        n: networks, from 1; their vectors take 8 n `width` bytes.
        depth: layers, from 1.
        width: neurons in each layer, from 1.
        std: σ, above 0.
        activation: as in :func:`fracrepro.theory.passes.forward`.
        rng: a numpy Generator.

    Returns:
        Shape (n, depth + 1); column 0 is 0, and a dead network is -inf.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Derived on page 02, thm-moment.

    >>> gaussian_log_norms(2, 3, 64, 0.2, passes.TANH, np.random.default_rng(0)).shape
    (2, 4)
    """
    n, width = arguments.integer("n", n, _COUNTS), arguments.integer("width", width, WIDTHS)
    depth = arguments.integer("depth", depth, DEPTHS)
    std = arguments.real("std", std, "(0, inf)")
    arguments.generator("rng", rng)
    found = [np.ones(n)]
    for _ in range(depth):
        z = std * found[-1][:, None] * rng.standard_normal((n, width))
        found.append(passes.norms(passes.respond(activation, z, rng)[0]))
    return _log(np.stack(found, 1))


def _norms(
    x: np.ndarray,
    layers: list[passes.Layer],
    top: Top,
    rng: np.random.Generator,
    logs: bool,
) -> tuple[np.ndarray, ...]:
    """The five arrays of `Norms` for one block of networks."""
    signals = _collect([passes.norms(x), *(passes.norms(layer.outputs) for layer in layers)], logs)
    first, last = layers[0].preactivations, layers[-1].preactivations
    outputs = layers[-1].outputs
    if logs:  # the layers took inputs of norm 1
        first, last, outputs = (
            part * np.exp(signals[:, at, None]) for part, at in ((first, 0), (last, -2), (outputs, -2))
        )
    g = top(rng, outputs)
    steps = list(passes.backward(layers, g, normalize=logs))
    gradients = _collect([passes.norms(g), *(passes.norms(below) for _, below in steps)], logs)[:, ::-1]
    hidden = np.stack([passes.norms(h) for h, _ in steps[::-1]], 1)
    into = signals[:, :-1]
    weight_gradients = _log(hidden) + gradients[:, 1:] + into if logs else hidden * into
    return signals, gradients, weight_gradients, first, last


def _collect(norms: list[np.ndarray], logs: bool) -> np.ndarray:
    """Norms side by side; with logs, each one is a factor of the next."""
    stacked = np.stack(norms, 1)
    return np.cumsum(_log(stacked), axis=1) if logs else stacked


def _log(values: np.ndarray) -> np.ndarray:
    """Logs, with -inf for 0."""
    with np.errstate(divide="ignore"):
        return np.log(values)
