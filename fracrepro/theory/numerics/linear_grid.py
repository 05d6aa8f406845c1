"""The law of log r with Gaussian biases by a convolution and linear interpolation, of order 3/2 or 2.

With u = log(1 + r²)/2 one layer maps S(y) = P(log r > y) to ∫ f(l) P(u > y - l) dl, and P(u > ·) is S after a
change of variable, interpolated linearly.
The trapezoidal rule meets a jump and a root singularity at u = 0, so that the default step leaves an error of
about 1e-3 in the constant of the tail.
It shares no formula but the one-layer density with `stationary`, which it serves to check.
See numerics.md: numerics-stationary-linear.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from fracrepro.theory.numerics.stationary import OneLayer, check_size

# numerics.md: numerics-stationary-linear
_LARGEST_STEP, _STEPS_PER_SD = 0.05, 4
_LEFT, _RIGHT = 10, 24
_TAIL, _MORE_LEFT, _MORE_RIGHT = 1e-6, -4, 2
_SMALLEST = 1e-300


class LinearGrid:
    """The map of survival functions on equally spaced points of y = log r, in units of ε."""

    def __init__(self, law: OneLayer, alive: float, alpha: float, step: float | None) -> None:
        """Place the points from e^-10 up to where the power law has fallen to e^-24."""
        sd = math.sqrt(law.var())
        self.step = step = min(_LARGEST_STEP, sd / _STEPS_PER_SD) if step is None else step
        self.law, self.alive, self.alpha = law, alive, alpha
        self._below_zero = round(_LEFT / step)
        check_size(law.width, self._below_zero + round(_RIGHT / alpha / step), math.inf)
        self.y = step * np.arange(-self._below_zero, round(_RIGHT / alpha / step) + 1)
        ends = law.ppf([_TAIL, 1 - _TAIL]) + sd * np.array([_MORE_LEFT, _MORE_RIGHT])
        self._low, self._high = float(ends[0]), float(ends[1])

    def stationary(self) -> np.ndarray:
        """S at the points of the grid, at infinite depth."""
        result: np.ndarray = np.linalg.solve(np.eye(len(self.y)) - self._matrix, self._first(0.0))
        return result

    def at_depth(self, depth: int, log_norm: float) -> np.ndarray:
        """S at the points of the grid, from an input whose norm has the given logarithm."""
        survival = self._first(0.5 * float(np.logaddexp(0.0, 2.0 * log_norm)))
        source = self._first(0.0)
        for _ in range(depth - 1):
            survival = self._matrix @ survival + source
        return survival

    def goldie_mean(self, survival: np.ndarray) -> float:
        """E[(r² + 1)^(α/2) - r^α] by parts, with the closed form of the part left of the grid."""
        y, alpha = self.y, self.alpha
        slope = alpha * np.exp(2 * y) * (np.exp(2 * y) + 1) ** (alpha / 2 - 1) - alpha * np.exp(alpha * y)
        start = survival[0] * math.exp(alpha * y[0])
        return float(1 - start + self.step * np.sum(slope * survival))

    def _first(self, shift: float) -> np.ndarray:
        """P(shift + log M > y) at the points of the grid."""
        lag = self.y - shift
        return np.where(lag < self._high, self.alive * self.law.sf(np.minimum(lag, self._high)), 0.0)

    @cached_property
    def _matrix(self) -> np.ndarray:
        y, step = self.y, self.step
        positive = y > step / 2
        lags = step * np.arange(1 - len(y), len(y))
        inside = (lags >= self._low) & (lags <= self._high)
        density = np.zeros(len(lags))
        density[inside] = self.alive * self.law.pdf(lags[inside])
        rows = np.arange(len(y))
        kernel = step * density[rows[:, None] - rows[None, :] + len(y) - 1]
        # P(g(log r) > u) at u = y > 0 is S where g takes that value; at u = 0 the integral ends.
        source = np.clip(0.5 * np.log(np.expm1(2 * y[positive])), y[0], None)
        left = np.clip(np.searchsorted(y, source) - 1, 0, len(y) - 2)
        share = (source - y[left]) / step
        interpolate = np.zeros_like(kernel)
        interpolate[np.flatnonzero(positive), left] = 1 - share
        interpolate[np.flatnonzero(positive), left + 1] += share
        interpolate[self._below_zero, 0] = 0.5
        result: np.ndarray = kernel @ interpolate
        return result


class LinearTable:
    """P(log r > y) by linear interpolation, and integrals by the trapezoidal rule; as `SurvivalTable`."""

    def __init__(self, y: np.ndarray, survival: np.ndarray, index: float | None) -> None:
        """Keep the points; `index` is that of the power law beyond the last."""
        self.y, self.step, self.survival = y, y[1] - y[0], np.maximum(survival, _SMALLEST)
        self._indices = -np.gradient(np.log(self.survival), self.step)
        self.index = float(self._indices[-1]) if index is None else index

    def log_sf(self, y: np.ndarray) -> np.ndarray:
        """log P(log r > y); y may be -inf."""
        inside = np.log(np.interp(y, self.y, self.survival))
        return inside - self.index * np.maximum(y - self.y[-1], 0.0)

    def local_index(self, y: np.ndarray) -> np.ndarray:
        """Minus the slope of log P(log r > y), by central differences."""
        return np.interp(y, self.y, self._indices, right=self.index)

    def log_quantile(self, log_q: np.ndarray) -> np.ndarray:
        """The y with log P(log r > y) = log_q < 0, not left of the first point."""
        inside = np.interp(-np.exp(log_q), -self.survival, self.y)
        return inside + np.maximum(math.log(self.survival[-1]) - log_q, 0.0) / self.index

    def mean_excess(self, log_share: float) -> float:
        """E[log r - q | log r > q], q the quantile where P(log r > q) = exp(log_share), read from log P."""
        share = math.exp(log_share)
        cut = np.interp(log_share, np.log(self.survival[::-1]), self.y[::-1])
        above = np.where(self.y > cut, self.survival, 0.0)
        edge = (self.y[np.argmax(self.y > cut)] - cut) * (share + above.max()) / 2
        return float(self.step * (above.sum() - above.max() / 2) + edge) / share
