"""Infinitely many layers: Lyapunov exponent, tail index, and draws of the stationary law with biases."""

from __future__ import annotations

import math
from typing import overload

import numpy as np
from numpy.typing import ArrayLike

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation
from fracrepro.theory.arrays import by_layer, plain
from fracrepro.theory.layer import check_layer, log_moment, log_moment_of, log_moments, preserved_order
from fracrepro.theory.numerics.factor import Factor
from fracrepro.theory.numerics.log_slope import log_slope
from fracrepro.theory.simulate import stream_log_norms
from fracrepro.theory.special import log_product
from fracrepro.theory.weights import WeightLaw, Weights

__all__ = ["lyapunov_exponent", "tail_index", "tilted_log_mean"]

_LOG_MAX = math.log(np.finfo(float).max)
# numerics.md: numerics-mixing-depth
_INFLUENCE, _DEEPEST = 1e-9, 100_000


@overload
def lyapunov_exponent(
    variance: float,
    width: int,
    activation: Activation,
    *,
    weights: WeightLaw = ...,
    input_width: int | None = ...,
) -> float: ...
@overload
def lyapunov_exponent(
    variance: ArrayLike,
    width: ArrayLike,
    activation: Activation,
    *,
    weights: WeightLaw = ...,
    input_width: ArrayLike | None = ...,
) -> np.ndarray: ...
def lyapunov_exponent(
    variance: ArrayLike,
    width: ArrayLike,
    activation: Activation,
    *,
    weights: WeightLaw = "gaussian",
    input_width: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return λ = log σ + E[log R | R > 0], the almost sure limit of (1/k) log r_k given survival.

    At critical_variance(s), s > 0, it is negative for every activation without an atom at zero, although
    E r_k^s is constant.

    Args:
        variance: σ² > 0, a number or an array.
        width: d, an integer from 1, or an array that broadcasts with `variance`.
        activation: of the layer.
        weights: ``"gaussian"`` or ``"orthogonal"``.
        input_width: number of inputs of every layer, as in `moment`; None for as many as neurons.

    Returns:
        A float, or an array of the broadcast shape.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        The abstract says that the almost sure limit exists; derived on page 03, thm-as-limit.

    >>> import fracrepro as fr
    >>> round(fr.lyapunov_exponent(1.0, 2, fr.Linear()), 6)   # (log 2 - γ)/2
    0.057966
    """
    activation = check_layer(activation, weights)
    sigma2 = arguments.reals("variance", variance, "(0, inf)")
    mean = log_moments(width, activation, weights=weights, input_width=input_width)[0]
    return plain(np.asarray(0.5 * np.log(sigma2) + mean))


@overload
def tail_index(
    variance: float,
    width: int,
    activation: Activation,
    *,
    weights: WeightLaw = ...,
    input_width: int | None = ...,
) -> float: ...
@overload
def tail_index(
    variance: ArrayLike,
    width: ArrayLike,
    activation: Activation,
    *,
    weights: WeightLaw = ...,
    input_width: ArrayLike | None = ...,
) -> np.ndarray: ...
def tail_index(
    variance: ArrayLike,
    width: ArrayLike,
    activation: Activation,
    *,
    weights: WeightLaw = "gaussian",
    input_width: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return the tail index α of the stationary law with Gaussian biases: P(r > t) ~ c t^(-α).

    α is the positive root of σ^α E R^α = 1, so it equals `preserved_order`: the critical variance of order s
    gives tail index s, and Kaiming's gives 2, an infinite variance.

    Args:
        variance: σ² > 0, a number or an array.
        width: d, an integer from 1, or an array that broadcasts with `variance`.
        activation: of the layer.
        weights: ``"gaussian"`` or ``"orthogonal"``.
        input_width: number of inputs of every layer, as in `moment`; None for as many as neurons.

    Returns:
        A float, or an array of the broadcast shape.

    Raises:
        ArgumentError: as in `preserved_order`.

    Source:
        The abstract says "heavy-tailed in some settings"; derived on page 04, thm-tail-index.

    >>> import fracrepro as fr
    >>> fr.tail_index(2 / 64, 64, fr.ReLU())
    2.0
    """
    return preserved_order(variance, width, activation, weights=weights, input_width=input_width)


@overload
def tilted_log_mean(
    s: float,
    variance: float,
    width: int,
    activation: Activation,
    *,
    weights: WeightLaw = ...,
    input_width: int | None = ...,
) -> float: ...
@overload
def tilted_log_mean(
    s: ArrayLike,
    variance: ArrayLike,
    width: ArrayLike,
    activation: Activation,
    *,
    weights: WeightLaw = ...,
    input_width: ArrayLike | None = ...,
) -> np.ndarray: ...
def tilted_log_mean(
    s: ArrayLike,
    variance: ArrayLike,
    width: ArrayLike,
    activation: Activation,
    *,
    weights: WeightLaw = "gaussian",
    input_width: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return E[M^s log M; M > 0], M = σ R the factor of one layer: the derivative of E M^s in s.

    Where E M^s = 1, at the critical variance of order s, it is the drift of log r_k under the law tilted by
    r_k^s: the speed at which the networks that carry the moment climb.
    It is computed by differentiating under the integral, with a relative accuracy of 1e-11 up to width 10⁶.

    Args:
        s: order, a number or an array; above minus the order at which the moment diverges, as in `moment`.
        variance: σ² > 0, a number or an array.
        width: d, an integer from 1, or an array; the three broadcast.
        activation: of the layer.
        weights: ``"gaussian"`` or ``"orthogonal"``.
        input_width: number of inputs of every layer, as in `moment`; None for as many as neurons.

    Returns:
        A float, or an array of the broadcast shape.

    Raises:
        ArgumentError: outside these ranges, or where E M^s exceeds the largest float.

    Source:
        Derived on page 04, section "How deep must a network be?".

    >>> import fracrepro as fr
    >>> round(fr.tilted_log_mean(2, 1 / 2, 2, fr.Linear()), 6)   # (log(1/2) + log 2 + ψ(2))/2
    0.211392
    """
    activation = check_layer(activation, weights)
    orders, sigma2 = np.broadcast_arrays(
        arguments.reals("s", s, "(-inf, inf)"), arguments.reals("variance", variance, "(0, inf)")
    )

    def one(order: float, value: float, layer: Factor, law: Weights) -> float:
        log_power = 0.5 * order * math.log(value) + log_moment_of(order, layer, law)
        if abs(log_power) >= _LOG_MAX:
            raise ArgumentError(
                f"s = {order!r}: need an order for which E M^s is a floating-point number; its |log| is "
                f"{abs(log_power):.6g}"
            )
        mean_log = log_product(value, layer.mean_square(law)) + log_slope(order / 2.0, layer, law)
        return 0.5 * math.exp(log_power) * mean_log

    def one_layer(places: np.ndarray, layer: Factor, law: Weights) -> np.ndarray:
        pairs = ((orders.flat[j].item(), sigma2.flat[j].item()) for j in places.astype(int))
        return np.array([one(order, value, layer, law) for order, value in pairs])

    places = np.arange(orders.size, dtype=float).reshape(orders.shape)
    return plain(by_layer(one_layer, places, width, activation, weights, input_width))


def simulate_stationary(
    n: int,
    width: int,
    activation: Activation,
    variance: float,
    bias_std: float,
    *,
    rng: np.random.Generator,
    depth: int | None = None,
) -> np.ndarray:
    """Draw log r from the stationary law of r′² = (σ² r² + σ_b²) R² with Gaussian weights.

    By running each network from r_0 = 1 for `depth` layers.
    The default depth makes the influence of r_0, of order exp(depth·m) with m = min_h log E(σR)^h, < 1e-9.

    Args:
        n: number of draws, an integer from 1.
        width: d, an integer from 1.
        activation: of the layer.
        variance: σ² > 0 such that a stationary law exists.
        bias_std: σ_b > 0.
        rng: source of randomness.
        depth: layers, an integer from 1.

    Returns:
        An array of shape (n,).

    Raises:
        ArgumentError: outside these ranges, and when the default depth would exceed 100000 layers.

    Source:
        Derived on page 04, thm-tail-index.
    """
    activation = check_layer(activation, "gaussian")
    alpha = tail_index(variance, width, activation)
    arguments.real("bias_std", bias_std, "(0, inf)")
    if depth is None:
        depth = _mixing_depth(alpha, variance, width, activation)
    blocks = stream_log_norms(n, depth, width, activation, variance, bias_std=bias_std, rng=rng)
    return np.concatenate([block[:, -1] for block in blocks])


def goldie_constant(
    n: int,
    width: int,
    activation: Activation,
    variance: float,
    bias_std: float,
    *,
    rng: np.random.Generator,
    depth: int | None = None,
) -> tuple[float, float]:
    """Return the constant c of the tail P(r > t) ~ c t^(-α) estimated from draws, and its standard error.

    Goldie's formula, as in `StationaryLaw.tail_constant`, with an average over the stationary law.

    Args:
        n: number of draws, an integer from 1.
        width: d, an integer from 1.
        activation: of the layer.
        variance: σ² > 0 such that the tail index lies in [0.001, 4).
        bias_std: σ_b > 0.
        rng: source of randomness.
        depth: layers, an integer from 1.

    Returns:
        The estimate and its standard error, inf from a single draw.

    Raises:
        ArgumentError: as in `simulate_stationary`.

    Source:
        Goldie (1991); the application is derived on page 04, thm-tail-index.
    """
    alpha = arguments.real("tail index of variance", tail_index(variance, width, activation), "[0.001, 4)")
    log_r = simulate_stationary(n, width, activation, variance, bias_std, rng=rng, depth=depth)
    draws = goldie_terms(log_r, alpha, math.log(bias_std) - 0.5 * math.log(variance))
    drift = tilted_log_mean(alpha, variance, width, activation)
    mean, error = float(draws.mean()), float(draws.std(ddof=1) / math.sqrt(n)) if n > 1 else math.inf
    return mean / (alpha * drift), error / (alpha * drift)


def goldie_terms(log_r: np.ndarray, alpha: float, log_scale: float) -> np.ndarray:
    """(r² + ε²)^(α/2) - r^α without the difference of nearly equal numbers; ε^α at r = 0."""
    larger, gap = np.maximum(log_r, log_scale), -np.abs(log_r - log_scale)
    above = log_r > log_scale
    growth = 0.5 * alpha * np.log1p(np.exp(2.0 * gap))
    inner = np.where(above, np.expm1(growth), np.exp(growth) - np.exp(alpha * gap))
    result: np.ndarray = np.exp(alpha * larger) * inner
    return result


def _mixing_depth(alpha: float, variance: float, width: int, activation: Activation) -> int:
    """Layers after which the influence of the input is negligible."""
    orders = alpha * np.linspace(0.05, 0.95, 19)
    rate = min(
        0.5 * h * math.log(variance) + log_moment(h, width, activation, "gaussian") for h in orders.tolist()
    )
    depth = math.ceil(math.log(_INFLUENCE) / rate)
    if depth > _DEEPEST:
        raise ArgumentError(
            f"variance = {variance!r}: need an explicit depth, because the default would be {depth} layers"
        )
    return depth
