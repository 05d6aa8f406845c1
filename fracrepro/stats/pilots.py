"""How many pairs an experiment needs, from a pilot whose own spread is uncertain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fracrepro.arguments import integer, real
from fracrepro.stats.equivalence import equivalence_power, least_pairs

__all__ = ["Pilot", "difference_power"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)


def difference_power(pairs: int, difference: float, *, level: float = 0.05) -> float:
    """Return the power of the paired two-sided t-test, for normal differences.

    Its inverse is :func:`.paired.detectable_difference`.

    Args:
        pairs: at least 2.
        difference: the true mean, in standard deviations of the differences.
        level: in (0, 1).

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Student (1908) for the test, the definition of power for the rest.

    >>> round(difference_power(10, 0.0), 12)    # without a difference, the level
    0.05
    """
    from scipy import stats

    n = integer("pairs", pairs, "[2, inf)")
    centre = real("difference", difference, "(-inf, inf)") * math.sqrt(n)
    threshold = stats.t.isf(real("level", level, "(0, 1)") / 2, n - 1)
    # The lower tail is the upper one of -centre, where scipy loses less.
    tails = np.nan_to_num(stats.nct.sf(threshold, n - 1, np.array([centre, -centre])))
    return min(1.0, float(tails.sum()))


@dataclass(frozen=True)
class Pilot:
    """What a pilot says of an experiment: the spread of its paired differences, and how well it is known.

    Args:
        pairs: of the pilot, at least 2.
        deviation: standard deviation of their differences, above 0.

    Raises:
        ArgumentError: outside these ranges.

    >>> Pilot(pairs=10, deviation=2.0).pairs_for(2.0, uncertain=False)    # one standard deviation
    10
    """

    pairs: int
    deviation: float

    def __post_init__(self) -> None:
        """Check both."""
        integer("pairs", self.pairs, "[2, inf)")
        real("deviation", self.deviation, "(0, inf)")

    def upper(self, confidence: float = 0.8) -> float:
        r"""Return an upper bound of the true standard deviation: :math:`s \sqrt{\nu / \chi^2_{\nu,1-c}}`.

        Args:
            confidence: c, the probability that normal differences keep below it, in (0, 1).

        Source:
            Browne (1995).

        >>> round(Pilot(2, 1.0).upper(0.5), 3)    # the median of χ² on one degree of freedom is 0.455
        1.483
        """
        from scipy import stats

        c, nu = real("confidence", confidence, "(0, 1)"), self.pairs - 1
        return float(self.deviation * math.sqrt(nu / stats.chi2.ppf(1 - c, nu)))

    def power(
        self, pairs: int, difference: float, *, level: float = 0.05, confidence: float | None = 0.8
    ) -> float:
        """Return the power of the paired t-test at the bound of the standard deviation.

        Args:
            pairs: of the experiment, at least 2.
            difference: the true mean, in the unit of `deviation`.
            level: of the two-sided test, in (0, 1).
            confidence: of the bound :meth:`upper`; None takes the pilot's value as if it were the true one.

        >>> Pilot(10, 1.0).power(10, 1.0) < Pilot(10, 1.0).power(10, 1.0, confidence=None)
        True
        """
        deviation = self.deviation if confidence is None else self.upper(confidence)
        return difference_power(pairs, difference / deviation, level=level)

    def mean_power(self, pairs: int, difference: float, *, level: float = 0.05) -> float:
        r"""Return the power on average over the true spread, given the pilot.

        The average is over :math:`s^2 \nu / \chi^2_\nu`, the law of the true variance given the pilot's
        under the prior that knows no scale.

        Args:
            pairs: as in :meth:`power`, as are `difference` and `level`.
            difference: the true mean.
            level: of the two-sided test.

        Source:
            O'Hagan, Stevens and Campbell (2005), who call it assurance.
        """
        from scipy import stats

        nu, effect = self.pairs - 1, difference / self.deviation
        spread = 12.0 / math.sqrt(2 * nu)  # beyond which nothing is left in double precision
        low, high = max(0.0, 1 - spread), 1 + spread
        u = low + (high - low) * (_NODES + 1) / 2
        density = stats.chi.pdf(u * math.sqrt(nu), nu) * math.sqrt(nu)
        powers = np.array([difference_power(pairs, effect * each, level=level) for each in u])
        return float((high - low) / 2 * (_WEIGHTS @ (powers * density)))

    def equivalence_power(
        self,
        pairs: int,
        margin: float,
        difference: float = 0.0,
        *,
        level: float = 0.05,
        confidence: float | None = 0.8,
    ) -> float:
        """Return the power of the two one-sided tests at the bound of the standard deviation.

        Args:
            pairs: as in :meth:`power`.
            margin: of equivalence, in the unit of `deviation`.
            difference: the true mean in this unit.
            level: of the tests, in (0, 1/2).
            confidence: as in :meth:`power`.
        """
        deviation = self.deviation if confidence is None else self.upper(confidence)
        return equivalence_power(pairs, margin / deviation, difference / deviation, level=level)

    def pairs_for(
        self, difference: float, *, level: float = 0.05, power: float = 0.8, uncertain: bool = True
    ) -> int:
        """Return how many pairs find a difference with the power.

        Args:
            difference: the true mean, above 0, in the unit of `deviation`.
            level: of the two-sided test, in (0, 1).
            power: in (0, 1).
            uncertain: whether the bound :meth:`upper` stands for the deviation, or the pilot's own value.
        """
        real("difference", difference, "(0, inf)")
        confidence = 0.8 if uncertain else None
        return least_pairs(lambda n: self.power(n, difference, level=level, confidence=confidence), power)
