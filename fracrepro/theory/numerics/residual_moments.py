"""Moments of a residual block's factor, real and complex, from one Mellin-Barnes integral.

Given the branch, R² = (β + c g)² + c² χ²_{d-1} with c² = κ X, X = R_h² the squared factor of the branch's
hidden layer.  Write Z = 2 c²/β² and b = d/2.  Given c the moment is Kummer's function, whose integral
representation turns every power of c into a moment of X, which the hidden layer's law has already:

    E[(R/β)^(2q); c > 0] = (1/2πi) ∫ Γ(b + q) Γ(w - q) Γ(-w)/(Γ(b + q - w) Γ(-q)) E[Z^w; c > 0] dw

over a vertical line with the poles of Γ(-w) on its right and those of Γ(w - q) on its left.
A line that stands elsewhere owes the residues of the poles that it has passed: at w = n those of the
expansion in powers of c/β, at w = q - n those of the expansion in powers of β/c.
Derivation: book/numerics.md.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import special

from fracrepro.theory.numerics.complex_moments import complex_moments
from fracrepro.theory.numerics.factor import Factor
from fracrepro.theory.special import log_gamma_difference
from fracrepro.theory.weights import GAUSSIAN

# numerics.md: numerics-block-line
_NEGLIGIBLE, _REACH = 40.0, 27.0
_CHUNK = 1 << 19
# numerics.md: numerics-block-places
_SMALL = 1.0
_BETWEEN = (0.2, 0.35, 0.5, 0.65, 0.8)
_EXCESS_LINE, _WIDEST = 1.5, 2.0
_LARGE, _ROOM = 2.0, 0.25
# numerics.md: numerics-block-cumulants
_RADIUS, _POINTS = 0.125, 32


class Place(NamedTuple):
    """Where a line crosses the real axis, and how far it keeps from the poles."""

    omega: float
    gap: float


class BlockMoments:
    """E (R/β)^(2q) of a residual block with β ≠ 0 and a branch whose size is Z = 2 c²/β².

    Attributes:
        shape: b, half the width.
        dead: probability of a dead branch, R = |β|.
    """

    def __init__(self, layer: Factor, width: int, log_scale: float) -> None:
        """Keep the law of the hidden layer, the width, and log(2κ/β²)."""
        self.layer = layer
        self.shape = width / 2
        self.dead = math.exp(layer.log_dead)
        # E Z given a live branch; Y of the complex moments is X scaled to mean 1 given X > 0.
        self.log_size = log_scale + math.log(layer.mean) - layer.log_alive
        self._moments = complex_moments(layer, GAUSSIAN)
        self._lowest = max(-layer.order, -_WIDEST) / 2.0

    def is_small(self, q: float) -> bool:
        """Whether the branch is small beside the skip connection for moments of order 2q."""
        return self.log_size + math.log((1.0 + abs(q)) * (self.shape + abs(q))) < math.log(_SMALL)

    def log_power(self, q: float) -> float:
        """log E (R/β)^(2q) for real q > -b."""
        if q == 0.0:
            return 0.0
        if q <= 1.0 and self.is_small(q):
            return math.log1p(q * float(self.excess(np.array([q]))[0].real))
        if q > 0.0 and q == math.floor(q):
            return _log_sum([self._log_ahead(n, q) for n in range(int(q) + 1)], 0.0)
        place = self.place(q, small=self.is_small(q))
        terms = [self._log_ahead(n, q) for n in range(math.ceil(place.omega))]
        terms += [self._log_behind(n, q) for n in range(_count(q - place.omega))]
        if self.dead and place.omega < 0.0:
            terms.append(math.log(self.dead))
        return _log_sum(terms, float(self.integral(np.array([q + 0j]), place)[0].real))

    def excess(self, q: np.ndarray) -> np.ndarray:
        """(E (R/β)^(2q) - 1)/q for small branches and complex q, -b < Re q ≤ 1: nothing cancels.

        The line passes the poles at 0, whose residue is the 1, and at 1.
        """
        mean = self.layer.alive * math.exp(self.log_size)
        place = Place(_EXCESS_LINE, _EXCESS_LINE - 1.0)
        # 1/Γ(-q) = q (q - 1)/Γ(2 - q) takes the zeros at 0 and 1 out of the integral.
        rest = self.integral(q, place, shift=2.0)
        result: np.ndarray = (self.shape + q - 1.0) * mean + (q - 1.0) * rest
        return result

    def log_cumulants(self) -> tuple[float, float]:
        """Mean and variance of log(R/β)², by Cauchy's formula from the logarithm of the moments about q = 0.

        For live branches, whose moments have no zero near 0; with the atom of dead branches they would have.
        """
        q = _RADIUS * np.exp(1j * math.pi * (2.0 * np.arange(_POINTS // 2) + 1.0) / _POINTS)
        alive = self.layer.alive
        if self.is_small(_RADIUS):
            logs = special.log1p(q * self.excess(q) / alive)
        else:
            # Between the last pole of E Z^w and those at w = q on the circle.
            place = Place((self._lowest - _RADIUS) / 2.0, (-self._lowest - _RADIUS) / 2.0)
            behind = np.array([self._behind(value) for value in q.tolist()])
            # About the size of the logarithm, so that its imaginary part cannot wrap.
            middle = float(np.logaddexp(0.0, self.log_size + math.log(self.shape)))
            scaled = (behind + self.integral(q, place)) * np.exp(-middle * q) / alive
            logs = np.log(scaled) + middle * q
        # The other half of the circle is the mirror image of this one.
        first, second = ((logs * q**-n).real.mean() for n in (1, 2))
        return float(alive * first), float(alive * (2.0 * second + self.dead * first**2))

    def on_line(self, q: np.ndarray) -> np.ndarray:
        """E[(R/β)^(2q); c > 0] for complex q of one real part p < 0, Im q ≥ 0, to some 1e-16 of that at p.

        Where the branch is small for |q| the line stands between the poles at 0 and 1 and owes the first.
        Where it is large the line stands left of p and owes the pole at q, the moment without a skip.
        Elsewhere it stands left of 0 but right of p, and owes nothing.
        """
        p, end = float(q[0].real), -self.layer.order / 2.0
        small = np.array([self.is_small(value) for value in np.abs(q).tolist()])
        result = np.empty(q.shape, dtype=complex)
        if small.any():
            result[small] = self.layer.alive + self.integral(q[small], Place(0.5, 0.5))
        rest = q[~small]
        if rest.size and self.log_size + math.log(self.shape) > _LARGE and p > end + _ROOM:
            omega = max(p - 0.5, (p + end) / 2.0)
            passed = np.array([self._behind(value) for value in rest.tolist()])
            result[~small] = passed + self.integral(rest, Place(omega, min(p - omega, omega - end)))
        elif rest.size:
            omega = max(p, self._lowest) / 2.0
            result[~small] = self.integral(rest, Place(omega, -omega))
        return result

    def place(self, q: float, *, small: bool) -> Place:
        """A line for real q, as far as possible from the poles: right of 0 for a small branch, else left.

        For q < 0 it is left of q, too, because a large branch makes the moment about E Z^q.
        """
        low, high = (0.0, 1.0) if small else (self._lowest, 0.0)
        if not small and q < 0.0:
            end = -self.layer.order / 2.0
            high = q if q > end + _ROOM else min(0.0, end + 1.0)
            low = max(high - 1.0, end)
        places = low + (high - low) * np.array(_BETWEEN)
        behind = np.abs(places[:, None] - (q - np.arange(_count(q - low) + 2))).min(axis=1)
        gaps = np.minimum(np.minimum(places - low, high - places), behind)
        best = int(gaps.argmax())
        return Place(float(places[best]), float(gaps[best]))

    def integral(self, q: np.ndarray, place: Place, shift: float = 0.0) -> np.ndarray:
        """The integral on a line, for complex q; a shift replaces 1/Γ(-q) by 1/Γ(shift - q)."""
        b = self.shape
        turn = self.log_size + np.log((1.0 + np.abs(q)) * (b + np.abs(q)))  # the phase of Z^w and its factors
        step = 2.0 * math.pi / (_NEGLIGIBLE / place.gap + float(np.abs(turn).max()))
        upper = place.omega + 1j * step * np.arange(math.ceil(_REACH / step) + 1)
        log_upper = self._moments.log_power(upper) + upper * self.log_size + special.loggamma(-upper)
        w = np.concatenate([upper[:0:-1].conj(), upper])
        log_terms = np.concatenate([log_upper[:0:-1].conj(), log_upper])
        result = np.empty(q.shape, dtype=complex)
        rows = max(1, _CHUNK // len(w))
        for start in range(0, len(q), rows):
            part = q[start : start + rows, None]
            ratio = log_gamma_difference(b + part, w) - log_gamma_difference(shift - part, shift - w)
            result[start : start + rows] = np.exp(log_terms + ratio).sum(axis=1)
        return self.layer.alive * step / (2.0 * math.pi) * result

    def log_real_moment(self, r: float) -> float:
        """log E[Z^r; c > 0] for real r above minus half the order of the hidden layer."""
        if r == 0.0:
            return self.layer.log_alive
        rate = float(self.layer.log_power_mean(np.array([r]), GAUSSIAN)[0])
        return r * (rate + self.log_size + self.layer.log_alive)

    def _log_ahead(self, n: int, q: float) -> float:
        """log of the residue at w = n, real q ≥ n: binom(q, n) Γ(b + q)/Γ(b + q - n) E Z^n."""
        if n == 0:
            return 0.0  # dead branches included, which contribute 1 as well
        return _log_binomial(q, n) + self._gamma_ratio(q, n) + self.log_real_moment(n)

    def _log_behind(self, n: int, q: float) -> float:
        """log of the residue at w = q - n, real q: binom(q, n) Γ(b + q)/Γ(b + n) E Z^(q - n)."""
        return _log_binomial(q, n) + self._gamma_ratio(q, q - n) + self.log_real_moment(q - n)

    def _behind(self, q: complex) -> complex:
        """The residue at w = q for complex q with Im q ≥ 0: the whole moment where the skip is 0."""
        log_moment = self._moments.log_power(np.array([q]))[0] + q * self.log_size + self.layer.log_alive
        return complex(np.exp(log_moment + log_gamma_difference(self.shape + q, q)))

    def _gamma_ratio(self, q: float, w: float) -> float:
        """log Γ(b + q)/Γ(b + q - w)."""
        return float(log_gamma_difference(self.shape + q, w).real)


def _count(length: float) -> int:
    """How many of the integers n ≥ 0 are below `length`."""
    return max(0, math.ceil(length))


def _log_binomial(q: float, n: int) -> float:
    """log binom(q, n) for real q > n - 1."""
    return sum(math.log((q - j) / (j + 1.0)) for j in range(n))


def _log_sum(logs: list[float], rest: float) -> float:
    """log(Σ e^x + rest)."""
    top = max(logs, default=0.0)
    return top + math.log(math.fsum(math.exp(x - top) for x in logs) + rest * math.exp(-top))
