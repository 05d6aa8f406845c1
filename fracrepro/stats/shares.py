"""Shares of runs, such as those that start: exact tests, intervals and power, for pairs and for groups."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from fracrepro.arguments import integer, real
from fracrepro.errors import ArgumentError
from fracrepro.stats.equivalence import least_pairs

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ShareDifference",
    "detectable_share",
    "group_share_difference",
    "group_share_power",
    "share_difference",
    "share_pairs",
    "share_power",
]

_GRID = np.linspace(0.0, 1.0, 401)[1:-1]  # common shares at which the level of a test of groups is taken


@dataclass(frozen=True)
class ShareDifference:
    """The difference of two shares with its interval and an exact test that they are equal.

    Attributes:
        first: share among the first runs.
        second: share among the second.
        low: end of the interval of ``first - second``.
        high: the other end.
        p_value: of the exact two-sided test.
        only_first: pairs in which only the first run counts; -1 for groups.
        only_second: pairs in which only the second does; -1 for groups.
        pairs: how many; runs of the smaller group where they are not paired.
    """

    first: float
    second: float
    low: float
    high: float
    p_value: float
    only_first: int
    only_second: int
    pairs: int

    @property
    def difference(self) -> float:
        """``first - second``."""
        return self.first - self.second

    def p_equivalent(self, margin: float) -> float:
        """Return the p-value of the hypothesis that the difference is not inside ±margin, for pairs.

        It is the larger one of two score tests; its level is that of large samples.

        Args:
            margin: in (0, 1).

        Raises:
            ArgumentError: outside this range, and for groups.

        Source:
            Tango (1998).
        """
        margin = real("margin", margin, "(0, 1)")
        if self.only_first < 0:
            raise ArgumentError("p_equivalent: need pairs")
        counts = self.only_first, self.only_second, self.pairs
        return float(special.ndtr(max(_score(*counts, margin), -_score(*counts, -margin))))


def share_difference(first: pd.Series, second: pd.Series, *, confidence: float = 0.95) -> ShareDifference:
    """Compare two shares in pairs: McNemar's exact test, and Tango's interval.

    Only pairs that differ say something: under equal shares each is as likely to be one as the other.

    Args:
        first: True or False for every seed.
        second: the same, for the same seeds in any order.
        confidence: of the interval, in (0, 1); that of large samples.

    Raises:
        ArgumentError: for other seeds, other values, or no pair.

    Source:
        McNemar (1947), Tango (1998).

    >>> import pandas as pd
    >>> found = share_difference(pd.Series([True] * 5), pd.Series([False] * 5))
    >>> found.p_value    # 2/2⁵
    0.0625
    """
    from scipy import stats

    confidence = real("confidence", confidence, "(0, 1)")
    if set(first.index) != set(second.index):
        raise ArgumentError("second: need the same seeds as first, since the comparison is paired")
    one, other = _truths("first", first), _truths("second", second.reindex(first.index))
    n, b, c = len(one), int((one & ~other).sum()), int((other & ~one).sum())
    p = float(stats.binomtest(b, b + c, 0.5).pvalue) if b + c else 1.0
    low, high = _tango(b, c, n, confidence)
    return ShareDifference(float(one.mean()), float(other.mean()), low, high, p, b, c, n)


def group_share_difference(
    first: int, first_runs: int, second: int, second_runs: int, *, confidence: float = 0.95
) -> ShareDifference:
    """Compare two shares of independent groups: Boschloo's exact test, and Newcombe's interval.

    Args:
        first: runs that count in the first group.
        first_runs: its size, from 1.
        second: runs that count in the second group.
        second_runs: its size, from 1.
        confidence: of the interval, in (0, 1); that of large samples.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Boschloo (1970), Newcombe (1998).

    >>> group_share_difference(8, 10, 2, 10).p_value < 0.05
    True
    """
    from scipy import stats

    m, n = (
        integer("first_runs", first_runs, "[1, 100000]"),
        integer("second_runs", second_runs, "[1, 100000]"),
    )
    a, b = integer("first", first, f"[0, {m}]"), integer("second", second, f"[0, {n}]")
    confidence = real("confidence", confidence, "(0, 1)")
    p = float(stats.boschloo_exact([[a, b], [m - a, n - b]]).pvalue)
    one, other = (
        stats.binomtest(k, size).proportion_ci(confidence, method="wilson") for k, size in ((a, m), (b, n))
    )
    share, base = a / m, b / n
    low = share - base - math.hypot(share - one.low, other.high - base)
    high = share - base + math.hypot(one.high - share, base - other.low)
    return ShareDifference(share, base, low, high, min(1.0, p), -1, -1, min(m, n))


def share_power(pairs: int, first: float, second: float, *, level: float = 0.05, both: float = -1.0) -> float:
    """Return the power of McNemar's exact test, by enumeration of all numbers of differing pairs.

    Args:
        pairs: how many, from 1.
        first: true share among the first runs, in [0, 1].
        second: among the second.
        level: of the two-sided test, in (0, 1).
        both: probability that both runs of a pair count; -1 takes independent runs, which need more pairs
            than runs that go together.

    Raises:
        ArgumentError: outside these ranges, and for a `both` that the shares do not allow.

    >>> round(share_power(6, 1.0, 0.0), 12), share_power(5, 1.0, 0.0)    # 2/2⁶ < 0.05 < 2/2⁵
    (1.0, 0.0)
    """
    from scipy import stats

    n = integer("pairs", pairs, "[1, 100000]")
    p, q = real("first", first, "[0, 1]"), real("second", second, "[0, 1]")
    level = real("level", level, "(0, 1)")
    if both == -1.0:
        both = p * q
    elif not max(0.0, p + q - 1) - 1e-12 <= real("both", both, "[0, 1]") <= min(p, q) + 1e-12:
        raise ArgumentError(f"both = {both!r}: need what shares of {p} and {q} allow")
    only_first, only_second = max(0.0, p - both), max(0.0, q - both)
    differing = only_first + only_second
    if differing <= 0.0:
        return 0.0
    d = np.arange(n + 1)
    # The least count of one side that rejects, for every number of differing pairs: it is symmetric.
    beyond = stats.binom.isf(level / 2, d, 0.5) + 1
    beyond = np.where(stats.binom.sf(beyond - 2, d, 0.5) <= level / 2, beyond - 1, beyond)
    ratio = only_first / differing
    rejects = stats.binom.sf(beyond - 1, d, ratio) + stats.binom.cdf(d - beyond, d, ratio)
    return float(stats.binom.pmf(d, n, min(1.0, differing)) @ np.where(d > 0, rejects, 0.0))


def group_share_power(runs: int, first: float, second: float, *, level: float = 0.05) -> float:
    """Return the power of Boschloo's exact test of two groups of one size.

    The tables that it rejects are those with the smallest p-values of Fisher's test whose probability stays
    within the level for every common share; these are taken on a grid of 399.

    Args:
        runs: in each group, in [1, 300].
        first: true share in the first group, in [0, 1].
        second: in the second.
        level: of the two-sided test, in (0, 1).

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Boschloo (1970).

    >>> group_share_power(10, 1.0, 0.0)
    1.0
    """
    from scipy import stats

    n = integer("runs", runs, "[1, 300]")
    p, q = real("first", first, "[0, 1]"), real("second", second, "[0, 1]")
    level = real("level", level, "(0, 1)")
    counts = np.arange(n + 1)
    fisher = _fisher(n)
    cuts, place = np.unique(np.round(fisher, 13), return_inverse=True)
    sizes = np.zeros((len(_GRID), len(cuts)))
    for row, share in zip(sizes, _GRID, strict=True):
        law = stats.binom.pmf(counts, n, share)
        row += np.cumsum(np.bincount(place.ravel(), np.outer(law, law).ravel(), len(cuts)))
    rejected = (sizes.max(0) <= level * (1 + 1e-12))[place].reshape(fisher.shape)
    table = np.outer(stats.binom.pmf(counts, n, p), stats.binom.pmf(counts, n, q))
    return min(1.0, float(table[rejected].sum()))


def share_pairs(first: float, second: float, *, level: float = 0.05, power: float = 0.8) -> int:
    """Return how many pairs of independent runs McNemar's exact test needs.

    The power of an exact test falls a little at some numbers; the search takes one from which the next tenth,
    and at least the next eight, keep it.

    Args:
        first: true share among the first runs, in [0, 1].
        second: among the second, another one.
        level: of the two-sided test, in (0, 1).
        power: in (0, 1).

    Raises:
        ArgumentError: outside these ranges.

    >>> share_pairs(1.0, 0.0)
    6
    """
    if real("first", first, "[0, 1]") == real("second", second, "[0, 1]"):
        raise ArgumentError(f"second = {second!r}: need another share than the first")
    known: dict[int, float] = {}

    def lasting(n: int) -> float:
        for size in range(n, n + max(8, n // 10)):
            known.setdefault(size, share_power(size, first, second, level=level))
        return min(known[size] for size in range(n, n + max(8, n // 10)))

    return least_pairs(lasting, power, least=1)


def detectable_share(pairs: int, second: float, *, level: float = 0.05, power: float = 0.8) -> float:
    """Return the difference above a share that McNemar's exact test finds with a given power.

    It is the smallest one on a grid of thousandths, for independent runs; NaN where even the share 1 is not
    enough.

    Args:
        pairs: how many, from 1.
        second: the smaller share, in [0, 1].
        level: of the two-sided test, in (0, 1).
        power: in (0, 1).

    Raises:
        ArgumentError: outside these ranges.

    >>> detectable_share(6, 0.0, power=0.999)    # only six differing pairs are enough, p⁶ = 0.999
    1.0
    """
    second, power = real("second", second, "[0, 1]"), real("power", power, "(0, 1)")
    most = math.floor(1000 * (1 - second) + 1e-9)

    def power_of(step: int) -> float:  # grows with the step: more pairs differ, and more of them one way
        return share_power(pairs, min(1.0, second + step / 1000), second, level=level)

    step = bisect.bisect_left(range(most + 1), power, lo=1, key=power_of)
    return step / 1000 if step <= most else math.nan


def _truths(name: str, values: pd.Series) -> np.ndarray:
    array = values.to_numpy()
    if array.dtype != bool or not array.size:
        raise ArgumentError(f"{name}: need True or False for at least one seed")
    return array


def _fisher(n: int) -> np.ndarray:
    """Fisher's two-sided p-values of all tables of two groups of n."""
    from scipy import stats

    found = np.empty((n + 1, n + 1))
    for total in range(2 * n + 1):
        a = np.arange(max(0, total - n), min(n, total) + 1)
        law = stats.hypergeom.pmf(a, 2 * n, n, total)
        order = np.argsort(law, kind="stable")
        last = np.searchsorted(law[order], law * (1 + 1e-7), side="right") - 1
        found[a, total - a] = np.cumsum(law[order])[last]
    return found


def _score(b: int, c: int, n: int, delta: float) -> float:
    """Tango's score statistic of the hypothesis that the difference of the shares is delta."""
    if delta < 0.0:  # the same with the runs of each pair exchanged
        return -_score(c, b, n, -delta)
    linear = (2 * n - b + c) * delta - b - c
    root = math.sqrt(linear**2 + 8 * n * c * delta * (1 - delta))
    only_second = max(0.0, (root - linear) / (4 * n))
    variance = n * (2 * only_second + delta * (1 - delta))
    gap = b - c - n * delta
    if variance <= 0.0:
        return 0.0 if gap == 0.0 else math.copysign(math.inf, gap)
    return gap / math.sqrt(variance)


def _tango(b: int, c: int, n: int, confidence: float) -> tuple[float, float]:
    """All differences that the score test does not reject."""
    from scipy import optimize

    z, middle = float(special.ndtri((1 + confidence) / 2)), (b - c) / n

    def edge(sign: float) -> float:
        end = sign * (1 - 1e-12)
        if abs(middle) == 1.0 and sign == middle:
            return sign
        if abs(_score(b, c, n, end)) <= z:
            return sign
        return float(optimize.brentq(lambda x: sign * _score(b, c, n, x) + z, middle, end, xtol=1e-14))

    return edge(-1.0), edge(1.0)
