"""Complex moments E Y^q of the one-layer factor: the transform that Fourier inversion needs.

Y is R² given R > 0, scaled to mean 1 (for orthogonal weights, R²/χ²_d scaled likewise).
The integrals of `_factor` are taken along rays t = e^{x - iθ}: 1/Γ(-q) grows as e^{π|v|/2} along q = p + iv,
and the ray near the saddle point takes that growth back.
Neighbouring q share a ray, and what then remains is a Fourier sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import special

from fracrepro.theory.activations import Activation
from fracrepro.theory.numerics import amplitudes
from fracrepro.theory.numerics.factor import DECAY, Factor, factor
from fracrepro.theory.numerics.special import log_gamma_ratio
from fracrepro.theory.weights import Weights

_CHUNK = 1 << 18  # complex numbers held at once, 4 MiB an array
# Rays may lose a factor e^2 of accuracy, which keeps them off the imaginary axis for small v.
_LOSS = 2.0
_SPREAD = 1.5  # ratio of the frequencies that share a ray
_TERMS_BELOW = 1e-24  # binomial terms smaller than this, relative to the largest, are left out


class ComplexMoments:
    """log E Y^q along lines of constant real part, for one layer."""

    def __init__(self, layer: Factor, weights: Weights) -> None:
        """Keep the layer; the arguments are checked by the callers."""
        self.layer = layer
        self.weights = weights

    @property
    def is_mixture(self) -> bool:
        """Whether R² given N live neurons is a multiple of χ²_N, as for ReLU."""
        live = self.layer.activation.live
        return self.layer.has_atom and len(live) == 1 and live[0].low == live[0].high

    def log_power(self, q: np.ndarray) -> np.ndarray:
        """log E Y^q for q = p + iv, one real part p and equally spaced v ≥ 0 in rising order.

        p must lie above -order/2 and, unless `is_mixture`, below 2.
        """
        if self.is_mixture:
            return self.log_restricted(q, 1, self.layer.width + 1)
        # While q² is small against the width, the departure from the linear network is small, and its
        # relative accuracy keeps the digits of log E Y^q that a power of many thousand layers asks for.
        near = max(0.75, math.sqrt(self.layer.shape) / 10.0)
        if self.layer.has_atom:
            near = 0.75
        if q[0].real > -near or self.layer.activation.is_linear:
            return self._around_gamma(q)
        return self._without_gamma(q, self._direct(q, self.layer.log_smooth_transform))

    def log_restricted(self, q: np.ndarray, low: int, high: int) -> np.ndarray:
        """log E[Y^q; low ≤ N < high], N the number of neurons that are not zero; -low/2 < Re q."""
        layer = self.layer
        low, high, log_mass = self._window(q[0].real, low, high)
        if self.is_mixture:
            result = self._mixture(q, low, log_mass)
        else:
            mass = np.exp(log_mass)
            survival = math.log(layer.activation.survival)

            def log_transform(log_t: np.ndarray) -> np.ndarray:
                log_scaled = log_t - math.log(layer.mean / layer.alive)
                log_g = amplitudes.log_transform(layer.activation.live, log_scaled)
                g = np.exp(log_g - survival)
                return low * (log_g - survival) + np.log(np.polynomial.polynomial.polyval(g, mass))

            result = self._direct(q, log_transform, order=low)
        return self._without_gamma(q, result)

    def _mixture(self, q: np.ndarray, low: int, log_mass: np.ndarray) -> np.ndarray:
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
        for rows in self._chunks(len(q), len(half)):
            for parity in range(len(starts)):
                total[rows] += self._chain(q[rows], half, log_mass, top + parity) * first[parity, rows]
        return np.log(total) + reference

    @staticmethod
    def _chain(q: np.ndarray, half: np.ndarray, log_mass: np.ndarray, start: int) -> np.ndarray:
        """Σ over n = start, start ± 2, … of the terms of `_mixture` relative to the one at `start`."""
        up, down = half[start:-2:2], half[start - 2 :: -2] if start >= 2 else half[:0]
        rise = np.exp(np.diff(log_mass[start::2]))[:, None] * (1.0 + q / up[:, None])
        fall = np.exp(np.diff(log_mass[start::-2]))[:, None] / (1.0 + q / down[:, None])
        return 1.0 + np.cumprod(rise, axis=0).sum(axis=0) + np.cumprod(fall, axis=0).sum(axis=0)

    def restricted_mass(self, low: int) -> float:
        """P(1 ≤ N < low | N ≥ 1)."""
        return float(np.exp(_log_binomial(self.layer.width, self.layer.activation.survival)[1:low]).sum())

    def _window(self, p: float, low: int, high: int) -> tuple[int, int, np.ndarray]:
        """The part of [low, high) that carries E[Y^p; low ≤ N < high], and the logs of P(N = n | N ≥ 1)."""
        low, high = max(low, 1), min(high, self.layer.width + 1)
        log_mass = _log_binomial(self.layer.width, self.layer.activation.survival)[low:high]
        n = np.arange(low, high) / 2.0
        with np.errstate(invalid="ignore"):
            size = log_mass + special.gammaln(np.maximum(n + p, 1e-3)) - special.gammaln(n)
        kept = np.flatnonzero(size >= size.max() + math.log(_TERMS_BELOW))
        first, last = int(kept[0]), int(kept[-1]) + 1
        return low + first, low + last, log_mass[first:last]

    def _without_gamma(self, q: np.ndarray, log_value: np.ndarray) -> np.ndarray:
        """For orthogonal weights, divide by the moment of χ²_d/d, an independent factor of Y."""
        return log_value - q * self.weights.divisor_rate(self.layer.shape, q)

    def _around_gamma(self, q: np.ndarray) -> np.ndarray:
        """From the formula of `_factor`, relative to the linear network."""
        log_gamma = q * log_gamma_ratio(self.layer.shape, q)
        log_radius = q * self.weights.radius_rate(self.layer.shape, q)
        if self.layer.activation.is_linear:
            return log_radius
        p, v = q[0].real, q.imag

        def log_size(ray: float, x: np.ndarray) -> np.ndarray:
            scale, bracket = self.layer.bracket(x, ray)
            with np.errstate(divide="ignore"):
                return scale.real + np.log(np.abs(bracket)) - p * x

        rays = _rays_of_gamma(v)
        rates = 2.0 - p, self.layer.order / 2 + p
        x, step = self._grid(*rates, q, rays[-1][1], log_size)
        correction = np.empty_like(q)
        for rows, angle in rays:
            scale, bracket = self.layer.bracket(x, angle)
            log_size_here = scale - p * x
            top = float(log_size_here.real.max())
            integral = _fourier(v[rows], x, np.exp(log_size_here - top) * bracket)
            front = special.loggamma(2.0 - q[rows]) + log_gamma[rows]
            correction[rows] = step * integral * np.exp(top + 1j * angle * q[rows] - front)
        log_ratio = special.log1p(q * (q - 1.0) * correction)
        return log_radius + log_ratio

    def _direct(
        self, q: np.ndarray, transform: Callable[[np.ndarray], np.ndarray], order: int | None = None
    ) -> np.ndarray:
        """log of (1/Γ(-q)) ∫ L(t) t^{-q-1} dt on rays near the saddle point t ∝ -q, for Re q < 0."""
        p, v = q[0].real, q.imag
        order = self.layer.order if order is None else order

        def log_size(ray: float, x: np.ndarray) -> np.ndarray:
            return transform(x - 1j * ray).real - p * x

        # An orthogonal layer needs E Y^q relative to the small E G^q, whose saddle points lie further round.
        rays = _rays_of_saddles(q, self.weights.saddle_shape(self.layer.shape))
        x, step = self._grid(-p, order / 2 + p, q, rays[-1][1], log_size)
        result = np.empty_like(q)
        for rows, angle in rays:
            log_terms = transform(x - 1j * angle) - p * x
            top = float(log_terms.real.max())
            integral = _fourier(v[rows], x, np.exp(log_terms - top))
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
        """A plain grid in log t and its step, over the points where the integrand is not negligible.

        The step resolves t^{iu/2} and the transform, which has Gaussian width √d near the imaginary axis.
        """
        fastest = float(np.max(np.abs(q.imag), initial=0.0))
        step = min(0.125, 0.5 / math.sqrt(max(1.0, -q[0].real)))
        if fastest > _LOSS:
            step = min(step, 0.47 / math.sqrt(self.layer.shape), math.pi / (2.0 * fastest))
        end = 3.0 + self.layer.log_spread + math.log(self.layer.width) + DECAY / right_rate
        spacing = min(0.25, 0.7 / math.sqrt(max(1.0, -q[0].real)))  # finds a peak of Gaussian width 1/√|Re q|
        coarse = np.arange(-DECAY / left_rate, end, spacing)
        sizes = [log_size(ray, coarse) for ray in (0.0, angle / 2.0, angle)]
        kept = coarse[np.any([size > size.max() - DECAY for size in sizes], axis=0)]
        return np.arange(kept[0] - spacing, kept[-1] + spacing, step), step

    @staticmethod
    def _chunks(rows: int, columns: int) -> list[slice]:
        size = max(1, _CHUNK // columns)
        return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def _rays_of_gamma(v: np.ndarray) -> list[tuple[slice, float]]:
    """Groups of neighbouring frequencies and the angle of the ray that serves each.

    The best angle for one v leaves a factor e^_LOSS of accuracy; over a group it is e^_LOSS at most.
    """
    rays = []
    start = 0
    while start < len(v):
        largest = max(_SPREAD * v[start], 2.0 * _LOSS / math.pi)
        stop = int(np.searchsorted(v, largest, side="right"))
        rays.append((slice(start, stop), max(0.0, math.pi / 2 - _LOSS / max(v[stop - 1], 1e-9))))
        start = stop
    return rays


def _rays_of_saddles(q: np.ndarray, shape: float) -> list[tuple[slice, float]]:
    """The same for rays through the saddle points of (1 + t/b)^(-b) t^(-q), b = `shape`, or of e^-t t^(-q).

    With c = |q (1 + q/b)| a ray off by δ loses at most about e^(δ² c/2), so that δ ≤ √(2/c) costs a factor e.
    """
    angle = np.arctan2(q.imag, -q.real) + np.arctan2(q.imag / shape, 1.0 + q.real / shape)
    curvature = np.abs(q * (1.0 + q / shape))
    if math.isinf(shape):
        curvature = np.abs(q * q / q.real)
    rays = []
    start = 0
    while start < len(q):
        reach = 2.0 * np.sqrt(2.0 / curvature[start:])
        outside = np.flatnonzero(angle[start:] - angle[start] > reach)
        stop = start + int(outside[0]) if outside.size else len(q)
        rays.append((slice(start, stop), float(angle[start] + angle[stop - 1]) / 2.0))
        start = stop
    return rays


def _fourier(v: np.ndarray, x: np.ndarray, f: np.ndarray) -> np.ndarray:
    """Σ_m f_m exp(-i v_j x_m) for equally spaced v_j.

    With v_j = v₀ + (J B + b) h the exponential is a product, and √n columns of each kind replace n.
    """
    count = len(v)
    size = math.isqrt(count - 1) + 1
    step = (v[-1] - v[0]) / max(count - 1, 1)
    fine = np.exp(np.multiply.outer(-1j * x, step * np.arange(size)))
    starts = v[0] + step * np.arange(0, count, size)
    coarse = np.exp(np.multiply.outer(-1j * starts, x)) * f
    return (coarse @ fine).ravel()[:count]


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


def complex_moments(width: int, activation: Activation, weights: Weights) -> ComplexMoments:
    """Return the moments of a layer whose arguments have been checked."""
    return ComplexMoments(factor(width, activation), weights)
