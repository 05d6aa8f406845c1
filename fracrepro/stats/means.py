"""Tests of a mean, with their false alarm rate and their power stated."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from fracrepro import arguments
from fracrepro.errors import ArgumentError


@dataclass(frozen=True)
class MeanTest:
    """The outcome of a two-sided z-test of a mean.

    `estimate` is the sample mean and `error` its standard error, from `size` independent values.
    `z` is the distance from `expected` in standard errors; `level` is the false alarm rate.
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
        """The probability that the test rejects when the mean is `alternative`, at this standard error."""
        shift = arguments.real("alternative", alternative, "(-inf, inf)") - self.expected
        if self.error == 0.0:
            return 0.0 if shift == 0.0 else 1.0
        distance = shift / self.error
        return float(special.ndtr(distance - self.threshold) + special.ndtr(-distance - self.threshold))


def mean_test(sample: np.ndarray, expected: float, *, level: float = 0.001) -> MeanTest:
    """Test whether independent values with a finite variance have the mean `expected`.

    Parameters: `sample` one-dimensional with at least two values, all finite; `level` in (0, 1).
    The level is that of a normal mean, so the sample must be large and its tails light.
    Test one-layer factors or logarithms, not r_k^s at large depth.
    Raises ArgumentError outside these ranges.
    Source: derived here.

    >>> mean_test(np.array([-1.0, 1.0, -1.0, 1.0]), 0.0).rejected
    False
    """
    values = arguments.reals("sample", sample, "(-inf, inf)")
    if values.ndim != 1 or values.size < 2:
        raise ArgumentError(f"sample has shape {values.shape}: need one dimension and at least two values")
    expected = arguments.real("expected", expected, "(-inf, inf)")
    level = arguments.real("level", level, "(0, 1)")
    error = float(values.std(ddof=1)) / math.sqrt(values.size)
    return MeanTest(expected, float(values.mean()), error, values.size, level)
