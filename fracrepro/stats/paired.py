"""Paired comparison of two schemes: the same seeds, the same data order, the same draws, another scale."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fracrepro.arguments import choice, integer, real
from fracrepro.errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FIGURES",
    "PairedDifference",
    "comparisons",
    "detectable_difference",
    "endpoints",
    "final_figures",
    "mean_intervals",
    "order_differences",
    "paired_difference",
]

#: The figures of a training, one a column of its results.
FIGURES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


@dataclass(frozen=True)
class PairedDifference:
    """The mean of paired differences with its interval; NaN stands where fewer than two pairs are complete.

    Args:
        mean: of the differences.
        low: end of its interval.
        high: the other end.
        effect: the mean in units of the standard deviation of the differences.
        detectable: the smallest true mean that a test of this size finds with the stated power.
        pairs: complete ones.
        lost: pairs left out because one of the two numbers is not finite.
    """

    mean: float
    low: float
    high: float
    effect: float
    detectable: float
    pairs: int
    lost: int


def final_figures(results: pd.DataFrame, figure: str, by: str = "scheme", *, last: int = 1) -> pd.DataFrame:
    """Return `figure`, averaged over the last epochs: one row per seed, one column per scheme.

    Args:
        results: one row per run and epoch, as the trainer returns them.
        figure: ``"train_loss"``, ``"train_accuracy"``, ``"test_loss"`` or ``"test_accuracy"``.
        by: ``"scheme"``, or ``"s"`` for one column per order where all runs are of one scheme.
        last: how many epochs to average, at least 1 and no more than there are; 1 is the last epoch alone.

    Raises:
        ArgumentError: for another figure or column, and for more epochs than there are.
    """
    choice("figure", figure, FIGURES)
    choice("by", by, ("scheme", "s"))
    end = int(results["epoch"].max())
    integer("last", last, f"[1, {end}]")
    first, *others = (
        results[results["epoch"] == end - k].pivot(index="seed", columns=by, values=figure)
        for k in range(last)
    )
    return sum(others, start=first) / last


def endpoints(results: pd.DataFrame, chance: float) -> pd.DataFrame:
    """Return where the runs of each scheme end: one row per scheme, in the order of the results.

    Args:
        results: one row per run and epoch, as the trainer returns them.
        chance: the accuracy of guessing, in (0, 1).

    Returns:
        Means and standard deviations of the final figures leave diverged runs out; ``runs`` says how many are
        left, ``not started`` how many of these have a test accuracy below twice `chance`, and ``diverged``
        how many runs have no finite loss.

    Raises:
        ArgumentError: for `chance` outside its range.
    """
    chance = real("chance", chance, "(0, 1)")
    order = list(dict.fromkeys(results["scheme"]))
    loss, accuracy = (
        final_figures(results, "test_loss")[order],
        final_figures(results, "test_accuracy")[order],
    )
    finite = np.isfinite(loss)
    kept = accuracy[finite]
    columns = {
        "test accuracy": kept.mean(),
        "std": kept.std(),
        "test loss": loss[finite].mean(),
        "std of loss": loss[finite].std(),
        "runs": finite.sum(),
        "not started": (kept < 2 * chance).sum(),
        "diverged": (~finite).sum(),
    }
    table = finite.T.iloc[:, :0].assign(**columns)
    table.columns.name = None
    return table


def comparisons(results: pd.DataFrame, first: str, *, last: int = 1) -> pd.DataFrame:
    """Return `first` minus every other scheme at the end: accuracies in percentage points, then loss.

    Args:
        results: one row per run and epoch, as the trainer returns them.
        first: the scheme to compare.
        last: how many epochs at the end to average.

    Returns:
        One row per measure and other scheme, with the fields of :class:`PairedDifference` as columns.
        A run whose test loss is not finite counts as lost in every figure.

    Raises:
        ArgumentError: if the results have no run of `first`.
    """
    import pandas as pd

    order = list(dict.fromkeys(results["scheme"]))
    choice("first", first, tuple(order))
    loss = final_figures(results, "test_loss", last=last)
    finals = {
        "training accuracy": 100 * final_figures(results, "train_accuracy", last=last)[np.isfinite(loss)],
        "test accuracy": 100 * final_figures(results, "test_accuracy", last=last)[np.isfinite(loss)],
        "test loss": loss,
    }
    rows = {
        (figure, other): dataclasses.asdict(paired_difference(values[first], values[other]))
        for figure, values in finals.items()
        for other in order
        if other != first
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.rename_axis(["measure", "scheme"]) if rows else table


def order_differences(
    results: pd.DataFrame, axes: Sequence[str], reference: float, *, chance: float, level: float
) -> pd.DataFrame:
    """Return the difference in final test accuracy of every order from one, in every cell of a sweep.

    Args:
        results: the results of a sweep, all runs of the fractional scheme.
        axes: names of the columns that make a cell.
        reference: the order to compare with.
        chance: the accuracy of guessing; a run has started when it is above twice that.
        level: of all intervals together, in (0, 1): each is at 1 - level/comparisons (Bonferroni).

    Returns:
        One row per cell and order: the axes, `s`, `accuracy` (mean), `accuracy_of_reference`, `started`,
        `started_of_reference`, and the fields of :class:`PairedDifference`; accuracies in percentage points.
        A run whose test loss is not finite counts as not started and as lost.

    Raises:
        ArgumentError: for a reference that the results lack, and probabilities outside (0, 1).
    """
    import pandas as pd

    level, chance = real("level", level, "(0, 1)"), real("chance", chance, "(0, 1)")
    known = results["s"].unique().tolist()
    if reference not in known:
        raise ArgumentError(f"reference = {reference!r}: need one of the orders {known}")
    cells = list(results.groupby(list(axes)))
    orders = [s for s in known if s != reference]
    confidence = 1 - level / (len(cells) * len(orders))
    rows = []
    for values, cell in cells:
        finite = np.isfinite(final_figures(cell, "test_loss", by="s"))
        accuracy = 100 * final_figures(cell, "test_accuracy", by="s")[finite]
        means, started = accuracy.mean(), (accuracy > 200 * chance).sum()
        for s in orders:
            found = paired_difference(accuracy[s], accuracy[reference], confidence=confidence)
            row = dict(zip(axes, values, strict=True)) | {"s": s, "accuracy": means[s]}
            row |= {"accuracy_of_reference": means[reference], "started": started[s]}
            rows.append(row | {"started_of_reference": started[reference]} | dataclasses.asdict(found))
    return pd.DataFrame(rows)


def paired_difference(
    first: pd.Series, second: pd.Series, *, confidence: float = 0.95, power: float = 0.8
) -> PairedDifference:
    r"""Return mean and Student interval of ``first - second``, paired by index.

    .. math:: \bar d \pm t_{n-1}\, \hat\sigma_d / \sqrt n

    Args:
        first: one value per seed.
        second: the same, for the same seeds in any order.
        confidence: of the interval, in (0, 1).
        power: of the two-sided test at level 1 - confidence, for `detectable`, in (1 - confidence, 1).

    Raises:
        ArgumentError: for other seeds or for probabilities outside their range.

    Source:
        Student (1908).

    >>> import pandas as pd
    >>> found = paired_difference(pd.Series([3.0, 5.0]), pd.Series([2.0, 2.0]), confidence=0.5)
    >>> found.mean, round(found.high, 12)    # 2 ± t √(2/2), and the upper quartile of t at 1 is 1
    (2.0, 3.0)
    """
    from scipy import stats

    confidence = real("confidence", confidence, "(0, 1)")
    if set(first.index) != set(second.index):
        raise ArgumentError("second: need the same seeds as first, since the comparison is paired")
    differences = (first - second).to_numpy(dtype=float)
    kept = differences[np.isfinite(differences)]
    lost = len(differences) - len(kept)
    if len(kept) < 2:
        nan = math.nan
        return PairedDifference(nan, nan, nan, nan, nan, len(kept), lost)
    mean, deviation = float(kept.mean()), float(kept.std(ddof=1))
    half = float(stats.t.isf((1 - confidence) / 2, len(kept) - 1)) * deviation / math.sqrt(len(kept))
    detectable = detectable_difference(len(kept), level=1 - confidence, power=power) * deviation
    effect = mean / deviation if deviation > 0 else math.nan
    return PairedDifference(mean, mean - half, mean + half, effect, detectable, len(kept), lost)


def mean_intervals(samples: pd.DataFrame, *, confidence: float = 0.95) -> pd.DataFrame:
    """Return mean and Student interval of every column: ``mean, low, high``, one row a column of `samples`.

    Args:
        samples: independent values of one law in each column, such as one per seed; what is not finite is
            left out.
        confidence: of each interval, in (0, 1).

    Raises:
        ArgumentError: for `confidence` outside its range.

    Source:
        Student (1908).

    >>> import pandas as pd
    >>> found = mean_intervals(pd.DataFrame({"a": [1.0, 3.0]}), confidence=0.5)
    >>> found.round(12).loc["a"].tolist()
    [2.0, 1.0, 3.0]
    """
    import pandas as pd

    rows = {}
    for name, values in samples.items():
        found = paired_difference(values, 0 * values, confidence=confidence)
        rows[name] = (found.mean, found.low, found.high)
    return pd.DataFrame(rows, index=["mean", "low", "high"]).T


def detectable_difference(pairs: int, *, level: float = 0.05, power: float = 0.8) -> float:
    r"""Return the mean, in standard deviations, that a t-test of `pairs` pairs finds with a given power.

    It is the root :math:`\delta` of :math:`P(|T| > t) = \text{power}`, where T is noncentral Student with
    ``pairs - 1`` degrees of freedom and parameter :math:`\delta \sqrt{\text{pairs}}`.

    Args:
        pairs: at least 2.
        level: false alarm rate of the two-sided test, in (0, 1).
        power: in (level, 1).

    Raises:
        ArgumentError: for an argument outside these ranges.

    Source:
        Student (1908) for the test, the definition of power for the rest.

    >>> round(detectable_difference(20), 2)   # (1.96 + 0.84)/√20 = 0.63 with normal quantiles
    0.66
    """
    from scipy import optimize, stats

    pairs = integer("pairs", pairs, "[2, inf)")
    level = real("level", level, "(0, 1)")
    power = real("power", power, f"({level}, 1)")
    threshold = stats.t.isf(level / 2, pairs - 1)

    def excess(delta: float) -> float:
        centre = delta * math.sqrt(pairs)
        # By symmetry the lower tail is the upper one of -centre; scipy's nct.cdf gives NaN far out there.
        rejected = stats.nct.sf(threshold, pairs - 1, np.array([centre, -centre])).sum()
        return float(rejected) - power

    high = 1.0
    while excess(high) < 0:
        high *= 2
    return float(optimize.brentq(excess, 0.0, high))
