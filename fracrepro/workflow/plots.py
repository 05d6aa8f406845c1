"""The look of every figure: one palette, one size, readable in light and dark mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# One colour a scheme, the same on all pages; seaborn's "colorblind" palette.
SCHEME_COLOURS = {
    "fractional": "#0173b2",
    "kaiming": "#de8f05",
    "xavier": "#029e73",
    "random_walk": "#cc78bc",
    "lyapunov": "#ca9161",
}


def use_style() -> None:
    """Set matplotlib's defaults for this kernel; figures have twice the screen's resolution."""
    import matplotlib as mpl
    import seaborn as sns

    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    mpl.rcParams.update(
        {
            "figure.figsize": (7.2, 3.8),
            "figure.constrained_layout.use": True,
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "savefig.facecolor": "none",
            "axes.grid": True,
            "grid.alpha": 0.35,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": "medium",
            "legend.frameon": False,
            "lines.linewidth": 1.8,
        }
    )
    try:
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:  # outside a notebook there is nothing to set
        return
    set_matplotlib_formats("retina")


def points_with_intervals(
    axes: Axes, x: Any, estimate: Any, half_width: Any, *, fmt: str = "o", **style: Any
) -> None:
    """Draw a simulation as points with intervals, so that theory can be a line on the same axes."""
    axes.errorbar(x, estimate, yerr=half_width, fmt=fmt, markersize=4, capsize=2, linewidth=1.2, **style)


def training_curves(results: pd.DataFrame) -> None:
    """Draw loss and accuracy over the epochs: the mean over runs, and the 95 % Student interval of the mean.

    A run whose loss stops being finite is left out from its first epoch on.
    """
    import matplotlib.pyplot as plt
    import numpy as np
    from scipy import stats

    lost = results.loc[~np.isfinite(results["test_loss"]), ["scheme", "seed"]].drop_duplicates()
    kept = results.merge(lost, how="left", indicator=True).query("_merge == 'left_only'")
    _, panels = plt.subplots(2, 2, figsize=(7.6, 5.4), sharex=True)
    figures = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
    for axes, figure in zip(panels.flat, figures, strict=True):
        for scheme, group in kept.groupby("scheme", sort=False):
            summary = group.groupby("epoch")[figure].agg(["mean", "sem", "count"])
            quantile = stats.t.isf(0.025, np.maximum(summary["count"] - 1, 1))
            half_width = quantile * summary["sem"].fillna(0.0)
            colour, mean = SCHEME_COLOURS[str(scheme)], summary["mean"]
            axes.plot(mean.index, mean, color=colour, label=str(scheme).replace("_", " "))
            axes.fill_between(
                mean.index, mean - half_width, mean + half_width, color=colour, alpha=0.2, linewidth=0
            )
        axes.set_title(figure.replace("train", "training").replace("_", " "))
    for axes in panels[1]:
        axes.set_xlabel("epoch")
    panels[0, 0].legend()


def paired_points(results: pd.DataFrame, first: str) -> None:
    """Draw the paired differences in final test accuracy: a point for each seed, and the mean."""
    import matplotlib.pyplot as plt
    import numpy as np

    from fracrepro.nn.compare import final_figures, paired_difference

    finite = np.isfinite(final_figures(results, "test_loss"))
    accuracy = 100 * final_figures(results, "test_accuracy")[finite]
    others = [scheme for scheme in dict.fromkeys(results["scheme"]) if scheme != first]
    rows = max(len(others), 1)
    _, panels = plt.subplots(rows, 1, figsize=(7.2, 0.5 + 0.9 * rows), squeeze=False)
    for axes, other in zip(panels[:, 0], others, strict=False):  # one empty panel where nothing is compared
        differences = accuracy[first] - accuracy[other]
        axes.plot(differences, np.full(len(differences), 0.15), ".", color="0.5", markersize=5)
        found = paired_difference(accuracy[first], accuracy[other])
        spread = [[found.mean - found.low], [found.high - found.mean]]
        axes.errorbar(found.mean, -0.15, xerr=spread, fmt="o", color=SCHEME_COLOURS[other], capsize=3)
        axes.axvline(0, color="0.4", linewidth=1)
        axes.set_yticks([0], [f"{first} - {other}".replace("_", " ")])
        axes.set_ylim(-0.5, 0.5)
    panels[-1, 0].set_xlabel("difference in test accuracy, percentage points")


def order_points(differences: pd.DataFrame, axis: str, axes: Axes) -> None:
    """Draw a sweep's mean differences with intervals over one axis: a colour an order, a mark a slope.

    `differences` is what `fracrepro.nn.compare.order_differences` returns for that axis and the slope.
    """
    values = sorted(differences[axis].unique())
    series = list(differences.groupby(["s", "negative_slope"]))
    orders = sorted(differences["s"].unique())
    for k, ((s, slope), group) in enumerate(series):
        x = [values.index(value) + 0.1 * (k - (len(series) - 1) / 2) for value in group[axis]]
        style = {"color": f"C{orders.index(s)}", "fmt": "o" if slope else "s"}
        half_width = group["high"] - group["mean"]
        label = f"s = {s:g}, slope {slope:g}"
        points_with_intervals(axes, x, group["mean"], half_width, label=label, **style)
    axes.axhline(0, color="0.4", linewidth=1)
    axes.set_xticks(range(len(values)), values)
    axes.set_xlabel(axis)
