"""What a figure shows, as a table: the data of every line, band, bar, point and cell, read off matplotlib.

One row is one point of one series, in the long form that pandas, R and spreadsheets read.
Lines that begin with ``#`` come first and say what the axes of each panel are.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fracrepro.arguments import integer
from fracrepro.figures.artists import series_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["as_csv", "panels"]

#: Columns that a table has in any case, and those that it has where a series needs them.
ALWAYS = ("panel", "series", "label", "kind", "look", "x", "y")
OPTIONAL = ("x_low", "x_high", "y_low", "y_high", "part", "row", "column", "value")
#: Rows that a table has at most; a longer one keeps every k-th of each series, and its first line says so.
MOST_ROWS = 200_000


def as_csv(figure: Figure, most: int = MOST_ROWS) -> str:
    r"""Return the data of a figure as CSV, in the order in which it was drawn.

    Numbers have all their digits, so that they are the ones that were drawn; what was not a number is empty.
    A line across a panel has no place on the other axis.

    Args:
        figure: any figure of matplotlib.
        most: rows at most; a longer table is thinned and says so.

    Returns:
        Lines that begin with ``#``, a line with the names of the columns, and the rows.

    Raises:
        ArgumentError: for a number of rows below 1.

    >>> from matplotlib.figure import Figure
    >>> figure = Figure()
    >>> axes = figure.add_subplot(xlabel="depth", ylabel="norm")
    >>> lines = axes.plot([1, 2], [0.5, 0.25], "--", color="#000000", label="exact")
    >>> print(as_csv(figure), end="")
    # panel 1: x: depth; y: norm
    panel,series,label,kind,look,x,y
    1,1,exact,line,dashed rgb(0 0 0),1,0.5
    1,1,exact,line,dashed rgb(0 0 0),2,0.25
    """
    most = integer("most", most, "[1, inf)")
    found = [(axes, list(series_of(axes))) for axes in panels(figure)]
    found = [(axes, each) for axes, each in found if any(map(len, each))]
    rows = sum(len(one) for _, each in found for one in each)
    step = -(-rows // most) if rows > most else 1
    with io.StringIO() as text:
        if step > 1:
            text.write(f"# thinned: one row in {step} of each series; the figure has {rows} rows\n")
        for number, (axes, _) in enumerate(found, 1):
            text.write(_heading(number, axes))
        used = {name for _, each in found for one in each for name in one.columns}
        names = [*ALWAYS, *(name for name in OPTIONAL if name in used)]
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        for number, (_, each) in enumerate(found, 1):
            for index, one in enumerate((one for one in each if len(one)), 1):
                fixed = {"panel": number, "series": index, "label": one.label, "kind": one.kind}
                fixed |= {"look": one.look}
                for place in range(0, len(one), step):
                    row = fixed | {name: _field(column[place]) for name, column in one.columns.items()}
                    writer.writerow([row.get(name, "") for name in names])
        return text.getvalue()


def panels(figure: Figure) -> Iterator[Any]:
    """The panels of a figure, small ones within others included, without the scales of colours."""
    for axes in figure.axes:
        if axes.get_label() != "<colorbar>":
            yield axes
            yield from (child for child in axes.child_axes if hasattr(child, "transData"))


def _heading(number: int, axes: Any) -> str:
    """The line that says what a panel is and what its axes are."""
    title = " ".join(axes.get_title().split())
    parts = [f"{name}: {_axis(axis)}" for name, axis in (("x", axes.xaxis), ("y", axes.yaxis))]
    bars = [one.colorbar for one in (*axes.images, *axes.collections) if one.colorbar is not None]
    parts += [f"value: {' '.join(bar.ax.get_ylabel().split())}" for bar in bars if bar.ax.get_ylabel()]
    return f"# panel {number}{f', {title}' if title else ''}: {'; '.join(parts)}\n"


def _axis(axis: Any) -> str:
    """The label of an axis, and what its places stand for where they have words."""
    from matplotlib.category import StrCategoryFormatter
    from matplotlib.ticker import FixedFormatter

    words = " ".join(_axis_label(axis).split()) or "without a label"
    if axis.get_scale() != "linear":
        words += f" ({axis.get_scale()} scale)"
    if isinstance(axis.get_major_formatter(), (FixedFormatter, StrCategoryFormatter)):
        marks = zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=False)
        named = [f"{_field(place)} = {mark.get_text()}" for place, mark in marks if mark.get_text()]
        words += f" ({', '.join(named)})" if named else ""
    return words


def _axis_label(axis: Any) -> str:
    """The label of an axis, else that of a panel that shares it, else that of the whole figure."""
    axes, name = axis.axes, axis.axis_name
    sharing = getattr(axes, f"get_shared_{name}_axes")().get_siblings(axes)
    labels = [one.get_label_text() for one in (axis, *(getattr(each, f"{name}axis") for each in sharing))]
    whole = getattr(axes.get_figure(root=True), f"get_sup{name}label")()
    return next(filter(None, [*labels, whole]), "")


def _field(value: Any) -> str | int:
    """A value as text: all digits, no decimal point behind a whole number, nothing for what is missing."""
    if value is None or value is np.ma.masked or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, (str, int, np.str_)):
        return str(value)
    if isinstance(value, (np.integer, np.bool_)):
        return int(value)
    try:
        number = float(value)
    except (TypeError, ValueError):  # a date, for example
        return str(value)
    if number != number:
        return ""
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
