"""What a plan says of its results: every comparison with its interval, its p-values and its verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fracrepro.arguments import choice, real
from fracrepro.errors import ArgumentError
from fracrepro.stats.endpoints import Endpoint
from fracrepro.stats.equivalence import equivalence, one_sided, verdict
from fracrepro.stats.joint import curve_difference
from fracrepro.stats.looks import sequential_p
from fracrepro.stats.multiplicity import holm
from fracrepro.stats.paired import paired_difference
from fracrepro.stats.plans import ExperimentPlan, arm
from fracrepro.stats.reaching import compare_times, epochs_to, rank_differences
from fracrepro.stats.shares import ShareDifference, detectable_share, share_difference

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Measured", "is_open", "judge", "measure", "of_cell", "pilot_table"]


def judge(plan: ExperimentPlan, results: pd.DataFrame) -> pd.DataFrame:
    """Return the verdict of every comparison of a plan.

    ========== ========================== ============================================================
    measure    number per run             tests of no difference, and of at least the margin
    ========== ========================== ============================================================
    end, mean  the figure, or `failed`    Student's, and two one-sided ones
    epochs to  the epoch, or `failed`     sign flips of ranks, and two one-sided tests of the epochs
    share      1 or 0                     McNemar's exact one, and two score tests
    ========== ========================== ============================================================

    Under ``holm`` p-values of several looks become one (:func:`.looks.sequential_p`), and those of all
    comparisons are adjusted; "no difference" and "at least the margin" exclude each other.
    The intervals are by Bonferroni's rule.
    Under ``max_t`` one joint band of all numbers per run decides both questions.

    Args:
        plan: what was planned.
        results: one row per run and epoch, of the first seeds of the plan, as many as one of its looks sees.

    Returns:
        One row per comparison: ``endpoint``, the settings of the cell, ``first``, ``second``, their means,
        ``difference``, ``low``, ``high``, ``margin``, the adjusted ``p_different`` and ``p_equivalent``,
        ``detectable`` (with power 0.8), ``pairs``, ``out_first`` and ``out_second`` (runs that diverged or
        never reached the goal) and ``verdict``.

    Raises:
        ArgumentError: for results that the plan is not of.
    """
    import pandas as pd

    pairs = _pairs_there(plan, results)
    seeds = list(plan.seeds_of("main")[:pairs])
    found = []
    for endpoint, cell, first, second in plan.comparisons():
        measured = measure(endpoint, of_cell(results, cell), seeds)
        for each in (first, second):
            if each not in measured.raw:
                choice(f"results: {endpoint.across or 'scheme'}", str(each), tuple(map(str, measured.raw)))
        found.append(_Comparison(endpoint, cell, first, second, measured))
    decide = _by_holm if plan.multiplicity == "holm" else _by_band
    return pd.DataFrame(decide(plan, found, pairs))


@dataclass(frozen=True)
class Measured:
    """What an endpoint makes of the runs of a cell: one row a seed, one column a scheme or value.

    Attributes:
        raw: the figure, the epoch with infinity for never, or True and False.
        numbers: the same as finite numbers.
        out: whether the run diverged or never reached the goal.
    """

    raw: pd.DataFrame
    numbers: pd.DataFrame
    out: pd.DataFrame


def is_open(verdicts: pd.DataFrame) -> bool:
    """Say whether a comparison is left without an answer, so that the next look is worth its cost.

    Args:
        verdicts: as :func:`judge` returns them.
    """
    return bool(verdicts["verdict"].str.startswith("not known").any())


def measure(endpoint: Endpoint, results: pd.DataFrame, seeds: list[int]) -> Measured:
    """Return what an endpoint makes of the runs of one cell.

    Args:
        endpoint: what is measured.
        results: one row per run and epoch, or per run.
        seeds: in the order of the pairs.

    Raises:
        ArgumentError: for a column or a run that the results lack, and for several rows of one run.
    """
    name = f"endpoint {endpoint.name!r}"
    for column, value in endpoint.where:
        choice(f"{name}: where", column, tuple(results.columns))
        results = results[results[column] == value]
    choice(f"{name}: figure", endpoint.figure, tuple(results.columns))
    # What is compared stands under "scheme" from here on.
    table = results.assign(scheme=results[endpoint.across] if endpoint.across else _arms(results), s=0.0)
    keys = ["scheme", "seed", *(["epoch"] if "epoch" in table else [])]
    if table.duplicated(keys).any():
        raise ArgumentError(f"{name}: several rows of one run: the plan lacks a setting that varies")
    if endpoint.measure == "epochs to":
        falling = endpoint.better == "lower"
        times = epochs_to(table, endpoint.figure, _goal(endpoint), falling=falling)
        raw = _wide(times.reset_index(), "epoch", seeds, name)
        end = float(table["epoch"].max())
        failed = real(f"{name}: failed", endpoint.failed, f"({end:g}, inf)")
        return Measured(raw, raw.replace(np.inf, failed), np.isinf(raw))
    if "epoch" in table:
        end = int(table["epoch"].max())
        first, last = endpoint.epochs or (end, end)
        if last > end:
            raise ArgumentError(f"{name}: epochs: the results end with epoch {end}, before {last}")
        table = table[table["epoch"].between(first, last)]
    finite = [endpoint.figure, *(column for column in table if str(column).endswith("loss"))]
    table = table.assign(out=~np.isfinite(table[finite]).all(axis=1))
    per_run = table.groupby(["scheme", "seed"], sort=False)
    per_run = per_run.agg(value=(endpoint.figure, "mean"), out=("out", "any")).reset_index()
    value = _wide(per_run, "value", seeds, name)
    out = _wide(per_run, "out", seeds, name).astype(bool)
    if endpoint.measure == "share":
        goal = _goal(endpoint)
        counts = (value >= goal if endpoint.better == "higher" else value <= goal) & ~out
        return Measured(counts, counts.astype(float), out)
    kept = value.mask(out, endpoint.failed)
    return Measured(kept, kept, out)


def pilot_table(
    endpoints: Sequence[Mapping[str, Any]], results: pd.DataFrame, axes: Sequence[str] = ()
) -> pd.DataFrame:
    """Return what a pilot says for the power of endpoints, in every cell and for every comparison.

    Args:
        endpoints: as a plan has them, without ``power``.
        results: of the pilot.
        axes: the columns that make a cell.

    Returns:
        One row per comparison: ``endpoint``, the axes, ``first``, ``second``, ``difference``, and what
        ``power`` needs: the ``deviation`` of the paired differences, the smaller ``share`` (NaN for other
        measures) and ``pairs``.

    Raises:
        ArgumentError: for an endpoint that does not fit, and as :func:`measure`.
    """
    import pandas as pd

    results, rows = results.assign(scheme=_arms(results), s=float("nan")), []
    for fields in endpoints:
        need = {"share": 0.0} if fields.get("measure") == "share" else {"deviation": 1.0}
        endpoint = Endpoint.from_dict(
            {**fields, "power": {"difference": 1, "wanted": 0.5, "pairs": 2} | need}
        )
        named = [axis for axis in axes if axis != endpoint.across] + (["scheme"] if endpoint.across else [])
        for values, cell in results.groupby(named) if named else [((), results)]:
            numbers = measure(endpoint, cell, sorted(set(cell["seed"].tolist()))).numbers
            for first, second in endpoint.compare:
                gaps, shares = numbers[first] - numbers[second], numbers[[first, second]].mean()
                row = {"endpoint": endpoint.name, **dict(zip(named, values, strict=True))}
                row |= {"first": first, "second": second, "difference": float(gaps.mean())}
                share = float(shares.min()) if endpoint.measure == "share" else float("nan")
                rows.append(row | {"deviation": float(gaps.std()), "share": share, "pairs": len(gaps)})
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Comparison:
    """One comparison and the numbers of its runs."""

    endpoint: Endpoint
    cell: dict[str, Any]
    first: Any
    second: Any
    measured: Measured

    def p_values(self, pairs: int) -> tuple[float, float]:
        """Of no difference, two-sided, and of a difference of at least the margin, for the first pairs."""
        raw, numbers = self.measured.raw[:pairs], self.measured.numbers[:pairs]
        if self.endpoint.measure == "share":
            found = share_difference(raw[self.first], raw[self.second])
            return found.p_value, found.p_equivalent(self.endpoint.margin)
        first, second = numbers[self.first], numbers[self.second]
        inside = equivalence(first, second, self.endpoint.margin).p_value
        if self.endpoint.measure == "epochs to":
            return compare_times(raw[self.first], raw[self.second]).p_value, inside
        gaps = (first - second).to_numpy()
        return min(1.0, 2 * min(one_sided(gaps), one_sided(-gaps))), inside

    def gaps(self) -> np.ndarray:
        """The differences of the numbers, one a pair."""
        return (self.measured.numbers[self.first] - self.measured.numbers[self.second]).to_numpy()

    def row(self, level: float) -> dict[str, Any]:
        """The row of the table without its p-values, with the interval at this level of its own."""
        raw, numbers, out = self.measured.raw, self.measured.numbers, self.measured.out
        first, second = numbers[self.first], numbers[self.second]
        if self.endpoint.measure == "share":
            share = share_difference(raw[self.first], raw[self.second], confidence=1 - level)
            low, high = share.low, share.high
            detectable = _visible(share, level)
        else:
            found = paired_difference(first, second, confidence=1 - level)
            low, high, detectable = found.low, found.high, found.detectable
        return {
            "endpoint": self.endpoint.name,
            **self.cell,
            "first": self.first,
            "second": self.second,
            "mean_first": float(first.mean()),
            "mean_second": float(second.mean()),
            "difference": float((first - second).mean()),
            "low": low,
            "high": high,
            "margin": self.endpoint.margin,
            "detectable": detectable,
            "pairs": len(first),
            "out_first": int(out[self.first].sum()),
            "out_second": int(out[self.second].sum()),
        }

    def words(self, row: dict[str, Any], different: bool, equivalent: bool, ranked: bool = False) -> str:
        """The verdict; few epochs are good, a large share is, and ranks that are tested have the sign."""
        mean = row["difference"]
        if ranked and self.endpoint.measure == "epochs to":
            raw = self.measured.raw
            mean = float(rank_differences(raw[self.first], raw[self.second]).mean())
        higher = self.endpoint.measure == "share" or (
            self.endpoint.measure != "epochs to" and self.endpoint.better == "higher"
        )
        return verdict(
            equivalent=equivalent,
            different=different,
            mean=mean,
            detectable=row["detectable"],
            higher_is_better=higher,
        )


def _by_holm(plan: ExperimentPlan, found: list[_Comparison], pairs: int) -> list[dict[str, Any]]:
    """The rows under Holm's rule, with all looks until now."""
    seen, fractions = [count for count in plan.looks if count <= pairs], plan.fractions()
    p_values: list[float] = []
    for each in found:
        different, equivalent = zip(*(each.p_values(count) for count in seen), strict=True)
        p_values.append(sequential_p(different, fractions))
        # Each of the two tests has one side: half of a two-sided p-value, before and after.
        p_values.append(sequential_p([min(1.0, 2 * p) for p in equivalent], fractions) / 2)
    # A two-sided p-value of 1 may stand for anything above 1/2.
    p_values[1::2] = [1.0 if p >= 0.5 else p for p in p_values[1::2]]
    adjusted = holm(p_values, [k // 2 for k in range(len(p_values))])
    level = plan.level_of_one(len(seen) - 1)
    rows = []
    for each, different, equivalent in zip(found, adjusted[::2], adjusted[1::2], strict=True):
        row = each.row(level)
        row |= {"p_different": float(different), "p_equivalent": float(equivalent)}
        words = each.words(row, different <= plan.level, equivalent <= plan.level, ranked=True)
        rows.append(row | {"verdict": words})
    return rows


def _by_band(plan: ExperimentPlan, found: list[_Comparison], pairs: int) -> list[dict[str, Any]]:
    """The rows under one joint band of all comparisons; it says which are equivalent."""
    band = curve_difference(np.column_stack([each.gaps() for each in found]), confidence=1 - plan.level)
    rows = []
    for each, low, high, adjusted in zip(found, band.low, band.high, band.adjusted, strict=True):
        row = each.row(plan.level_of_one()) | {"low": float(low), "high": float(high)}
        row |= {"p_different": float(adjusted), "p_equivalent": float("nan")}
        inside = -each.endpoint.margin < low and high < each.endpoint.margin
        rows.append(row | {"verdict": each.words(row, adjusted <= plan.level, inside)})
    return rows


def _pairs_there(plan: ExperimentPlan, results: pd.DataFrame) -> int:
    """How many pairs the results have; refused unless they are the first that a look sees."""
    there = set(results["seed"].tolist())
    for count in plan.looks:
        if there == set(plan.seeds_of("main")[:count]):
            return count
    raise ArgumentError(
        f"results: have {len(there)} seeds, {sorted(there)[:3]} …: need the first {plan.looks} main seeds"
    )


def _arms(results: pd.DataFrame) -> list[str]:
    """How the plan names the scheme of every row."""
    return [arm(scheme, s) for scheme, s in zip(results["scheme"], results["s"], strict=True)]


def of_cell(results: pd.DataFrame, cell: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows of one cell.

    Args:
        results: with a column for each setting.
        cell: the value of each setting; ``"scheme"`` has its name in plans.

    Raises:
        ArgumentError: for a setting that is no column.
    """
    for column, value in cell.items():
        choice("results: setting", column, tuple(results.columns))
        there = np.array(_arms(results)) if column == "scheme" else results[column].to_numpy()
        results = results[there == value]
    return results


def _wide(per_run: pd.DataFrame, column: str, seeds: list[int], name: str) -> pd.DataFrame:
    """One row a seed, one column a scheme; every run must be there."""
    wide = per_run.pivot(index="seed", columns="scheme", values=column).reindex(seeds)
    for scheme in wide:
        if wide[scheme].isna().any() and column != "value":
            raise ArgumentError(f"{name}: results lack a run of {scheme}")
    return wide


def _goal(endpoint: Endpoint) -> float:
    """The goal, which these measures have."""
    assert endpoint.goal is not None
    return endpoint.goal


def _visible(share: ShareDifference, level: float) -> float:
    """The rise above the smaller share that would be seen; where none would, the fall below the larger."""
    small, large = sorted((share.first, share.second))
    rise = detectable_share(share.pairs, small, level=level)
    # Failures are shares too: a fall from p is a rise from 1 - p.
    return detectable_share(share.pairs, 1 - large, level=level) if np.isnan(rise) else rise
