r"""Networks of threshold units: the number of spikes from layer to layer, exactly.

A unit spikes where its current exceeds the threshold θ.
With K spikes coming in and independent weights N(0, v) the currents are independent N(0, vK), so the next
layer has Bin(n, Q(θ/√(vK))) spikes, Q the upper tail of the standard normal law: a Markov chain on 0 … n that
never leaves 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from itertools import accumulate
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.arrays import plain

__all__ = ["FixedPoint", "SpikingChain", "rate_preserving_variance", "simulate_spikes", "spike_probability"]

# The matrix of the chain has (width + 1)² entries; above this one does not fit a laptop.
_WIDTHS = "[1, 5000]"
_DEPTHS = "[0, 100000]"
# Beyond 30 the probability of a spike is below 1e-197, and products of such leave the range of floats.
_THRESHOLDS = "[0, 30]"
_LOWEST = -1e150  # further down log Φ(x) is no float any more, and Φ(x) was 0 long before
_ROWS = 512  # of the matrix at once, so that what is left over while it is made stays small


class FixedPoint(NamedTuple):
    """A rate that wide layers hand on unchanged: the rate, the slope of the rate map there, and stability.

    Attributes:
        rate: share of the units that spike.
        slope: derivative of the next rate in the rate.
        stable: whether nearby rates move towards it, which is a slope below 1.
    """

    rate: float
    slope: float
    stable: bool


def spike_probability(threshold: float) -> float:
    """Return Q(θ), the probability that a standard normal current exceeds the threshold.

    Raises:
        ArgumentError: for a threshold outside [0, 30].

    >>> spike_probability(0.0)
    0.5
    """
    return float(special.ndtr(-arguments.real("threshold", threshold, _THRESHOLDS)))


def rate_preserving_variance(threshold: float, fan_in: float) -> float:
    """Return 1/(fan_in·Q(θ)), the variance of the weights under which currents N(0, 1) reproduce themselves.

    Layers whose inputs are spikes of currents N(0, 1) then have currents of variance 1 on average.
    At θ = 0 it is 2/fan_in, Kaiming's for the ReLU.

    Args:
        threshold: θ of the units whose spikes come in, in [0, 30].
        fan_in: how many they are, positive.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Micheli et al. 2024, as others report the rule; the mean of the variance is derived on page 15,
        spiking-thm-chain.

    >>> rate_preserving_variance(0.0, 50)
    0.04
    """
    fan_in = arguments.real("fan_in", fan_in, "(0, inf)")
    return 1.0 / (fan_in * spike_probability(threshold))


class SpikingChain:
    r"""The number of spikes K in each layer of a threshold network at initialization, an exact Markov chain.

    .. math:: K' \mid K \sim \operatorname{Bin}\bigl(n, Q(\theta/\sqrt{v K})\bigr), \qquad K = 0
        \text{ stays } 0,

    for layers of n units, weights of N(0, v) and no biases; one time step.
    At a threshold of 0 every silent layer keeps its successors silent too, since a current of 0 is no spike.
    Probabilities are sums of positive terms and keep their relative accuracy down to the smallest floats.
    The matrix of the chain takes 8(n + 1)² bytes, and each layer one product of it with a vector.

    Args:
        width: units n of every layer, from 1 to 5000.
        threshold: θ in [0, 30].
        variance: v > 0 of the weights; None takes the rule of Micheli et al., 1/(n·Q(θ)).

    Raises:
        ArgumentError: outside these ranges.

    Source:
        The rule is that of Micheli et al. 2024; the chain is derived on page 15, spiking-thm-chain.

    >>> chain = SpikingChain(2, 0.0)           # each unit spikes with probability 1/2 until none does
    >>> chain.silent_probability(1, 2), chain.silent_probability(2, 2)
    (0.25, 0.4375)
    """

    critical_threshold: ClassVar[float] = 1.1906012483427703
    """θ_c, where θφ(θ) = 2Q(θ): above it the rule's own rate is unstable, however wide the layers."""

    def __init__(self, width: int, threshold: float, variance: float | None = None) -> None:
        """Check the arguments; the matrix is made when it is first needed."""
        self.width = arguments.integer("width", width, _WIDTHS)
        self.threshold = arguments.real("threshold", threshold, _THRESHOLDS)
        rule = rate_preserving_variance(self.threshold, self.width)
        self.variance = rule if variance is None else arguments.real("variance", variance, "(0, inf)")

    def __repr__(self) -> str:
        """The arguments."""
        return f"SpikingChain({self.width}, {self.threshold!r}, {self.variance!r})"

    @property
    def target_rate(self) -> float:
        """Q(θ), the rate of units with currents N(0, 1), which the rule means to hand on."""
        return spike_probability(self.threshold)

    def silent_probability(self, depth: ArrayLike, active: ArrayLike | None = None) -> Any:
        """Return P(no spike at `depth`), given the units that spike at depth 0.

        Args:
            depth: layers behind the given one, an integer from 0, or an array of them.
            active: spikes at depth 0, an integer in [0, n], or an array that broadcasts with `depth`; None
                for units with currents N(0, 1), which is the first layer of a network that such currents
                enter.

        Returns:
            A float, or an array of the broadcast shape.

        Raises:
            ArgumentError: outside these ranges.

        Source:
            Derived on page 15, spiking-thm-chain.

        >>> SpikingChain(3, 0.0).silent_probability([0, 1], 1).tolist()
        [0.0, 0.125]
        """
        return self._mean(lambda k: (k == 0).astype(float), depth, active)

    def mean_rate(self, depth: ArrayLike, active: ArrayLike | None = None) -> Any:
        """Return E K/n at `depth`, silent networks included; arguments as in :meth:`silent_probability`.

        Raises:
            ArgumentError: outside the ranges there.

        Source:
            Derived on page 15, spiking-thm-chain.

        >>> SpikingChain(2, 0.0).mean_rate(2, 2)   # 1/2 of the three quarters that are not silent
        0.375
        """
        return self._mean(lambda k: k / self.width, depth, active)

    def distribution(self, depth: ArrayLike, active: int | None = None) -> np.ndarray:
        """Return P(K = k at `depth`) for k = 0 … n along the last axis.

        Args:
            depth: as in :meth:`silent_probability`.
            active: spikes at depth 0, one integer in [0, n], or None for currents N(0, 1).

        Raises:
            ArgumentError: outside these ranges.

        Source:
            Derived on page 15, spiking-thm-chain.

        >>> SpikingChain(2, 0.0).distribution(1, 2).tolist()
        [0.25, 0.5, 0.25]
        """
        depths = arguments.integers("depth", depth, _DEPTHS)
        if active is None:
            state = _binomial_rows(self.width, np.array([-self.threshold]))[0]
        else:
            state = np.zeros(self.width + 1)
            state[arguments.integer("active", active, f"[0, {self.width}]")] = 1.0
        return _at(depths, state, lambda law: law @ self._matrix)

    def fixed_points(self) -> list[FixedPoint]:
        r"""Return the rates that infinitely wide layers hand on, from 0 upwards.

        With c = nv the next rate after r is Q(θ/√(cr)).
        In :math:`x = \theta/\sqrt{cr}` a fixed point solves x²Q(x) = θ²/c, and the slope there is
        xφ(x)/(2Q(x)), which grows with x and passes 1 at θ_c, where x²Q(x) is largest.
        So beside 0 there are two fixed points, the larger rate stable and the smaller one not, or none, or
        just one at θ_c itself.
        Under the rule, c = 1/Q(θ), one of the two is x = θ, the stable one if θ < θ_c.

        Source:
            Derived on page 15, spiking-thm-stability.

        >>> [(round(rate, 4), stable) for rate, _, stable in SpikingChain(100, 1.0).fixed_points()]
        [(0.0, True), (0.0816, False), (0.1587, True)]
        """
        theta, c = self.threshold, self.variance * self.width
        if theta == 0.0:  # any spike at all makes half of the next units spike
            return [FixedPoint(0.0, math.inf, False), FixedPoint(0.5, 0.0, True)]
        crossings = _crossings(2 * math.log(theta) - math.log(c))
        if math.isclose(c * self.target_rate, 1.0, rel_tol=1e-15):  # the rule's own is known without solving
            other = crossings[-1 if theta < self.critical_threshold else 0] if crossings else theta
            crossings = sorted({theta, other})
        return [FixedPoint(0.0, 0.0, True), *map(_fixed_point, reversed(crossings))]

    @cached_property
    def _matrix(self) -> np.ndarray:
        """The probabilities of the next number of spikes, a row for each present one."""
        n = self.width
        matrix = np.zeros((n + 1, n + 1))
        matrix[0, 0] = 1.0
        active = np.arange(1, n + 1)
        x = -self.threshold / math.sqrt(self.variance) / np.sqrt(active)
        for start in range(0, n, _ROWS):
            rows = _binomial_rows(n, x[start : start + _ROWS])
            matrix[1 + start : 1 + start + len(rows)] = rows
        return matrix

    def _mean(self, function: Callable[[np.ndarray], np.ndarray], depth: Any, active: Any) -> Any:
        """The mean of a function of K at `depth`, by steps back from there."""
        depths = arguments.integers("depth", depth, _DEPTHS)
        counts = np.arange(self.width + 1)
        means = _at(depths, function(counts), lambda values: self._matrix @ values)
        if active is None:
            return plain(means @ _binomial_rows(self.width, np.array([-self.threshold]))[0])
        chosen = arguments.integers("active", active, f"[0, {self.width}]")
        try:
            shape = np.broadcast_shapes(depths.shape, chosen.shape)
        except ValueError:
            need = f"need one that broadcasts with depth, {depths.shape}"
            raise ArgumentError(f"active has shape {chosen.shape}: {need}") from None
        chosen = np.broadcast_to(chosen, shape)[..., None]
        means = np.broadcast_to(means, (*shape, self.width + 1))
        return plain(np.take_along_axis(means, chosen, axis=-1)[..., 0])


def simulate_spikes(
    draws: int,
    depth: int,
    width: int,
    threshold: float,
    variance: float | None = None,
    *,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the spikes of networks with real weights, driven by currents N(0, 1): what the chain replaces.

    Args:
        draws: networks, from 1.
        depth: layers behind the first one, from 0.
        width: as in :class:`SpikingChain`.
        threshold: as there.
        variance: as there.
        rng: a numpy Generator.

    Returns:
        Integers of shape (draws, depth + 1); index 0 of the second axis is the layer that the currents drive.

    Raises:
        ArgumentError: outside these ranges.

    >>> simulate_spikes(5, 3, 8, 0.5, rng=np.random.default_rng(0)).shape
    (5, 4)
    """
    draws = arguments.integer("draws", draws, "[1, inf)")
    depth = arguments.integer("depth", depth, _DEPTHS)
    chain = SpikingChain(width, threshold, variance)
    rng, sd = arguments.generator("rng", rng), math.sqrt(chain.variance)
    counts = np.zeros((draws, depth + 1), dtype=int)
    for row in counts:
        spikes = rng.standard_normal(chain.width) > chain.threshold
        row[0] = spikes.sum()
        for k in range(1, depth + 1):
            # A silent unit's weights count for nothing, so those of spikes alone are drawn.
            currents = sd * rng.standard_normal((chain.width, row[k - 1])).sum(axis=1)
            spikes = currents > chain.threshold
            row[k] = spikes.sum()
    return counts


def _at(depths: np.ndarray, start: np.ndarray, step: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """What repeated steps make of a vector, at each of the depths, along a last axis."""
    result = np.empty((*depths.shape, start.size))
    vector, there = start, 0
    for depth in np.unique(depths).tolist():
        for _ in range(depth - there):
            vector = step(vector)
        there = depth
        result[depths == depth] = vector
    return result


def _binomial_rows(n: int, x: np.ndarray) -> np.ndarray:
    """P(Bin(n, Φ(x)) = k), a row for each x; sums of logs, so that rare counts keep their digits."""
    k = np.arange(n + 1)
    x = np.maximum(x, _LOWEST)
    log_choose = np.array([math.log(count) for count in _choose(n)])
    log_p, log_q = special.log_ndtr(x)[:, None], special.log_ndtr(-x)[:, None]
    rows = np.exp(log_choose + k * log_p + (n - k) * log_q)
    return rows / rows.sum(axis=1, keepdims=True)


def _choose(n: int) -> list[int]:
    """Row n of Pascal's triangle, exactly."""
    return list(accumulate(range(n), lambda count, k: count * (n - k) // (k + 1), initial=1))


def _log_level(x: float) -> float:
    """log(x²Q(x)), whose level θ²/c the fixed points are at."""
    return 2 * math.log(x) + float(special.log_ndtr(-x))


def _crossings(level: float) -> list[float]:
    """The x with log(x²Q(x)) = level: two, on both sides of θ_c where it is largest, or that one, or none."""
    from scipy.optimize import brentq  # here, because it doubles the time to import the package

    peak = SpikingChain.critical_threshold
    if _log_level(peak) <= level:
        return [peak] if _log_level(peak) == level else []
    # Below, Q < 1/2 gives x²Q(x) < x²/2; above, Q(x) < exp(-x²/2) falls below any level.
    below = math.exp(level / 2)
    above = 2 * peak
    while _log_level(above) > level:
        above *= 2

    def distance(x: float) -> float:
        return _log_level(x) - level

    low = brentq(distance, below, peak, xtol=1e-300, rtol=8.9e-16, maxiter=500)
    high = brentq(distance, peak, above, xtol=1e-300, rtol=8.9e-16, maxiter=500)
    return [float(low), float(high)]


def _fixed_point(x: float) -> FixedPoint:
    """The fixed point with θ/√(cr) = x: its rate is Q(x)."""
    rate = float(special.ndtr(-x))
    slope = x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi) / (2 * rate)
    return FixedPoint(rate, slope, slope < 1.0)
