"""Fourier inversion of the law of a sum of k independent copies of (1/2) log Y.

With M(s) = (E Y^{s/2})^k and a line Re s = τ inside the strip where M is finite,

    P(S ≤ x) = -(1/2πi) ∫ M(s) e^{-sx} ds/s   for τ < 0,
    P(S > x) =  (1/2πi) ∫ M(s) e^{-sx} ds/s   for τ > 0.

The trapezoidal rule of step Δ adds P(S ≤ x ± 2π/Δ) e^{±2πτ/Δ};
Chernoff's bound tells which Δ makes that vanish.
Taking the line near the saddle point of M(s) e^{-sx} keeps *relative* accuracy in the tails.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from fracrepro.errors import ArgumentError
from fracrepro.theory.numerics.complex_moments import ComplexMoments
from fracrepro.theory.numerics.factor import Factor
from fracrepro.theory.weights import Weights

# Negligible: e^-40 = 4e-18.
_NEGLIGIBLE = 40.0
_MOST_POINTS = 1 << 15
_MOST_WORK = 3e7
_ROWS = 1 << 12  # points x taken at once
# Lines in units of one over the standard deviation; the saddle point for x = mean - z sd lies near -z,
# and a line off by δ loses a factor e^(δ²/2) of accuracy, here at most e^0.8.
_UNITS = (0.7, 2.0, 4.0, 6.0, 8.5, 11.0, 14.0)
_HIGHEST = 2.6  # the formula for complex moments ends at s = 4
_HALFWAY = 0.5  # line for what the pole at s = -1 contributes


@dataclass(frozen=True)
class Line:
    """M(s) e^{-K} on the points s = τ + iu of one line, with K = log M(τ), trapezoidal weights included."""

    tilt: float
    exponent: float
    points: np.ndarray
    values: np.ndarray

    def integrate(self, x: np.ndarray, power: int) -> np.ndarray:
        """(1/2πi) ∫ M(s) e^{-sx} s^{-power} ds; power 0 gives the density, 1 the distribution function."""
        values = self.values / self.points**power
        # On the points u = (J B + b) Δ the phase is a product, so that 2√n exponentials serve n points.
        size = math.isqrt(len(values) - 1) + 1
        step = self.points[-1].imag / max(len(values) - 1, 1)
        table = np.zeros((math.ceil(len(values) / size), size), dtype=complex)
        table.ravel()[: len(values)] = values
        result = np.empty(len(x))
        for start in range(0, len(x), _ROWS):
            part = x[start : start + _ROWS]
            fine = np.exp(np.multiply.outer(part, -1j * step * np.arange(size)))
            coarse = np.exp(np.multiply.outer(part, -1j * step * size * np.arange(len(table))))
            total = ((fine @ table.T) * coarse).sum(axis=1).real
            result[start : start + _ROWS] = total * np.exp(self.exponent - self.tilt * part)
        return result


class SumLaw:
    """The law of S = (1/2) Σ log Y_i over `depth` layers, Y scaled to mean 1 given survival."""

    def __init__(self, layer: Factor, weights: Weights, depth: int, sd: float) -> None:
        """Place the lines; `sd` is the standard deviation of S."""
        self.layer = layer
        self.weights = weights
        self.depth = depth
        self.sd = sd
        self.moments = ComplexMoments(layer, weights)
        # One layer's transform has an absolute error of up to 1e-12; a power of it is negligible.
        self._end = 24.0 if depth == 1 else 36.0
        self._lines: dict[tuple[float, int], Line] = {}
        units = np.array(_UNITS) / sd
        deep = layer.has_atom & (units < layer.width - 4)
        # Near the pole the line gets costly; where no deep line takes over it must go closer.
        edge = (0.6 if deep.any() else 0.8) if layer.has_atom else layer.order - 0.4
        below = units[units < edge]
        if len(below) < len(units) and not np.any(below > 0.8 * edge):
            below = np.append(below, edge)
        self._tilts = -below
        if self.moments.is_mixture or not weights.bounded:  # the law of a bounded factor needs one side only
            above = units if self.moments.is_mixture else units[units < _HIGHEST]
            self._tilts = np.append(self._tilts, above if above.size else _HIGHEST)
        self._deep = -units[deep & (units >= edge)]
        # Moments of very negative order may exceed the largest float; those lines are out of use.
        finite = np.isfinite(self._bounds)
        self._tilts, self._bounds = self._tilts[finite], self._bounds[finite]
        if weights.bounded:
            self._keep_affordable_lines()

    def _keep_affordable_lines(self) -> None:
        """Drop the lines that would need too many points; ArgumentError if the nearest to 0 is one of them.

        An orthogonal layer leaves the norm unchanged with probability P(all amplitudes equal), and its
        density has algebraic edges, so that at small width and depth the transform hardly decays.
        """
        kept = np.array([self._affordable(tilt) for tilt in self._tilts.tolist()])
        if not kept[np.abs(self._tilts).argmin()]:
            raise ArgumentError(
                f"width = {self.layer.width!r} at depth = {self.depth!r} with "
                f"weights = {self.weights.name!r}: need a larger width or depth; "
                "here the law has point masses or a density too rough to invert"
            )
        self._tilts, self._bounds = self._tilts[kept], self._bounds[kept]

    def _affordable(self, tilt: float) -> bool:
        """Whether the transform decays within the frequencies that the allowed work reaches."""
        step = 2.0 * math.pi / self._period(tilt, self._tilts, self._bounds)
        last = _MOST_POINTS * step
        if not self.moments.is_mixture:  # u/step points, each a sum over a grid of about 25 u points
            last = min(last, math.sqrt(_MOST_WORK * step / 25.0))
        exponent = float(self._bounds[self._tilts == tilt][0])
        u = 8.0 / self.sd
        while u < last:
            log_value = self._log_power(tilt + 1j * u * np.linspace(0.9, 1.0, 4)).real - exponent
            if log_value.max() < -self._end:
                return True
            u *= 1.4
        return False

    @property
    def reach(self) -> float:
        """The line furthest to the right."""
        return float(self._tilts.max())

    def cdf_sf(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """P(S ≤ x) and P(S > x), each with relative accuracy where it is small."""
        value, upper = self._invert(x, 1)
        value = np.clip(value, 0.0, 1.0)  # rounding may step outside by 1e-16 where the other side is 1
        return np.where(upper, 1.0 - value, value), np.where(upper, value, 1.0 - value)

    def pdf(self, x: np.ndarray) -> np.ndarray:
        """The density of S; rounding noise below 0 is cut."""
        return np.maximum(self._invert(x, 0)[0], 0.0)

    def _invert(self, x: np.ndarray, power: int) -> tuple[np.ndarray, np.ndarray]:
        # Lines much closer to 0 than 1/sd need many points; they are taken where they gain clearly.
        costly = np.where(np.abs(self._tilts) * self.sd < 0.4, 3.0, 0.0)
        best = self._bounds + costly - np.multiply.outer(x, self._tilts)
        deep = self._deep_bounds(x) if self._deep.size else np.empty((len(x), 0))
        if not self.moments.is_mixture:
            # A deep line then rests on the d-th power of a transform, whose rounding depth multiplies.
            deep = deep + math.log1p(1e-3 * self.depth * self.layer.width)
        choice = np.concatenate([best, deep], axis=1).argmin(axis=1)
        result = np.empty(len(x))
        for j in np.unique(choice).tolist():
            chosen = choice == j
            result[chosen] = self._on_line(x[chosen], j, power)
        upper = (choice < len(self._tilts)) & (np.append(self._tilts, self._deep)[choice] > 0)
        return result, upper

    def _on_line(self, x: np.ndarray, j: int, power: int) -> np.ndarray:
        if j < len(self._tilts):
            line = self._line(float(self._tilts[j]), 0)
            return line.integrate(x, power) * (-1.0 if power and line.tilt < 0 else 1.0)
        tilt = float(self._deep[j - len(self._tilts)])
        low = _threshold(tilt)
        value = self._line(tilt, low).integrate(x, power)
        if np.any(
            self._log_rare(low) + 0.5 * _NEGLIGIBLE > self._deep_exponents[j - len(self._tilts)] - tilt * x
        ):
            value = value + self._line(-_HALFWAY, low).integrate(x, power)
        return -value if power else value

    @cached_property
    def _bounds(self) -> np.ndarray:
        """log M on the lines proper."""
        return self._log_mean_powers(self._tilts)

    def _log_mean_powers(self, tilts: np.ndarray) -> np.ndarray:
        """log M at real points."""
        if self.moments.is_mixture:
            return np.array([self._log_power(np.array([tilt + 0j]))[0].real for tilt in tilts.tolist()])
        q = tilts / 2.0
        with np.errstate(over="ignore", invalid="ignore"):
            rate = self.layer.scaled_log_moment(q)
        rate = rate + self.weights.radius_rate(self.layer.shape, q)
        return self.depth * q * rate

    def _deep_bounds(self, x: np.ndarray) -> np.ndarray:
        """Size of the integrands on the lines left of the pole, or of the rest that goes with each."""
        rare = np.array([self._log_rare(_threshold(tilt)) for tilt in self._deep.tolist()])
        inner = self._deep_exponents - np.multiply.outer(x, self._deep)
        outer = rare + np.multiply.outer(x, np.full(len(rare), _HALFWAY)) + self._halfway_exponent
        # The rest is left out when negligible against one; otherwise it must be found with accuracy, too.
        return np.where(rare < -_NEGLIGIBLE + 4.0, inner, np.maximum(inner, outer) + 2.0)

    @cached_property
    def _halfway_exponent(self) -> float:
        return float(self._log_mean_powers(np.array([-_HALFWAY]))[0])

    @cached_property
    def _deep_exponents(self) -> np.ndarray:
        log_power = [
            self.moments.log_restricted(np.array([t / 2.0 + 0j]), _threshold(t), self.layer.width + 1)[0].real
            for t in self._deep.tolist()
        ]
        return self.depth * np.array(log_power)

    def _log_rare(self, low: int) -> float:
        """log of k P(1 ≤ N < low): the chance that a layer keeps fewer than `low` neurons."""
        mass = self.moments.restricted_mass(low)
        return math.log(self.depth * mass) if mass > 0 else -math.inf

    def _line(self, tilt: float, low: int) -> Line:
        """The line through `tilt`: proper (low = 0), of {all N ≥ low} (deep), or of the rest (halfway)."""
        key = (tilt, low)
        if key not in self._lines:
            self._lines[key] = self._build(tilt, low)
        return self._lines[key]

    def _build(self, tilt: float, low: int) -> Line:
        if low == 0:
            exponents, tilts = self._bounds, self._tilts
            function = self._log_power
        elif tilt == -_HALFWAY:
            period = _NEGLIGIBLE / _HALFWAY
            return _sample(tilt, lambda s: self._log_rest(s, low), period, 1.0 / self.sd, self._end)
        else:
            exponents, tilts = self._deep_exponents, self._deep

            def function(s: np.ndarray) -> np.ndarray:
                return self.depth * self.moments.log_restricted(s / 2.0, low, self.layer.width + 1)

        return _sample(tilt, function, self._period(tilt, tilts, exponents), 1.0 / self.sd, self._end)

    def _log_power(self, s: np.ndarray) -> np.ndarray:
        return self.depth * self.moments.log_power(s / 2.0)

    def _log_rest(self, s: np.ndarray, low: int) -> np.ndarray:
        """log((A + B)^k - A^k): networks in which at least one layer keeps fewer than `low` neurons."""
        common = self.moments.log_restricted(s / 2.0, low, self.layer.width + 1)
        rare = self.moments.log_restricted(s / 2.0, 1, low)
        return self.depth * common + np.log(special.expm1(self.depth * special.log1p(np.exp(rare - common))))

    def _period(self, tilt: float, tilts: np.ndarray, exponents: np.ndarray) -> float:
        """2π/Δ such that both neighbouring copies of the distribution are negligible at the saddle point."""
        here = float(exponents[tilts == tilt][0])
        x = _slope(tilts, exponents, tilt)
        # The copy on the side of the line holds all of the mass: e^{-|τ|T} against e^{K - τx}.
        own = (_NEGLIGIBLE + max(0.0, tilt * x - here)) / abs(tilt)
        # The other copy is a tail, bounded by Chernoff on a line further out or by the pole ahead.
        if tilts is self._deep:
            return 1.1 * max(own, _NEGLIGIBLE / (_threshold(tilt) + tilt))
        further = tilts / tilt > 1.0
        bounds = self.sd + (_NEGLIGIBLE + exponents[further] - here) / np.abs(tilts[further] - tilt)
        room = self.layer.order + tilt if tilt < 0 else 2.0
        return 1.1 * max(own, min([_NEGLIGIBLE / room, *bounds.tolist()]))


def _threshold(tilt: float) -> int:
    """Fewest neurons kept such that E[Y^{s/2}; N ≥ low] is finite, with room, at s = tilt."""
    return math.floor(-tilt) + 4


def _slope(tilts: np.ndarray, exponents: np.ndarray, tilt: float) -> float:
    """Derivative of the exponent at one of the tilts, by a difference over the nearest other point or 0."""
    points = np.append(tilts, 0.0)
    values = np.append(exponents, 0.0)
    others = points != tilt
    nearest = np.abs(points[others] - tilt).argmin()
    here = values[points == tilt][0]
    return float((values[others][nearest] - here) / (points[others][nearest] - tilt))


def _sample(
    tilt: float, log_mgf: Callable[[np.ndarray], np.ndarray], period: float, scale: float, end: float
) -> Line:
    """Evaluate the line until the transform has fallen by e^-end."""
    step = 2.0 * math.pi / period
    exponent = float(log_mgf(np.array([tilt + 0j]))[0].real)
    count = math.ceil(9.0 * scale / step) + 8
    logs = np.empty(0, dtype=complex)
    while True:
        u = step * np.arange(len(logs), count)
        logs = np.append(logs, log_mgf(tilt + 1j * u) - exponent)
        if logs[-4:].real.max() < -end:
            break
        if count > _MOST_POINTS:
            raise RuntimeError(f"the transform does not decay on the line through {tilt}")
        count = math.ceil(1.4 * count)
    last = int(np.flatnonzero(logs.real >= -end)[-1]) + 1
    values = np.exp(logs[:last]) * (step / math.pi)
    values[0] /= 2.0
    return Line(tilt, exponent, tilt + 1j * step * np.arange(last), values)
