"""The figure that opens the book: what is proved about one network, and what training makes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fracrepro.figures.style import scheme_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The running example: the network that the authors train.
WIDTH, DEPTH, ORDER = 64, 20, 1.0
#: The colour of text and lines, and how much white goes into other colours, by the mode of the page.
INKS = {"light": ("#323232", 0.0), "dark": ("#ced6dd", 0.35)}
_POINTS = 160  # of a curve


@dataclass(frozen=True)
class Difference:
    """How much test accuracy the fractional scheme is ahead, in percentage points, with its 95 % interval."""

    data: str
    mean: float
    low: float
    high: float
    runs: int


def inks(mode: str) -> dict[Any, Any]:
    """Return matplotlib's settings for text and lines on a light or a dark ground.

    >>> inks("dark")["text.color"]
    '#ced6dd'
    """
    ink, _ = INKS[mode]
    names = (
        "text.color",
        "axes.labelcolor",
        "axes.titlecolor",
        "axes.edgecolor",
        "xtick.color",
        "ytick.color",
    )
    return {**dict.fromkeys(names, ink), "grid.color": ink, "grid.alpha": 0.2}


def landing_figure(differences: Mapping[str, Sequence[Difference]], mode: str = "light") -> Figure:
    """Draw the law of the norm after 20 layers under three schemes, above the paired differences in training.

    Args:
        differences: the differences by the scheme that the fractional one is compared with.
        mode: "light" or "dark", the ground that the figure is for.
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    _, white = INKS[mode]
    with mpl.rc_context(inks(mode)):
        # Upright and no wider than a phone, on which its letters stay legible.
        figure = plt.figure(figsize=(4.3, 5.6))
        shape = figure.add_gridspec(1 + len(differences), 1, height_ratios=(2, *[1] * len(differences)))
        _draw_laws(figure.add_subplot(shape[0]), white)
        for k, (other, rows) in enumerate(differences.items(), 1):
            _draw_differences(figure.add_subplot(shape[k]), other, rows, white)
        plt.close(figure)
    return figure


def _colour(scheme: str, white: float) -> tuple[float, ...]:
    """The colour of a scheme, made lighter for a dark ground."""
    from matplotlib.colors import to_rgb

    return tuple(part + (1 - part) * white for part in to_rgb(scheme_style(scheme)["color"]))


def _draw_laws(axes: Axes, white: float) -> None:
    """The density of the norm's logarithm to base 10, given that the network is alive, by the exact law."""
    import numpy as np

    import fracrepro as fr

    relu = fr.ReLU()
    # Each with the side of its curve and the height at which its name stands, so that names stay apart.
    variances = {
        "xavier": (1.0 / WIDTH, 1, 0.8),
        "kaiming": (2.0 / WIDTH, -1, 0.5),
        "fractional": (fr.critical_variance(ORDER, WIDTH, relu), 1, 0.8),
    }
    for name, (variance, side, height) in variances.items():
        law = fr.LogNormLaw(DEPTH, WIDTH, relu, variance)
        middle, spread = law.mean(), math.sqrt(law.var())
        x = np.linspace(middle - 4.5 * spread, middle + 4.5 * spread, _POINTS)
        heights, colour = law.pdf(x) * math.log(10), _colour(name, white)
        axes.plot(x / math.log(10), heights, color=colour)
        axes.fill_between(x / math.log(10), heights, color=colour, alpha=0.15, linewidth=0)
        beside = side * math.sqrt(-2 * math.log(height)) * spread  # of a normal law, which this nearly is
        place = (middle + beside) / math.log(10), height * heights.max()
        align, label = "left" if side > 0 else "right", f" {scheme_style(name)['label']} "
        axes.text(*place, label, color=colour, ha=align, va="bottom", fontweight="bold")
    axes.set_title(f"Norm of the output over that of the input,\n{DEPTH} layers of width {WIDTH}")
    ticks = range(-4, 2)
    axes.set_xticks(ticks, [f"$10^{{{tick}}}$" if tick else "1" for tick in ticks])
    axes.set_yticks([])
    axes.set_ylabel("density")
    axes.set_ylim(bottom=0)
    axes.set_xlim(right=2.4)  # room for the last name


def _draw_differences(axes: Axes, other: str, rows: Sequence[Difference], white: float) -> None:
    """One row a data set, with the interval across; 0 is no difference."""
    axes.axvline(0, color=axes.xaxis.label.get_color(), linewidth=1)
    for height, row in enumerate(rows):
        reach = [[row.mean - row.low], [row.high - row.mean]]
        axes.errorbar(
            [row.mean], [height], xerr=reach, fmt="o", color=_colour("fractional", white), capsize=3
        )
    axes.set_yticks(range(len(rows)), [f"{row.data},\n{row.runs} pairs" for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("points of test accuracy")
    axes.set_title(f"Fractional minus {other}")
