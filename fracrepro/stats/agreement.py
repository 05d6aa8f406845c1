"""Two records of one experiment, made at different seeds, on two devices for example: are their laws equal?

The tests say where a difference was found, and their power what would have been found.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fracrepro.arguments import choice, distinct, integer, real, shown
from fracrepro.errors import ArgumentError
from fracrepro.stats.multiplicity import holm
from fracrepro.stats.paired import FIGURES

if TYPE_CHECKING:
    import pandas as pd

    _Cells = dict[tuple[Hashable, ...], pd.DataFrame]

__all__ = ["agreement", "lepage", "lepage_power"]

_RUNS = "[2, 2000]"
_LEVELS = "[0.00001, 1)"  # of one comparison; a smaller one takes too many divisions
_DRAWS = 20_000  # divisions at the least, where not all of them are taken
_TRIALS = 4_000  # pairs of samples for a power, whose standard error is then at most 0.008
_BLOCK = 8_192  # divisions that are multiplied at once
# Statistics are equal within this factor: the two sides of a symmetric one differ by rounding.
_TIE = 1.0 - 1e-9
_NIL = 1e-12  # a statistic of 0 may come out as that much
_BESIDE = ("experiment", "seed", "epoch", "seconds")  # neither measured by the test nor settings of a run


def agreement(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    figures: Sequence[str] = FIGURES,
    epochs: Sequence[int] | None = None,
    level: float = 0.01,
    shift: float = 1.25,
    spread: float = 4.0,
) -> pd.DataFrame:
    r"""Test for every scheme and setting whether two records have equal laws after some epochs.

    Each comparison is :func:`lepage`, which sees a change of location and a change of spread.
    The p-values of all comparisons together are adjusted by Holm's rule, so that the probability of finding
    any difference is at most `level` where there is none, although the rows share their runs.
    A run without a finite test loss after an epoch has diverged: it counts as a tie with all other such runs
    at the worst end of every figure, so that more or fewer of them are a difference too; where only their
    share differs, :func:`fracrepro.stats.shares.group_share_difference` sees it sooner.

    The powers are those of one comparison at :math:`\text{level} / \text{comparisons}`, the strictest that
    Holm's rule asks for, and so lower bounds of what the adjusted test finds.
    They hold for normal laws without ties; runs that end in few values, such as dead ones, are told apart
    less well.

    Args:
        first: one row per run and epoch, as the trainer returns them.
        second: the same schemes, settings and epochs at other seeds.
        figures: the columns to compare, of :data:`fracrepro.stats.paired.FIGURES`.
        epochs: after which to compare; None takes the first and the last.
        level: the probability of finding any difference where there is none, in (0, 1).
        shift: the difference of the means that `power_shift` is for, in standard deviations, above 0.
        spread: the ratio of the standard deviations that `power_spread` is for, above 1.

    Returns:
        One row per setting, scheme, epoch and figure: the columns that tell the runs apart, ``epoch``,
        ``figure``, ``runs_first`` and ``runs_second``, how many of them have diverged (``diverged_first``,
        ``diverged_second``), the medians (``median_first``, ``median_second``), ``p_value``, ``p_adjusted``,
        ``verdict`` ("different" or "no difference found"), ``power_shift``, and ``power_spread``, the smaller
        one of a second record that is wider and of one that is narrower by the factor.

    Raises:
        ArgumentError: for records that share a seed, since their samples would not be independent; for ones
            that differ in schemes, settings, epochs or columns, have a run twice or in part, or too few runs
            for any difference to be found; and for values outside these ranges.

    Source:
        Lepage (1971), Holm (1979).

    >>> import pandas as pd
    >>> one = pd.DataFrame({"scheme": "kaiming", "seed": range(8), "epoch": 1, "test_loss": range(8)})
    >>> other = one.assign(seed=one["seed"] + 8, test_loss=one["test_loss"] + 20.0)
    >>> found = agreement(one, other, figures=["test_loss"])
    >>> found["p_adjusted"].round(5).tolist(), found["verdict"].tolist()
    ([0.00031], ['different'])
    """
    import pandas as pd

    level, shift = real("level", level, "(0, 1)"), real("shift", shift, "(0, inf)")
    spread = real("spread", spread, "(1, inf)")
    distinct("figures", list(figures))
    for figure in figures:
        choice("figure", figure, FIGURES)
    labels = _labels(first, second, figures)
    known = sorted(first["epoch"].unique().tolist())
    taken = list(dict.fromkeys((known[0], known[-1]))) if epochs is None else list(epochs)
    distinct("epochs", taken)
    for epoch in taken:
        if epoch not in known:
            raise ArgumentError(f"epochs = {shown(epoch)}: need some of {known[0]} to {known[-1]}")
    cells = _cells("first", first, labels), _cells("second", second, labels)
    _check_pair(first, second, cells)
    comparisons = len(cells[0]) * len(taken) * len(figures)
    for key, runs in cells[0].items():
        _check_sizes(runs["seed"].nunique(), cells[1][key]["seed"].nunique(), level, comparisons)
    rows: list[dict[Any, Any]] = []
    pooled: dict[tuple[int, int], list[tuple[int, np.ndarray]]] = {}
    for (key, runs), epoch, figure in itertools.product(cells[0].items(), taken, figures):
        (one, lost), (other, gone) = (
            _sample(table[table["epoch"] == epoch], figure) for table in (runs, cells[1][key])
        )
        pooled.setdefault((len(one), len(other)), []).append((len(rows), np.concatenate([one, other])))
        row = {label: math.nan if value is None else value for label, value in zip(labels, key, strict=True)}
        row |= {"epoch": epoch, "figure": figure}
        row |= {"runs_first": len(one), "runs_second": len(other)}
        row |= {"diverged_first": lost, "diverged_second": gone}
        rows.append(row | {"median_first": np.median(one), "median_second": np.median(other)})
    strict = level / comparisons
    for (m, n), samples in pooled.items():
        found = _p_values(np.array([values for _, values in samples]), m, _draws(strict))
        powers = {
            "power_shift": lepage_power(m, n, shift=shift, level=strict),
            "power_spread": min(lepage_power(m, n, spread=c, level=strict) for c in (spread, 1 / spread)),
        }
        for (place, _), p in zip(samples, found, strict=True):
            rows[place] |= {"p_value": float(p)} | powers
    table = pd.DataFrame(rows)
    adjusted = holm(table["p_value"].to_numpy())
    words = np.where(adjusted <= level, "different", "no difference found")
    table.insert(table.columns.get_loc("p_value") + 1, "p_adjusted", adjusted)
    table.insert(table.columns.get_loc("p_adjusted") + 1, "verdict", words)
    return table


def lepage(first: ArrayLike, second: ArrayLike, *, draws: int = _DRAWS) -> float:
    r"""Return the p-value of Lepage's test that two independent samples have one law.

    With W the sum of the ranks r of the first sample among all N values, and A that of
    :math:`\min(r, N + 1 - r)`, which is small for a sample that lies outside,

    .. math:: T = \frac{(W - E W)^2}{\operatorname{Var} W} + \frac{(A - E A)^2}{\operatorname{Var} A}.

    Equal values share the mean of their ranks; mean and variance are those over all divisions of the N values
    into samples of these sizes, and a sum without variance adds nothing.
    The p-value is the share of the divisions with a T at least as large.
    If there are more than `draws`, that many are drawn at random, always the same for the same sizes, and the
    given division is counted with them, so that the level holds exactly.

    Args:
        first: one-dimensional, 2 to 2000 values; infinite ones have the outermost ranks.
        second: the same.
        draws: most divisions that are looked at, in [100, 10000000].

    Raises:
        ArgumentError: outside these ranges, and for NaN.

    Source:
        Lepage (1971); Ansari and Bradley (1960) for A; Phipson and Smyth (2010) for divisions at random.

    >>> lepage([1, 2, 3], [4, 5, 6])    # as far apart as can be: 2 of 20 divisions
    0.1
    """
    one, other = _values("first", first), _values("second", second)
    draws = integer("draws", draws, "[100, 10000000]")
    return float(_p_values(np.concatenate([one, other])[np.newaxis], len(one), draws)[0])


@functools.lru_cache(maxsize=256)
def lepage_power(
    first_runs: int, second_runs: int, *, shift: float = 0.0, spread: float = 1.0, level: float = 0.01
) -> float:
    """Return the power of Lepage's test for normal laws, from 4000 seeded simulations.

    The first sample is standard normal; the second has the mean `shift` and the standard deviation `spread`.
    The standard error is at most 0.008.

    Args:
        first_runs: size of the first sample, in [2, 2000].
        second_runs: size of the second.
        shift: any finite number.
        spread: above 0.
        level: of the one test, in [0.00001, 1).

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Lepage (1971) for the test, the definition of power for the rest.

    >>> [lepage_power(3, 3, shift=9.0, level=level) for level in (0.09, 0.1)]    # p is at least 2/20
    [0.0, 1.0]
    """
    m, n = integer("first_runs", first_runs, _RUNS), integer("second_runs", second_runs, _RUNS)
    shift, spread = real("shift", shift, "(-inf, inf)"), real("spread", spread, "(0, inf)")
    level = real("level", level, _LEVELS)
    draws = _draws(level)
    null = _untied(m, n, draws)
    rng = np.random.default_rng([m, n, 1])
    first, second = rng.normal(size=(_TRIALS, m)), rng.normal(size=(_TRIALS, n))
    order = np.argsort(np.concatenate([first, shift + spread * second], axis=1), axis=1)
    statistics = _statistics((order < m).astype(float), np.arange(1.0, m + n + 1)[np.newaxis], m)[:, 0]
    reached = len(null) - np.searchsorted(null, statistics * _TIE, side="left")
    return float((_shares(reached, m, n, draws) <= level).mean())


def _labels(first: pd.DataFrame, second: pd.DataFrame, figures: Sequence[str]) -> list[str]:
    """The columns that tell runs of one seed apart, the same in both records."""
    found = []
    for name, table in (("first", first), ("second", second)):
        for column in ("scheme", "seed", "epoch", *figures):
            if column not in table:
                raise ArgumentError(f"{name}: has no column {column!r}")
        if not len(table):
            raise ArgumentError(f"{name}: has no rows")
        found.append([column for column in table if column not in (*_BESIDE, *FIGURES)])
    if set(found[0]) != set(found[1]):
        raise ArgumentError(f"second: has the settings {found[1]}: need those of first, {found[0]}")
    return found[0]


def _cells(name: str, table: pd.DataFrame, labels: Sequence[str]) -> _Cells:
    """The rows of each scheme and setting, once each run is there once after every epoch."""
    cells = {}
    epochs = set(table["epoch"])
    for values, rows in table.groupby(list(labels), sort=False, dropna=False):
        key = tuple(None if value != value else value for value in values)
        named = (f"{label}={value}" for label, value in zip(labels, key, strict=True) if value is not None)
        where = f"{name}: a run of {' '.join(named)}"
        if rows.duplicated(["seed", "epoch"]).any():
            raise ArgumentError(f"{where} comes twice after one epoch")
        if (rows.groupby("seed")["epoch"].size() != len(epochs)).any():
            raise ArgumentError(f"{where} lacks an epoch that others have")
        cells[key] = rows
    return cells


def _check_pair(first: pd.DataFrame, second: pd.DataFrame, cells: tuple[_Cells, _Cells]) -> None:
    """Refuse records of different schemes, settings or epochs, and ones that share a seed."""
    only = sorted(cells[0].keys() ^ cells[1].keys(), key=str)
    if only:
        raise ArgumentError(f"second: need the schemes and settings of first; only one has {only[0]}")
    if set(first["epoch"]) != set(second["epoch"]):
        raise ArgumentError(
            f"second: has {second['epoch'].nunique()} epochs, to {second['epoch'].max()}: "
            f"need those of first, {first['epoch'].nunique()} to {first['epoch'].max()}"
        )
    common = sorted(set(first["seed"]) & set(second["seed"]))
    if common:
        raise ArgumentError(f"second: shares the seed {common[0]} with first: need independent samples")


def _check_sizes(m: int, n: int, level: float, comparisons: int) -> None:
    """Refuse sizes at which not even the outermost division is rejected."""
    integer("runs in first", m, _RUNS)
    integer("runs in second", n, _RUNS)
    strict = real("level of one comparison", level / comparisons, _LEVELS)
    null = _untied(m, n, _draws(strict))
    if _shares((null >= null[-1] * _TIE).sum(), m, n, _draws(strict)) > strict:
        raise ArgumentError(
            f"runs = {m} and {n}: need more, no difference among {comparisons} is found at level {level:g}"
        )


def _sample(rows: pd.DataFrame, figure: str) -> tuple[np.ndarray, int]:
    """One figure of all runs, diverged ones at the worst end, and how many these are."""
    values = rows[figure].to_numpy(dtype=float)
    lost = ~np.isfinite(values)
    if "test_loss" in rows:
        lost |= ~np.isfinite(rows["test_loss"].to_numpy(dtype=float))
    return np.where(lost, math.inf if figure.endswith("loss") else -math.inf, values), int(lost.sum())


def _values(name: str, sample: ArrayLike) -> np.ndarray:
    values = np.asarray(sample, dtype=float)
    if values.ndim != 1:
        raise ArgumentError(f"{name} has shape {values.shape}: need one dimension")
    integer(f"values in {name}", len(values), _RUNS)
    if np.isnan(values).any():
        raise ArgumentError(f"{name}: has a value that is no number")
    return values


def _draws(level: float) -> int:
    """Divisions of which twenty have a p-value at most the level."""
    return max(_DRAWS, math.ceil(20 / level))


def _p_values(pooled: np.ndarray, m: int, draws: int) -> np.ndarray:
    """Lepage's p-value for each row of `pooled`, whose first m values are the first sample."""
    from scipy import stats

    size = pooled.shape[1]
    ranks = stats.rankdata(pooled, axis=1)
    edge = _statistics(np.repeat([[1.0, 0.0]], [m, size - m], axis=1), ranks, m) * _TIE - _NIL
    reached = np.zeros(len(pooled), dtype=int)
    for block in _blocks(m, size - m, draws):
        reached += (_statistics(block, ranks, m) >= edge).sum(axis=0)
    return _shares(reached, m, size - m, draws)


def _shares(reached: ArrayLike, m: int, n: int, draws: int) -> np.ndarray:
    """P-values of counts of divisions; the given division is counted beside those drawn."""
    total, counts = math.comb(m + n, m), np.asarray(reached)
    return counts / total if total <= draws else (counts + 1) / (draws + 1)


def _statistics(masks: np.ndarray, ranks: np.ndarray, m: int) -> np.ndarray:
    """Lepage's statistic: a row for each division, a column for each row of ranks."""
    size = ranks.shape[1]
    total = np.zeros((len(masks), len(ranks)))
    for scores in (ranks, np.minimum(ranks, size + 1 - ranks)):
        centred = scores - scores.mean(axis=1, keepdims=True)
        variance = m * (size - m) / (size * (size - 1)) * (centred**2).sum(axis=1)
        flat = np.ptp(scores, axis=1) == 0.0  # where all values are equal
        total += np.where(flat, 0.0, (masks @ centred.T) ** 2 / np.where(flat, 1.0, variance))
    return total


def _blocks(m: int, n: int, draws: int) -> Iterator[np.ndarray]:
    """The divisions, some at a time, ready to be multiplied."""
    masks = _divisions(m, n, draws)
    for start in range(0, len(masks), _BLOCK):
        yield masks[start : start + _BLOCK].astype(float)


@functools.lru_cache(maxsize=2)
def _divisions(m: int, n: int, draws: int) -> np.ndarray:
    """All divisions of m + n places, or `draws` at random: a row each, 1 where the first sample is."""
    if math.comb(m + n, m) <= draws:
        places = np.array(list(itertools.combinations(range(m + n), m)))
        masks = np.zeros((len(places), m + n), dtype=np.uint8)
        np.put_along_axis(masks, places, 1, axis=1)
        return masks
    row = np.repeat(np.array([1, 0], dtype=np.uint8), [m, n])
    return np.random.default_rng([m, n, 0]).permuted(np.tile(row, (draws, 1)), axis=1)


@functools.lru_cache(maxsize=32)
def _untied(m: int, n: int, draws: int) -> np.ndarray:
    """The statistics of the divisions of distinct values, in order."""
    ranks = np.arange(1.0, m + n + 1)[np.newaxis]
    return np.sort(np.concatenate([_statistics(block, ranks, m)[:, 0] for block in _blocks(m, n, draws)]))
