"""The figure of a sweep: a panel for each reported number that changes, over the values of the parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fracrepro import files
from fracrepro.arguments import choice
from fracrepro.errors import ArgumentError
from fracrepro.figures.style import legend_below

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["changing", "save_sweep_figure", "sweep_figure"]

_COLUMNS = 4
_PANEL = (2.9, 2.2)  # inches
_DECADES = 20.0  # from this ratio of the largest to the smallest on, an axis is logarithmic
_MARKS = "os^Dv<>pP*X"
_MOST = len(_MARKS) * 10  # curves that colours and marks tell apart


def changing(rows: pd.DataFrame, reported: Sequence[str]) -> list[str]:
    """Return those of the columns `reported` that hold numbers, and not always the same one.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"gain": [1.2, 1.1], "n": [5, 5], "holds": [True, False]})
    >>> changing(table, ["gain", "n", "holds"])
    ['gain']
    """
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    numbers = [name for name in reported if is_numeric_dtype(rows[name]) and not is_bool_dtype(rows[name])]
    return [name for name in numbers if rows[name].nunique() > 1]


def sweep_figure(rows: pd.DataFrame, axes: Sequence[str], reported: Sequence[str]) -> Figure:
    """Return a figure of a sweep's table: a panel for each column of `reported`.

    The parameter with the most values that are numbers lies on the horizontal axis; where none has numbers,
    the first does, with its values as words.
    Each combination of the others is a curve; a point is marked where it was computed.
    An axis is logarithmic where its values are positive and span more than a factor of 20.

    Args:
        rows: the table, a row a point.
        axes: the columns with the parameters that vary.
        reported: the columns to draw.

    Raises:
        ArgumentError: for an unknown column, none, and more than 110 curves, which nobody tells apart.
    """
    from matplotlib.figure import Figure

    for name, wanted in (("axes", axes), ("reported", reported)):
        if not wanted:
            raise ArgumentError(f"{name} = (): need at least one column")
        for column in wanted:
            choice(name, column, tuple(map(str, rows.columns)))
    across, numeric = _across(rows, axes)
    curves = _curves(rows, [name for name in axes if name != across])
    if len(curves) > _MOST:
        raise ArgumentError(f"axes = {tuple(axes)!r}: {len(curves)} curves: need at most {_MOST}")
    columns = min(_COLUMNS, len(reported))
    lines = math.ceil(len(reported) / columns)
    size = (max(_PANEL[0] * columns, 4.0), _PANEL[1] * lines + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    places = {value: place for place, value in enumerate(dict.fromkeys(rows[across]))}
    for panel, name in zip(panels, reported, strict=False):
        for mark, (label, part) in enumerate(curves):
            horizontal = part[across] if numeric else part[across].map(places)
            order = horizontal.argsort()
            panel.plot(
                horizontal.iloc[order],
                part[name].iloc[order],
                marker=_MARKS[mark // 10 % len(_MARKS)],
                markersize=3,
                linewidth=1,
                label=label,
            )
        _dress(panel, rows, across, name)
        if not numeric:
            panel.set_xticks(list(places.values()), [str(value) for value in places])
    for panel in panels[len(reported) :]:
        panel.set_axis_off()
    if len(curves) > 1:
        legend_below(panels[0], columns=columns, fontsize="x-small")
    return figure


def save_sweep_figure(path: Path, rows: pd.DataFrame, axes: Sequence[str], reported: Sequence[str]) -> None:
    """Write the figure as SVG, the same bytes for the same table, with a title and a description in words.

    Args:
        path: of the file.
        rows: as in `sweep_figure`, as are `axes` and `reported`.

    Raises:
        ArgumentError: as `sweep_figure`.
    """
    import matplotlib as mpl

    about = f"{path.stem}: {', '.join(reported)} over {', '.join(axes)}, {len(rows)} points"
    metadata = {"Date": None, "Title": path.stem, "Description": about}
    with mpl.rc_context({"svg.hashsalt": "fracrepro", "svg.fonttype": "none", "font.size": 9}):
        figure = sweep_figure(rows, axes, reported)
        with files.atomic_writer(path) as file:
            figure.savefig(file, format="svg", metadata=metadata)


def _across(rows: pd.DataFrame, axes: Sequence[str]) -> tuple[str, bool]:
    """The parameter on the horizontal axis, and whether its values are numbers."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    numbers = [name for name in axes if is_numeric_dtype(rows[name]) and not is_bool_dtype(rows[name])]
    return (max(numbers, key=lambda name: rows[name].nunique()), True) if numbers else (axes[0], False)


def _curves(rows: pd.DataFrame, others: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
    """The label and the points of each combination of the other parameters, in the order of the table."""
    if not others:
        return [("", rows)]
    groups = rows.groupby(list(others), sort=False)
    return [
        (", ".join(f"{name}={value}" for name, value in zip(others, key, strict=True)), part)
        for key, part in groups
    ]


def _dress(panel: Axes, rows: pd.DataFrame, across: str, name: str) -> None:
    panel.set_title(name, fontsize="small")
    panel.set_xlabel(across, fontsize="small")
    panel.tick_params(labelsize="x-small")
    for column, scale in ((across, panel.set_xscale), (name, panel.set_yscale)):
        values = rows[column]
        positive = values.dtype.kind in "iuf" and (values.dropna() > 0).all()
        if positive and values.max() > _DECADES * values.min():
            scale("log")
