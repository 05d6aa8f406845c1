"""Tests of a mean, with their false alarm rate and their power stated."""

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
