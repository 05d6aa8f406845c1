r"""Looks at the data before the end, paid for: bounds that keep the level over all looks together.

A statistic is looked at when fractions :math:`t_1 < … < t_K = 1` of all pairs are there.
Without an effect, :math:`Z_k \sqrt{t_k}` is a Brownian motion at the times of the looks.
The spending function says how much of the level the first looks may use; the bounds follow from it by
numerical integration of the law of a motion that has not crossed any before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fracrepro.arguments import integer, real, reals
from fracrepro.errors import ArgumentError

__all__ = ["Looks", "crossing", "looks", "sequential_p", "spent"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(300)
_FAR = 38.0  # no normal variable in double precision is beyond
_LEAST = 1e-300  # a bound that spends less is never crossed


@dataclass(frozen=True)
class Looks:
    """Bounds for every look.

    Attributes:
        fractions: of all pairs that each look sees; the last is 1.
        bounds: a look rejects when the absolute value of its normal statistic is above; infinite where the
            level spent until then is below what double precision can tell from 0.
        level: of the two-sided test over all looks.
    """

    fractions: tuple[float, ...]
    bounds: tuple[float, ...]
    level: float

    @property
    def levels(self) -> tuple[float, ...]:
        """For every look the two-sided p-value at which it rejects."""
        return tuple((2 * special.ndtr(-np.array(self.bounds))).tolist())

    def power(self, drift: float) -> float:
        """Return the probability that some look rejects.

        Args:
            drift: mean of the normal statistic at the last look, δ √n for a mean of δ standard deviations.

        >>> round(looks([0.5, 1.0]).power(0.0), 12)    # without an effect, the level
        0.05
        """
        return float(crossing(self.fractions, self.bounds, drift).sum())

    def expected_fraction(self, drift: float) -> float:
        """Return the mean fraction of the pairs that are needed until a look rejects or the end comes.

        Args:
            drift: as in :meth:`power`.
        """
        stops = crossing(self.fractions, self.bounds, drift)
        stops[-1] = 1.0 - stops[:-1].sum()
        return float(stops @ np.array(self.fractions))


def spent(fraction: ArrayLike, level: float = 0.05) -> np.ndarray:
    r"""Return what of the level the looks may have used when a fraction of the pairs is there.

    .. math:: \alpha(t) = 4\left(1 - \Phi\big(z_{1-\alpha/4} / \sqrt t\big)\right)

    Half of it belongs to each side.

    Args:
        fraction: t, in (0, 1].
        level: α, in (0, 1).

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Lan and DeMets (1983), their function in the manner of O'Brien and Fleming (1979).

    >>> round(float(spent(1.0)), 12)
    0.05
    """
    level = real("level", level, "(0, 1)")
    t = reals("fraction", fraction, "(0, 1]")
    return 4 * special.ndtr(special.ndtri(level / 4) / np.sqrt(t))


def looks(fractions: Sequence[float], level: float = 0.05) -> Looks:
    """Return the bounds of looks at these fractions of all pairs.

    Args:
        fractions: growing, in (0, 1], the last 1.
        level: of the two-sided test over all looks, in (0, 1).

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Lan and DeMets (1983).

    >>> [round(bound, 2) for bound in looks([0.2, 0.4, 0.6, 0.8, 1.0]).bounds]
    [4.88, 3.36, 2.68, 2.29, 2.03]
    """
    times = _times(fractions)
    parts = np.diff(spent(times, level), prepend=0.0)
    bounds: list[float] = []
    path = _Path()
    for time, part in zip(times, parts, strict=True):
        bounds.append(_bound(path, float(time), float(part)))
        path = path.after(float(time), bounds[-1])
    return Looks(tuple(times.tolist()), tuple(bounds), level)


def crossing(fractions: Sequence[float], bounds: Sequence[float], drift: float = 0.0) -> np.ndarray:
    """Return for every look the probability that it is the first whose statistic is outside ±bound.

    Args:
        fractions: growing, in (0, 1], the last 1.
        bounds: one for each, above 0; infinite for a look that never rejects.
        drift: mean of the statistic at the last look.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Armitage, McPherson and Rowe (1969) for the recursion.

    >>> crossing([1.0], [1.959963984540054]).round(12).tolist()
    [0.05]
    """
    times, drift = _times(fractions), real("drift", drift, "(-inf, inf)")
    if len(bounds) != len(times) or not all(bound > 0 for bound in bounds):
        raise ArgumentError(f"bounds = {list(bounds)!r}: need one above 0 for each of {len(times)} looks")
    path, found = _Path(drift=drift), []
    for time, bound in zip(times.tolist(), bounds, strict=True):
        found.append(path.outside(time, bound))
        path = path.after(time, bound)
    return np.array(found)


def sequential_p(p_values: Sequence[float], fractions: Sequence[float]) -> float:
    r"""Return the p-value of all looks so far together.

    It is the smallest level at which one of them would have rejected, so it is at most α with a probability
    of at most α, and such p-values can be adjusted for several comparisons like others.
    For statistics other than a normal mean this is approximate, since the bounds are those of its law.

    Args:
        p_values: two-sided ones, one for each look until now, in [0, 1].
        fractions: of all planned looks.

    Raises:
        ArgumentError: for more p-values than looks, or values out of range.

    Source:
        Jennison and Turnbull (2000) for the idea; it needs bounds that fall as the level grows, as these do.

    >>> round(sequential_p([0.5, 0.02], [0.5, 1.0]), 3), sequential_p([0.02], [1.0])
    (0.02, 0.02)
    """
    values = reals("p_values", p_values, "[0, 1]")
    count = integer("looks until now", len(values), f"[1, {len(_times(fractions))}]")
    if len(fractions) == 1:
        return float(values[0])
    from scipy import optimize

    def reached(log_level: float) -> float:
        levels = np.array(looks(fractions, math.exp(log_level)).levels[:count])
        return float((np.log(np.maximum(levels, _LEAST)) - np.log(np.maximum(values, _LEAST))).max())

    low, high = math.log(1e-12), math.log(1 - 1e-9)
    if reached(high) <= 0:
        return 1.0
    if reached(low) >= 0:
        return 1e-12  # smaller ones decide nothing
    return float(math.exp(optimize.brentq(reached, low, high, xtol=1e-10)))


@dataclass(frozen=True)
class _Path:
    """The law of a Brownian motion with drift that has stayed inside all bounds so far."""

    time: float = 0.0
    drift: float = 0.0
    places: np.ndarray | None = None  # quadrature points of the last look; None at the start
    masses: np.ndarray | None = None  # density times weight there

    def _tails(self, time: float, edge: float) -> tuple[np.ndarray, np.ndarray]:
        """The probabilities to be above `edge`, and below its negative, from every place."""
        step = time - self.time
        start = (np.zeros(1) if self.places is None else self.places) + self.drift * step
        return special.ndtr((start - edge) / math.sqrt(step)), special.ndtr((-edge - start) / math.sqrt(step))

    def outside(self, time: float, bound: float) -> float:
        """The probability to be outside for the first time at `time`."""
        if math.isinf(bound):
            return 0.0
        above, below = self._tails(time, bound * math.sqrt(time))
        return float((above + below).sum() if self.masses is None else self.masses @ (above + below))

    def after(self, time: float, bound: float) -> _Path:
        """The law of what stays inside at `time`."""
        root, step = math.sqrt(time), time - self.time
        centre = self.drift * time
        edge = bound * root
        low, high = max(-edge, centre - _FAR * root), min(edge, centre + _FAR * root)
        if high <= low:
            return _Path(time, self.drift, np.zeros(1), np.zeros(1))
        places = low + (high - low) * (_NODES + 1) / 2
        start = (np.zeros(1) if self.places is None else self.places) + self.drift * step
        moves = np.exp(-((places[:, None] - start) ** 2) / (2 * step)) / math.sqrt(2 * math.pi * step)
        density = moves[:, 0] if self.masses is None else moves @ self.masses
        return _Path(time, self.drift, places, density * _WEIGHTS * (high - low) / 2)


def _bound(path: _Path, time: float, part: float) -> float:
    """The bound that is crossed for the first time at `time` with the probability `part`."""
    from scipy import optimize

    if part < _LEAST:
        return math.inf

    def excess(bound: float) -> float:
        return math.log(max(path.outside(time, bound), _LEAST / 10)) - math.log(part)

    return float(optimize.brentq(excess, 1e-9, _FAR, xtol=1e-13, rtol=1e-14))


def _times(fractions: Sequence[float]) -> np.ndarray:
    times = np.atleast_1d(reals("fractions", list(fractions), "(0, 1]"))
    if times.ndim != 1 or not times.size or times[-1] != 1.0 or (np.diff(times) <= 0).any():
        raise ArgumentError(f"fractions = {list(fractions)!r}: need growing ones that end with 1")
    return times
