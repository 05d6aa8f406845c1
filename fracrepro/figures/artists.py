"""What matplotlib's artists show, as series of numbers: points of lines, ends of bars, cells of heatmaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["Series", "series_of"]

Columns = dict[str, Any]  # a sequence for each name, all of one length


@dataclass(frozen=True)
class Series:
    """What one call has drawn: its kind, its label in the legend, how it looks, and its columns."""

    kind: str
    label: str
    look: str
    columns: Columns = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of rows."""
        return max((len(column) for column in self.columns.values()), default=0)


def series_of(axes: Axes) -> Iterator[Series]:
    """What was drawn into a panel, call by call; frames and what is invisible are left out."""
    from matplotlib.container import BarContainer, ErrorbarContainer

    belongs = {id(part): each for each in axes.containers for part in _parts(each)}
    done: set[int] = set()
    for artist in axes.get_children():
        whole = belongs.get(id(artist))
        if whole is None:
            if artist.get_visible() and artist is not axes.patch:
                yield from _artist(axes, artist)
        elif id(whole) not in done:
            done.add(id(whole))
            if isinstance(whole, BarContainer):
                yield _bars(whole)
            elif isinstance(whole, ErrorbarContainer):
                yield from _error_bars(axes, whole)
            else:  # stems, pies: each part by itself
                for part in _parts(whole):
                    yield from _artist(axes, part)


def _parts(container: Any) -> Iterator[Artist]:
    for part in container:
        if isinstance(part, (tuple, list)):
            yield from part
        elif part is not None:
            yield part


def _artist(axes: Axes, artist: Any) -> Iterator[Series]:
    """What one artist shows; nothing where it is tied to the frame alone, as titles are."""
    from matplotlib import collections, contour, image, lines, patches, spines, text

    label, look = _label(artist), _look(artist)
    if isinstance(artist, lines.Line2D):
        x, y = _line(axes, artist)
        kind = "points" if artist.get_linestyle() in ("None", "none", "", " ") else "line"
        yield Series(kind, label, look, {"x": x, "y": y})
    elif isinstance(artist, collections.PathCollection):
        yield _scatter(axes, artist, label, look)
    elif isinstance(artist, collections.QuadMesh):
        yield _mesh(artist, label)
    elif isinstance(artist, image.AxesImage):
        yield _picture(artist, label)
    elif isinstance(artist, contour.ContourSet):
        yield _contours(artist, label)
    elif isinstance(artist, getattr(collections, "FillBetweenPolyCollection", ())):
        yield _band(artist, label, look)
    elif isinstance(artist, collections.LineCollection):
        yield _segments(axes, artist, label, look)
    elif isinstance(artist, collections.Collection):
        yield _outlines("area", axes, artist, label, look)
    elif isinstance(artist, patches.StepPatch):
        yield _steps(artist, label, look)
    elif isinstance(artist, patches.Rectangle):
        (x_low, x_high), (y_low, y_high) = _ends(axes, artist)
        ends = {"x_low": x_low, "x_high": x_high, "y_low": y_low, "y_high": y_high}
        columns = {name: [end] for name, end in ends.items() if end is not None}
        yield Series("area", label, look, columns)
    elif isinstance(artist, text.Text):
        x, y = _places(axes, artist.get_transform(), [artist.get_position()])
        words = " ".join(artist.get_text().split())
        if words and len(x) and x[0] is not None and y[0] is not None:  # beside data, not beside the frame
            yield Series("words", words, "", {"x": x, "y": y})
    elif isinstance(artist, patches.Patch) and not isinstance(artist, spines.Spine):
        inner = artist.get_patch_transform().transform(artist.get_path().vertices)
        x, y = _places(axes, artist.get_transform(), inner)
        yield Series("outline", label, look, {"x": x, "y": y})


# ---- the kinds of artists ---------------------------------------------------------------------------------


def _line(axes: Axes, line: Any) -> tuple[Any, Any]:
    """The points of a line; one that a slope gives is cut off at the frame."""
    from matplotlib.lines import AxLine

    if isinstance(line, AxLine):
        ends = axes.transData.inverted().transform(line.get_transform().transform([[0, 0], [1, 1]]))
        return ends[:, 0], ends[:, 1]
    x, y = (np.ma.filled(np.ma.masked_array(part, dtype=float), np.nan) for part in line.get_data(orig=False))
    x, y = _places(axes, line.get_transform(), np.column_stack([x, y]))
    if len(x) == 2 and (x[0] is None or y[0] is None):  # from side to side: one row says it
        return x[:1], y[:1]
    return x, y


def _places(axes: Axes, transform: Any, points: Any) -> tuple[Any, Any]:
    """Points in the coordinates of the data; on an axis of which they are fractions they have no place."""
    points = np.asarray(points, dtype=float).reshape(-1, 2)
    nowhere: list[Any] = [None] * len(points)
    in_x, in_y = _tied(transform)(axes.transData)
    if not in_x and not in_y:
        return [], []
    if in_x and in_y and transform != axes.transData:
        points = (transform - axes.transData).transform(points)
    return points[:, 0] if in_x else nowhere, points[:, 1] if in_y else nowhere


def _tied(transform: Any) -> Any:
    """Matplotlib's question of which axes a transform is tied to; its name was misspelt before 3.11."""
    spelt = getattr(transform, "contains_branch_separately", None)
    return spelt or transform.contains_branch_seperately


def _scatter(axes: Axes, artist: Any, label: str, look: str) -> Series:
    x, y = _places(axes, artist.get_offset_transform(), np.ma.filled(artist.get_offsets(), np.nan))
    columns: Columns = {"x": x, "y": y}
    values = artist.get_array()
    if values is not None and len(values) == len(x):
        columns["value"] = values
    return Series("points", label, look, columns)


def _picture(artist: Any, label: str) -> Series:
    """The cells of a picture, which lie evenly in its frame."""
    left, right, bottom, top = artist.get_extent()
    rows, columns = np.shape(artist.get_array())[:2]
    first, last = (bottom, top) if artist.origin == "lower" else (top, bottom)
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns
    y = first + (np.arange(rows) + 0.5) * (last - first) / rows
    across, down = np.meshgrid(x, y)
    return _cells(artist.get_array(), across, down, label)


def _mesh(artist: Any, label: str) -> Series:
    """The cells of a mesh, each at the mean of its corners."""
    corners = artist.get_coordinates()
    centres = (corners[1:, 1:] + corners[:-1, :-1] + corners[1:, :-1] + corners[:-1, 1:]) / 4
    return _cells(artist.get_array(), centres[..., 0], centres[..., 1], label)


def _cells(values: Any, x: Any, y: Any, label: str) -> Series:
    """The cells of a heatmap, row by row, with their places; of a picture in colours the colours."""
    from matplotlib.colors import to_hex

    values = np.ma.asarray(values)
    if values.ndim == 3:
        whole = values / 255 if values.dtype.kind in "ui" else values
        flat: Any = [_rgb(to_hex(cell)) for cell in whole.reshape(-1, whole.shape[-1])]
    else:
        flat = np.ma.filled(values.astype(float), np.nan).reshape(-1)
    row, column = np.indices(values.shape[:2]).reshape(2, -1)
    return Series(
        "cells", label, "", {"row": row, "column": column, "x": x.ravel(), "y": y.ravel(), "value": flat}
    )


def _contours(artist: Any, label: str) -> Series:
    """The lines of each level, or the edges of each area between two."""
    found: dict[str, list[Any]] = {"x": [], "y": [], "part": [], "value": []}
    for part, (level, path) in enumerate(zip(artist.levels, artist.get_paths(), strict=False), 1):
        found["x"] += list(path.vertices[:, 0])
        found["y"] += list(path.vertices[:, 1])
        found["part"] += [part] * len(path.vertices)
        found["value"] += [level] * len(path.vertices)
    return Series("contour", label, "", dict(found))


def _band(artist: Any, label: str, look: str) -> Series:
    """The two edges of each piece of a band: its outline goes there along one and back along the other."""
    pieces = [path.vertices[:-1] for path in artist.get_paths()]  # the last point closes it
    along, across = (0, 1) if artist.t_direction == "x" else (1, 0)
    found: dict[str, list[Any]] = {name: [] for name in ("t", "first", "second", "part")}
    for part, piece in enumerate(pieces, 1):
        n = (len(piece) - 2) // 2  # two more points lie at the ends
        one, other = piece[1 : n + 1], piece[n + 2 :][::-1]
        found["t"] += list(one[:, along])
        found["first"] += list(one[:, across])
        found["second"] += list(other[:, across])
        found["part"] += [part] * n
    name, ends = artist.t_direction, "y" if artist.t_direction == "x" else "x"
    low, high = np.minimum(found["first"], found["second"]), np.maximum(found["first"], found["second"])
    columns: Columns = {name: found["t"], f"{ends}_low": low, f"{ends}_high": high}
    return Series("band", label, look, columns | ({"part": found["part"]} if len(pieces) > 1 else {}))


def _segments(axes: Axes, artist: Any, label: str, look: str) -> Series:
    """Segments: upright and level ones as intervals, all others point by point."""
    pieces = [path.vertices for path in artist.get_paths()]
    if pieces and all(len(piece) == 2 for piece in pieces):
        ends = np.asarray(pieces)
        for along, across, name, other in ((0, 1, "x", "y"), (1, 0, "y", "x")):
            if np.array_equal(ends[:, 0, along], ends[:, 1, along], equal_nan=True):
                shown = _places(axes, artist.get_transform(), ends[:, 0])[along]
                between = np.sort(ends[..., across], axis=1)
                columns: Columns = {
                    name: shown,
                    f"{other}_low": between[:, 0],
                    f"{other}_high": between[:, 1],
                }
                return Series("intervals", label, look, columns)
    return _outlines("segments", axes, artist, label, look)


def _outlines(kind: str, axes: Axes, artist: Any, label: str, look: str) -> Series:
    pieces = [path.vertices for path in artist.get_paths()]
    points = np.concatenate(pieces) if pieces else np.empty((0, 2))
    x, y = _places(axes, artist.get_transform(), points)
    part = [number for number, piece in enumerate(pieces, 1) for _ in piece]
    return Series(kind, label, look, {"x": x, "y": y, "part": part} if len(x) else {})


def _steps(artist: Any, label: str, look: str) -> Series:
    """Steps: the edges of each and its height, from its base."""
    values, edges, base = artist.get_data()
    low = np.broadcast_to(0.0 if base is None else base, np.shape(values))
    along, across = ("x", "y") if artist.orientation == "vertical" else ("y", "x")
    columns: Columns = {f"{along}_low": edges[:-1], f"{along}_high": edges[1:]}
    return Series("steps", label, look, columns | {across: values, f"{across}_low": low})


def _bars(container: Any) -> Series:
    """Bars: where each stands and ends; `low` and `high` across the bar are its edges."""
    boxes = [bar.get_bbox() for bar in container.patches]
    x0, y0, x1, y1 = (np.array([getattr(box, name) for box in boxes]) for name in ("x0", "y0", "x1", "y1"))
    columns: Columns = {"x_low": np.minimum(x0, x1), "x_high": np.maximum(x0, x1)}
    columns |= {"y_low": np.minimum(y0, y1), "y_high": np.maximum(y0, y1)}
    if container.orientation == "horizontal":
        columns |= {"x": x1, "y": (y0 + y1) / 2}
    else:
        columns |= {"x": (x0 + x1) / 2, "y": y1}
    look = _look(container.patches[0]) if container.patches else ""
    return Series("bars", _label(container), look, columns)


def _error_bars(axes: Axes, container: Any) -> Iterator[Series]:
    """Points with their intervals in one row each; intervals without points by themselves."""
    line, _, bars = container.lines
    names = ["x"] * bool(container.has_xerr) + ["y"] * bool(container.has_yerr)
    columns: Columns = {}
    if line is not None:
        x, y = _line(axes, line)
        columns = {"x": x, "y": y}
    for name, bar in zip(names, bars, strict=False):
        axis = "xy".index(name)
        ends = np.array([path.vertices[:2] for path in bar.get_paths()]).reshape(-1, 2, 2)
        if not columns:
            columns = {"yx"[axis]: ends[:, 0, 1 - axis]}
        if len(ends) != max(map(len, columns.values())):  # only some points have intervals
            yield _segments(axes, bar, _label(container), _look(bar))
            continue
        columns[f"{name}_low"], columns[f"{name}_high"] = np.sort(ends[..., axis], axis=1).T
    shown = line if line is not None else next(iter(bars), None)
    look = "" if shown is None else _look(shown)
    if columns:
        yield Series("points with intervals", _label(container), look, columns)


# ---- what they have in common -----------------------------------------------------------------------------


def _ends(axes: Axes, box: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Where a rectangle ends on each axis; None where it goes from side to side."""
    bounds = box.get_bbox()
    x, y = _places(axes, box.get_data_transform(), [[bounds.x0, bounds.y0], [bounds.x1, bounds.y1]])
    sides = [sorted(side) if len(side) and side[0] is not None else (None, None) for side in (x, y)]
    return tuple(sides[0]), tuple(sides[1])


def _label(artist: Any) -> str:
    """The words of the legend; matplotlib's own names begin with a line below."""
    label = str(artist.get_label() or "")
    return "" if label.startswith("_") else label


def _look(artist: Any) -> str:
    """Colour and stroke, by which a curve without words is known in the figure."""
    from matplotlib import collections, colors, lines, patches

    if isinstance(artist, lines.Line2D):
        colour: Any = artist.get_color()
        style = {"-": "solid", "--": "dashed", ":": "dotted", "-.": "dash-dotted"}.get(
            str(artist.get_linestyle()), f"marker {artist.get_marker()}"
        )
        return f"{style} {_rgb(colors.to_hex(colour))}"
    if isinstance(artist, collections.Collection):
        faces, edges = artist.get_facecolor(), artist.get_edgecolor()
        found: Any = faces if len(faces) else edges
        return _rgb(colors.to_hex(found[0])) if len(found) else ""
    if isinstance(artist, patches.Patch):
        face: Any = artist.get_facecolor()
        return _rgb(colors.to_hex(face))
    return ""


def _rgb(colour: str) -> str:
    """A colour that no reader of CSV takes for a number, as 029e73, or for a comment, as #029e73."""
    return f"rgb({int(colour[1:3], 16)} {int(colour[3:5], 16)} {int(colour[5:7], 16)})"
