"""Complex moments E Y^q of the one-layer factor: the transform that Fourier inversion needs.

Y is R² given R > 0, scaled to mean 1; for orthogonal weights, R²/χ²_d scaled likewise.
Two routes lead there.  With one amplitude and an atom at zero, as for ReLU, E Y^q is a finite sum over the
number of live neurons, of ratios of gamma functions.
Otherwise it is an integral over the Laplace transform, taken along rays t = e^{x - iθ}: 1/Γ(-q) grows as
e^{π|v|/2} along q = p + iv, and the ray near the saddle point takes that growth back.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import special

from fracrepro.theory.numerics import amplitudes
from fracrepro.theory.numerics.factor import DECAY, Factor
from fracrepro.theory.numerics.rays import fourier, rays_of_gamma, rays_of_saddles
from fracrepro.theory.special import log_gamma_ratio
from fracrepro.theory.weights import Weights

# numerics.md: numerics-live-neurons
_TERMS_BELOW = 1e-24
_POLE = 1e-3
_CHUNK = 1 << 18
# numerics.md: numerics-two-integrals
_NEAR, _NEAR_SHARE = 0.75, 10.0
# numerics.md: numerics-ray-grid
_STEP, _STEP_OF_PEAK, _STEP_OF_BULK, _STEP_OF_PHASE = 0.125, 0.5, 0.47, 2.0
_END = 3.0
_SPACING, _SPACING_OF_PEAK = 0.25, 0.7
_STILL = 2.0
# numerics.md: numerics-line-places
_RIGHTMOST = 2.6
# numerics.md: numerics-deep-lines
_POWER_NOISE = 1e-3
# numerics.md: numerics-affordable
_GRID_PER_FREQUENCY = 25.0


class ComplexMoments(ABC):
    """log E Y^q along lines of constant real part, for one layer.

    Attributes:
        rightmost: the largest s = 2q at which a line may stand; 0 if none is needed there.
        power_noise: relative error that `log_restricted` brings per neuron, beyond that of one rounding.
        grid_per_frequency: points that one value at frequency u costs, per unit of u; 0 if it does not grow.
    """

    rightmost: float
    power_noise: float
    grid_per_frequency: float

    def __init__(self, layer: Factor, weights: Weights) -> None:
        """Keep the layer; the arguments are checked by the callers."""
        self.layer = layer
        self.weights = weights

    @abstractmethod
    def log_power(self, q: np.ndarray) -> np.ndarray:
        """log E Y^q for q = p + iv, one real part p and equally spaced v ≥ 0 in rising order."""

    @abstractmethod
    def log_real_powers(self, q: np.ndarray, copies: int) -> np.ndarray:
        """copies · log E Y^q for real q."""

    def log_restricted(self, q: np.ndarray, low: int, high: int) -> np.ndarray:
        """log E[Y^q; low ≤ N < high], N the number of neurons that are not zero; -low/2 < Re q."""
        low, log_mass = self._window(q[0].real, low, high)
        # For orthogonal weights Y carries the moment of χ²_d/d as an independent factor too many.
        return self._sum_over_live(q, low, log_mass) - q * self.weights.divisor_rate(self.layer.shape, q)

    def restricted_mass(self, low: int) -> float:
        """P(1 ≤ N < low | N ≥ 1)."""
        return float(np.exp(_log_binomial(self.layer.width, self.layer.activation.survival)[1:low]).sum())

    @abstractmethod
    def _sum_over_live(self, q: np.ndarray, low: int, log_mass: np.ndarray) -> np.ndarray:
        """log Σ_n P(N = n) E[(χ²_d V scaled)^q | N = n] over n = low, low + 1, … with these masses."""

    def _window(self, p: float, low: int, high: int) -> tuple[int, np.ndarray]:
        """Where in [low, high) the part that carries E[Y^p; low ≤ N < high] starts; log P(N = n | N ≥ 1)."""
        low, high = max(low, 1), min(high, self.layer.width + 1)
        log_mass = _log_binomial(self.layer.width, self.layer.activation.survival)[low:high]
        n = np.arange(low, high) / 2.0
        with np.errstate(invalid="ignore"):
            size = log_mass + special.gammaln(np.maximum(n + p, _POLE)) - special.gammaln(n)
        kept = np.flatnonzero(size >= size.max() + math.log(_TERMS_BELOW))
        return low + int(kept[0]), log_mass[int(kept[0]) : int(kept[-1]) + 1]


class MixtureMoments(ComplexMoments):
    """Sums of gamma functions: R² given N live neurons is a multiple of χ²_N, as for ReLU."""

    rightmost = math.inf
    power_noise = 0.0
    grid_per_frequency = 0.0

    def log_power(self, q: np.ndarray) -> np.ndarray:
        """The sum over all numbers of live neurons; -1/2 < Re q."""
        return self.log_restricted(q, 1, self.layer.width + 1)

    def log_real_powers(self, q: np.ndarray, copies: int) -> np.ndarray:
        """One sum for every order."""
        return copies * np.array([self.log_power(np.array([value + 0j]))[0].real for value in q.tolist()])

    def _sum_over_live(self, q: np.ndarray, low: int, log_mass: np.ndarray) -> np.ndarray:
        """log Σ_n P(N = n) E[(2 a² G_{n/2})^q], with Γ(n/2 + q) by its recurrence from the largest terms.

        A term and the next but one differ by the factor (n/2 + q)/(n/2) of Γ and the ratio of the masses,
        so that two chains of products, up and down from the top, replace a gamma function per term.
        """
        layer = self.layer
        scale = 2.0 * layer.activation.live[0].high ** 2 * layer.alive / layer.mean
        half = np.arange(low, low + len(log_mass)) / 2.0
        p = q[0].real
        size = log_mass + special.gammaln(half + p) - special.gammaln(half)
        top = min(int(size.argmax()), max(len(half) - 2, 0))
        starts = half[top : top + 2]
        # Both chains relative to the larger start; the binomial masses carry the rest.
        log_first = log_mass[top : top + 2, None] + q * (
            log_gamma_ratio(starts[:, None], q) + np.log(starts[:, None] * scale)
        )
        reference = log_first[np.argmax(log_first[:, 0].real)]
        first = np.exp(log_first - reference)
        total = np.zeros_like(q)
        rows_at_once = max(1, _CHUNK // len(half))
        for row in range(0, len(q), rows_at_once):
            rows = slice(row, row + rows_at_once)
            for parity in range(len(starts)):
                total[rows] += _chain(q[rows], half, log_mass, top + parity) * first[parity, rows]
        return np.log(total) + reference


class RayMoments(ComplexMoments):
    """Integrals over the Laplace transform, along rays."""

    power_noise = _POWER_NOISE

    def __init__(self, layer: Factor, weights: Weights) -> None:
        """Keep the layer; the law of a bounded factor needs lines on one side only."""
        super().__init__(layer, weights)
        self.rightmost = 0.0 if weights.bounded else _RIGHTMOST
        # A linear layer has a closed form.
        self.grid_per_frequency = 0.0 if layer.activation.is_linear else _GRID_PER_FREQUENCY

    def log_power(self, q: np.ndarray) -> np.ndarray:
        """By one of two integrals; Re q above -order/2 and below 2."""
        layer = self.layer
        near = _NEAR if layer.has_atom else max(_NEAR, math.sqrt(layer.shape) / _NEAR_SHARE)
        if layer.activation.is_linear:
            return q * self.weights.radius_rate(layer.shape, q)
        if q[0].real > -near:
            return self._around_gamma(q)
        log_value = self._direct(q, layer.log_smooth_transform, layer.order)
        return log_value - q * self.weights.divisor_rate(layer.shape, q)

    def log_real_powers(self, q: np.ndarray, copies: int) -> np.ndarray:
        """All orders on one grid."""
        with np.errstate(over="ignore", invalid="ignore"):
            rate = self.layer.scaled_log_moment(q)
        rate = rate + self.weights.radius_rate(self.layer.shape, q)
        return copies * q * rate

    def _sum_over_live(self, q: np.ndarray, low: int, log_mass: np.ndarray) -> np.ndarray:
        """The transform given that one neuron lives enters a polynomial whose coefficients are the masses."""
        layer, mass = self.layer, np.exp(log_mass)
        survival = math.log(layer.activation.survival)

        def log_transform(log_t: np.ndarray) -> np.ndarray:
            log_scaled = log_t - math.log(layer.mean / layer.alive)
            log_g = amplitudes.log_transform(layer.activation.live, log_scaled)
            g = np.exp(log_g - survival)
            return low * (log_g - survival) + np.log(np.polynomial.polynomial.polyval(g, mass))

        return self._direct(q, log_transform, low)

    def _around_gamma(self, q: np.ndarray) -> np.ndarray:
        """From the formula of `factor`, relative to the linear network."""
        log_gamma = q * log_gamma_ratio(self.layer.shape, q)
        p, v = q[0].real, q.imag

        def log_size(ray: float, x: np.ndarray) -> np.ndarray:
            scale, bracket = self.layer.bracket(x, ray)
            with np.errstate(divide="ignore"):
                return scale.real + np.log(np.abs(bracket)) - p * x

        rays = rays_of_gamma(v)
        rates = 2.0 - p, self.layer.order / 2 + p
        x, step = self._grid(*rates, q, rays[-1][1], log_size)
        correction = np.empty_like(q)
        for rows, angle in rays:
            scale, bracket = self.layer.bracket(x, angle)
            log_size_here = scale - p * x
            top = float(log_size_here.real.max())
            integral = fourier(v[rows], x, np.exp(log_size_here - top) * bracket)
            front = special.loggamma(2.0 - q[rows]) + log_gamma[rows]
            correction[rows] = step * integral * np.exp(top + 1j * angle * q[rows] - front)
        log_ratio = special.log1p(q * (q - 1.0) * correction)
        return q * self.weights.radius_rate(self.layer.shape, q) + log_ratio

    def _direct(self, q: np.ndarray, transform: Callable[[np.ndarray], np.ndarray], order: int) -> np.ndarray:
        """log of (1/Γ(-q)) ∫ L(t) t^{-q-1} dt on rays near the saddle point t ∝ -q; -order/2 < Re q < 0."""
        p, v = q[0].real, q.imag

        def log_size(ray: float, x: np.ndarray) -> np.ndarray:
            return transform(x - 1j * ray).real - p * x

        # An orthogonal layer needs E Y^q relative to the small E G^q, whose saddle points lie further round.
        rays = rays_of_saddles(q, self.weights.saddle_shape(self.layer.shape))
        x, step = self._grid(-p, order / 2 + p, q, rays[-1][1], log_size)
        result = np.empty_like(q)
        for rows, angle in rays:
            log_terms = transform(x - 1j * angle) - p * x
            top = float(log_terms.real.max())
            integral = fourier(v[rows], x, np.exp(log_terms - top))
            result[rows] = np.log(step * integral) + top + 1j * angle * q[rows] - special.loggamma(-q[rows])
        return result

    def _grid(
        self,
        left_rate: float,
        right_rate: float,
        q: np.ndarray,
        angle: float,
        log_size: Callable[[float, np.ndarray], np.ndarray],
    ) -> tuple[np.ndarray, float]:
        """A plain grid in log t and its step, over the points where the integrand is not negligible."""
        layer = self.layer
        fastest = float(np.max(np.abs(q.imag), initial=0.0))
        peak = math.sqrt(max(1.0, -q[0].real))  # one over the Gaussian width of the integrand's peak
        step = min(_STEP, _STEP_OF_PEAK / peak)
        if fastest > _STILL:
            step = min(step, _STEP_OF_BULK / math.sqrt(layer.shape), math.pi / (_STEP_OF_PHASE * fastest))
        end = _END + layer.log_spread + math.log(layer.width) + DECAY / right_rate
        spacing = min(_SPACING, _SPACING_OF_PEAK / peak)
        coarse = np.arange(-DECAY / left_rate, end, spacing)
        sizes = [log_size(ray, coarse) for ray in (0.0, angle / 2.0, angle)]
        kept = coarse[np.any([size > size.max() - DECAY for size in sizes], axis=0)]
        return np.arange(kept[0] - spacing, kept[-1] + spacing, step), step


def complex_moments(layer: Factor, weights: Weights) -> ComplexMoments:
    """Return the moments of a layer by the route that its activation allows."""
    live = layer.activation.live
    one_amplitude = len(live) == 1 and live[0].low == live[0].high
    return (MixtureMoments if layer.has_atom and one_amplitude else RayMoments)(layer, weights)


def _chain(q: np.ndarray, half: np.ndarray, log_mass: np.ndarray, start: int) -> np.ndarray:
    """Σ over n = start, start ± 2, … of the terms of a mixture relative to the one at `start`."""
    up, down = half[start:-2:2], half[start - 2 :: -2] if start >= 2 else half[:0]
    rise = np.exp(np.diff(log_mass[start::2]))[:, None] * (1.0 + q / up[:, None])
    fall = np.exp(np.diff(log_mass[start::-2]))[:, None] / (1.0 + q / down[:, None])
    return 1.0 + np.cumprod(rise, axis=0).sum(axis=0) + np.cumprod(fall, axis=0).sum(axis=0)


@lru_cache(maxsize=16)
def _log_binomial(width: int, chance: float) -> np.ndarray:
    """log P(N = n | N ≥ 1) for n = 0 … width, N ~ Bin(width, chance); the entry n = 0 is not used.

    By ratios outward from the mode, whose rounding errors are smaller than those of log Γ(width).
    """
    n = np.arange(width)
    steps = np.log((width - n) / (n + 1.0)) + math.log(chance) - math.log1p(-chance)
    mode = int((width + 1) * chance)
    logs = np.zeros(width + 1)
    logs[mode + 1 :] = np.cumsum(steps[mode:])
    logs[:mode] = -np.cumsum(steps[:mode][::-1])[::-1]
    return logs - math.log(math.fsum(np.exp(logs[1:]).tolist()))
