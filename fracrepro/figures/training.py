"""Figures of trainings: curves over the epochs, paired differences, sweeps over the order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fracrepro.figures.numbers import number
from fracrepro.figures.style import (
    band,
    legend_below,
    order_style,
    points_with_intervals,
    scheme_style,
    whole_numbers,
)
from fracrepro.nn import schemes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes

_DASHES = ((0, ()), (0, (5, 1.5)), (0, (3, 1, 1, 1)), (0, (1, 1)))  # so that coinciding lines are all seen


def training_curves(results: pd.DataFrame) -> None:
    """Draw loss and accuracy over the epochs: the mean over runs, and the 95 % Student interval of the mean.

    A run whose loss stops being finite is left out from its first epoch on.

    Args:
        results: what :func:`fracrepro.nn.training.train` returns.
    """
    import matplotlib.pyplot as plt
    import numpy as np
    from scipy import stats

    lost = results.loc[~np.isfinite(results["test_loss"]), ["scheme", "seed"]].drop_duplicates()
    kept = results.merge(lost, how="left", indicator=True).query("_merge == 'left_only'")
    _, panels = plt.subplots(2, 2, figsize=(7.6, 5.4), sharex=True)
    figures = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
    for axes, figure in zip(panels.flat, figures, strict=True):
        for k, (scheme, group) in enumerate(kept.groupby("scheme", sort=False)):
            summary = group.groupby("epoch")[figure].agg(["mean", "sem", "count"])
            quantile = stats.t.isf(0.025, np.maximum(summary["count"] - 1, 1))
            half_width = quantile * summary["sem"].fillna(0.0)
            mean, style = summary["mean"], scheme_style(str(scheme))
            axes.plot(mean.index, mean, linestyle=_DASHES[k % len(_DASHES)], **style)
            possible = (0, 1) if "accuracy" in figure else (0, math.inf)
            low, high = mean - half_width, mean + half_width
            band(axes, mean.index, low, high, within=possible, color=style["color"])
        axes.set_title(figure.replace("train", "training").replace("_", " "))
    for axes in panels[1]:
        axes.set_xlabel("epoch")
        whole_numbers(axes.xaxis)
    legend_below(panels[0, 0])


def paired_points(results: pd.DataFrame, first: str, *, last: int = 1) -> None:
    """Draw the paired differences in test accuracy over the last epochs: a point for each seed, and the mean.

    Args:
        results: what :func:`fracrepro.nn.training.train` returns.
        first: the scheme that the others are compared with.
        last: how many epochs at the end are averaged.
    """
    import matplotlib.pyplot as plt
    import numpy as np

    from fracrepro.stats.paired import final_figures, paired_difference

    finite = np.isfinite(final_figures(results, "test_loss", last=last))
    accuracy = 100 * final_figures(results, "test_accuracy", last=last)[finite]
    others = [scheme for scheme in dict.fromkeys(results["scheme"]) if scheme != first]
    rows = max(len(others), 1)
    _, panels = plt.subplots(rows, 1, figsize=(7.2, 0.5 + 0.9 * rows), squeeze=False)
    for axes, other in zip(panels[:, 0], others, strict=False):  # one empty panel where nothing is compared
        differences = accuracy[first] - accuracy[other]
        axes.plot(differences, np.full(len(differences), 0.15), ".", color="0.5", markersize=5)
        found = paired_difference(accuracy[first], accuracy[other])
        spread = [[found.mean - found.low], [found.high - found.mean]]
        axes.errorbar(found.mean, -0.15, xerr=spread, fmt="o", color=schemes.get(other).colour, capsize=3)
        axes.axvline(0, color="0.4", linewidth=1)
        axes.set_yticks([0], [f"{schemes.get(first).label} − {schemes.get(other).label}"])
        axes.set_ylim(-0.5, 0.5)
    panels[-1, 0].set_xlabel("difference in test accuracy, percentage points")


def sorted_differences(differences: Mapping[str, pd.Series]) -> None:
    """Draw samples of paired differences in order of size, with mean (line) and median (dashes) of each."""
    import matplotlib.pyplot as plt
    import numpy as np

    _, panels = plt.subplots(1, len(differences), figsize=(7.2, 2.8), sharey=True, squeeze=False)
    for axes, (title, sample) in zip(panels[0], differences.items(), strict=True):
        values = np.sort(sample.dropna())
        axes.bar(np.arange(1, len(values) + 1), values, color="0.7")
        axes.axhline(values.mean(), color="C0", label="mean")
        axes.axhline(np.median(values), color="C1", linestyle="--", label="median")
        axes.axhline(0, color="0.4", linewidth=1)
        axes.set_title(title)
        axes.set_xlabel("seeds, in order of the difference")
    panels[0, 0].set_ylabel("percentage points")
    legend_below(panels[0, 0])


def difference_curves(records: Mapping[str, pd.DataFrame], first: str, second: str) -> None:
    """Draw paired differences over the epochs with joint 95 % bands: a row a figure, a column a record.

    Points where the band leaves out zero are marked.
    """
    import matplotlib.pyplot as plt
    import numpy as np

    from fracrepro.stats.joint import curve_difference, epoch_differences

    figures = {"train_loss": ("training loss", 1), "test_accuracy": ("test accuracy, points", 100)}
    _, panels = plt.subplots(2, len(records), figsize=(7.6, 5.0), sharex="col", squeeze=False)
    colour = schemes.get(first).colour
    for row, (figure, (label, factor)) in zip(panels, figures.items(), strict=True):
        for axes, (title, results) in zip(row, records.items(), strict=True):
            curves = factor * epoch_differences(results, figure, first, second)
            found, epochs = curve_difference(curves), curves.columns
            outside = np.flatnonzero((found.low > 0) | (found.high < 0))
            axes.plot(epochs, curves.T, color="0.6", linewidth=0.5)
            axes.plot(epochs, found.mean, color=colour)
            band(axes, epochs, found.low, found.high, color=colour)
            axes.plot(epochs[outside], found.mean[outside], "o", color=colour)
            axes.axhline(0, color="0.4", linewidth=1)
            reach = 1.2 * np.abs([found.low, found.high]).max()
            axes.set_ylim(-reach, reach)
            axes.set_title(f"{title}: {label}")
    for axes in panels[-1]:
        axes.set_xlabel("epoch")
        whole_numbers(axes.xaxis)


def order_points(differences: pd.DataFrame, axis: str, axes: Axes) -> None:
    """Draw a sweep's mean differences with intervals over one axis: a colour an order, a mark a slope.

    Args:
        differences: what :func:`fracrepro.stats.paired.order_differences` returns for `axis` and the slope.
        axis: the name of the column beside the slope.
        axes: where to draw.
    """
    values = sorted(differences[axis].unique())
    series = list(differences.groupby(["s", "negative_slope"]))
    for k, ((s, slope), group) in enumerate(series):
        x = [values.index(value) + 0.1 * (k - (len(series) - 1) / 2) for value in group[axis]]
        style: dict[str, Any] = {"color": order_style(s)["color"], "fmt": "o" if slope else "s"}
        half_width = group["high"] - group["mean"]
        label = f"s = {number(s)}, slope {number(slope)}"
        points_with_intervals(axes, x, group["mean"], half_width, label=label, **style)
    axes.axhline(0, color="0.4", linewidth=1)
    axes.set_xticks(range(len(values)), values)
    axes.set_xlabel(axis)
