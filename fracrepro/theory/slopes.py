"""The law of an activation's slopes, and the law of the amplitude that follows from it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from fracrepro import arguments
from fracrepro.errors import ArgumentError

__all__ = ["Component", "Slopes"]

# numerics.md: numerics-slope-range
_SMALLEST, _LARGEST = 1e-100, 1e100
_RANGE = f"[-{_LARGEST:g}, {_LARGEST:g}]"


@dataclass(frozen=True)
class Slopes:
    """The slope on either side of zero, uniform on a pair (low, high); fixed where both are equal.

    Attributes:
        positive: the slope where z > 0.
        negative: the slope where z ≤ 0.
        kept: probability that the coordinate is not set to zero by a mask, whatever its sign.
    """

    positive: tuple[float, float]
    negative: tuple[float, float]
    kept: float = 1.0

    @classmethod
    def fixed(cls, positive: float, negative: float) -> Slopes:
        """Return slopes that are not random.

        >>> Slopes.fixed(1, 0).negative
        (0.0, 0.0)
        """
        return cls((float(positive), float(positive)), (float(negative), float(negative)))

    @property
    def sides(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Both pairs, the positive side first."""
        return self.positive, self.negative

    @property
    def random(self) -> bool:
        """Whether chance has a part in the slope, beside the sign of z."""
        return self.kept < 1.0 or any(low < high for low, high in self.sides)

    @property
    def components(self) -> tuple[Component, ...]:
        """The law of the amplitude; the weights add up to 1."""
        zero = (Component(0.0, 0.0, 1.0 - self.kept),) if self.kept < 1.0 else ()
        return (*zero, *(part for side in self.sides for part in _side(*side, 0.5 * self.kept)))


@dataclass(frozen=True, order=True)
class Component:
    """One piece of the law of the amplitude A: with probability `weight`, A is uniform on [low, high]."""

    low: float
    high: float
    weight: float

    def mean_power(self, power: int) -> float:
        """The mean of A^power over the component, from Σ low^i high^(power-i), which does not cancel."""
        if self.low == self.high:
            return self.low**power
        terms: Iterable[float] = (self.low**i * self.high ** (power - i) for i in range(power + 1))
        return math.fsum(terms) / (power + 1)


def check_slope(name: str, value: float) -> float:
    """Return `value` if it can be a slope: 0, or between 1e-100 and 1e100 in absolute value."""
    slope = arguments.real(name, value, _RANGE)
    if 0.0 < abs(slope) < _SMALLEST:
        raise ArgumentError(
            f"{name} = {value!r}: need 0 or an absolute value in [{_SMALLEST:g}, {_LARGEST:g}]"
        )
    return slope


def _side(low: float, high: float, weight: float) -> tuple[Component, ...]:
    """The law of |slope| on one side, slope uniform on [low, high]."""
    if not low < 0.0 < high:
        small, large = sorted((abs(low), abs(high)))
        return (Component(small, large, weight),)
    below = -low / (high - low)
    return Component(0.0, -low, weight * below), Component(0.0, high, weight * (1.0 - below))
