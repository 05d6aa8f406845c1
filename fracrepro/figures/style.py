"""The look of every figure: one palette, one size, readable in light and dark mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    """Draw a simulation as points with intervals, so that theory can be a line on the same axes.

    Args:
        axes: where to draw.
        x: places of the points.
        estimate: their heights.
        half_width: half the length of each interval.
        fmt: the mark, as in ``Axes.errorbar``.
        style: anything else that ``Axes.errorbar`` takes.
    """
    axes.errorbar(x, estimate, yerr=half_width, fmt=fmt, markersize=4, capsize=2, linewidth=1.2, **style)
