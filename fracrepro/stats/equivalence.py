"""Equivalence within a margin: two one-sided tests of paired differences, and the words of a verdict."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fracrepro.arguments import integer, real
from fracrepro.stats.paired import PairedDifference, paired_difference

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Equivalence",
    "equivalence",
    "equivalence_power",
    "equivalent_pairs",
    "least_pairs",
    "one_sided",
    "verdict",
]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(400)
_REACH = 12.0  # standard deviations of the spread's root beyond which nothing is left in double precision


@dataclass(frozen=True)
class Equivalence:
    """The outcome of two one-sided tests that a mean difference lies inside ±margin.

    Attributes:
        difference: the mean with its interval of confidence 1 - 2 level; the tests find equivalence exactly
            if this interval lies inside ±margin.
        margin: the smallest difference that matters.
        p_above: p-value of the hypothesis that the mean is at most -margin.
        p_below: p-value of the hypothesis that it is at least +margin.
        level: the largest probability of finding equivalence where there is none.
    """

    difference: PairedDifference
    margin: float
    p_above: float
    p_below: float
    level: float

    @property
    def p_value(self) -> float:
        """The larger of the two: equivalence needs both tests."""
        return max(self.p_above, self.p_below)

    @property
    def equivalent(self) -> bool:
        """Whether the mean is shown to lie inside ±margin."""
        return self.p_value <= self.level


def equivalence(
    first: pd.Series, second: pd.Series, margin: float, *, level: float = 0.05, power: float = 0.8
) -> Equivalence:
    r"""Test that the mean of ``first - second``, paired by index, lies inside ±margin.

    .. math:: t_\pm = \frac{m \pm \bar d}{\hat\sigma_d / \sqrt n}

    Both must exceed the quantile of Student's law with n - 1 degrees of freedom.

    Args:
        first: one value per seed.
        second: the same, for the same seeds in any order.
        margin: m, above 0.
        level: in (0, 1/2).
        power: of the two-sided test for a difference at `level`, for ``difference.detectable``.

    Returns:
        The tests; with fewer than two complete pairs both p-values are 1.

    Raises:
        ArgumentError: for other seeds, and values outside these ranges.

    Source:
        Schuirmann (1987).

    >>> import pandas as pd
    >>> found = equivalence(pd.Series([1.0, -1.0]), pd.Series([0.0, 0.0]), 1.0)
    >>> round(found.p_value, 12)    # t = 1/(√2/√2) = 1 on one degree of freedom: a quarter
    0.25
    """
    margin, level = real("margin", margin, "(0, inf)"), real("level", level, "(0, 0.5)")
    shown = paired_difference(first, second, confidence=1 - 2 * level)
    detectable = paired_difference(first, second, confidence=1 - level, power=power).detectable
    found = PairedDifference(
        shown.mean, shown.low, shown.high, shown.effect, detectable, shown.pairs, shown.lost
    )
    values = (first - second).to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    return Equivalence(
        difference=found,
        margin=margin,
        p_above=one_sided(values + margin),
        p_below=one_sided(margin - values),
        level=level,
    )


def one_sided(values: np.ndarray) -> float:
    """Return Student's p-value of the hypothesis that the mean of independent values is at most 0.

    Without spread it is 0 for a mean above 0, else 1; with fewer than two values it is 1.

    Args:
        values: a vector of finite numbers.

    >>> round(one_sided(np.array([0.0, 2.0])), 12)    # t = 1 on one degree of freedom
    0.25
    """
    from scipy import stats

    n = len(values)
    if n < 2:
        return 1.0
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    if deviation == 0.0:
        return 0.0 if mean > 0 else 1.0
    # The survival function of a negative t is 1 - that of its absolute value, without cancellation.
    return float(stats.t.sf(mean * math.sqrt(n) / deviation, n - 1))


def verdict(
    *,
    equivalent: bool,
    different: bool,
    mean: float,
    detectable: float,
    higher_is_better: bool = True,
    number: Callable[[float], str] = "{:.2g}".format,
) -> str:
    """Return a verdict in one of four wordings, of which equivalence comes first.

    A difference that is shown and is smaller than the margin is no difference that matters.

    Args:
        equivalent: whether the difference is shown to lie inside the margin.
        different: whether it is shown not to be zero.
        mean: of the differences.
        detectable: what would have been seen.
        higher_is_better: whether a positive difference is an advantage.
        number: writes `detectable`.

    >>> verdict(equivalent=False, different=True, mean=-0.2, detectable=0.1, higher_is_better=False)
    'better'
    >>> verdict(equivalent=False, different=False, mean=0.1, detectable=0.25)
    'not known, a difference of 0.25 would have been seen'
    """
    if equivalent:
        return "equivalent within the margin"
    if different:
        return "better" if (mean > 0) == higher_is_better else "worse"
    if not math.isfinite(detectable):
        return "not known, no difference would have been seen"
    return f"not known, a difference of {number(detectable)} would have been seen"


def equivalence_power(pairs: int, margin: float, difference: float = 0.0, *, level: float = 0.05) -> float:
    r"""Return the probability that the two one-sided tests find equivalence, for normal differences.

    With U the sample's standard deviation over the true one, whose square is chi-squared over its degrees of
    freedom, and t the quantile of the tests,

    .. math:: E\left[\Phi(\sqrt n (m - \delta) - t U) - \Phi(-\sqrt n (m + \delta) + t U);\;
        t U < \sqrt n\, m\right].

    Args:
        pairs: n, at least 2.
        margin: m, in standard deviations of the differences, above 0.
        difference: δ, the true mean in the same unit.
        level: of the tests, in (0, 1/2).

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Schuirmann (1987) for the tests, the definition of power for the rest.

    >>> bool(equivalence_power(10, 1.0, 1.0) < 0.05 < equivalence_power(10, 2.0))   # at the margin, the level
    True
    """
    from scipy import special, stats

    n = integer("pairs", pairs, "[2, inf)")
    margin, level = real("margin", margin, "(0, inf)"), real("level", level, "(0, 0.5)")
    delta = real("difference", difference, "(-inf, inf)")
    nu, root = n - 1, math.sqrt(n)
    t = float(stats.t.isf(level, nu))
    spread = _REACH / math.sqrt(2 * nu)
    low, high = max(0.0, 1 - spread), min(root * margin / t, 1 + spread)
    if high <= low:
        return 0.0
    u = low + (high - low) * (_NODES + 1) / 2
    upper, lower = root * (margin - delta) - t * u, -root * (margin + delta) + t * u
    # The difference of two values near 1 is taken between their complements.
    inside = np.where(
        lower > 0,
        special.ndtr(-lower) - special.ndtr(-upper),
        special.ndtr(upper) - special.ndtr(lower),
    )
    density = stats.chi.pdf(u * math.sqrt(nu), nu) * math.sqrt(nu)
    return float((high - low) / 2 * (_WEIGHTS @ (inside * density)))


def least_pairs(power_of: Callable[[int], float], power: float, least: int = 2) -> int:
    """Return the smallest number from which on a test has the power, for a power that grows with it.

    Args:
        power_of: the power of a number of pairs.
        power: that is wanted, in (0, 1).
        least: where the search begins.

    Raises:
        ArgumentError: when a million pairs do not suffice.

    >>> least_pairs(lambda n: 1 - 1 / n, 0.8)
    5
    """
    wanted = real("power", power, "(0, 1)")
    high = least
    while power_of(high) < wanted:
        if high > 1_000_000:
            real("pairs", high, "[2, 1000000]")
        high *= 2
    low = high // 2 if high > least else least - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= wanted else (middle, high)
    return high


def equivalent_pairs(
    margin: float, difference: float = 0.0, *, level: float = 0.05, power: float = 0.8
) -> int:
    """Return how many pairs find equivalence with a given power.

    Args:
        margin: in standard deviations of the differences, as is `difference`, the true mean.
        difference: smaller than the margin in absolute value.
        level: of the tests, in (0, 1/2).
        power: in (0, 1).

    Raises:
        ArgumentError: outside these ranges.

    >>> equivalent_pairs(1.0)   # (1.645 + 1.282)² = 8.6 with normal quantiles
    11
    """
    margin = real("margin", margin, "(0, inf)")
    real("difference", abs(difference), f"[0, {margin})")
    return least_pairs(lambda n: equivalence_power(n, margin, difference, level=level), power)
