"""Tests of a mean and of a standard deviation, with their false-alarm rate and their power stated."""

from __future__ import annotations

import math
from dataclasses import dataclass

from numpy.typing import ArrayLike
from scipy import special

from fracrepro import arguments
from fracrepro.errors import ArgumentError


@dataclass(frozen=True)
class MeanTest:
    """The outcome of a two-sided z-test of a mean.

    Attributes:
        expected: the tested mean.
        estimate: the mean of the sample.
        error: its standard error.
        size: the number of independent values.
        level: the false-alarm rate.
    """

    expected: float
    estimate: float
    error: float
    size: int
    level: float

    @property
    def z(self) -> float:
        """(estimate - expected) / error; 0 for a sample without spread that hits the value, else infinite."""
        gap = self.estimate - self.expected
        if self.error == 0.0:
            return 0.0 if gap == 0.0 else math.copysign(math.inf, gap)
        return gap / self.error

    @property
    def threshold(self) -> float:
        """The test rejects when abs(z) exceeds this normal quantile."""
        return float(-special.ndtri(self.level / 2.0))

    @property
    def rejected(self) -> bool:
        """Whether the sample contradicts the expected mean."""
        return abs(self.z) > self.threshold

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of means that the test does not reject, of confidence 1 - level."""
        half = self.threshold * self.error
        return self.estimate - half, self.estimate + half

    def power(self, alternative: float) -> float:
        """Return the probability that the test rejects at this standard error if `alternative` is the mean.

        Args:
            alternative: any finite number.

        >>> round(MeanTest(0.0, 0.0, 1.0, 100, 0.05).power(0.0), 12)   # at the tested mean, the level
        0.05
        """
        shift = arguments.real("alternative", alternative, "(-inf, inf)") - self.expected
        if self.error == 0.0:
            return 0.0 if shift == 0.0 else 1.0
        distance = shift / self.error
        return float(special.ndtr(distance - self.threshold) + special.ndtr(-distance - self.threshold))


def mean_test(sample: ArrayLike, expected: float, *, level: float = 0.001) -> MeanTest:
    """Test whether independent values with a finite variance have the mean `expected`.

    The level is that of a normal mean, so the sample must be large and its tails light.
    Test one-layer factors or logarithms, not r_k^s at large depth.

    Args:
        sample: one-dimensional, at least two values, all finite.
        expected: the tested mean.
        level: the false-alarm rate, in (0, 1).

    Raises:
        ArgumentError: outside these ranges.

    >>> mean_test([-1.0, 1.0, -1.0, 1.0], 0.0).rejected
    False
    """
    values = arguments.reals("sample", sample, "(-inf, inf)")
    if values.ndim != 1 or values.size < 2:
        raise ArgumentError(f"sample has shape {values.shape}: need one dimension and at least two values")
    expected = arguments.real("expected", expected, "(-inf, inf)")
    level = arguments.real("level", level, "(0, 1)")
    error = float(values.std(ddof=1)) / math.sqrt(values.size)
    return MeanTest(expected, float(values.mean()), error, values.size, level)


@dataclass(frozen=True)
class SpreadTest:
    """The outcome of a two-sided test of the standard deviation of normal values.

    Attributes:
        expected: the tested standard deviation.
        spread: that of the sample, the root of its mean squared deviation; 0 without values.
        size: the number of independent values.
    """

    expected: float
    spread: float
    size: int

    @property
    def p_value(self) -> float:
        """Twice the smaller tail of size (spread/expected)², chi-squared with size - 1; 1 if size < 2."""
        from scipy import stats

        if self.size < 2:
            return 1.0
        law, x = stats.chi2(self.size - 1), self.size * (self.spread / self.expected) ** 2
        return float(2.0 * min(law.cdf(x), law.sf(x)))

    def power(self, factor: float, *, level: float = 0.001) -> float:
        """Return the probability of a p-value below `level` if the standard deviation is `factor` as large.

        Only the tail towards which the factor moves the spread is counted.

        Args:
            factor: above 0.
            level: the false-alarm rate, in (0, 1).

        >>> round(SpreadTest(1.0, 1.0, 100).power(1.0, level=0.05), 12)   # half the level, one tail
        0.025
        """
        from scipy import stats

        factor = arguments.real("factor", factor, "(0, inf)")
        half = arguments.real("level", level, "(0, 1)") / 2.0
        law = stats.chi2(max(self.size - 1, 1))
        if factor < 1.0:
            return float(law.cdf(law.ppf(half) / factor**2))
        return float(law.sf(law.isf(half) / factor**2))


def spread_test(sample: ArrayLike, expected: float) -> SpreadTest:
    """Test whether independent normal values have the standard deviation `expected`.

    Args:
        sample: one-dimensional, finite; below two values nothing is rejected.
        expected: the tested standard deviation, above 0.

    Raises:
        ArgumentError: outside these ranges.

    >>> spread_test([-1.0, 1.0], 1.0).spread
    1.0
    """
    values = arguments.reals("sample", sample, "(-inf, inf)")
    if values.ndim != 1:
        raise ArgumentError(f"sample has shape {values.shape}: need one dimension")
    expected = arguments.real("expected", expected, "(0, inf)")
    return SpreadTest(expected, float(values.std()) if values.size else 0.0, values.size)
