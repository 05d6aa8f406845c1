"""Tests of a count and of a distribution, and the power of all tests that the pages use.

The power of a test of a mean is :meth:`fracrepro.stats.means.MeanTest.power`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fracrepro import arguments
from fracrepro.errors import ArgumentError

_SIZES = "[1, 1000000000]"
# Two counts are equally likely within this factor, as in scipy's test: symmetric ones differ by rounding.
_TIE = 1.0 + 1e-7


@dataclass(frozen=True)
class BinomialTest:
    """The outcome of an exact two-sided binomial test.

    Attributes:
        expected: the tested probability.
        count: successes among `size` independent trials.
        size: the number of trials.
        level: the largest false-alarm rate; the counts are discrete, so the true one may be smaller.
    """

    expected: float
    count: int
    size: int
    level: float

    @property
    def p_value(self) -> float:
        """The probability of all counts that are at most as likely as the observed one."""
        from scipy import stats

        return float(stats.binomtest(self.count, self.size, self.expected).pvalue)

    @property
    def rejected(self) -> bool:
        """Whether the count contradicts the tested probability."""
        return self.p_value <= self.level

    def power(self, alternative: float) -> float:
        """Return the probability that the test rejects when the true probability is `alternative`.

        It is the probability of the rejected counts, by enumeration.

        Args:
            alternative: in [0, 1].

        >>> BinomialTest(0.5, 0, 5, 0.1).power(1.0)   # rejects 0 and 5 of 5, of probability 1/16 together
        1.0
        """
        from scipy import stats

        truth = arguments.real("alternative", alternative, "[0, 1]")
        counts = np.arange(self.size + 1)
        likelihood = stats.binom.pmf(counts, self.size, self.expected)
        order = np.argsort(likelihood, kind="stable")
        likelihood = likelihood[order]
        last = np.searchsorted(likelihood, likelihood * _TIE, side="right") - 1
        rejects = np.cumsum(likelihood)[last] <= self.level
        return min(1.0, float(stats.binom.pmf(counts[order][rejects], self.size, truth).sum()))


def binomial_test(count: int, size: int, expected: float, *, level: float = 0.001) -> BinomialTest:
    """Test whether successes among independent trials have the probability `expected`.

    Args:
        count: successes, in [0, size].
        size: trials, from 1.
        expected: the tested probability, in [0, 1].
        level: the false-alarm rate, in (0, 1).

    Raises:
        ArgumentError: outside these ranges.

    >>> binomial_test(5, 5, 0.5).p_value   # 0 and 5 of 5, each with probability 1/32
    0.0625
    """
    size = arguments.integer("size", size, _SIZES)
    count = arguments.integer("count", count, f"[0, {size}]")
    expected = arguments.real("expected", expected, "[0, 1]")
    return BinomialTest(expected, count, size, arguments.real("level", level, "(0, 1)"))


@dataclass(frozen=True)
class KolmogorovTest:
    """The outcome of a two-sided Kolmogorov-Smirnov test.

    Attributes:
        distance: the largest distance of the empirical distribution function from the tested one.
        p_value: the probability of a larger one; 1 without observations.
        size: the number of observations, which may be 0.
        level: the false-alarm rate.
    """

    distance: float
    p_value: float
    size: int
    level: float

    @property
    def rejected(self) -> bool:
        """Whether the sample contradicts the tested law."""
        return self.p_value < self.level


def kolmogorov_test(
    sample: ArrayLike, cdf: Callable[[np.ndarray], np.ndarray], *, level: float = 0.001
) -> KolmogorovTest:
    """Test whether independent values have a continuous distribution function.

    Args:
        sample: one-dimensional, finite; without values nothing is rejected.
        cdf: the tested distribution function, of an array.
        level: the false-alarm rate, in (0, 1).

    Raises:
        ArgumentError: outside these ranges.

    >>> kolmogorov_test([0.25, 0.75], lambda x: x).distance   # the steps at 1/4 and 3/4 of a uniform law
    0.25
    """
    from scipy import stats

    values = arguments.reals("sample", sample, "(-inf, inf)")
    if values.ndim != 1:
        raise ArgumentError(f"sample has shape {values.shape}: need one dimension")
    level = arguments.real("level", level, "(0, 1)")
    if values.size == 0:
        return KolmogorovTest(0.0, 1.0, 0, level)
    found = stats.kstest(values, cdf)
    return KolmogorovTest(float(found.statistic), float(found.pvalue), values.size, level)


def kolmogorov_power_bound(tested: ArrayLike, truth: ArrayLike, size: int, *, level: float = 0.001) -> float:
    """Return a lower bound of the power of the Kolmogorov-Smirnov test.

    The test rejects at least when the empirical distribution function leaves the band of half-width c_n
    around the tested one at the point where that differs most from the true one; n times its value there is
    binomial.

    Args:
        tested: values of the tested distribution function at some points.
        truth: values of the true one at the same points; rounding outside [0, 1] is cut off.
        size: observations n, from 0; without any the power is 0.
        level: the false-alarm rate, in (0, 1).

    Raises:
        ArgumentError: outside these ranges, or if the shapes differ.

    Source:
        Derived on page :doc:`Log-normality </book/executed/05_log_normality>`.

    >>> kolmogorov_power_bound([0.0], [1.0], 10)   # all observations lie where none should
    1.0
    """
    from scipy import stats

    tested, truth = (
        arguments.reals(name, v, "[-1, 2]") for name, v in (("tested", tested), ("truth", truth))
    )
    if tested.shape != truth.shape or tested.ndim != 1 or tested.size == 0:
        raise ArgumentError(f"tested has shape {tested.shape}: need that of truth, {truth.shape}")
    size = arguments.integer("size", size, "[0, 1000000000]")
    level = arguments.real("level", level, "(0, 1)")
    if size == 0:
        return 0.0
    critical = stats.kstwo.isf(level, size)
    worst = np.argmax(np.abs(truth - tested))
    p = float(np.clip(truth[worst], 0.0, 1.0))
    low, high = size * (tested[worst] - critical), size * (tested[worst] + critical)
    below, above = math.ceil(low) - 1, math.floor(high)
    return float(stats.binom.cdf(below, size, p) + stats.binom.sf(above, size, p))


def hill_power(k: int, hypothesis: float, truth: float, *, level: float = 0.01) -> float:
    """Return the probability that Hill's interval leaves out a hypothesis about the tail index.

    For an exact power tail of index α, k α/α̂ has the gamma law of shape k, so the interval of confidence
    1 - level contains α₀ if and only if k α₀/α̂ lies between two quantiles of that law.

    Args:
        k: the number of upper order statistics, from 1.
        hypothesis: the tested index α₀, above 0.
        truth: the index α, above 0.
        level: one minus the confidence of the interval, in (0, 1).

    Returns:
        The power; at truth = hypothesis, the level.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Hill (1975).

    >>> round(hill_power(50, 2.0, 2.0, level=0.05), 12)
    0.05
    """
    k = arguments.integer("k", k, _SIZES)
    hypothesis = arguments.real("hypothesis", hypothesis, "(0, inf)")
    truth = arguments.real("truth", truth, "(0, inf)")
    level = arguments.real("level", level, "(0, 1)")
    edges = special.gammaincinv(k, np.array([level / 2.0, 1.0 - level / 2.0]))
    low, high = special.gammainc(k, edges * truth / hypothesis)
    return float(1.0 - (high - low))
