"""Draws of the squared one-layer factor at a cost that does not depend on the width."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import special

from fracrepro.theory.activations import Activation
from fracrepro.theory.numerics.quantiles import log_factor_of_normal
from fracrepro.theory.weights import Weights

# numerics.md: numerics-sampling-random-slopes
_DIRECT = 64
# numerics.md: numerics-sampling-alias
_TABLE = 1 << 16
# numerics.md: numerics-sampling-tilt
_SURPLUS, _LEAST = 2, 64


class FactorSampler:
    """Draws log R² for one layer, from its law or from that law tilted by R^tilt.

    With amplitudes a_j on finitely many points, N_j ~ multinomial neurons share amplitude a_j, and
    R² = Σ a_j² χ²_{N_j} = χ²_d V with V = Σ a_j² χ²_{N_j}/Σ χ²_{N_j} independent of χ²_d, V ≤ max a_j².
    The tilt acts on the two independent parts: χ²_d becomes χ²_{d+s}, and V is accepted with probability
    (V/max a²)^(s/2).
    """

    def __init__(self, width: int, activation: Activation, weights: Weights, tilt: float = 0.0) -> None:
        """Prepare the draws; the arguments are checked by the callers."""
        self.width = width
        self.activation = activation
        self.weights = weights
        self.tilt = tilt
        parts = activation.live
        self._points = all(part.low == part.high for part in parts)
        self._top = max(part.high for part in parts)
        self._quantiles: Callable[[np.ndarray], np.ndarray] | None = None
        if (
            not (self._points or tilt or activation.survival < 1.0)
            and not weights.bounded
            and width > _DIRECT
        ):
            self._quantiles = log_factor_of_normal(width, activation)

    def log_square(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw log R² of the given shape; -inf where the layer is dead."""
        with np.errstate(divide="ignore"):
            if self._quantiles is not None:
                return 2.0 * self._quantiles(rng.standard_normal(shape))
            if self.tilt:
                return self._tilted(shape, rng)
            live, total = self._sums(shape, rng)
            beyond = self.weights.beyond(self.width)
            if beyond:
                total = total + 2.0 * rng.standard_gamma(beyond / 2.0, shape)
            return self.weights.log_square(live, total)

    def _tilted(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        size = int(np.prod(shape))
        accepted: list[np.ndarray] = []
        missing = size
        while missing > 0:
            live, total = self._sums((_SURPLUS * missing + _LEAST,), rng)
            log_ratio = np.log(live) - np.log(total)
            chance = self.tilt / 2.0 * (log_ratio - 2.0 * np.log(self._top))
            # log of a uniform number is minus an exponential one
            accepted.append(log_ratio[-rng.standard_exponential(len(chance)) < chance][:missing])
            missing -= len(accepted[-1])
        log_square = np.concatenate(accepted).reshape(shape)
        log_square += self.weights.log_tilted_radius(self.width / 2.0, self.tilt / 2.0, shape, rng)
        return log_square

    def _sums(
        self, shape: tuple[int, ...], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | float]:
        """Draw Σ A_i² z_i² and, where it is needed, Σ z_i² of the same neurons."""
        want_total = self.weights.bounded or self.tilt > 0.0
        if self.activation.is_linear:
            total = 2.0 * rng.standard_gamma(self.width / 2.0, shape)
            return self._top**2 * total, total
        live = np.zeros(shape)
        total = np.zeros(shape)
        remaining: np.ndarray | int = self.width
        left = 1.0
        for j, part in enumerate(self.activation.live):
            last = j == len(self.activation.live) - 1 and self.activation.survival == 1.0
            count = remaining if last else self._count(remaining, part.weight / left, shape, rng)
            remaining, left = remaining - count, left - part.weight
            if part.low == part.high:
                square = 2.0 * rng.standard_gamma(count / 2.0, shape)
                live += part.high**2 * square
            else:
                weighted, square = _random_slopes(part.low, part.high, np.asarray(count), rng)
                live += weighted
            if want_total:
                total += square
        if want_total and self.activation.survival < 1.0:
            total += 2.0 * rng.standard_gamma(np.asarray(remaining) / 2.0, shape)
        return live, total

    def _count(
        self, remaining: np.ndarray | int, chance: float, shape: tuple[int, ...], rng: np.random.Generator
    ) -> np.ndarray:
        """Draw how many of the remaining neurons take the next amplitude."""
        if isinstance(remaining, int) and remaining <= _TABLE:
            accept, alias = _alias_table(remaining, chance)
            slot, rest = np.divmod(rng.random(shape) * len(alias), 1.0)
            index = slot.astype(np.intp)
            return np.where(rest < accept[index], index, alias[index])
        return rng.binomial(remaining, min(1.0, chance), shape)


def log_distance(log_size: np.ndarray, start: float, width: int, rng: np.random.Generator) -> np.ndarray:
    """Draw log ‖start e + size G‖ for a unit vector e and a standard normal vector G, start ≥ 0.

    Where the result is near log start, without the difference of nearly equal numbers.
    """
    g = rng.standard_normal(log_size.shape)
    rest = 2.0 * rng.standard_gamma((width - 1) / 2.0, log_size.shape) if width > 1 else 0.0
    with np.errstate(divide="ignore"):
        if start == 0.0:
            return log_size + 0.5 * np.log(g * g + rest)
        top = np.maximum(log_size, np.log(start))
        size, start_there = np.exp(log_size - top), np.exp(np.log(start) - top)
        change = 2.0 * size * g + size * size * (
            g * g + rest
        )  # added to the square of the start, if that is 1
        near = (start_there == 1.0) & (np.abs(change) < 0.5)
        square = np.where(near, 1.0, (start_there + size * g) ** 2 + size * size * rest)
        result: np.ndarray = top + 0.5 * np.where(near, np.log1p(np.where(near, change, 0.0)), np.log(square))
        return result


@lru_cache(maxsize=32)
def _alias_table(width: int, chance: float) -> tuple[np.ndarray, np.ndarray]:
    """Walker's alias table of Bin(width, chance): one uniform number and one look-up per draw."""
    n = np.arange(width + 1)
    with np.errstate(under="ignore"):
        mass = np.exp(
            special.gammaln(width + 1.0)
            - special.gammaln(n + 1.0)
            - special.gammaln(width - n + 1.0)
            + special.xlogy(n, chance)
            + special.xlog1py(width - n, -chance)
        )
    accept = mass * (len(n) / mass.sum())
    alias = n.copy()
    small, large = list(np.flatnonzero(accept < 1.0)), list(np.flatnonzero(accept >= 1.0))
    while small and large:
        low, high = small.pop(), large[-1]
        alias[low] = high
        accept[high] -= 1.0 - accept[low]
        if accept[high] < 1.0:
            small.append(large.pop())
    accept[small + large] = 1.0  # what rounding leaves over
    return accept, alias


def _random_slopes(
    low: float, high: float, count: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw Σ a_i² z_i² and Σ z_i² over `count` neurons with slopes uniform on [low, high]."""
    weighted, square = np.zeros(count.shape), np.zeros(count.shape)
    for index in range(int(count.max(initial=0))):
        active = index < count
        z2 = rng.standard_normal(count.shape) ** 2 * active
        weighted += rng.uniform(low, high, count.shape) ** 2 * z2
        square += z2
    return weighted, square
