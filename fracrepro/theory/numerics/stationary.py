"""The law of log r in a network with Gaussian biases: one linear map of survival functions, on a grid.

With r in units of ε = σ_b/σ, y = log r and g(y) = log(1 + e^{2y})/2, a layer adds log M to g(y).
Integration by parts in y turns S(y) = P(log r > y) into

    S'(x) = F(x) + ∫ f(x - g(y)) g'(y) S(y) dy,

f the density of log M, of mass P(M > 0), and F its survival function.
The integrand is analytic and decays on both sides, so that the trapezoidal rule converges geometrically: no
interpolation is needed, and depth k costs k products, infinite depth one linear system.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from scipy import special

from fracrepro.errors import ArgumentError
from fracrepro.theory.numerics.factor import Factor

# numerics.md: numerics-stationary-step
_STEPS_PER_SD = 2.5
_LARGEST_STEP = 0.1
_FINE = 4
_DEGREE = 7
# numerics.md: numerics-stationary-ends
_LEFT_END, _RIGHT_END = 1e-18, 1e-15
_SPREADS, _DECAY = 12.0, 50.0
_REACH = 20.0
_LOST = 1e-13
# numerics.md: numerics-stationary-weight
_LARGEST_TILT, _SAFE_TILT = 10.0, 4.0
_NOISE = 1e-13
_SMALLEST, _SMALLER, _TINIEST = 1e-12, 1e-8, 1e-250
# numerics.md: numerics-stationary-cost
_MOST_NUMBERS = 2_000_000


class OneLayer(Protocol):
    """The law of log M given M > 0, as `LogNormLaw` of depth 1 describes it."""

    width: Any  # an integer; laws of several layers may have one for each

    def mean(self) -> float: ...  # noqa: D102
    def var(self) -> float: ...  # noqa: D102
    def pdf(self, x: Any) -> Any: ...  # noqa: D102
    def sf(self, x: Any) -> Any: ...  # noqa: D102
    def ppf(self, q: Any) -> Any: ...  # noqa: D102


class Density:
    """The density f of log M by a spline through its values at multiples of a step, and F, its integral."""

    def __init__(self, law: OneLayer, layer: Factor, step: float) -> None:
        """Tabulate f, of mass P(R > 0), where it is not negligible.

        Left of the smallest amplitude it falls like e^(order·l).
        """
        mean, sd = law.mean(), math.sqrt(law.var())
        first = mean - _SPREADS * sd - _DECAY / layer.order - layer.log_spread / 2.0
        lags = step * np.arange(math.floor(first / step), math.ceil((mean + _SPREADS * sd) / step) + 1)
        values = layer.alive * law.pdf(lags)
        peak = int(values.argmax())
        right = np.flatnonzero(values[peak:] < _RIGHT_END * values[peak])
        first_kept = int(np.flatnonzero(values >= _LEFT_END * values[peak])[0])
        kept = slice(first_kept, peak + right[0] if right.size else len(values))
        self.step, self.lags, self.values = step, lags[kept], values[kept]
        self.low, self.high = float(self.lags[0]), float(self.lags[-1])
        mass = np.cumsum(self.values) * step
        self.lowest = float(self.lags[np.searchsorted(mass, _LOST)])

    def normalize(self, power: float, moment: float) -> None:
        """Scale f so that the sum over the multiples of the grid's step gives E M^power to the last digit."""
        lattice = np.rint(self.lags / self.step).astype(int) % _FINE == 0
        total = _FINE * self.step * float(np.exp(power * self.lags[lattice]) @ self.values[lattice])
        self.values = self.values * (moment / total)

    @cached_property
    def _spline(self) -> Any:
        from scipy.interpolate import make_interp_spline  # here, because it is slow to import

        return make_interp_spline(self.lags, self.values, k=_DEGREE)

    @cached_property
    def _integral(self) -> Any:
        return self._spline.antiderivative()

    def __call__(self, lag: np.ndarray) -> np.ndarray:
        """The density f."""
        inside = (lag >= self.low) & (lag <= self.high)
        return np.where(inside, self._spline(np.clip(lag, self.low, self.high)), 0.0)

    def sf(self, lag: np.ndarray) -> np.ndarray:
        """The survival function F of log M; 0 where f has been cut."""
        value: np.ndarray = self._integral(self.high) - self._integral(np.clip(lag, self.low, self.high))
        return value


class Grid:
    """The map of survival functions on a grid, for the weighted unknowns T(y) = S(y) e^{a g(y)}.

    With a = α, the tail index, the power law becomes a constant: S keeps its relative accuracy far out, and
    the system is closed beyond the last point.
    """

    def __init__(self, law: OneLayer, layer: Factor, alpha: float, moment: float, step: float) -> None:
        """Place the points; `layer` has the law of R, and `moment` is E M^a at a = `tilt_of(alpha)`."""
        self.step, self.alive = step, layer.alive
        self.alpha, self.tilt = alpha, tilt_of(alpha)
        self.density = Density(law, layer, self.step / _FINE)
        self.density.normalize(self.tilt, moment)
        sd = math.sqrt(law.var())
        # The bulk lies near 1/√(2 Var log M), the scale of the limit law of wide layers.
        last = _REACH * (1.0 + min(sd, 1.0)) + max(0.0, -math.log(math.sqrt(2.0) * sd))
        first = min(-_REACH, -2.0 * _REACH / (alpha + min(layer.order, 2)), self.density.lowest)
        indices = np.arange(math.floor(first / self.step), math.ceil(last / self.step) + 1)
        self.y = self.step * indices
        self.g = 0.5 * np.logaddexp(0.0, 2.0 * self.y)
        self.slope = special.expit(2.0 * self.y)  # g'
        # Left of every value of log M all networks alive are larger: S is known there.
        self.known = int(np.searchsorted(self.y, self.density.low))
        size = len(self.y) - self.known
        check_size(law.width, size, round((self.density.high - self.density.low) / self.step))

    def stationary(self) -> np.ndarray:
        """S at the points of the grid, at infinite depth."""
        from scipy.sparse import eye_array
        from scipy.sparse.linalg import splu  # here, because it is slow to import

        weighted = self._known_values()
        system = (eye_array(self._matrix.shape[0]) - self._matrix).tocsc()
        weighted[self.known :] = splu(system, permc_spec="NATURAL").solve(self._source)
        return self._survival(weighted, _NOISE * float(weighted.max()))

    def at_depth(self, depth: int, log_norm: float) -> np.ndarray:
        """S at the points of the grid, from an input whose norm has the given logarithm."""
        weighted = self._known_values()
        start = 0.5 * np.logaddexp(0.0, 2.0 * log_norm)
        weighted[self.known :] = self._weighted(self.density.sf(self.y - start))[self.known :]
        for _ in range(depth - 1):
            weighted[self.known :] = self._matrix @ weighted[self.known :] + self._source
        survival = self._survival(weighted, 0.0)
        # Every layer adds to the probabilities that the noise at the end of the density does not reach.
        smallest = max(_SMALLEST * _SMALLER ** (depth - 1), _TINIEST)
        return np.where(survival >= smallest, survival, 0.0)

    @cached_property
    def _matrix(self) -> Any:
        """The map of the unknowns, a sparse matrix: column j reaches the points in g_j + [low, high]."""
        from scipy.sparse import csc_array  # here, because it is slow to import

        y, g = self.y[self.known :], self.g[self.known :]
        first = np.searchsorted(y, g + self.density.low)
        counts = np.searchsorted(y, g + self.density.high, side="right") - first
        ends = np.cumsum(counts)
        columns = np.repeat(np.arange(len(y)), counts)
        rows = np.arange(ends[-1]) - np.repeat(ends - counts - first, counts)
        weight = np.exp(self.tilt * (g[rows] - g[columns])) * self.slope[self.known :][columns]
        values = self.step * self.density(y[rows] - g[columns]) * weight
        distance = len(y) - 1 - rows[-counts[-1] :]  # of a row of the last column from the last row
        values[-counts[-1] :] += self._beyond(int(distance[0]) + 1)[distance]
        return csc_array((values, rows, np.append(0, ends)), shape=(len(y), len(y)))

    def _beyond(self, rows: int) -> np.ndarray:
        """What the points beyond the last one add to its column, by the distance of the row from the last.

        T decays like e^{-(α - a) y} there, so that the sum C_t over lags -m h, m > t, has a recursion.
        """
        reach = self.step * np.arange(1, rows + 1)
        terms = self.step * self.density(-reach) * np.exp(-self.tilt * reach)
        decay = math.exp(-(self.alpha - self.tilt) * self.step)
        sums = np.zeros(rows + 1)
        for t in range(rows - 1, -1, -1):
            sums[t] = decay * (terms[t] + sums[t + 1])
        return sums

    @cached_property
    def _source(self) -> np.ndarray:
        """What does not depend on the unknowns: the term F, and the part of the integral where S is known."""
        value = self.density.sf(self.y)
        reached = self.known + np.flatnonzero(self.y[self.known :] <= self.density.high + self.g[self.known])
        columns = slice(0, self.known)
        for row in reached.tolist():
            part = self.density(self.y[row] - self.g[columns]) @ self.slope[columns]
            value[row] += self.step * self.alive * float(part)
        return self._weighted(value)[self.known :]

    def _known_values(self) -> np.ndarray:
        return self._weighted(np.full_like(self.y, self.alive))

    def _weighted(self, survival: np.ndarray) -> np.ndarray:
        return survival * np.exp(self.tilt * self.g)

    def goldie_mean(self, survival: np.ndarray) -> float:
        """E[(r² + 1)^(α/2) - r^α] by parts, from S at the points of the grid.

        In the derivative α [e^{2y} (1 + e^{2y})^(α/2-1) - e^{αy}] of that function of y the second term
        decays slowly on the left, where S is constant; φ(y) = (1 + e^{2y})^(-α/2-1), for which
        ∫ α e^{αy} φ dy = 1, takes that constant away.
        """
        alpha, y = self.alpha, self.y
        phi = np.exp(-(alpha + 2.0) * self.g)
        with np.errstate(over="ignore", invalid="ignore"):
            left = np.exp(2.0 * y + (alpha - 2.0) * self.g) * survival
            left -= np.exp(alpha * y) * (survival - self.alive * phi)
            right = np.expm1((0.5 * alpha - 1.0) * np.log1p(np.exp(-2.0 * y))) * survival
            right = np.exp(alpha * y) * (right + self.alive * phi)
        return 1.0 - self.alive + alpha * self.step * float(np.where(y < 0.0, left, right).sum())

    def _survival(self, weighted: np.ndarray, floor: float) -> np.ndarray:
        """S from T, with 0 from the first value at the floor on."""
        low = np.flatnonzero(weighted <= floor)
        kept = np.arange(len(weighted)) < (low[0] if low.size else len(weighted))
        return np.where(kept, weighted * np.exp(-self.tilt * self.g), 0.0)


def step_for(width: int, step: float | None) -> float:
    """The step of the grid, by default from the standard deviation of log R in the linear network."""
    linear_sd = 0.5 * math.sqrt(special.polygamma(1, width / 2.0))
    if step is not None and step > linear_sd:
        raise ArgumentError(f"step = {step!r}: need {linear_sd:.3g} at most at width {width}")
    step = min(_LARGEST_STEP, linear_sd / _STEPS_PER_SD) if step is None else step
    check_size(
        width, round(_REACH / step), _SPREADS * linear_sd / step
    )  # a bound from below, before any table
    return step


def tilt_of(alpha: float) -> float:
    """The power of r that weights the unknowns."""
    return alpha if alpha <= _LARGEST_TILT else _SAFE_TILT


def check_size(width: int, unknowns: int, band: float) -> None:
    """Raise ArgumentError where the linear system would be too large."""
    numbers = unknowns * min(unknowns, band)
    if numbers > _MOST_NUMBERS:
        raise ArgumentError(
            f"width = {width!r}: need a narrower layer, a larger step or wide_limit(); the linear system "
            f"would have {unknowns} unknowns and {numbers:.2g} coefficients, of {_MOST_NUMBERS:.2g} allowed"
        )
