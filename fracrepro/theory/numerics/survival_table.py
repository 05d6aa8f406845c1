"""A survival function of y = log r, read off a table of its logarithm."""

from __future__ import annotations

import math

import numpy as np

# numerics.md: numerics-stationary-table
_DEGREE = 7
_HALVINGS = 55
_NODES = 8


class SurvivalTable:
    """log P(log r > y): a spline through its values at equally spaced y, with known ends.

    Beyond the last point it is a straight line, a power law of r; left of the first P(0 < r ≤ x) is one, too.
    """

    def __init__(
        self, y: np.ndarray, survival: np.ndarray, alive: float, order: int, index: float | None
    ) -> None:
        """Keep the points up to the first that is not positive.

        `alive` is P(r > 0), `order` the power on the left, `index` that beyond the last point, by default the
        slope there.
        """
        from scipy.interpolate import make_interp_spline  # here, because it is slow to import

        positive = survival > 0.0
        count = len(y) if positive.all() else int(positive.argmin())
        self.y, self.log_survival = y[:count], np.log(survival[:count])
        self.alive, self.order = alive, order
        self.first, self.last = float(y[0]), float(self.y[-1])
        self._spline = make_interp_spline(self.y, self.log_survival, k=_DEGREE)
        self._slope = self._spline.derivative()
        self.index = -float(self._slope(self.last)) if index is None else index
        self._start = math.exp(float(self.log_survival[0]))
        self._missing = max(alive - self._start, 0.0)  # P(0 < r ≤ e^first)

    def log_sf(self, y: np.ndarray) -> np.ndarray:
        """log P(log r > y); y may be -inf."""
        value = self._spline(np.clip(y, self.first, self.last)) - self.index * np.maximum(y - self.last, 0.0)
        low = self.alive - self._missing * np.exp(self.order * np.minimum(y - self.first, 0.0))
        return np.where(y < self.first, np.log(low), value)

    def local_index(self, y: np.ndarray) -> np.ndarray:
        """Minus the slope of log P(log r > y), y not left of the first point."""
        return np.where(y <= self.last, -self._slope(np.clip(y, self.first, self.last)), self.index)

    def log_quantile(self, log_q: np.ndarray) -> np.ndarray:
        """The y with log P(log r > y) = log_q < 0, by bisection in a cell; -inf where P(r > 0) is smaller."""
        falling = np.minimum.accumulate(self.log_survival)  # rounding may lift it where it is constant
        cell = np.clip(len(falling) - np.searchsorted(falling[::-1], log_q), 1, len(falling) - 1)
        low, high = self.y[cell - 1], self.y[cell]
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            above = self._spline(middle) > log_q
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        result = np.where(
            log_q < falling[-1], self.last + (falling[-1] - log_q) / self.index, (low + high) / 2
        )
        left = log_q > falling[0]
        if left.any():
            share = (
                np.maximum(self.alive - np.exp(log_q), 0.0) / self._missing if self._missing else 0.0 * log_q
            )
            with np.errstate(divide="ignore"):
                start = self.first + np.log(np.minimum(share, 1.0)) / self.order
            result = np.where(left, start, result)
        return result

    def mean_excess(self, log_share: float) -> float:
        """E[log r - q | log r > q] with q the quantile where P(log r > q) = exp(log_share)."""
        start = float(self.log_quantile(np.array([log_share]))[0])
        if start >= self.last:
            return 1.0 / self.index
        # Gauss-Legendre points on pieces no longer than a step of the table
        pieces = np.linspace(start, self.last, math.ceil((self.last - start) / (self.y[1] - self.y[0])) + 1)
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        half = np.diff(pieces) / 2.0
        values = np.exp(self.log_sf(pieces[:-1, None] + half[:, None] * (1.0 + nodes)) - log_share)
        rest = math.exp(float(self.log_survival[-1]) - log_share) / self.index
        return float((values @ weights) @ half) + rest
