"""Which learning rate a scheme gets: one rule for all, applied to a search at seeds of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fracrepro.arguments import choice, real
from fracrepro.errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["best_rates", "rate_table"]


def rate_table(
    results: pd.DataFrame, axes: Sequence[str] = (), *, figure: str = "train_loss", failed: float
) -> pd.DataFrame:
    """Return the mean of a figure after the last epoch over the seeds, for every scheme and rate of a search.

    Args:
        results: one row per run and epoch, with the columns ``scheme``, ``s``, ``learning_rate``, ``seed``
            and ``epoch``.
        axes: the columns that tell networks apart.
        figure: what is averaged.
        failed: what a run counts with that diverged, and any that is worse than this.

    Returns:
        One row per network and scheme, one column per rate, in growing order.

    Raises:
        ArgumentError: for a missing column, and for a scheme and rate with other seeds than the rest.
    """
    for column in (*axes, "scheme", "s", "learning_rate", "seed", "epoch", figure):
        choice("results: column", column, tuple(results.columns))
    limit = real("failed", failed, "(-inf, inf)")
    last = results[results["epoch"] == results["epoch"].max()]
    counted = last[figure].where(np.isfinite(last[figure]), limit).clip(upper=limit)
    table = last.assign(counted=counted, s=last["s"].fillna(-1.0))
    keys = [*axes, "scheme", "s", "learning_rate"]
    groups = table.groupby(keys, sort=False)
    seeds = sorted(set(table["seed"]))
    for key, group in groups:
        if sorted(group["seed"]) != seeds:
            raise ArgumentError(f"results: {key} has the seeds {sorted(group['seed'])}: need {seeds}")
    means = groups["counted"].mean().unstack("learning_rate")
    return means.sort_index(axis=1).rename(index={-1.0: np.nan}, level="s")


def best_rates(
    results: pd.DataFrame, axes: Sequence[str] = (), *, figure: str = "train_loss", failed: float
) -> pd.Series:
    """Return for every network and scheme the rate with the lowest mean; of equal ones the smallest.

    Args:
        results: as are `axes`, `figure` and `failed`, an argument of :func:`rate_table`.

    Returns:
        The rates, with the index of :func:`rate_table`.

    Raises:
        ArgumentError: as there.

    Source:
        Our choice.

    >>> import pandas as pd
    >>> search = pd.DataFrame({"learning_rate": [0.1, 0.3], "train_loss": [2.0, 1.0]})
    >>> search = search.assign(scheme="kaiming", s=float("nan"), seed=0, epoch=1)
    >>> best_rates(search, failed=2.4).tolist()
    [0.3]
    """
    return rate_table(results, axes, figure=figure, failed=failed).idxmin(axis=1)
