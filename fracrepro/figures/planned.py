"""Figures of what a plan found: the verdicts of all its comparisons at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fracrepro.arguments import choice
from fracrepro.errors import ArgumentError
from fracrepro.figures.numbers import DASH, number

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["KINDS", "difference_table", "kind_of", "settling_table", "verdict_map"]

#: What a verdict can be: its sign and its colour, which stay apart for colour-blind readers and in grey.
KINDS = {
    "better": ("▲", "#7cc0ea"),
    "equivalent": ("=", "#cccccc"),
    "worse": ("▼", "#f0935a"),
    "unknown": ("?", "none"),
}
_SETTLES = {
    "pairs_difference": "to differ",
    "pairs_equivalence": "to agree",
    "pairs_seen": "as seen",
    "hours": "hours",
}
_WORDS = {"equivalent within the margin": "equivalent", "better": "better", "worse": "worse"}


def kind_of(verdict: str) -> str:
    """Return which of :data:`KINDS` a verdict is.

    Args:
        verdict: as :func:`fracrepro.stats.judging.judge` words it.

    Raises:
        ArgumentError: for other words.

    >>> kind_of("not known, a difference of 0.25 would have been seen")
    'unknown'
    """
    if isinstance(verdict, str) and verdict.startswith("not known"):
        return "unknown"
    return _WORDS[choice("verdict", verdict, tuple(_WORDS))]


def verdict_map(
    axes: Axes,
    verdicts: pd.DataFrame,
    rows: str | Sequence[str],
    columns: str | Sequence[str],
    *,
    names: Mapping[Any, str] | None = None,
    form: str = "+.2f",
) -> None:
    """Draw the verdicts of one endpoint as a table of boxes: the kind by colour and sign, the difference.

    An unknown one is an empty box with a broken edge, and where nothing was compared there is a dash.
    All kinds are labelled, so that ``legend_below(axes)`` explains them, also those that do not occur.

    Args:
        axes: where to draw.
        verdicts: as :func:`fracrepro.stats.judging.judge` returns them, or a part of its rows.
        rows: the column, or columns, that tell the rows of boxes apart, in their order of appearance.
        columns: the same for the columns of boxes.
        names: what to call a value of these; others are written by :func:`.numbers.number`.
        form: of the differences, as :func:`.numbers.number` takes it; ``""`` to leave them out.

    Raises:
        ArgumentError: for a missing column, for two verdicts at one place, and for words that are no verdict.
    """
    from matplotlib.patches import Rectangle

    keys = [[each] if isinstance(each, str) else list(each) for each in (rows, columns)]
    for name in (*keys[0], *keys[1], "verdict", *(["difference"] if form else [])):
        choice("verdicts: column", name, tuple(verdicts.columns))
    downward, across = ([tuple(each) for each in verdicts[key].to_numpy(dtype=object)] for key in keys)
    down, right = list(dict.fromkeys(downward)), list(dict.fromkeys(across))
    missing = {(x, y) for x in range(len(right)) for y in range(len(down))}
    for row, y_key, x_key in zip(verdicts.to_dict("records"), downward, across, strict=True):
        x, y = place = right.index(x_key), down.index(y_key)
        if place not in missing:
            raise ArgumentError(f"verdicts: several at {y_key} and {x_key}: need one")
        missing.remove(place)
        kind = kind_of(row["verdict"])
        axes.add_patch(Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, **_box(kind)))
        text = f"{KINDS[kind][0]}\n{number(row['difference'], form)}" if form else KINDS[kind][0]
        axes.text(x, y, text, ha="center", va="center", color="black", linespacing=1.2)
    for x, y in missing:
        axes.text(x, y, DASH, ha="center", va="center", color="black")
    for kind, (sign, _) in KINDS.items():
        axes.add_patch(Rectangle((0, 0), 0, 0, label=f"{sign} {kind}", **_box(kind)))
    _frame(axes, [_label(each, names) for each in right], [_label(each, names) for each in down])


def difference_table(
    verdicts: pd.DataFrame,
    rows: str,
    columns: str,
    *,
    names: Mapping[Any, str] | None = None,
    form: str = "+.3f",
) -> pd.DataFrame:
    """Return the differences of one endpoint with their intervals as text, one row and column a comparison.

    An interval is never broken into two lines.

    Args:
        verdicts: as for :func:`verdict_map`.
        rows: the column that tells the rows apart, in their order of appearance.
        columns: the same for the columns.
        names: what to call a row; others keep their names.
        form: of the numbers, as :func:`.numbers.number` takes it.

    Raises:
        ArgumentError: for a missing column, and for two verdicts at one place.
    """
    for name in (rows, columns, "difference", "low", "high"):
        choice("verdicts: column", name, tuple(verdicts.columns))
    if verdicts.duplicated([rows, columns]).any():
        raise ArgumentError(f"verdicts: several at one {rows} and {columns}: need one")
    numbers = verdicts[["difference", "low", "high"]].to_numpy()
    text = [
        f"{number(mean, form)} ({number(low, form)}\u00a0to\u00a0{number(high, form)})"
        for mean, low, high in numbers
    ]
    wide = verdicts.assign(text=text).pivot(index=rows, columns=columns, values="text")
    wide = wide.loc[list(dict.fromkeys(verdicts[rows]))]
    return wide.rename(index=lambda key: (names or {}).get(key, key)).rename_axis(index=None, columns=None)


def settling_table(settled: pd.DataFrame, rows: str | Sequence[str]) -> pd.DataFrame:
    """Return what would settle comparisons, with the columns that a page shows.

    Args:
        settled: as :func:`fracrepro.stats.settling.settling` returns it, or a part of its rows.
        rows: the column, or columns, that name the comparisons.

    Returns:
        ``difference``, ``low``, ``high``, the kind, three numbers of pairs, *to differ*, *to agree* and *as
        seen*, and *hours*: what the largest of them costs on one core beyond the pairs that there are.

    Raises:
        ArgumentError: for a missing column.
    """
    keys = [rows] if isinstance(rows, str) else list(rows)
    shown = ["difference", "low", "high", "verdict", *_SETTLES]
    for name in (*keys, *shown, "pairs", "hours_pair"):
        choice("settled: column", name, tuple(settled.columns))
    most = settled[["pairs_difference", "pairs_equivalence", "pairs_seen"]].max(axis=1)
    beyond = (most - settled["pairs"]).clip(lower=0)
    found = settled.assign(verdict=settled["verdict"].map(kind_of), hours=beyond * settled["hours_pair"])
    return found.set_index(keys)[shown].rename(columns=_SETTLES)


def _box(kind: str) -> dict[str, Any]:
    """How the box of a kind looks."""
    edge = {"edgecolor": "0.45", "linestyle": "--"} if kind == "unknown" else {"edgecolor": "0.2"}
    return {"facecolor": KINDS[kind][1], "linewidth": 1.0, **edge}


def _label(values: Sequence[Any], names: Mapping[Any, str] | None) -> str:
    return ", ".join((names or {}).get(value) or number(value) for value in values)


def _frame(axes: Axes, right: Sequence[str], down: Sequence[str]) -> None:
    """Name rows and columns, the first row on top, and draw no other lines than those of the boxes."""
    axes.set_xticks(range(len(right)), right)
    axes.set_yticks(range(len(down)), down)
    axes.set_xlim(-0.5, len(right) - 0.5)
    axes.set_ylim(len(down) - 0.5, -0.5)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
