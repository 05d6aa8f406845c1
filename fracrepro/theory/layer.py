"""One layer: moments of its factor R, the variance that preserves them, and the way back.

Weights are independent N(0, σ²) (``weights="gaussian"``), or σ times a Haar-orthogonal matrix
(``weights="orthogonal"``).
Either way one layer multiplies the norm by σ R, with R independent of the input:
R² = Σ A_i² z_i² for Gaussian weights, and that divided by Σ z_i² for orthogonal ones.
Where an orthogonal layer has more inputs than neurons, `input_width` of every function here, the divisor
takes one more z_i² for each of them; with fewer inputs or equally many it does not change.
The law of a Gaussian layer depends on its neurons alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import ArrayLike

from fracrepro import _moved, arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation, check_activation
from fracrepro.theory.arrays import by_layer, plain
from fracrepro.theory.numerics import order
from fracrepro.theory.numerics.factor import Factor, factor
from fracrepro.theory.weights import WeightLaw, Weights
from fracrepro.theory.weights import law as weight_law

__all__ = ["critical_variance", "log_moments", "moment", "preserved_order"]

_LOG_MAX = math.log(np.finfo(float).max)


def check_layer(activation: object, weights: str) -> Activation:
    """Check the two arguments that every function of a layer shares."""
    weight_law(weights)
    return check_activation("activation", activation)


@overload
def moment(
    s: float, width: int, activation: Activation, *, weights: WeightLaw = ..., input_width: int | None = ...
) -> float: ...
@overload
def moment(
    s: ArrayLike,
    width: ArrayLike,
    activation: Activation,
    *,
    weights: WeightLaw = ...,
    input_width: ArrayLike | None = ...,
) -> np.ndarray: ...
def moment(
    s: ArrayLike,
    width: ArrayLike,
    activation: Activation,
    *,
    weights: WeightLaw = "gaussian",
    input_width: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return the moment E[R^s; R > 0] of the one-layer factor.

    For the linear network it is 2^(s/2) Γ((d+s)/2)/Γ(d/2).
    The event R = 0 is left out, so that negative `s` makes sense for activations that can kill a layer.
    Orders 0 and 2 are served by their closed forms P(R > 0) and E R², exact to the last bit.

    Args:
        s: order, a number or an array; above minus the order at which the moment diverges, which is 1 for an
            activation with an atom at zero (ReLU, dropout), else the width.
        width: d, an integer from 1, or an array that broadcasts with `s`.
        activation: of the layer.
        weights: ``"gaussian"`` or ``"orthogonal"``.
        input_width: number of inputs of the layer, an integer from 1, or an array that broadcasts; None for
            as many as neurons.  It matters for orthogonal weights with more inputs than neurons only.

    Returns:
        A float, or an array of the broadcast shape.

    Raises:
        ArgumentError: outside these ranges, or when the value exceeds the largest float.

    Source:
        Derived on page 02, thm-moment; for s > 0 it is the quantity that the abstract speaks of.

    >>> import fracrepro as fr
    >>> fr.moment(2, 64, fr.ReLU())
    32.0
    >>> fr.moment(2, 64, fr.ReLU(), weights="orthogonal", input_width=128)   # half is kept, half is live
    0.25
    """
    activation = check_layer(activation, weights)

    def one_layer(orders: np.ndarray, layer: Factor, law: Weights) -> np.ndarray:
        _check_order(orders, layer)
        log_value = _log_moment(orders, layer, law)
        _check_float("moment", log_value, s)
        value = np.exp(log_value)
        value[orders == 0.0] = layer.alive
        value[orders == 2.0] = law.mean_square(layer.width, activation.even_moment(1))
        return value

    orders = arguments.reals("s", s, "(-inf, inf)")
    return plain(by_layer(one_layer, orders, width, activation, weights, input_width))


@overload
def critical_variance(
    s: float, width: int, activation: Activation, *, weights: WeightLaw = ..., input_width: int | None = ...
) -> float: ...
@overload
def critical_variance(
    s: ArrayLike,
    width: ArrayLike,
    activation: Activation,
    *,
    weights: WeightLaw = ...,
    input_width: ArrayLike | None = ...,
) -> np.ndarray: ...
def critical_variance(
    s: ArrayLike,
    width: ArrayLike,
    activation: Activation,
    *,
    weights: WeightLaw = "gaussian",
    input_width: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return σ² such that E r_k^s is the same at every depth k: σ² = (E R^s)^(-2/s).

    It is computed as 1/E R², which is Kaiming's 2/((1 + a²) d), times a ratio that is 1 at s = 2.
    s = 0 stands for the variance that preserves E log r given survival: σ² = exp(-2 E[log R | R > 0]).
    For an activation with an atom at zero that is not the limit of s → 0, where σ² grows without bound.
    It preserves the norm; where the widths differ, what keeps the root mean square of a coordinate instead is
    σ² times width/input_width, for Gaussian and orthogonal weights alike.

    Args:
        s: order in [0, 2], a number or an array.
        width: d, an integer from 1, or an array that broadcasts with `s`.
        activation: of the layer.
        weights: ``"gaussian"``, or ``"orthogonal"``: then the value is the squared gain of a Haar-orthogonal
            matrix, or of a semi-orthogonal one.
        input_width: number of inputs of the layer, an integer from 1, or an array that broadcasts; None for
            as many as neurons.  It matters for orthogonal weights with more inputs than neurons only.

    Returns:
        A float, or an array of the broadcast shape.

    Raises:
        ArgumentError: outside these ranges, or when σ² is no float (narrow ReLU layers, tiny s).

    Source:
        The abstract; the formula is derived on page 02, thm-moment.

    >>> import fracrepro as fr
    >>> fr.critical_variance(2, 64, fr.ReLU())
    0.03125
    >>> round(fr.critical_variance(1, 64, fr.ReLU()), 6)   # about 2/64 + 5/(2·64²) = 0.031860
    0.031872
    >>> fr.critical_variance(2, 64, fr.ReLU(), weights="orthogonal", input_width=128)
    4.0
    """
    activation = check_layer(activation, weights)

    def one_layer(orders: np.ndarray, layer: Factor, law: Weights) -> np.ndarray:
        log_ratio = np.zeros_like(orders)  # stays 0 at the order 2
        log_mean = layer.log_moments(law)[0]
        log_ratio[orders == 0.0] = -2.0 * log_mean - math.log(1.0 / layer.mean_square(law))
        inner = (orders > 0.0) & (orders < 2.0)
        log_ratio[inner] = -layer.log_power_mean(orders[inner] / 2.0, law)
        kaiming = 1.0 / law.mean_square(layer.width, activation.even_moment(1))
        _check_float("critical_variance", log_ratio + np.log(kaiming), s)
        return np.asarray(kaiming * np.exp(log_ratio))

    orders = arguments.reals("s", s, "[0, 2]")
    return plain(by_layer(one_layer, orders, width, activation, weights, input_width))


@overload
def preserved_order(
    variance: float,
    width: int,
    activation: Activation,
    *,
    weights: WeightLaw = ...,
    input_width: int | None = ...,
) -> float: ...
@overload
def preserved_order(
    variance: ArrayLike,
    width: ArrayLike,
    activation: Activation,
    *,
    weights: WeightLaw = ...,
    input_width: ArrayLike | None = ...,
) -> np.ndarray: ...
def preserved_order(
    variance: ArrayLike,
    width: ArrayLike,
    activation: Activation,
    *,
    weights: WeightLaw = "gaussian",
    input_width: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return the order s > 0 that a given variance preserves: the positive root of σ^s E R^s = 1.

    The inverse of `critical_variance` in s; it exceeds 2 below Kaiming's variance.
    The same number is the tail index of the stationary law of a network with Gaussian biases; for that use it
    has a second name, `tail_index`.
    An activation with an atom at zero has a root for every variance; one below 1e-12 is returned as 0.
    Without an atom there is one only when the Lyapunov exponent is negative, that is, when the variance lies
    below critical_variance(0); at that value itself, up to rounding, the result is 0.

    Args:
        variance: σ² > 0, a number or an array.
        width: d, an integer from 1, or an array that broadcasts with `variance`.
        activation: of the layer.
        weights: ``"gaussian"`` or ``"orthogonal"``.
        input_width: as in `moment`.

    Returns:
        A float, or an array of the broadcast shape.

    Raises:
        ArgumentError: outside these ranges, where no positive root exists, or where it exceeds 1e6.

    Source:
        Derived on page 02, thm-moment.

    >>> import fracrepro as fr
    >>> fr.preserved_order(2 / 64, 64, fr.ReLU())
    2.0
    """
    activation = check_layer(activation, weights)

    def one_layer(values: np.ndarray, layer: Factor, law: Weights) -> np.ndarray:
        return np.array([order.preserved_order(value, layer, law) for value in values.tolist()])

    sigma2 = arguments.reals("variance", variance, "(0, inf)")
    return plain(by_layer(one_layer, sigma2, width, activation, weights, input_width))


@overload
def log_moments(
    width: int, activation: Activation, *, weights: WeightLaw = ..., input_width: int | None = ...
) -> tuple[float, float]: ...
@overload
def log_moments(
    width: ArrayLike, activation: Activation, *, weights: WeightLaw = ..., input_width: ArrayLike | None = ...
) -> tuple[np.ndarray, np.ndarray]: ...
def log_moments(
    width: ArrayLike,
    activation: Activation,
    *,
    weights: WeightLaw = "gaussian",
    input_width: ArrayLike | None = None,
) -> tuple[float | np.ndarray, float | np.ndarray]:
    """Return mean and variance of log R given R > 0.

    Linear network: (1/2)(log 2 + ψ(d/2)) and ψ'(d/2)/4.

    Args:
        width: d, an integer from 1, or an array.
        activation: of the layer.
        weights: ``"gaussian"`` or ``"orthogonal"``.
        input_width: as in `moment`.

    Returns:
        Two floats, or two arrays of the broadcast shape of the widths.

    Raises:
        ArgumentError: for a width outside this range.

    Source:
        The abstract names the normal limit; the constants are derived on page 05, thm-clt.

    >>> import fracrepro as fr
    >>> mean, variance = fr.log_moments(2, fr.Linear())   # (log 2 - γ)/2 and π²/24
    >>> round(mean, 6), round(variance, 6)
    (0.057966, 0.411234)
    """
    activation = check_layer(activation, weights)

    def pick(which: int) -> Callable[[np.ndarray, Factor, Weights], np.ndarray]:
        return lambda values, layer, law: np.full_like(values, layer.log_moments(law)[which])

    zero = np.zeros(())
    mean, variance = (
        plain(by_layer(pick(j), zero, width, activation, weights, input_width)) for j in range(2)
    )
    return mean, variance


def log_moment(s: float, width: int, activation: Activation, weights: str) -> float:
    """Return log E[R^s; R > 0] for checked scalar arguments; `moment` without the exponential."""
    return log_moment_of(s, factor(width, activation), weight_law(weights))


def log_moment_of(s: float, layer: Factor, weights: Weights) -> float:
    """Return log E[R^s; R > 0] of a layer; ArgumentError where the moment is infinite."""
    values = np.array([s], dtype=float)
    _check_order(values, layer)
    return float(_log_moment(values, layer, weights)[0])


def _log_moment(s: np.ndarray, layer: Factor, weights: Weights) -> np.ndarray:
    result = np.full_like(s, layer.log_alive)
    rest = s != 0.0
    q = s[rest] / 2.0
    result[rest] = q * (math.log(layer.mean_square(weights)) + layer.log_power_mean(q, weights))
    return result


def _check_order(s: np.ndarray, layer: Factor) -> None:
    """Raise unless every moment of order s exists."""
    bad = s <= -layer.order
    if bad.any():
        raise ArgumentError(
            f"s = {s[bad].flat[0].item()!r}: need a number in (-{layer.order}, inf), "
            f"where the moment is finite at width {layer.width} for {layer.activation!r}"
        )


def _check_float(name: str, log_value: np.ndarray, s: ArrayLike) -> None:
    """Raise unless every value is a float."""
    if np.any(np.abs(log_value) >= _LOG_MAX):
        worst = float(np.max(np.abs(log_value)))
        raise ArgumentError(
            f"s = {s!r}: need an order for which {name} is a floating-point number; its |log| is {worst:.6g}"
        )


if not TYPE_CHECKING:  # a type checker that saw this would accept every name
    __getattr__ = _moved.getter(__name__)
