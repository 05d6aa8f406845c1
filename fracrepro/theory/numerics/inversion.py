"""Fourier inversion of the law of a sum of independent (1/2) log Y, one for each of k layers.

With M(s) = Π E Y_l^{s/2}, a power where the layers agree, and a line Re s = τ inside the strip where M is
finite,

    P(S ≤ x) = -(1/2πi) ∫ M(s) e^{-sx} ds/s   for τ < 0,
    P(S > x) =  (1/2πi) ∫ M(s) e^{-sx} ds/s   for τ > 0.

Taking the line near the saddle point of M(s) e^{-sx} keeps *relative* accuracy in the tails.
Which lines there are, how far apart the points on them, and which line serves which x: book/numerics.md.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from fracrepro.errors import ArgumentError
from fracrepro.theory.numerics.lines import GROWTH, MOST_POINTS, Line, sample
from fracrepro.theory.numerics.transforms import Group, Stack

# numerics.md: numerics-negligible
_NEGLIGIBLE = 40.0
# numerics.md: numerics-line-places
_UNITS = (0.7, 2.0, 4.0, 6.0, 8.5, 11.0, 14.0)
_POLE_EDGE, _POLE_EDGE_ALONE, _EDGE_GAP = 0.6, 0.8, 0.4
_CLOSE_TO_EDGE = 0.8
# numerics.md: numerics-line-choice
_CLOSE, _CLOSE_COST = 0.4, 3.0
# numerics.md: numerics-line-period
_PERIOD_ROOM = 1.1
_UPPER_ROOM = 2.0
_PROBES = (0.001, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95)
# numerics.md: numerics-deep-lines
_FEWEST_BEYOND = 4
_DEEP_WIDTH = 4
_HALFWAY = 0.5
_REST_ROOM, _REST_COST = 4.0, 2.0
# numerics.md: numerics-affordable
_MOST_WORK = 3e7
_FIRST_FREQUENCY = 8.0
_WINDOW, _WINDOW_POINTS = 0.9, 4


class Lines(ABC):
    """The lines of one kind: where they stand, log M where they cross the real axis, and their samples."""

    def __init__(self, stack: Stack, tilts: np.ndarray) -> None:
        """Keep the places; a line is sampled when it is first asked for."""
        self.stack = stack
        self.tilts = tilts
        self._sampled: dict[int, Line] = {}

    def line(self, j: int) -> Line:
        """The j-th line with its samples."""
        if j not in self._sampled:
            self._sampled[j] = self._sample(j)
        return self._sampled[j]

    @abstractmethod
    def bounds(self, x: np.ndarray) -> np.ndarray:
        """Logarithms of the size of every line's integrand at every x, with what else speaks against it."""

    @abstractmethod
    def integrate(self, j: int, x: np.ndarray, power: int) -> np.ndarray:
        """The density at x (power 0), or by the j-th line P(S ≤ x), right of the origin P(S > x)."""

    @abstractmethod
    def _sample(self, j: int) -> Line:
        """Sample the j-th line."""

    def _own_period(self, j: int, exponents: np.ndarray) -> float:
        """The copy on the side of the line holds all of the mass: e^{-|τ|T} against e^{K - τx}."""
        points, values = np.append(self.tilts, 0.0), np.append(exponents, 0.0)
        tilt, here = points[j], values[j]
        # The saddle point x, as the slope of the exponent, by a difference to the nearest other line or 0.
        gaps = np.abs(points - tilt)
        gaps[j] = math.inf
        nearest = gaps.argmin()
        x = float((values[nearest] - here) / (points[nearest] - tilt))
        return float((_NEGLIGIBLE + max(0.0, tilt * x - here)) / abs(tilt))


class ProperLines(Lines):
    """Lines inside the strip where the transform of the whole law is finite."""

    def __init__(self, stack: Stack, tilts: np.ndarray, exponents: np.ndarray) -> None:
        """Keep the places with log M at each."""
        super().__init__(stack, tilts)
        self.exponents = exponents

    @classmethod
    def at(cls, stack: Stack, tilts: np.ndarray) -> ProperLines:
        """The lines at those places where M is a float: moments of very negative order may be no float."""
        exponents = stack.log_real_powers(tilts)
        finite = np.isfinite(exponents)
        return cls(stack, tilts[finite], exponents[finite])

    def bounds(self, x: np.ndarray) -> np.ndarray:
        """The integrand's size by Chernoff's bound; lines much closer to 0 than 1/sd need many points."""
        costly = np.where(np.abs(self.tilts) * self.stack.sd < _CLOSE, _CLOSE_COST, 0.0)
        return self.exponents + costly - np.multiply.outer(x, self.tilts)

    def integrate(self, j: int, x: np.ndarray, power: int) -> np.ndarray:
        """One integral."""
        line = self.line(j)
        return line.integrate(x, power) * (-1.0 if power and line.tilt < 0 else 1.0)

    def affordable(self) -> ProperLines:
        """Those that do not need too many points; ArgumentError if the nearest to 0 is not among them.

        An orthogonal layer leaves the norm unchanged with probability P(all amplitudes equal), and its
        density has algebraic edges, so that at small width and depth the transform hardly decays.
        """
        kept = np.array([self._affordable(j) for j in range(len(self.tilts))])
        if not kept[np.abs(self.tilts).argmin()]:
            weights = self.stack.kinds[0][0].weights
            raise ArgumentError(
                f"width = {self.stack.width!r} at depth = {self.stack.depth!r} with "
                f"weights = {weights.name!r}: need a larger width or depth; "
                "here the law has point masses or a density too rough to invert"
            )
        return ProperLines(self.stack, self.tilts[kept], self.exponents[kept])

    def _sample(self, j: int) -> Line:
        stack = self.stack
        return sample(float(self.tilts[j]), stack.log_power, self._period(j), 1.0 / stack.sd, stack.end)

    def _period(self, j: int) -> float:
        """2π/Δ such that both neighbouring copies of the distribution are negligible at the saddle point."""
        tilt, here = float(self.tilts[j]), float(self.exponents[j])
        own = self._own_period(j, self.exponents)
        # The other copy is a tail, bounded by Chernoff on a line further out or by the pole ahead.
        further = self.tilts / tilt > 1.0
        gaps = np.abs(self.tilts[further] - tilt)
        bounds = self.stack.sd + (_NEGLIGIBLE + self.exponents[further] - here) / gaps
        room = self.stack.order + tilt if tilt < 0 else _UPPER_ROOM
        period = max(own, min([_NEGLIGIBLE / room, *bounds.tolist()]))
        # Many narrow layers make the transform rise so fast towards the pole that its copy is larger.
        return _PERIOD_ROOM * max(period, self._copy_period(j, room) / _PERIOD_ROOM if tilt < 0 else 0.0)

    def _copy_period(self, j: int, room: float) -> float:
        """The period by Chernoff's bound for the copy on the side of the pole, on the best of a few lines."""
        tilt, here = float(self.tilts[j]), float(self.exponents[j])
        gaps = room * np.array(_PROBES)
        rise = self.stack.log_real_powers(tilt - gaps) - here
        saddle = -rise[0] / gaps[0]  # the x whose saddle point the line is, as a slope of the exponent
        return float(np.nanmin((_NEGLIGIBLE + rise[1:]) / gaps[1:] + saddle))

    def _affordable(self, j: int) -> bool:
        """Whether the transform decays within the frequencies that the allowed work reaches."""
        tilt, exponent, stack = float(self.tilts[j]), float(self.exponents[j]), self.stack
        step = 2.0 * math.pi / self._period(j)
        last = MOST_POINTS * step
        if stack.grid_per_frequency:  # u/step points, each a sum over so many u points
            last = min(last, math.sqrt(_MOST_WORK * step / stack.grid_per_frequency))
        u = _FIRST_FREQUENCY / stack.sd
        while u < last:
            points = tilt + 1j * u * np.linspace(_WINDOW, 1.0, _WINDOW_POINTS)
            if (stack.log_power(points).real - exponent).max() < -stack.end:
                return True
            u *= GROWTH
        return False


class DeepLines(Lines):
    """Lines left of the pole at s = -1, which few live neurons cause.

    The j-th serves the networks in which every layer keeps enough neurons for M to be finite there; the rest
    of the networks has a line of its own, halfway to the pole.
    """

    def __init__(self, stack: Stack, tilts: np.ndarray) -> None:
        """Keep the places, and the fewest neurons for each: E[Y^{s/2}; N ≥ low] is finite, with room."""
        super().__init__(stack, tilts)
        self.lows = [math.floor(-tilt) + _FEWEST_BEYOND for tilt in tilts.tolist()]
        self._rests: dict[int, Line] = {}

    def bounds(self, x: np.ndarray) -> np.ndarray:
        """Size of the line's integrand, or of the rest that goes with it."""
        if not self.lows:
            return np.empty((len(x), 0))
        stack = self.stack
        rare = np.array([stack.log_rare(low) for low in self.lows])
        inner = self.exponents - np.multiply.outer(x, self.tilts)
        outer = rare + np.multiply.outer(x, np.full(len(rare), _HALFWAY)) + self._halfway_exponent
        # The rest is left out when negligible against one; otherwise it must be found with accuracy, too.
        size = np.where(rare < -_NEGLIGIBLE + _REST_ROOM, inner, np.maximum(inner, outer) + _REST_COST)
        # A line may rest on the d-th power of a transform, whose rounding the depth multiplies.
        return size + math.log1p(stack.noise)

    def integrate(self, j: int, x: np.ndarray, power: int) -> np.ndarray:
        """The line's integral, and that of the rest where it counts."""
        low = self.lows[j]
        value = self.line(j).integrate(x, power)
        size = self.exponents[j] - float(self.tilts[j]) * x
        if np.any(self.stack.log_rare(low) + 0.5 * _NEGLIGIBLE > size):
            value = value + self._rest(low).integrate(x, power)
        return -value if power else value

    def _sample(self, j: int) -> Line:
        tilt, low, stack = float(self.tilts[j]), self.lows[j], self.stack
        period = _PERIOD_ROOM * max(self._own_period(j, self.exponents), _NEGLIGIBLE / (low + tilt))
        return sample(tilt, lambda s: stack.log_restricted(s, low), period, 1.0 / stack.sd, stack.end)

    def _rest(self, low: int) -> Line:
        """The line of the networks in which some layer keeps fewer than `low` neurons."""
        if low not in self._rests:
            stack, period = self.stack, _NEGLIGIBLE / _HALFWAY
            self._rests[low] = sample(
                -_HALFWAY, lambda s: stack.log_rest(s, low), period, 1.0 / stack.sd, stack.end
            )
        return self._rests[low]

    @cached_property
    def exponents(self) -> np.ndarray:
        """log M of the line's networks where it crosses the real axis."""
        places = zip(self.tilts.tolist(), self.lows, strict=True)
        return np.array([self.stack.log_restricted(np.array([t + 0j]), low)[0].real for t, low in places])

    @cached_property
    def _halfway_exponent(self) -> float:
        return float(self.stack.log_real_powers(np.array([-_HALFWAY]))[0])


class SumLaw:
    """The law of S = (1/2) Σ log Y_l over layers, each Y scaled to mean 1 given survival."""

    def __init__(self, groups: Sequence[Group], sd: float) -> None:
        """Place the lines; `sd` is the standard deviation of S."""
        self.sd = sd
        stack = Stack(groups, sd)
        units = np.array(_UNITS) / sd
        deep = stack.has_atom & (units < stack.width - _DEEP_WIDTH)
        # Near the pole the line gets costly; where no deep line takes over it must go closer.
        pole_edge = _POLE_EDGE if deep.any() else _POLE_EDGE_ALONE
        edge = pole_edge if stack.has_atom else stack.order - _EDGE_GAP
        below = units[units < edge]
        if len(below) < len(units) and not np.any(below > _CLOSE_TO_EDGE * edge):
            below = np.append(below, edge)
        above = units[units < stack.rightmost]
        if stack.rightmost > 0.0 and not above.size:
            above = np.array([stack.rightmost])
        proper = ProperLines.at(stack, np.append(-below, above))
        bounded = any(group.weights.bounded for group in groups)
        self.proper = proper.affordable() if bounded else proper
        self.deep = DeepLines(stack, -units[deep & (units >= edge)])

    @property
    def reach(self) -> float:
        """The line furthest to the right."""
        return float(self.proper.tilts.max())

    def cdf_sf(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """P(S ≤ x) and P(S > x), each with relative accuracy where it is small."""
        value, upper = self._invert(x, 1)
        value = np.clip(value, 0.0, 1.0)  # rounding may step outside by 1e-16 where the other side is 1
        return np.where(upper, 1.0 - value, value), np.where(upper, value, 1.0 - value)

    def pdf(self, x: np.ndarray) -> np.ndarray:
        """The density of S; rounding noise below 0 is cut."""
        return np.maximum(self._invert(x, 0)[0], 0.0)

    def _invert(self, x: np.ndarray, power: int) -> tuple[np.ndarray, np.ndarray]:
        """The integral at every x by the line of the smallest bound, and whether it is an upper tail."""
        places = [(lines, j) for lines in (self.proper, self.deep) for j in range(len(lines.tilts))]
        choice = np.concatenate([self.proper.bounds(x), self.deep.bounds(x)], axis=1).argmin(axis=1)
        result, upper = np.empty(len(x)), np.empty(len(x), dtype=bool)
        for index in np.unique(choice).tolist():
            chosen = choice == index
            lines, j = places[index]
            result[chosen] = lines.integrate(j, x[chosen], power)
            upper[chosen] = lines.tilts[j] > 0.0
        return result, upper
