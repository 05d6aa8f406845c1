"""Complex moments E Y^q of the one-layer factor: the transform that Fourier inversion needs.

Y is R² given R > 0, scaled to mean 1 (for orthogonal weights, R²/χ²_d scaled likewise).
Each q gets its own ray t = e^{x - iθ} in the integrals of `_factor`: 1/Γ(-q) grows like e^{π|u|/4} along
q = (s + iu)/2, and the ray through the saddle point takes that growth back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import special

from fracrepro.theory._factor import DECAY, Factor, factor
from fracrepro.theory._special import log_gamma_ratio
from fracrepro.theory.activations import Activation

_CHUNK = 1 << 18  # complex numbers held at once, 4 MiB an array
# Rays may lose a factor e^2 of accuracy, which keeps them off the imaginary axis for small u.
_LOSS = 2.0
_TERMS_BELOW = 1e-24  # binomial terms smaller than this, relative to the largest, are left out


class ComplexMoments:
    """log E Y^q along lines of constant real part, for one layer."""

    def __init__(self, layer: Factor, weights: str) -> None:
        """Keep the layer; the arguments are checked by the callers."""
        self.layer = layer
        self.weights = weights

    @property
    def is_mixture(self) -> bool:
        """Whether R² given N live neurons is a multiple of χ²_N, as for ReLU."""
        live = self.layer.activation.live
        return self.layer.has_atom and len(live) == 1 and live[0].low == live[0].high

    def log_power(self, q: np.ndarray) -> np.ndarray:
        """log E Y^q for q of one common real part, above -order/2 and, unless `is_mixture`, below 2."""
        # Close to the real axis one real integrand serves all q, which is faster than the sum over N.
        one_ray = -0.4 < q[0].real < 1.8 and np.abs(q.imag).max() <= 2.0 * _LOSS / math.pi
        if self.is_mixture and not one_ray:
            return self.log_restricted(q, 1, self.layer.width + 1)
        if q[0].real > -0.75 or self.layer.activation.is_linear:
            return self._around_gamma(q)
        return self._without_gamma(q, self._direct(q, self.layer.log_smooth_transform))

    def log_restricted(self, q: np.ndarray, low: int, high: int) -> np.ndarray:
        """log E[Y^q; low ≤ N < high], N the number of neurons that are not zero; -low/2 < Re q."""
        layer = self.layer
        low, high, log_mass = self._window(q[0].real, low, high)
        if self.is_mixture:
            live = layer.activation.live
            n = np.arange(low, high)[:, None] / 2.0
            scale = 2.0 * live[0].high ** 2 * layer.alive / layer.mean
            log_terms = log_mass[:, None] + q * (log_gamma_ratio(n, q) + np.log(n * scale))
            result = _log_sum(log_terms, axis=0)
        else:
            mass = np.exp(log_mass)
            survival = math.log(layer.activation.survival)

            def log_transform(log_t: np.ndarray) -> np.ndarray:
                log_g = self.layer.activation.log_transform(log_t - math.log(layer.mean / layer.alive))
                g = np.exp(log_g - survival)
                return low * (log_g - survival) + np.log(np.polynomial.polynomial.polyval(g, mass))

            result = self._direct(q, log_transform, order=low)
        return self._without_gamma(q, result)

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
        if self.weights == "gaussian":
            return log_value
        return log_value - q * log_gamma_ratio(self.layer.shape, q)

    def _around_gamma(self, q: np.ndarray) -> np.ndarray:
        """From the formula of `_factor`, relative to the linear network."""
        log_gamma = q * log_gamma_ratio(self.layer.shape, q)
        if self.layer.activation.is_linear:
            return log_gamma if self.weights == "gaussian" else np.zeros_like(log_gamma)
        u = 2.0 * np.abs(q.imag)
        angle = np.maximum(0.0, math.pi / 2 - 2.0 * _LOSS / np.maximum(u, 1e-9))

        def log_size(ray: float, x: np.ndarray) -> np.ndarray:
            scale, bracket = self.layer.bracket(x, ray)
            with np.errstate(divide="ignore"):
                return scale.real + np.log(np.abs(bracket)) - q[0].real * x

        rates = 2.0 - q[0].real, self.layer.order / 2 + q[0].real
        x, step = self._grid(*rates, q, angle.max(), log_size)
        correction = np.empty_like(q)
        for rows in self._chunks(len(q), len(x)):
            ray = angle[rows, None] * np.sign(q[rows, None].imag)
            scale, bracket = self.layer.bracket(x, ray if ray.any() else 0.0)
            log_t = x - 1j * ray
            front = special.loggamma(2.0 - q[rows]) + log_gamma[rows]
            terms = np.exp(scale - q[rows, None] * log_t - front[:, None]) * bracket
            correction[rows] = terms.sum(axis=1) * step
        log_ratio = special.log1p(q * (q - 1.0) * correction)
        return log_ratio if self.weights == "orthogonal" else log_gamma + log_ratio

    def _direct(
        self, q: np.ndarray, transform: Callable[[np.ndarray], np.ndarray], order: int | None = None
    ) -> np.ndarray:
        """log of (1/Γ(-q)) ∫ L(t) t^{-q-1} dt on the ray through the saddle point t ∝ -q, for Re q < 0."""
        p = q[0].real
        order = self.layer.order if order is None else order
        angle = np.arctan2(np.abs(q.imag), -p) * np.sign(q.imag)

        def log_size(ray: float, x: np.ndarray) -> np.ndarray:
            return transform(x - 1j * ray).real - p * x

        x, step = self._grid(-p, order / 2 + p, q, np.abs(angle).max(), log_size)
        result = np.empty_like(q)
        for rows in self._chunks(len(q), len(x)):
            log_t = x - 1j * angle[rows, None]
            log_terms = transform(log_t) - q[rows, None] * log_t
            result[rows] = _log_sum(log_terms + math.log(step), axis=1) - special.loggamma(-q[rows])
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


def _log_sum(log_terms: np.ndarray, axis: int) -> np.ndarray:
    top = np.max(log_terms.real, axis=axis, keepdims=True)
    return np.log(np.exp(log_terms - top).sum(axis=axis)) + np.squeeze(top, axis)


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


def complex_moments(width: int, activation: Activation, weights: str) -> ComplexMoments:
    """Return the moments of a layer whose arguments have been checked."""
    return ComplexMoments(factor(width, activation), weights)
