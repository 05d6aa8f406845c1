"""What would settle a comparison for somebody who doubts its verdict: how many further runs, at what cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from fracrepro.arguments import real
from fracrepro.stats.equivalence import equivalent_pairs
from fracrepro.stats.judging import Measured, judge, measure, of_cell
from fracrepro.stats.pilots import Pilot
from fracrepro.stats.plans import ExperimentPlan
from fracrepro.stats.shares import share_pairs

if TYPE_CHECKING:
    import pandas as pd

    from fracrepro.stats.endpoints import Endpoint

__all__ = ["settling"]


def settling(plan: ExperimentPlan, results: pd.DataFrame, *, power: float = 0.8) -> pd.DataFrame:
    r"""Return for every comparison of a plan how many pairs would settle it either way, and what they cost.

    With the standard deviation of the paired differences that the results show, at the level of one
    comparison: the pairs that find a difference as large as the margin, those that find equivalence if there
    is no difference at all, and those that settle it if the true difference is the one seen: they find it, or
    equivalence where it is below half the margin.
    Shares without spread, where all runs start for example, are no exception: the exact test and the score
    tests want their number of pairs.
    Other figures without spread need no pair beyond those there are.

    Args:
        plan: what was planned.
        results: as :func:`.judging.judge` takes them, with the column ``seconds``.
        power: of both tests, in (0, 1).

    Returns:
        The rows of :func:`.judging.judge` with ``pairs_difference``, ``pairs_equivalence`` and
        ``pairs_seen``, all pairs that are needed in each case; ``further``, the larger of the first two
        beyond the pairs there are; ``hours``, what these cost on one core, and ``hours_pair``, what any pair
        costs, both by the mean time of the runs there are.

    Raises:
        ArgumentError: as there, and for a power out of range.

    Source:
        Ours.
    """
    real("power", power, "(0, 1)")
    table = judge(plan, results)
    level = plan.level_of_one()
    rows = []
    for (endpoint, cell, first, second), row in zip(
        plan.comparisons(), table.to_dict("records"), strict=True
    ):
        here = of_cell(results, cell)
        seeds = list(plan.seeds_of("main")[: row["pairs"]])
        found = _needed(endpoint, measure(endpoint, here, seeds), first, second, level, power)
        further = max(0, found["pairs_difference"] - row["pairs"], found["pairs_equivalence"] - row["pairs"])
        if endpoint.across:  # a pair is one run at each of the two values
            here = here[here[endpoint.across].isin((first, second))]
            pair = here.groupby("seed")["seconds"].sum().mean()
        else:
            pair = 2 * here.groupby(["scheme", "s", "seed"], dropna=False)["seconds"].sum().mean()
        cost = float(pair) / 3600
        rows.append(found | {"further": further, "hours": further * cost, "hours_pair": cost})
    return table.assign(**{name: [each[name] for each in rows] for name in rows[0]})


def _needed(
    endpoint: Endpoint, measured: Measured, first: Any, second: Any, level: float, power: float
) -> dict[str, Any]:
    """The pairs for a difference of the margin, and for equivalence."""
    gaps = (measured.numbers[first] - measured.numbers[second]).to_numpy()
    deviation, pairs = float(np.std(gaps, ddof=1)), len(gaps)
    share = endpoint.measure == "share"
    if deviation == 0.0 and not share:  # Student's tests decide by any pairs without spread
        return dict.fromkeys(("pairs_difference", "pairs_equivalence", "pairs_seen"), pairs)
    smaller = float(measured.numbers[[first, second]].mean().min())

    def different(difference: float) -> int:
        if share:
            base = min(smaller, 1 - difference)
            return share_pairs(base + difference, base, level=level, power=power)
        pilot = Pilot(pairs, deviation)
        return pilot.pairs_for(difference, level=level, power=power, uncertain=False)

    def equivalent(difference: float) -> int:
        if deviation == 0.0:
            return _agreeing_pairs(endpoint.margin, level)
        return equivalent_pairs(endpoint.margin / deviation, difference / deviation, level=level, power=power)

    seen = abs(float(gaps.mean()))
    settles = equivalent if seen < endpoint.margin / 2 else different
    return {
        "pairs_difference": different(endpoint.margin),
        "pairs_equivalence": equivalent(0.0),
        "pairs_seen": settles(seen),
    }


def _agreeing_pairs(margin: float, level: float) -> int:
    """The fewest pairs of one outcome that Tango's score tests call equivalent: n m/(1 - m) reaches z²."""
    return math.ceil(float(special.ndtri(level)) ** 2 * (1 - margin) / margin)
