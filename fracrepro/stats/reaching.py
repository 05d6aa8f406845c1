"""The epoch at which a run reaches a goal, with runs that never do counted as the latest of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fracrepro.arguments import integer, real
from fracrepro.errors import ArgumentError
from fracrepro.stats.joint import curve_difference

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TimeComparison", "compare_times", "epochs_to", "rank_differences"]


@dataclass(frozen=True)
class TimeComparison:
    """Which of two schemes reaches a goal earlier, over pairs of runs.

    Attributes:
        earlier: pairs in which the first run is earlier.
        later: pairs in which it is later.
        never_first: first runs that never reach the goal.
        never_second: second ones.
        pairs: all of them; a pair in which neither run reaches the goal is a tie.
        p_value: of the sign-flip test of the differences of ranks.
    """

    earlier: int
    later: int
    never_first: int
    never_second: int
    pairs: int
    p_value: float

    @property
    def advantage(self) -> float:
        """The share of pairs in which the first run is earlier, minus that in which it is later."""
        return (self.earlier - self.later) / self.pairs


def epochs_to(results: pd.DataFrame, figure: str, goal: float, *, falling: bool) -> pd.Series:
    """Return the first epoch at which each run reaches a goal, infinity for never.

    A figure that is not a finite number reaches no goal.

    Args:
        results: one row per run and epoch, as the trainer returns them, of one cell.
        figure: a column.
        goal: its value.
        falling: whether the goal is reached from above, as a loss does.

    Returns:
        One number per ``scheme``, ``s`` and ``seed``, the levels of its index.

    Raises:
        ArgumentError: for a column that the results lack, and a goal that is not finite.
    """
    if figure not in results:
        raise ArgumentError(f"figure = {figure!r}: need a column of the results")
    goal = real("goal", goal, "(-inf, inf)")
    values = results[figure].where(np.isfinite(results[figure]))
    reached = values <= goal if falling else values >= goal
    epochs = results["epoch"].where(reached, np.inf)
    keys = [results[key] for key in ("scheme", "s", "seed")]
    return epochs.astype(float).groupby(keys, dropna=False, sort=False).min().rename("epoch")


def rank_differences(first: pd.Series, second: pd.Series) -> pd.Series:
    """Return the differences of ranks in each pair, among all runs of both schemes; ties share a rank.

    Runs that never reach the goal share the last rank, so that their number counts and the length of the
    training does not.

    Args:
        first: the epoch of each seed, infinity for never.
        second: the same, for the same seeds in any order.

    Raises:
        ArgumentError: for other seeds, and for what is no time.

    >>> import numpy as np, pandas as pd
    >>> rank_differences(pd.Series([1.0, np.inf]), pd.Series([2.0, np.inf])).tolist()
    [-1.0, 0.0]
    """
    from scipy.stats import rankdata

    if set(first.index) != set(second.index):
        raise ArgumentError("second: need the same seeds as first, since the comparison is paired")
    times = np.concatenate([first.to_numpy(float), second.reindex(first.index).to_numpy(float)])
    if np.isnan(times).any() or (times < 0).any():
        raise ArgumentError("first and second: need times from 0 to infinity")
    ranks = rankdata(times)
    differences = first.astype(float).copy()
    differences[:] = ranks[: len(first)] - ranks[len(first) :]
    return differences


def compare_times(
    first: pd.Series, second: pd.Series, *, draws: int = 100_000, seed: int = 0
) -> TimeComparison:
    """Test whether one of two schemes reaches the goal earlier, over pairs of runs.

    If the two runs of a pair are exchangeable, the differences of ranks are as likely with the other sign;
    :func:`.joint.curve_difference` takes all patterns of signs, or draws them.

    Args:
        first: the epoch of each seed, infinity for never.
        second: the same, for the same seeds in any order.
        draws: as there, with `seed`.
        seed: of these draws.

    Raises:
        ArgumentError: as :func:`rank_differences`, and for fewer than two pairs.

    Source:
        O'Brien and Fleming (1987) for pairs with times that are not reached; Fisher (1935) for the signs.

    >>> import numpy as np, pandas as pd
    >>> first, second = pd.Series([1.0, 2.0, 1.0, 3.0]), pd.Series([2.0, 4.0, np.inf, np.inf])
    >>> found = compare_times(first, second)
    >>> found.advantage, found.p_value    # of 8 patterns only the observed one is as extreme
    (1.0, 0.125)
    """
    integer("pairs", len(first), "[2, inf)")
    ranks = rank_differences(first, second)
    test = curve_difference(ranks.to_numpy()[:, None], draws=draws, seed=seed)
    return TimeComparison(
        earlier=int((ranks < 0).sum()),
        later=int((ranks > 0).sum()),
        never_first=int(np.isinf(first).sum()),
        never_second=int(np.isinf(second).sum()),
        pairs=len(ranks),
        p_value=test.p_value,
    )
