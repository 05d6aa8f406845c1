"""What an activation does to one coordinate.

A positively homogeneous activation φ, possibly random, turns a standard normal z into φ(z) with

    C = φ(z)² = A² z²,

where the amplitude A ≥ 0 (the slope on the side where z falls, or 0 where dropout strikes) is
independent of z².
So the law of A describes the activation completely.
Every law here is a mixture of points and of uniform pieces, held as :class:`Component`; adding an activation
means adding one class that lists its components.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from fracrepro import arguments
from fracrepro.errors import ArgumentError

# The squares of slopes outside these bounds leave the range in which every formula below keeps its digits.
_SMALLEST, _LARGEST = 1e-100, 1e100
_SLOPES = f"[-{_LARGEST:g}, {_LARGEST:g}]"
# Beyond t = exp(_FAR) the transform is t^(-1/2) times an affine function of log t, to the last digit.
_FAR = 600.0


@dataclass(frozen=True, order=True)
class Component:
    """One piece of the law of the amplitude A: with probability `weight`, A is uniform on [low, high]."""

    low: float
    high: float
    weight: float


class Activation(ABC):
    """A positively homogeneous activation, given by the law of its amplitude."""

    @property
    @abstractmethod
    def components(self) -> tuple[Component, ...]:
        """The law of the amplitude; the weights add up to 1."""

    @cached_property
    def live(self) -> tuple[Component, ...]:
        """The components with a positive amplitude, equal ones merged."""
        weights: dict[tuple[float, float], float] = {}
        for part in self.components:
            if part.high > 0.0 and part.weight > 0.0:
                weights[part.low, part.high] = weights.get((part.low, part.high), 0.0) + part.weight
        return tuple(Component(low, high, weight) for (low, high), weight in sorted(weights.items()))

    @cached_property
    def survival(self) -> float:
        """P(C > 0), the probability that one coordinate is not set to zero."""
        dead = any(part.high == 0.0 and part.weight > 0.0 for part in self.components)
        return math.fsum(part.weight for part in self.live) if dead else 1.0

    @property
    def is_linear(self) -> bool:
        """Whether C is a multiple of z² with certainty, as for the linear network."""
        return self.survival == 1.0 and len(self.live) == 1 and self.live[0].low == self.live[0].high

    def even_moment(self, order: int) -> float:
        """E A^(2·order), so that E C = even_moment(1) and E C² = 3·even_moment(2)."""
        return math.fsum(part.weight * _mean_power(part, 2 * order) for part in self.live)

    def transform(self, t: np.ndarray) -> np.ndarray:
        """E[exp(-t C); C > 0] for real t > -1/(2 max A²), or complex t off the negative axis; any shape."""
        return sum((part.weight * _transform(part, t) for part in self.live), np.zeros_like(t))

    def log_transform(self, log_t: np.ndarray) -> np.ndarray:
        """log E[exp(-t C); C > 0] from log t (complex: argument included); no overflow however large t is."""
        excess = np.maximum(log_t.real - _FAR, 0.0)
        near = np.log(self.transform(np.exp(log_t - excess)))
        if not excess.any():
            return near
        level, slope = np.sum([np.multiply(part.weight, _tail(part)) for part in self.live], axis=0)
        growth = np.log((level + slope * log_t) / (level + slope * (log_t - excess)))
        return near - excess / 2 + growth

    def remainder(self, t: np.ndarray) -> np.ndarray:
        """E exp(-t C) - 1 + t E C, of order t² at zero and free of cancellation; real or complex t."""
        return sum((part.weight * _remainder(part, t) for part in self.live), np.zeros_like(t))


@dataclass(frozen=True)
class Linear(Activation):
    """The identity, φ(z) = z.

    >>> import fracrepro as fr
    >>> fr.Linear().even_moment(1)
    1.0
    """

    @property
    def components(self) -> tuple[Component, ...]:
        """Amplitude 1."""
        return (Component(1.0, 1.0, 1.0),)


@dataclass(frozen=True)
class ReLU(Activation):
    """The rectifier, φ(z) = max(z, 0).

    >>> import fracrepro as fr
    >>> fr.ReLU().even_moment(1)
    0.5
    """

    @property
    def components(self) -> tuple[Component, ...]:
        """Amplitude 1 or 0, each with probability 1/2."""
        return _two_sided(0.0, 0.0)


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """The leaky rectifier, φ(z) = z for z ≥ 0 and negative_slope·z below; the slope may be any real number.

    Slope 1 is the identity, slope 0 the rectifier, slope -1 the absolute value.
    Slopes other than 0 must lie between 1e-100 and 1e100 in absolute value, else ArgumentError.

    >>> import fracrepro as fr
    >>> fr.LeakyReLU(0.5).even_moment(1)
    0.625
    """

    negative_slope: float = 0.01

    def __post_init__(self) -> None:
        """Check the slope."""
        _check_slope("negative_slope", self.negative_slope)

    @property
    def components(self) -> tuple[Component, ...]:
        """Amplitude 1 or |negative_slope|, each with probability 1/2."""
        return _two_sided(self.negative_slope, self.negative_slope)


@dataclass(frozen=True)
class RReLU(Activation):
    """The randomized leaky rectifier in training mode: every neuron draws its negative slope uniformly.

    The slopes are uniform on [lower, upper], independent over neurons, layers and networks.
    Each bound must be 0 or lie between 1e-100 and 1e100 in absolute value, and lower ≤ upper;
    otherwise ArgumentError.

    >>> import fracrepro as fr
    >>> fr.RReLU(0.5, 0.5).even_moment(1) == fr.LeakyReLU(0.5).even_moment(1)
    True
    """

    lower: float = 1 / 8
    upper: float = 1 / 3

    def __post_init__(self) -> None:
        """Check the bounds."""
        _check_slope("lower", self.lower)
        _check_slope("upper", self.upper)
        if self.lower > self.upper:
            raise ArgumentError(
                f"lower = {self.lower!r}: need a number in [-1e+100, upper] with upper = {self.upper!r}"
            )

    @property
    def components(self) -> tuple[Component, ...]:
        """Amplitude 1 with probability 1/2, else the absolute value of a uniform slope."""
        return _two_sided(self.lower, self.upper)


@dataclass(frozen=True)
class Dropout(Activation):
    """Dropout after an activation: each coordinate is zeroed with probability p, else divided by 1 - p.

    `p` lies in [0, 1); torch also takes p = 1, where no network survives, which is refused here.
    The activation may be any of this module, another dropout included.

    >>> import fracrepro as fr
    >>> fr.Dropout(fr.Linear(), 0.5).even_moment(1)   # half the coordinates, doubled and squared
    2.0
    """

    activation: Activation
    p: float = 0.5

    def __post_init__(self) -> None:
        """Check both arguments."""
        check_activation("activation", self.activation)
        arguments.real("p", self.p, "[0, 1)")

    @property
    def components(self) -> tuple[Component, ...]:
        """The components of the activation, scaled by 1/(1 - p), beside an atom of mass p at zero."""
        keep = 1.0 - self.p
        kept = [Component(c.low / keep, c.high / keep, c.weight * keep) for c in self.activation.components]
        return tuple(kept) if self.p == 0 else (Component(0.0, 0.0, float(self.p)), *kept)


def check_activation(name: str, value: object) -> Activation:
    """Return `value` if it is an activation of this module, else raise ArgumentError."""
    if not isinstance(value, Activation):
        raise ArgumentError(f"{name} = {value!r}: need an activation such as ReLU() or LeakyReLU(0.01)")
    return value


def _check_slope(name: str, value: float) -> None:
    slope = arguments.real(name, value, _SLOPES)
    if 0.0 < abs(slope) < _SMALLEST:
        raise ArgumentError(
            f"{name} = {value!r}: need 0 or an absolute value in [{_SMALLEST:g}, {_LARGEST:g}]"
        )


def _two_sided(lower: float, upper: float) -> tuple[Component, ...]:
    """Amplitude 1 on the positive side, |slope| with a uniform slope on the negative side."""
    one = Component(1.0, 1.0, 0.5)
    lower, upper = float(lower), float(upper)
    if not lower < 0.0 < upper:
        low, high = sorted((abs(lower), abs(upper)))
        return one, Component(low, high, 0.5)
    below = -lower / (upper - lower)
    return one, Component(0.0, -lower, 0.5 * below), Component(0.0, upper, 0.5 * (1.0 - below))


def _mean_power(part: Component, power: int) -> float:
    """The mean of A^power over one component, from Σ low^i high^(power-i), which does not cancel."""
    if part.low == part.high:
        return part.low**power
    terms: Iterable[float] = (part.low**i * part.high ** (power - i) for i in range(power + 1))
    return math.fsum(terms) / (power + 1)


def _transform(part: Component, t: np.ndarray) -> np.ndarray:
    """Mean of (1 + 2 A² t)^(-1/2) over one component."""
    low, high = part.low, part.high
    if low == high:
        return 1.0 / np.sqrt(1.0 + 2.0 * low * low * t)
    # asinh(high·y) - asinh(low·y) with y = √(2t), written without the difference, which would cancel.
    y = np.sqrt(2.0 * t)
    rise = (high * high - low * low) * y
    sines = high * np.sqrt(1.0 + (low * y) ** 2) + low * np.sqrt(1.0 + (high * y) ** 2)
    close = np.abs(high * y) < 0.5
    width = np.where(close, 1.0, (high - low) * y)
    far = np.arcsinh(np.where(close, 0.0, rise / sines)) / width
    return np.where(close, 1.0 - t * _mean_power(part, 2) + _remainder(part, np.where(close, t, 0.0)), far)


# Terms of the binomial series used where |2 A² t| < 1/4: the first one left out is below 1e-17 of the sum.
_TERMS = 30


def _remainder(part: Component, t: np.ndarray) -> np.ndarray:
    """Mean of (1 + 2 A² t)^(-1/2) - 1 + A² t over one component."""
    if part.low == part.high:
        return _point_remainder(part.low**2 * t)
    # Near t = 0 the closed form cancels; there the binomial series serves, with the means of A^(2j).
    y = 2.0 * part.high**2 * t
    near = np.abs(y) < 0.25
    result = np.empty_like(t)
    inside = y[near]
    scaled = Component(part.low / part.high, 1.0, 1.0)
    series = np.zeros_like(inside)
    for j in range(_TERMS, 1, -1):
        series = (series + float(special.binom(-0.5, j)) * _mean_power(scaled, 2 * j)) * inside
    result[near] = series * inside
    rest = t[~near]
    if rest.size:
        result[~near] = _transform(part, rest) - 1.0 + _mean_power(part, 2) * rest
    return result


def _point_remainder(t: np.ndarray) -> np.ndarray:
    """(1 + 2t)^(-1/2) - 1 + t as a product, for relative accuracy near t = 0."""
    root = np.sqrt(1.0 + 2.0 * t)
    return (2.0 * t / (1.0 + root)) ** 2 * (root + 2.0) / (2.0 * root)


def _tail(part: Component) -> tuple[float, float]:
    """(level, slope) such that the component's transform tends to (level + slope·log t)/√t."""
    low, high = part.low, part.high
    if low == high:
        return 1.0 / (math.sqrt(2.0) * low), 0.0
    scale = 1.0 / (math.sqrt(2.0) * (high - low))
    if low > 0.0:
        return scale * math.log(high / low), 0.0
    return scale * math.log(2.0 * math.sqrt(2.0) * high), scale / 2
