"""One layer: moments of its factor R, the variance that preserves them, and the way back.

Weights are independent N(0, σ²) (``weights="gaussian"``), or σ times a Haar-orthogonal matrix
(``weights="orthogonal"``).
Either way one layer multiplies the norm by σ R, with R independent of the input:
R² = Σ A_i² z_i² for Gaussian weights, and that divided by Σ z_i² for orthogonal ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation, LeakyReLU, Linear, ReLU, check_activation
from fracrepro.theory.numerics.factor import Factor, factor
from fracrepro.theory.weights import GAUSSIAN, Weights
from fracrepro.theory.weights import law as weight_law

WIDTHS = "[1, 1000000000]"
_LOG_MAX = math.log(np.finfo(float).max)


def check_layer(activation: object, weights: str) -> Activation:
    """Check the two arguments that every function of a layer shares."""
    weight_law(weights)
    return check_activation("activation", activation)


def moment(s: Any, width: Any, activation: Activation, *, weights: str = "gaussian") -> Any:
    """Return the moment E[R^s; R > 0] of the one-layer factor.

    For the linear network it is 2^(s/2) Γ((d+s)/2)/Γ(d/2).
    The event R = 0 is left out, so that negative `s` makes sense for activations that can kill a layer.

    Parameters: `s` real and `width` integer from 1, both scalars or arrays that broadcast.
    `s` must exceed minus the order at which the moment diverges: 1 for an activation with an atom at zero
    (ReLU, dropout), else the width.
    Returns a float, or an array of the broadcast shape.
    Raises ArgumentError outside these ranges or when the value exceeds the largest float.
    Source: derived here; s > 0 is the quantity the abstract speaks of.

    >>> import fracrepro as fr
    >>> fr.moment(2, 64, fr.ReLU())
    32.0
    """
    activation, law = check_layer(activation, weights), weight_law(weights)

    def one_width(s: np.ndarray, layer: Factor) -> np.ndarray:
        _check_order(s, layer)
        return _log_moment(s, layer, law)

    s_array = arguments.reals("s", s, "(-inf, inf)")
    log_value, scalar = _by_width(one_width, s_array, width, activation)
    _check_float("moment", log_value, s)
    exact = np.exp(log_value)
    for order in (0, 2):
        exact = np.where(s_array == order, _exact_moment(order, width, activation, law), exact)
    return float(exact) if scalar else exact


def critical_variance(s: Any, width: Any, activation: Activation, *, weights: str = "gaussian") -> Any:
    """Return σ² such that E r_k^s is the same at every depth k: σ² = (E R^s)^(-2/s).

    s = 2 gives Kaiming's 2/((1 + a²) d) exactly.
    s = 0 stands for the variance that preserves E log r given survival: σ² = exp(-2 E[log R | R > 0]).
    For an activation with an atom at zero that is not the limit of s → 0, where σ² grows without bound.

    Parameters: `s` in [0, 2] and `width` from 1, scalars or arrays that broadcast.
    With ``weights="orthogonal"`` the value is the squared gain of a Haar-orthogonal matrix.
    Raises ArgumentError outside these ranges or when σ² is no float (narrow ReLU layers, tiny s).
    Source: [abstract]; the exact evaluation is derived here.

    >>> import fracrepro as fr
    >>> fr.critical_variance(2, 64, fr.ReLU())
    0.03125
    >>> round(fr.critical_variance(1, 64, fr.ReLU()), 6)   # about 2/64 + 5/(2·64²) = 0.031860
    0.031872
    """
    activation, law = check_layer(activation, weights), weight_law(weights)
    s_array = arguments.reals("s", s, "[0, 2]")

    def one_width(s: np.ndarray, layer: Factor) -> np.ndarray:
        result = np.zeros_like(s)
        result[s == 0.0] = -2.0 * layer.log_moments(law)[0] - math.log(1.0 / layer.mean_square(law))
        inner = (s > 0.0) & (s < 2.0)
        result[inner] = -layer.log_power_mean(s[inner] / 2.0, law)
        return result

    log_ratio, scalar = _by_width(one_width, s_array, width, activation)
    kaiming = 1.0 / _exact_moment(2, width, activation, law)
    _check_float("critical_variance", log_ratio + np.log(kaiming), s)
    value = kaiming * np.exp(log_ratio)
    return float(value) if scalar else value


def expansion_variance(
    s: Any, width: Any, activation: Activation, source: str = "derived", *, weights: str = "gaussian"
) -> Any:
    """Return the second-order expansion of the critical variance in 1/width.

    ``"derived"``: (1/(d E C)) [1 + (2 - s) κ/(4d)] with κ = Var C/(E C)², for any activation;
    leaky slope a: κ = (5 - 2a² + 5a⁴)/(1 + a²)²; orthogonal weights: (1/E C) [1 + (2 - s)(κ - 2)/(4d)].
    ``"published"``: the expression of the authors' training scripts, where linear and ReLU networks agree
    with the above and a leaky slope a gives 2/((1+a²)d) + (2-s) ((5s-24)a² + 10)/(2(s+2)a² + 4)/d².

    Parameters: `s` in [0, 2] and `width` from 1, scalars or arrays that broadcast.
    Raises ArgumentError outside these ranges, and for ``"published"`` with an activation or weights that the
    scripts do not treat, or where their expression is not positive.
    Source: [authors' code] and derived here.

    >>> import fracrepro as fr
    >>> fr.expansion_variance(1, 64, fr.ReLU()) == 2 / 64 + 5 / (2 * 64**2)
    True
    """
    activation, law = check_layer(activation, weights), weight_law(weights)
    arguments.choice("source", source, ("derived", "published"))
    s_array = arguments.reals("s", s, "[0, 2]")
    d = arguments.integers("width", width, WIDTHS).astype(float)
    if source == "published":
        value = _published(s_array, d, activation, law)
    else:
        mean = activation.even_moment(1)
        kappa = 3.0 * activation.even_moment(2) / mean**2 - 1.0
        kappa -= law.divisor_variance
        value = (1.0 + (2.0 - s_array) * kappa / (4.0 * d)) / law.mean_square(d, mean)
    return float(value) if np.ndim(value) == 0 else value


def preserved_order(variance: Any, width: Any, activation: Activation, *, weights: str = "gaussian") -> Any:
    """Return the order s > 0 that a given variance preserves: the positive root of σ^s E R^s = 1.

    The inverse of `critical_variance` in s; it exceeds 2 below Kaiming's variance.
    It is also the tail index of the stationary law of a network with Gaussian biases (see `tail_index`).
    An activation with an atom at zero has a root for every variance; one below 1e-12 is returned as 0.
    Without an atom there is one only when the Lyapunov exponent is negative, that is, when the variance lies
    below critical_variance(0); at that value itself the result is 0.

    Parameters: `variance` > 0 and `width` from 1, scalars or arrays that broadcast.
    Raises ArgumentError outside these ranges, where no positive root exists, or where it exceeds 1e6.
    Source: derived here.

    >>> import fracrepro as fr
    >>> fr.preserved_order(2 / 64, 64, fr.ReLU())
    2.0
    """
    activation, law = check_layer(activation, weights), weight_law(weights)
    sigma2 = arguments.reals("variance", variance, "(0, inf)")

    def one_width(sigma2: np.ndarray, layer: Factor) -> np.ndarray:
        return np.array([_root(value, layer, law) for value in sigma2.tolist()])

    root, scalar = _by_width(one_width, sigma2, width, activation)
    return float(root) if scalar else root


def log_moments(width: Any, activation: Activation, *, weights: str = "gaussian") -> tuple[Any, Any]:
    """Return mean and variance of log R given R > 0.

    Linear network: (1/2)(log 2 + ψ(d/2)) and ψ'(d/2)/4.

    Parameters: `width` from 1, a scalar or an array.
    Raises ArgumentError outside this range.
    Source: [abstract] names the normal limit; these constants are derived here.

    >>> import fracrepro as fr
    >>> mean, variance = fr.log_moments(2, fr.Linear())   # (log 2 - γ)/2 and π²/24
    >>> round(mean, 6), round(variance, 6)
    (0.057966, 0.411234)
    """
    activation, law = check_layer(activation, weights), weight_law(weights)
    widths = arguments.integers("width", width, WIDTHS)
    pairs = [factor(d, activation).log_moments(law) for d in widths.ravel().tolist()]
    if widths.ndim == 0:
        return pairs[0]
    mean, variance = np.array(pairs).reshape((*widths.shape, 2)).transpose(-1, *range(widths.ndim))
    return mean, variance


def log_moment(s: float, width: int, activation: Activation, weights: str) -> float:
    """Return log E[R^s; R > 0] for checked scalar arguments; `moment` without the exponential."""
    layer = factor(width, activation)
    values = np.array([s], dtype=float)
    _check_order(values, layer)
    return float(_log_moment(values, layer, weight_law(weights))[0])


def _log_moment(s: np.ndarray, layer: Factor, weights: Weights) -> np.ndarray:
    result = np.full_like(s, layer.log_alive)
    rest = s != 0.0
    q = s[rest] / 2.0
    result[rest] = q * (math.log(layer.mean_square(weights)) + layer.log_power_mean(q, weights))
    return result


def _exact_moment(order: int, width: Any, activation: Activation, weights: Weights) -> np.ndarray:
    """E R² (order 2) or P(R > 0) (order 0), in closed form, so that s = 2 is Kaiming to the last bit."""
    d = arguments.integers("width", width, WIDTHS)
    if order == 0:
        return np.vectorize(lambda n: factor(int(n), activation).alive, otypes=[float])(d)
    return np.asarray(weights.mean_square(d, activation.even_moment(1)))


def _published(s: np.ndarray, d: np.ndarray, activation: Activation, weights: Weights) -> np.ndarray:
    slopes = {Linear: 1.0, ReLU: 0.0}
    if weights != GAUSSIAN or not isinstance(activation, (Linear, ReLU, LeakyReLU)):
        raise ArgumentError(
            f"source = 'published' with activation = {activation!r}, weights = {weights.name!r}: "
            "need Linear, ReLU or LeakyReLU with Gaussian weights, the cases in the authors' scripts"
        )
    if isinstance(activation, Linear):
        return 1.0 / d + (2.0 - s) / (2.0 * d * d)
    square = activation.negative_slope**2 if isinstance(activation, LeakyReLU) else slopes[type(activation)]
    correction = ((5.0 * s - 24.0) * square + 10.0) / (2.0 * (s + 2.0) * square + 4.0)
    value = 2.0 / ((1.0 + square) * d) + (2.0 - s) * correction / d**2
    if np.any(value <= 0.0):
        raise ArgumentError(
            f"source = 'published' with activation = {activation!r}: their expression is not positive; "
            "need a larger width, a smaller slope or source='derived'"
        )
    return value


def _root(sigma2: float, layer: Factor, weights: Weights) -> float:
    """The positive root q of log(σ² E R²) + (1/q) log E[(R²/E R²)^q] = 0, as the order s = 2q."""
    from scipy.optimize import brentq  # here, because it doubles the time to import the package

    level = _log_product(sigma2, layer.mean_square(weights))

    def slope(q: float) -> float:
        return level + float(layer.log_power_mean(np.array([q]), weights)[0])

    if level == 0.0:
        return 2.0
    if not layer.has_atom:
        rate = math.log(sigma2) / 2.0 + layer.log_moments(weights)[0]
        if rate == 0.0 or sigma2 == critical_variance(0, layer.width, layer.activation, weights=weights.name):
            return 0.0
        if rate > 0.0:
            raise ArgumentError(
                f"variance = {sigma2!r}: need a value below critical_variance(0) = "
                f"{critical_variance(0, layer.width, layer.activation, weights=weights.name)!r}; "
                "above it every moment of positive order grows with depth"
            )
    low, high = 1.0, 1.0
    while slope(low) > 0.0:
        low /= 4.0
        if low < 1e-12:  # the root lies closer to 0 than the exponent can be told from 0
            return 0.0
    while slope(high) < 0.0:
        high *= 2.0
        if high > 1e6:
            raise ArgumentError(
                f"variance = {sigma2!r}: need a larger value; the preserved order exceeds 1e6"
            )
    return 2.0 * brentq(slope, low, high, xtol=1e-13, rtol=1e-14)


def _log_product(a: float, b: float) -> float:
    """log(a b) with the rounding error of the product put back: near a b = 1 it is all that counts."""
    product = a * b
    if not 0.5 < product < 2.0:
        return math.log(a) + math.log(b)
    from fractions import Fraction

    return math.log1p(float(Fraction(a) * Fraction(b) - 1))


def _by_width(
    function: Callable[[np.ndarray, Factor], np.ndarray],
    values: np.ndarray,
    width: Any,
    activation: Activation,
) -> tuple[np.ndarray, bool]:
    """Apply `function` to all values that share a width, over the broadcast of `values` and `width`."""
    widths = arguments.integers("width", width, WIDTHS)
    values, widths = np.broadcast_arrays(values, widths)
    result = np.empty(values.shape)
    for d in np.unique(widths).tolist():
        chosen = widths == d
        result[chosen] = function(values[chosen], factor(d, activation))
    return result, result.ndim == 0


def _check_order(s: np.ndarray, layer: Factor) -> None:
    """Raise unless every moment of order s exists."""
    bad = s <= -layer.order
    if bad.any():
        raise ArgumentError(
            f"s = {s[bad].flat[0].item()!r}: need a number in (-{layer.order}, inf), "
            f"where the moment is finite at width {layer.width} for {layer.activation!r}"
        )


def _check_float(name: str, log_value: np.ndarray, s: Any) -> None:
    if np.any(np.abs(log_value) >= _LOG_MAX):
        worst = float(np.max(np.abs(log_value)))
        raise ArgumentError(
            f"s = {s!r}: need an order for which {name} is a floating-point number; its |log| is {worst:.6g}"
        )
