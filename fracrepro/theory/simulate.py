"""Monte Carlo through the scalar reduction: a network's norm costs one draw per layer, whatever its width."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from fracrepro import arguments
from fracrepro.theory.activations import Activation
from fracrepro.theory.arrays import WIDTHS
from fracrepro.theory.layer import check_layer, log_moment
from fracrepro.theory.numerics.sampling import FactorSampler
from fracrepro.theory.stack import DEPTHS, Layer, Layers, Variances, Widths
from fracrepro.theory.weights import WeightLaw
from fracrepro.theory.weights import law as weight_law

__all__ = ["required_draws", "simulate_log_norms", "simulate_tilted_log_norms", "stream_log_norms"]

_COUNTS = "[1, 1000000000000]"
_POSITIVE = "(0, inf)"
# numerics.md: numerics-sampling-blocks
_BLOCK = 1 << 18
# numerics.md: numerics-required-draws
_LARGEST_EXPONENT, _ROUNDING = 700.0, 1e-12


def check_rng(rng: object) -> np.random.Generator:
    """Return `rng` if it is a numpy Generator, else raise ArgumentError."""
    return arguments.generator("rng", rng)


def simulate_log_norms(
    n: int,
    depth: int,
    width: Widths,
    activation: Activation,
    variance: Variances,
    *,
    bias_std: float = 0.0,
    rng: np.random.Generator,
    weights: WeightLaw = "gaussian",
    input_width: int | None = None,
) -> np.ndarray:
    """Draw log(r_k/r_0) for `n` independent networks and every depth k up to `depth`.

    r_{k+1}² = (σ² r_k² + σ_b²) R² with independent factors R; r_0 = 1, σ_b = `bias_std`.
    With orthogonal weights and biases, (σ r + σ_b g)² + σ_b² χ²_{d-1} with g ~ N(0, 1) replaces σ² r² + σ_b²;
    a layer with more inputs n than neurons d first keeps the share χ²_d/χ²_n of σ² r².
    The result takes 8 n (depth + 1) bytes; :func:`stream_log_norms` gives the same numbers block by block.

    Args:
        n: number of networks, from 1.
        depth: number of layers, from 1.
        width: neurons a layer, from 1; one number, or one for each layer.
        activation: of every layer.
        variance: σ² > 0 of the weights, for orthogonal weights the squared gain; one number, or one for each
            layer.
        bias_std: σ_b ≥ 0, standard deviation of the biases.
        rng: a numpy Generator.
        weights: ``"gaussian"`` or ``"orthogonal"``.
        input_width: inputs of the network, from 1, where orthogonal layers have several widths; None for as
            many as neurons of the first layer.

    Returns:
        An array of shape (n, depth + 1); column k is depth k, column 0 is 0, a dead network is -inf.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        The reduction is derived on page 02, thm-moment, and with biases on page 04, thm-tail-index.

    >>> import fracrepro as fr
    >>> fr.simulate_log_norms(2, 3, 64, fr.ReLU(), 2 / 64, rng=np.random.default_rng(0)).shape
    (2, 4)
    """
    blocks = stream_log_norms(
        n,
        depth,
        width,
        activation,
        variance,
        bias_std=bias_std,
        rng=rng,
        weights=weights,
        input_width=input_width,
    )
    return np.concatenate(list(blocks))


def stream_log_norms(
    n: int,
    depth: int,
    width: Widths,
    activation: Activation,
    variance: Variances,
    *,
    bias_std: float = 0.0,
    rng: np.random.Generator,
    weights: WeightLaw = "gaussian",
    input_width: int | None = None,
) -> Iterator[np.ndarray]:
    """Yield the rows of :func:`simulate_log_norms` in blocks of bounded size, in order and bit for bit.

    Takes the same arguments, and checks them when it is called, not when the first block is asked for.

    >>> import fracrepro as fr
    >>> blocks = stream_log_norms(10**6, 100, 64, fr.ReLU(), 2 / 64, rng=np.random.default_rng(0))
    >>> next(blocks).shape[1]
    101
    """
    check_rng(rng)
    n = arguments.integer("n", n, _COUNTS)
    activation = check_layer(activation, weights)
    layers = Layers(depth, width, variance, weights, input_width)
    bias_std = arguments.real("bias_std", bias_std, "[0, inf)")

    def sampler(layer: Layer) -> FactorSampler:
        return FactorSampler(layer.width, activation, layer.weights.after_bias if bias_std else layer.weights)

    made = {layer: sampler(layer) for layer in dict.fromkeys(layer for layer, _ in layers.runs)}
    runs = [Run(made[layer], layer, count) for layer, count in layers.runs]

    def blocks() -> Iterator[np.ndarray]:
        for size in block_sizes(n, layers.depth):
            if bias_std:
                yield _with_bias(size, runs, bias_std, rng)
            else:
                yield _without_bias(size, runs, rng)

    return blocks()


def simulate_tilted_log_norms(
    n: int,
    depth: int,
    width: int,
    activation: Activation,
    variance: float,
    *,
    s: float,
    rng: np.random.Generator,
    weights: WeightLaw = "gaussian",
) -> tuple[np.ndarray, np.ndarray]:
    """Draw log(r_k/r_0) from the law tilted by r_depth^s, with the log-weights that undo the tilt.

    Every factor is drawn from the law with density proportional to R^s.
    Then E f(r_k) = E_tilted[w_k f(r_k)] for f that vanishes at 0, w_k = (σ^s E R^s)^k (r_k/r_0)^(-s).
    In particular r_k^s w_k is constant: the estimate of E r_k^s has no variance, where naive draws fail.

    Args:
        n: number of networks, from 1.
        depth: number of layers, from 1.
        width: neurons a layer, from 1.
        activation: of every layer.
        variance: σ² > 0 of the weights; for orthogonal weights the squared gain.
        s: order of the tilt, in [0, 100].
        rng: a numpy Generator.
        weights: ``"gaussian"`` or ``"orthogonal"``.

    Returns:
        Two arrays of shape (n, depth + 1): the log-norms and the logs of the weights w_k.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Derived on page 03, thm-as-limit, where the tilted law carries the moment.

    >>> import fracrepro as fr
    >>> rng = np.random.default_rng(0)
    >>> x, log_weight = fr.simulate_tilted_log_norms(4, 50, 64, fr.ReLU(), 2 / 64, s=2, rng=rng)
    >>> bool(np.allclose(2 * x + log_weight, 0))   # Kaiming: E r_k² = 1, exactly, from every single draw
    True
    """
    n, depth = check_draws(n, depth, rng)
    sigma2 = arguments.real("variance", variance, _POSITIVE)
    s = arguments.real("s", s, "[0, 100]")
    sampler = _sampler(width, activation, weights, tilt=s)
    runs = [Run(sampler, Layer(sampler.width, sampler.weights, sigma2), depth)]
    log_norms = np.concatenate([_without_bias(size, runs, rng) for size in block_sizes(n, depth)])
    rate = s / 2.0 * math.log(sigma2) + log_moment(s, width, activation, weights)
    return log_norms, rate * np.arange(depth + 1) - s * log_norms


def required_draws(
    relative_error: float,
    s: float,
    depth: int,
    width: int,
    activation: Activation,
    *,
    weights: WeightLaw = "gaussian",
) -> int:
    """Return how many naive draws give the mean of r_k^s a wanted relative standard error.

    The relative variance of one draw is (E R^(2s)/(E R^s)²)^k - 1, whatever the weights' variance;
    n draws divide it by n.

    Args:
        relative_error: standard error over mean, positive.
        s: order in (0, 100].
        depth: number of layers k, from 1.
        width: neurons a layer, from 1.
        activation: of every layer.
        weights: ``"gaussian"`` or ``"orthogonal"``.

    Returns:
        An exact Python integer, which may have hundreds of digits.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Derived on page 02, thm-moment, with the orders s and 2s.

    >>> import fracrepro as fr
    >>> fr.required_draws(0.05, 2, 1, 1, fr.Linear())   # χ²_1: E C²/(E C)² - 1 = 2, and 2/0.05² = 800
    800
    """
    activation = check_layer(activation, weights)
    error = arguments.real("relative_error", relative_error, _POSITIVE)
    s = arguments.real("s", s, "(0, 100]")
    depth = arguments.integer("depth", depth, DEPTHS)
    width = arguments.integer("width", width, WIDTHS)
    first, second = (log_moment(order, width, activation, weights) for order in (s, 2.0 * s))
    log_ratio = depth * (second - 2.0 * first)
    if log_ratio < _LARGEST_EXPONENT:
        draws = math.expm1(log_ratio) / error**2
        # Rounding in the moments must not turn an exact 800 into 801.
        return max(1, math.ceil(draws * (1.0 - _ROUNDING)))
    return math.ceil(Decimal(log_ratio).exp() / Decimal(error) ** 2)


def check_draws(n: int, depth: int, rng: object) -> tuple[int, int]:
    """Check what all draws share, the layers aside."""
    check_rng(rng)
    return arguments.integer("n", n, _COUNTS), arguments.integer("depth", depth, DEPTHS)


def _sampler(width: int, activation: Activation, weights: WeightLaw, tilt: float = 0.0) -> FactorSampler:
    """Check a layer and prepare draws of its factor."""
    check_layer(activation, weights)
    return FactorSampler(
        arguments.integer("width", width, WIDTHS), activation, weight_law(weights), tilt=tilt
    )


def block_sizes(n: int, depth: int) -> Iterator[int]:
    """Networks drawn at once, fixed, so that a seed gives the same bits however the result is consumed."""
    rows = max(1, _BLOCK // depth)
    return (min(rows, n - start) for start in range(0, n, rows))


class Run(NamedTuple):
    """Neighbouring layers of one kind, with what draws their factors."""

    sampler: FactorSampler
    layer: Layer
    number: int


def _without_bias(size: int, runs: Sequence[Run], rng: np.random.Generator) -> np.ndarray:
    """Sums of log σ² + log R²."""
    result = np.zeros((size, 1 + sum(run.number for run in runs)))
    steps = [run.sampler.log_square((size, run.number), rng) + math.log(run.layer.variance) for run in runs]
    np.cumsum(steps[0] if len(steps) == 1 else np.concatenate(steps, axis=1), axis=1, out=result[:, 1:])
    result *= 0.5
    return result


def _with_bias(size: int, runs: Sequence[Run], bias_std: float, rng: np.random.Generator) -> np.ndarray:
    """The recursion in logarithms, so that neither very small nor very large norms are lost."""
    result = np.zeros((size, 1 + sum(run.number for run in runs)))
    log_bias, k = 2.0 * math.log(bias_std), 0
    for run in runs:
        factors = run.sampler.log_square((size, run.number), rng)
        for j in range(run.number):
            signal = math.log(run.layer.variance) + 2.0 * result[:, k]
            total = run.layer.weights.add_bias(signal, log_bias, run.layer.width, rng)
            result[:, k + 1] = 0.5 * (total + factors[:, j])
            k += 1
    return result
