"""Moments of the one-layer factor, real and complex, from one integral.

Write X = R² = Σ C_i, let m be its mean given X > 0 and Y = X/m given X > 0.
Let G be gamma of shape d/2 and mean 1: the same quantity for the linear network.
Both Laplace transforms start with 1 - t, so for -order/2 < Re q < 2

    E Y^q = E G^q + q (q - 1) J(q),    J(q) = (1/Γ(2 - q)) ∫₀^∞ (E e^{-tY} - E e^{-tG}) t^{-q-1} dt.

The bracket is positive and of order t² (Jensen), so nothing cancels, and the factor q (q - 1) keeps
every digit of (1/q) log E Y^q as q → 0 and makes q = 1 exact.
With t = e^x the trapezoidal rule converges geometrically.  Derivation: book/numerics.md.
"""

from __future__ import annotations

import math
from functools import cached_property, lru_cache

import numpy as np
from scipy import special

from fracrepro.theory.activations import Activation
from fracrepro.theory.numerics import amplitudes
from fracrepro.theory.numerics.high_moments import log_high_moment
from fracrepro.theory.special import expm1_minus, log1p_minus, log_gamma_ratio
from fracrepro.theory.weights import Weights

# numerics.md: numerics-decay
DECAY = 42.0
# numerics.md: numerics-moment-step
_STEP, _STEP_OF_PEAK = 0.125, 0.5
# numerics.md: numerics-bends
_BEND, _LEFT_BEND = 5.0, 25.0
# numerics.md: numerics-bracket
_LEFT = -30.0
_NEAR = 0.125
_SMALL, _SMALL_NO_ATOM = 1.0, 100.0
# numerics.md: numerics-range
_LARGEST_EXPONENT, _SMALLEST_EXPONENT = 700.0, -600.0
_LOG1P_IS_LOG = 40.0


def bent_grid(
    left_rate: float, right_rate: float, left_bend: float, right_bend: float, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """Points x and weights dx of a trapezoidal rule for an integrand with the given rates of decay.

    x = u + e^(u - right_bend) - e^(-u - left_bend): between the bends a plain grid of the given step, beyond
    them exponential tails, however slow, become doubly exponential ones.
    """
    end = right_bend + math.log(DECAY / min(right_rate, 1.0) + right_bend)
    start = -left_bend - math.log(max(1.0, DECAY / left_rate - left_bend))
    u = np.arange(math.floor(start / step), math.ceil(end / step) + 1) * step
    rise, fall = np.exp(u - right_bend), np.exp(-u - left_bend)
    return u + rise - fall, step * (1.0 + rise + fall)


class Factor:
    """The law of R² for one layer of `width` neurons, through its Laplace transform."""

    def __init__(self, width: int, activation: Activation) -> None:
        """Collect the constants of the law; `width` and `activation` are checked by the callers."""
        self.width = width
        self.activation = activation
        self.shape = width / 2
        self.mean = width * activation.even_moment(1)
        dead = 1.0 - activation.survival
        self.has_atom = activation.survival < 1.0
        # 1 - survival rounds; log1p keeps the digits of a small survival probability.
        self.log_dead = width * math.log1p(-activation.survival) if self.has_atom and dead > 0 else -math.inf
        self.log_alive = math.log(-math.expm1(self.log_dead)) if self.has_atom else 0.0
        self.alive = math.exp(self.log_alive)
        self.order = 1 if self.has_atom else width

    def scaled_log_moment(self, q: np.ndarray) -> np.ndarray:
        """(1/q) log E[V^q | V > 0] for real q ≠ 0, V = R²/χ²_d scaled to mean 1 given V > 0.

        R²/χ²_d is the squared factor of an orthogonal layer, and independent of χ²_d.
        """
        q = np.asarray(q, dtype=float)
        ratio = log_gamma_ratio(self.shape, q)
        return special.log1p(q * (q - 1.0) * self.excess(q) * np.exp(-q * ratio)) / q

    def log_power_mean(self, q: np.ndarray, weights: Weights) -> np.ndarray:
        """(1/q) log E[(X/E X)^q; X > 0] for real q ≠ 0, -order/2 < q, with X the squared factor."""
        q = np.asarray(q, dtype=float)
        result = np.empty_like(q)
        small = q < 2.0
        near, far = q[small], q[~small]
        if near.size:
            # The mean given survival is m/P, so that P^(1-q) remains: it vanishes at q = 1.
            result[small] = self.scaled_log_moment(near) + (1.0 - near) / near * self.log_alive
            result[small] += weights.radius_rate(self.shape, near)
        if far.size:
            high = [log_high_moment(value, self.width, self.mean, self.activation) for value in far.tolist()]
            result[~small] = np.array(high) / far
            result[~small] -= weights.divisor_rate(self.shape, far)
        return result

    def log_cumulants(self, weights: Weights) -> tuple[float, float]:
        """Mean and variance of log Y, for orthogonal weights of log V; scaled to mean 1 given survival."""
        zeroth, first = self._log_integrals()
        b = self.shape
        gap = float(log_gamma_ratio(b, np.array(0.0)))  # ψ(b) - log b
        # Derivatives at 0 of E G^q + q(q-1) J(q), with J(0) = zeroth and J'(0) = ψ(2)·zeroth - first.
        variance = 2.0 * (zeroth * (gap + np.euler_gamma) + first) - zeroth**2
        radius_mean, radius_variance = weights.radius_cumulants(b)
        return radius_mean - zeroth, variance + radius_variance

    def mean_square(self, weights: Weights) -> float:
        """E R²."""
        return self.mean / weights.divisor_mean(self.width)

    def log_moments(self, weights: Weights) -> tuple[float, float]:
        """Mean and variance of log R given R > 0."""
        mean, variance = self.log_cumulants(weights)
        return (mean + math.log(self.mean_square(weights)) - self.log_alive) / 2.0, variance / 4.0

    def excess(self, q: np.ndarray) -> np.ndarray:
        """J(q) of the module's formula for real q of any shape, -order/2 < q < 2."""
        q = np.asarray(q)
        if self.activation.is_linear:
            return np.zeros_like(q)
        flat = q.ravel()
        x, step = self.nodes(flat.min(), flat.max())
        scale, bracket = self.bracket(x)
        log_weight = scale - flat[:, None] * x - special.loggamma(2.0 - flat)[:, None]
        return ((np.exp(log_weight) * bracket) @ step).reshape(q.shape)

    def _log_integrals(self) -> tuple[float, float]:
        """∫ D dt/t and ∫ D log(t) dt/t, with D the bracket of the module's formula."""
        if self.activation.is_linear:
            return 0.0, 0.0
        x, step = self.nodes(0.0, 0.0)
        scale, bracket = self.bracket(x)
        weight = np.exp(scale) * bracket * step
        return float(weight.sum()), float(weight @ x)

    def nodes(self, lowest: float, highest: float) -> tuple[np.ndarray, np.ndarray]:
        """Points x and weights dx that serve every real q in [lowest, highest]."""
        bend = _BEND + self.log_spread
        step = min(_STEP, _STEP_OF_PEAK / math.sqrt(max(1.0, -lowest)))  # the peak at t = -q has width 1/√-q
        return bent_grid(2.0 - highest, self.order / 2 + lowest, _LEFT_BEND, bend, step)

    @cached_property
    def log_spread(self) -> float:
        """Logarithm of the ratio of the largest to the smallest squared amplitude."""
        lowest = min(part.low or part.high for part in self.activation.live)
        return 2.0 * math.log(max(part.high for part in self.activation.live) / lowest)

    def bracket(self, x: np.ndarray, angle: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """(S, B) with E e^{-tY} - E e^{-tG} = e^S B at t = e^{x - i·angle}; B stays within range."""
        left = np.minimum(x - _LEFT, 0.0)
        log_t = x - left
        t = np.exp(np.minimum(log_t, _LARGEST_EXPONENT))
        if np.any(angle):
            log_t = log_t - 1j * angle
            t = t * np.exp(-1j * angle)
        y = t / self.shape
        near = np.abs(y) < _NEAR
        log_gamma = np.where(near, -self.shape * special.log1p(y), -self.shape * self._log1p_exp(log_t))
        with np.errstate(over="ignore", invalid="ignore"):
            value = self._bracket_with_atom if self.has_atom else self._bracket_without_atom
            scale, bracket = value(log_t, t, near, log_gamma)
        return scale + 2.0 * left, bracket

    def _log1p_exp(self, log_t: np.ndarray) -> np.ndarray:
        """log(1 + t/b), t = e^{log_t}, without overflow."""
        shifted = log_t - math.log(self.shape)
        large = shifted.real > _LOG1P_IS_LOG
        return np.where(large, shifted, special.log1p(np.exp(np.where(large, 0.0, shifted))))

    def log_transform(self, log_t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log E e^{-tX/m} without conditioning on X > 0, and log E[e^{-tC/m}; C > 0] of one coordinate."""
        alive_part = amplitudes.log_transform(
            self.activation.live, log_t + self.log_alive - math.log(self.mean)
        )
        if not self.has_atom:
            return self.width * alive_part, alive_part
        return self.width * np.log((1.0 - self.activation.survival) + np.exp(alive_part)), alive_part

    def log_smooth_transform(self, log_t: np.ndarray) -> np.ndarray:
        """log E e^{-tY} for an activation without an atom, with d-fold rounding taken out near t = 0."""
        t = np.exp(np.where(log_t.real < _LARGEST_EXPONENT, log_t, _LARGEST_EXPONENT))
        near = np.abs(t) < _NEAR * self.shape
        small = np.where(near, t, 0.0)
        return np.where(near, self._excess_exponent(small) - small, self.log_transform(log_t)[0])

    def _excess_exponent(self, t: np.ndarray) -> np.ndarray:
        """log E e^{-tY'} + E Y' t, of order t², for |t| ≪ d."""
        tau = t * (self.alive / self.mean)
        remainder = amplitudes.remainder(self.activation.live, tau)
        return self.width * (log1p_minus(remainder - self.activation.even_moment(1) * tau) + remainder)

    def _bracket_without_atom(
        self, log_t: np.ndarray, t: np.ndarray, near: np.ndarray, log_gamma: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        log_law = self.log_transform(log_t)[0]
        small = np.where(near, t, 0.0)
        gap = np.where(
            near,
            self._excess_exponent(small) + self.shape * log1p_minus(small / self.shape),
            log_law - log_gamma,
        )
        log_law = np.where(near, gap + log_gamma, log_law)
        return log_law, -special.expm1(-gap)

    def _bracket_with_atom(
        self, log_t: np.ndarray, t: np.ndarray, near: np.ndarray, log_gamma: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        log_law, alive_part = self.log_transform(log_t)
        # (L - p₀)/(1 - p₀) with log(p₀/L) = -d log(1 + h/α), h the transform of the coordinates not zeroed
        log_odds = alive_part - math.log1p(-self.activation.survival)
        tiny = (
            log_odds.real < _SMALLEST_EXPONENT
        )  # there the exponential would underflow, and is its own logarithm
        ratio = -self.width * special.log1p(np.exp(np.where(tiny, 0.0, log_odds)))
        log_live = np.where(tiny, math.log(self.width) + log_odds, np.log(-special.expm1(ratio)))
        log_law = log_law + log_live - self.log_alive
        bracket = 1.0 - np.exp(log_gamma - log_law)
        # Where the atom is below rounding the two large terms cancel exactly, and the form serves further,
        # free of the d-fold rounding in the logarithms above.
        small = near & (np.abs(t) < (_SMALL_NO_ATOM if self.alive == 1.0 else _SMALL))
        s = np.where(small, t, 0.0)
        w = self.alive * s
        value = (expm1_minus(-w) + np.exp(-w) * special.expm1(self._excess_exponent(s))) / self.alive
        value = value - expm1_minus(-s)
        value = value - np.exp(-s) * special.expm1(-self.shape * log1p_minus(s / self.shape))
        return log_law, np.where(small, value * np.exp(-np.where(small, log_law, 0.0)), bracket)


@lru_cache(maxsize=256)
def factor(width: int, activation: Activation) -> Factor:
    """Return the factor of a layer; kept, because one figure asks for the same layer many times."""
    return Factor(width, activation)
