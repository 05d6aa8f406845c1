"""The look of every figure: one palette, one size, readable in light and dark mode."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.legend import Legend

#: What people write for the activations whose names in programs are no words.
_ACTIVATIONS = {"relu": "ReLU", "leaky_relu": "leaky ReLU", "rrelu": "RReLU", "abs": "absolute value"}
#: The orders that have a colour of their own.
ORDERS = (0.0, 0.5, 1.0, 1.5, 2.0)
_DARK, _PURPLE, _GREEN = "#04213d", "#8e2f8b", "#7a9a1f"  # apart in hue and in lightness
#: No bounds.
EVERYWHERE = (-math.inf, math.inf)


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
            "figure.constrained_layout.hspace": 0.07,  # a title stands clear of the ticks above it
            "figure.labelsize": mpl.rcParams["axes.labelsize"],
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
    axes: Axes,
    x: Any,
    estimate: Any,
    half_width: Any,
    *,
    fmt: str = "o",
    within: tuple[float, float] = EVERYWHERE,
    **style: Any,
) -> None:
    """Draw a simulation as points with intervals, so that theory can be a line on the same axes.

    Args:
        axes: where to draw.
        x: places of the points.
        estimate: their heights.
        half_width: half the length of each interval; two rows are lengths below and above.
        fmt: the mark, as in ``Axes.errorbar``.
        within: the possible range, (0, 1) for a probability; no interval reaches out of it.
        style: anything else that ``Axes.errorbar`` takes.
    """
    import numpy as np

    estimate = np.atleast_1d(np.asarray(estimate, dtype=float))
    down, up = np.broadcast_to(np.asarray(half_width, dtype=float), (2, *estimate.shape))
    low, high = np.clip(estimate - down, *within), np.clip(estimate + up, *within)
    reach = np.maximum([estimate - low, high - estimate], 0)
    axes.errorbar(x, estimate, yerr=reach, fmt=fmt, markersize=4, capsize=2, linewidth=1.2, **style)


def band(
    axes: Axes, x: Any, low: Any, high: Any, *, within: tuple[float, float] = EVERYWHERE, **style: Any
) -> None:
    """Shade between two curves, but not outside the possible range.

    Args:
        axes: where to draw.
        x: places.
        low: the lower curve.
        high: the upper curve.
        within: the possible range: (0, 1) for shares and probabilities, (0, inf) for losses and norms.
        style: anything else that ``Axes.fill_between`` takes.
    """
    import numpy as np

    axes.fill_between(
        x, np.clip(low, *within), np.clip(high, *within), **{"alpha": 0.2, "linewidth": 0, **style}
    )


def scheme_style(name: str) -> dict[str, str]:
    """Return colour and label of a scheme, the same in every figure, as keywords of a plot.

    >>> scheme_style("kaiming")["label"]
    'Kaiming'
    """
    from fracrepro.nn import schemes

    kind = schemes.get(name)
    return {"color": kind.colour, "label": kind.label}


def scheme_of(arm: str) -> str:
    """Return the scheme of an arm of an experiment, the first word of its name.

    >>> scheme_of("orthogonal own ends")
    'orthogonal'
    """
    return arm.partition(" ")[0]


def arm_label(arm: str) -> str:
    """Return what figures call an arm of an experiment: the label of its scheme, and the rest of its name.

    Args:
        arm: a scheme's name, words that tell its arms apart, and an order, ``s=``, which is left out.

    Raises:
        ArgumentError: for an unknown scheme.

    >>> arm_label("orthogonal own ends s=2"), arm_label("kaiming")
    ('Orthogonal, own ends', 'Kaiming')
    """
    name, *rest = (word for word in arm.split(" ") if not word.startswith("s="))
    return ", ".join(filter(None, (scheme_style(name)["label"], " ".join(rest))))


def activation_label(name: str) -> str:
    """Return what figures and tables call an activation.

    >>> activation_label("leaky_relu"), activation_label("linear")
    ('leaky ReLU', 'linear')
    """
    return _ACTIVATIONS.get(name, name.replace("_", " "))


def order_style(s: float) -> dict[str, str]:
    """Return colour and label of the preserved order, the same in every figure, as keywords of a plot.

    Order 1 has the colour of the fractional scheme and order 2 that of Kaiming's, which it is.
    Between :data:`ORDERS` colours are mixed: orders near 0 are almost black, 1/2 is purple and 3/2 green.

    Args:
        s: the order, in [0, 2].

    Raises:
        ArgumentError: for an order out of this range.

    >>> order_style(2.0)
    {'color': '#de8f05', 'label': '$s = 2$'}
    """
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    from fracrepro import arguments
    from fracrepro.figures.numbers import number
    from fracrepro.nn import schemes

    s = arguments.real("s", s, "[0, 2]")
    one, two = schemes.get("fractional").colour, schemes.get("kaiming").colour
    stops = [_DARK, _PURPLE, one, _GREEN, two]
    colours = LinearSegmentedColormap.from_list("orders", stops, N=201)
    return {"color": to_hex(colours(s / 2)), "label": f"$s = {number(s, '.6g')}$"}


def whole_numbers(axis: Axis) -> None:
    """Let an axis that counts layers, epochs or seeds have ticks at whole numbers alone."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))


def legend_below(*panels: Axes, columns: int = 4, **style: Any) -> Legend:
    """Put the legend of one or more panels below the whole figure, where it hides no data.

    Args:
        panels: those whose labelled curves the legend explains; what several share has one entry.
        columns: at most so many entries in a row, and no more than the figure is wide.
        style: anything else that ``Figure.legend`` takes.
    """
    handles: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure = panels[0].get_figure(root=True)
    assert figure is not None  # an axes that has been drawn on
    count, rows = max(len(handles), 1), 1
    while True:
        across = min(columns, math.ceil(count / rows))
        made = list(handles.values()), list(handles)
        legend = figure.legend(*made, loc="outside lower center", ncols=across, **style)
        if across == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return legend
        legend.remove()  # it would widen the picture, whose letters then shrink on the page
        rows += 1
