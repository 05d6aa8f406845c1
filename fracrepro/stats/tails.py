"""Estimators of a tail index α, where P(X > t) ≈ c t^(-α), each with an interval and its stability plot.

All three use the k largest of n positive observations.
The intervals are asymptotic and cover only random error: when the tail is not an exact power,
the bias grows with k, and the stability plot shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fracrepro import arguments
from fracrepro.errors import ArgumentError

Estimator = Literal["hill", "moment", "regression"]
_POSITIVE = "(0, inf)"


@dataclass(frozen=True)
class TailEstimate:
    """An estimated tail index.

    Attributes:
        index: the estimate of α.
        low: lower end of its interval.
        high: upper end.
        k: the number of upper order statistics used.
    """

    index: float
    low: float
    high: float
    k: int


@dataclass(frozen=True)
class StabilityPlot:
    """Estimates for many numbers of order statistics: arrays of one length, ready to draw.

    Attributes:
        k: numbers of order statistics.
        index: estimates of α.
        low: lower ends of their intervals.
        high: upper ends.
    """

    k: np.ndarray
    index: np.ndarray
    low: np.ndarray
    high: np.ndarray


def hill(sample: ArrayLike, k: int, *, level: float = 0.95) -> TailEstimate:
    """Return Hill's estimate: 1/α is the mean of log X_(i) - log X_(k+1) over the k largest observations.

    For an exact power tail k α/α̂ is gamma distributed with shape k, which gives an exact interval.

    Args:
        sample: n ≥ 2 positive numbers.
        k: order statistics used, in [1, n - 1].
        level: the confidence of the interval, in (0, 1).

    Raises:
        ArgumentError: outside these ranges, and when the k + 1 largest observations are equal.

    Source:
        Hill (1975).

    >>> import numpy as np
    >>> hill(np.exp([0.0, 1.0, 2.0, 3.0]), 3).index   # the mean of 1, 2, 3 is 2
    0.5
    """
    excess, level = _excesses(sample, k, level)
    gamma = _spread(excess, k)
    low, high = special.gammaincinv(k, np.array([(1.0 - level) / 2.0, (1.0 + level) / 2.0])) / k / gamma
    return TailEstimate(1.0 / gamma, float(low), float(high), k)


def extreme_value_index(sample: ArrayLike, k: int, *, level: float = 0.95) -> tuple[float, float, float]:
    """Return the estimate of Dekkers, Einmahl and de Haan of the extreme value index γ, and its interval.

    γ̂ = M₁ + 1 - (1/2)/(1 - M₁²/M₂) from the first two moments of the log-excesses.
    The standard error is √(1 + γ²)/√k for γ ≥ 0; for γ < 0 the same formula with γ = 0 stands in.
    A power tail of index α has γ = 1/α > 0; γ = 0 is a tail lighter than any power, such as a normal one,
    and γ < 0 a bounded law.

    Args:
        sample: n ≥ 3 positive numbers.
        k: order statistics used, in [2, n - 1].
        level: the confidence of the interval, in (0, 1).

    Returns:
        The estimate and the lower and upper end of its interval.

    Raises:
        ArgumentError: outside these ranges, and when the log-excesses of the k largest are all equal.

    Source:
        Dekkers, Einmahl and de Haan (1989).

    >>> import numpy as np
    >>> round(extreme_value_index(np.exp([0.0, 1.0, 3.0]), 2)[0], 12)   # M₁ = 2, M₂ = 5: 3 - 0.5/(1 - 4/5)
    0.5
    """
    excess, level = _excesses(sample, k, level, least=2)
    first = _spread(excess, k)
    ratio = first**2 / float(np.mean(excess**2))
    if ratio >= 1.0:
        raise ArgumentError(f"sample: need log-excesses that differ among the k = {k} largest observations")
    gamma = first + 1.0 - 0.5 / (1.0 - ratio)
    half = float(special.ndtri((1.0 + level) / 2.0)) * np.sqrt((1.0 + max(gamma, 0.0) ** 2) / k)
    return gamma, float(gamma - half), float(gamma + half)


def moment_estimator(sample: ArrayLike, k: int, *, level: float = 0.95) -> TailEstimate:
    """Return 1/γ̂ with γ̂ from :func:`extreme_value_index`.

    Unlike Hill's it does not presuppose a power tail: γ̂ ≤ 0 speaks against one, the index is then infinite,
    as is the upper end of an interval that reaches γ = 0.

    Args:
        sample: as in `extreme_value_index`.
        k: as there.
        level: as there.

    Raises:
        ArgumentError: as there.

    Source:
        Dekkers, Einmahl and de Haan (1989).

    >>> import numpy as np
    >>> round(moment_estimator(np.exp([0.0, 1.0, 3.0]), 2).index, 12)   # 1/0.5
    2.0
    """
    gamma, low, high = extreme_value_index(sample, k, level=level)
    return TailEstimate(_inverse(gamma), _inverse(high), _inverse(low), k)


def log_log_regression(sample: ArrayLike, k: int, *, level: float = 0.95) -> TailEstimate:
    """Return the slope of log(rank - 1/2) on log X over the k largest observations.

    The shift 1/2 removes the leading bias; the standard error is α √(2/k), not the one a regression prints,
    because order statistics are dependent.

    Args:
        sample: n ≥ 4 positive numbers.
        k: order statistics used, in [3, n - 1].
        level: the confidence of the interval, in (0, 1).

    Raises:
        ArgumentError: outside these ranges, and when the k largest observations are equal.

    Source:
        Gabaix and Ibragimov (2011).

    >>> import numpy as np
    >>> ranks = np.array([3, 2.5, 1.5, 0.5])   # X = 1/(rank - 1/2)^2, so the slope is 1/2
    >>> round(log_log_regression(ranks**-2, 3).index, 12)
    0.5
    """
    excess, level = _excesses(sample, k, level, least=3)
    _spread(excess, k)
    log_rank = np.log(np.arange(1, k + 1) - 0.5)
    centred = excess - excess.mean()
    if not centred.any():
        raise ArgumentError(f"sample: need observations that differ among the k = {k} largest")
    index = -float(centred @ log_rank / (centred @ centred))
    half = float(special.ndtri((1.0 + level) / 2.0)) * index * np.sqrt(2.0 / k)
    return TailEstimate(index, float(max(index - half, 0.0)), float(index + half), k)


def stable_index(sample: ArrayLike, block: int) -> float:
    """Return the estimate of Mohammadi, Mohammadpour and Ogata of the index of a symmetric stable law.

    For independent X_i of one such law a sum of m has the law of m^(1/α) X_1, hence
    1/α̂ = (mean log|Y| - mean log|X|)/log m with Y the sums over blocks of m = `block` observations.
    It says nothing about other laws: for unequal scales, or dependence, α̂ has no meaning.
    Where sums are not larger than their terms, α̂ is infinite.

    Args:
        sample: at least one block of finite numbers without zeros; a last, incomplete one is left out.
        block: terms of a sum, from 2.

    Raises:
        ArgumentError: outside these ranges, and when a block sums to zero.

    Source:
        Mohammadi, Mohammadpour and Ogata (2015).

    >>> import numpy as np
    >>> float(stable_index(np.full(8, 3.0), 4))   # equal numbers: sums of m are m times larger, as at α = 1
    1.0
    """
    values = arguments.reals("sample", sample, "(-inf, inf)")
    block = arguments.integer("block", block, "[2, inf)")
    if values.ndim != 1 or values.size < block:
        raise ArgumentError(
            f"sample has shape {values.shape}: need a vector of at least block = {block} numbers"
        )
    values = values[: len(values) - len(values) % block]
    sums = values.reshape(-1, block).sum(1)
    if not values.all() or not sums.all():
        raise ArgumentError("sample: need numbers, and sums over blocks, that are not zero")
    growth = float(np.mean(np.log(np.abs(sums))) - np.mean(np.log(np.abs(values))))
    return float(np.log(block)) / growth if growth > 0.0 else float("inf")


def stable_tail_estimates(
    alpha: float, size: int, k: int, *, samples: int, rng: np.random.Generator
) -> np.ndarray:
    """Return estimates of the extreme value index from samples of abs(X), with X symmetric stable.

    A stable law of index α < 2 has γ = 1/α > 1/2, but near 2 its tail begins beyond what a sample shows, and
    the estimate stays below 1/2.
    Whoever asks whether a tail has infinite variance compares with these values, not with 1/2.

    Args:
        alpha: index of the law, in (0, 2]; 2 is the normal law.
        size: observations in a sample, from 3.
        k: order statistics used, in [2, size - 1].
        samples: how many independent samples, from 1.
        rng: a numpy Generator.

    Returns:
        The estimates of :func:`extreme_value_index`, shape (samples,).

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Chambers, Mallows and Stuck (1976) for the samples.

    >>> import numpy as np
    >>> found = stable_tail_estimates(1.0, 4000, 200, samples=50, rng=np.random.default_rng(0))
    >>> float(found.mean().round(1))   # a Cauchy law: its tail has the index 1
    1.0
    """
    from scipy import stats

    alpha = arguments.real("alpha", alpha, "(0, 2]")
    size = arguments.integer("size", size, "[3, 1000000000]")
    k = arguments.integer("k", k, f"[2, {size - 1}]")
    samples = arguments.integer("samples", samples, "[1, 1000000000]")
    draws = (stats.levy_stable.rvs(alpha, 0.0, size=size, random_state=rng) for _ in range(samples))
    return np.array([extreme_value_index(np.abs(draw), k)[0] for draw in draws])


ESTIMATORS: dict[Estimator, Callable[..., TailEstimate]] = {
    "hill": hill,
    "moment": moment_estimator,
    "regression": log_log_regression,
}


def stability_plot(
    sample: ArrayLike, ks: ArrayLike, estimator: Estimator = "hill", *, level: float = 0.95
) -> StabilityPlot:
    """Return the estimates for every number of order statistics in `ks`.

    Args:
        sample: positive numbers.
        ks: numbers of order statistics.
        estimator: `hill`, `moment_estimator` or `log_log_regression`.
        level: the confidence of the intervals, in (0, 1).

    Raises:
        ArgumentError: as the estimator does.

    >>> import numpy as np
    >>> stability_plot(np.exp([0.0, 1.0, 2.0, 3.0]), [1, 3]).index   # the means of 1; of 1, 2, 3
    array([1. , 0.5])
    """
    arguments.choice("estimator", estimator, tuple(ESTIMATORS))
    values = arguments.reals("sample", sample, _POSITIVE)
    ks = np.atleast_1d(arguments.integers("ks", ks, "[1, 1000000000000]"))
    ordered = np.sort(values, axis=None)[-(int(ks.max()) + 1) :] if ks.max() < values.size else values
    rows = [ESTIMATORS[estimator](ordered, k, level=level) for k in ks.tolist()]
    index, low, high = np.array([(row.index, row.low, row.high) for row in rows]).T
    return StabilityPlot(ks, index, low, high)


def _excesses(sample: ArrayLike, k: int, level: float, least: int = 1) -> tuple[np.ndarray, float]:
    """Check the arguments and return log X_(i) - log X_(k+1), i = 1 … k, the largest first."""
    values = arguments.reals("sample", sample, _POSITIVE)
    if values.ndim != 1 or values.size <= least:
        raise ArgumentError(f"sample has shape {values.shape}: need a vector of at least {least + 1} numbers")
    k = arguments.integer("k", k, f"[{least}, {values.size - 1}]")
    level = arguments.real("level", level, "(0, 1)")
    top = np.sort(values)[::-1][: k + 1]
    return np.log(top[:k] / top[k]), level


def _spread(excess: np.ndarray, k: int) -> float:
    """The mean of the log-excesses, refused where it is 0."""
    mean = float(np.mean(excess))
    if mean <= 0.0:
        raise ArgumentError(f"sample: need observations that differ among the k + 1 = {k + 1} largest")
    return mean


def _inverse(gamma: float) -> float:
    """1/γ, or infinity where γ ≤ 0."""
    return 1.0 / float(gamma) if gamma > 0.0 else float("inf")
