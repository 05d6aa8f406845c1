"""Monte Carlo through the scalar reduction: a network's norm costs one draw per layer, whatever its width."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal

import numpy as np

from fracrepro import arguments
from fracrepro.theory.activations import Activation
from fracrepro.theory.layer import WIDTHS, check_layer, log_moment
from fracrepro.theory.numerics.sampling import FactorSampler
from fracrepro.theory.weights import law as weight_law

DEPTHS = "[1, 1000000]"
_COUNTS = "[1, 1000000000000]"
_POSITIVE = "(0, inf)"
# Numbers drawn at once; a constant, so that a seed gives the same bits however the result is consumed.
_BLOCK = 1 << 18


def check_rng(rng: object) -> np.random.Generator:
    """Return `rng` if it is a numpy Generator, else raise ArgumentError."""
    return arguments.generator("rng", rng)


def simulate_log_norms(
    n: int,
    depth: int,
    width: int,
    activation: Activation,
    variance: float,
    *,
    bias_std: float = 0.0,
    rng: np.random.Generator,
    weights: str = "gaussian",
) -> np.ndarray:
    """Draw log(r_k/r_0) for `n` independent networks and every depth k up to `depth`.

    r_{k+1}² = (σ² r_k² + σ_b²) R² with independent factors R; r_0 = 1, σ_b = `bias_std`.
    With orthogonal weights and biases, (σ r + σ_b g)² + σ_b² χ²_{d-1} with g ~ N(0, 1) replaces σ² r² + σ_b².

    Parameters: integers `n`, `depth`, `width` from 1; `variance` σ² > 0; `bias_std` ≥ 0; `rng` a Generator.
    Returns an array of shape (n, depth + 1); column k is depth k, column 0 is 0, a dead network is -inf.
    The array takes 8 n (depth + 1) bytes; `stream_log_norms` gives the same numbers block by block.
    Raises ArgumentError outside these ranges.
    Source: derived here.

    >>> import fracrepro as fr
    >>> fr.simulate_log_norms(2, 3, 64, fr.ReLU(), 2 / 64, rng=np.random.default_rng(0)).shape
    (2, 4)
    """
    blocks = stream_log_norms(
        n, depth, width, activation, variance, bias_std=bias_std, rng=rng, weights=weights
    )
    return np.concatenate(list(blocks))


def stream_log_norms(
    n: int,
    depth: int,
    width: int,
    activation: Activation,
    variance: float,
    *,
    bias_std: float = 0.0,
    rng: np.random.Generator,
    weights: str = "gaussian",
) -> Iterator[np.ndarray]:
    """Yield the rows of `simulate_log_norms` in blocks of bounded size, in order and with the same bits.

    Arguments are checked when the function is called, not when the first block is asked for.

    >>> import fracrepro as fr
    >>> blocks = fr.stream_log_norms(10**6, 100, 64, fr.ReLU(), 2 / 64, rng=np.random.default_rng(0))
    >>> next(blocks).shape[1]
    101
    """
    activation, law = check_layer(activation, weights), weight_law(weights)
    n = arguments.integer("n", n, _COUNTS)
    depth = arguments.integer("depth", depth, DEPTHS)
    width = arguments.integer("width", width, WIDTHS)
    sigma2 = arguments.real("variance", variance, _POSITIVE)
    bias_std = arguments.real("bias_std", bias_std, "[0, inf)")
    check_rng(rng)
    sampler = FactorSampler(width, activation, law)
    rows = max(1, _BLOCK // depth)

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, n, rows):
            size = min(rows, n - start)
            if bias_std:
                yield _with_bias(size, depth, sampler, sigma2, bias_std, rng)
            else:
                yield _without_bias(size, depth, sampler, sigma2, rng)

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
    weights: str = "gaussian",
) -> tuple[np.ndarray, np.ndarray]:
    """Draw log(r_k/r_0) from the law tilted by r_depth^s, with the log-weights that undo the tilt.

    Every factor is drawn from the law with density proportional to R^s.
    Then E f(r_k) = E_tilted[w_k f(r_k)] for f that vanishes at 0, w_k = (σ^s E R^s)^k (r_k/r_0)^(-s).
    In particular r_k^s w_k is constant: the estimate of E r_k^s has no variance, where naive draws fail.

    Parameters: as in `simulate_log_norms`, without biases; `s` ≥ 0 is the order of the tilt.
    Returns two arrays of shape (n, depth + 1): the log-norms and the logs of the weights w_k.
    Raises ArgumentError outside these ranges.
    Source: derived here.

    >>> import fracrepro as fr
    >>> rng = np.random.default_rng(0)
    >>> x, log_weight = fr.simulate_tilted_log_norms(4, 50, 64, fr.ReLU(), 2 / 64, s=2, rng=rng)
    >>> bool(np.allclose(2 * x + log_weight, 0))   # Kaiming: E r_k² = 1, exactly, from every single draw
    True
    """
    activation, law = check_layer(activation, weights), weight_law(weights)
    n = arguments.integer("n", n, _COUNTS)
    depth = arguments.integer("depth", depth, DEPTHS)
    width = arguments.integer("width", width, WIDTHS)
    sigma2 = arguments.real("variance", variance, _POSITIVE)
    s = arguments.real("s", s, "[0, 100]")
    check_rng(rng)
    sampler = FactorSampler(width, activation, law, tilt=s)
    rows = max(1, _BLOCK // depth)
    sizes = [min(rows, n - start) for start in range(0, n, rows)]
    log_norms = np.concatenate([_without_bias(size, depth, sampler, sigma2, rng) for size in sizes])
    rate = s / 2.0 * math.log(sigma2) + log_moment(s, width, activation, weights)
    return log_norms, rate * np.arange(depth + 1) - s * log_norms


def required_draws(
    relative_error: float,
    s: float,
    depth: int,
    width: int,
    activation: Activation,
    *,
    weights: str = "gaussian",
) -> int:
    """Return how many naive draws give the mean of r_k^s a wanted relative standard error.

    The relative variance of one draw is (E R^(2s)/(E R^s)²)^k - 1, whatever the weights' variance;
    n draws divide it by n.
    The answer is an exact Python integer and may have hundreds of digits.

    Parameters: `relative_error` > 0; `s` > 0; integers `depth` and `width` from 1.
    Raises ArgumentError outside these ranges.
    Source: derived here.

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
    if log_ratio < 700.0:
        draws = math.expm1(log_ratio) / error**2
        # Rounding in the moments must not turn an exact 800 into 801.
        return max(1, math.ceil(draws * (1.0 - 1e-12)))
    return math.ceil(Decimal(log_ratio).exp() / Decimal(error) ** 2)


def _without_bias(
    size: int, depth: int, sampler: FactorSampler, sigma2: float, rng: np.random.Generator
) -> np.ndarray:
    result = np.zeros((size, depth + 1))
    steps = sampler.log_square((size, depth), rng)
    steps += math.log(sigma2)
    np.cumsum(steps, axis=1, out=result[:, 1:])
    result *= 0.5
    return result


def _with_bias(
    size: int, depth: int, sampler: FactorSampler, sigma2: float, bias_std: float, rng: np.random.Generator
) -> np.ndarray:
    """The recursion in logarithms, so that neither very small nor very large norms are lost."""
    result = np.zeros((size, depth + 1))
    factors = sampler.log_square((size, depth), rng)
    log_sigma2, log_bias = math.log(sigma2), 2.0 * math.log(bias_std)
    for k in range(depth):
        signal = log_sigma2 + 2.0 * result[:, k]
        total = sampler.weights.add_bias(signal, log_bias, sampler.width, rng)
        result[:, k + 1] = 0.5 * (total + factors[:, k])
    return result
