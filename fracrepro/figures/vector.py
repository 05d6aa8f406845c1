"""A figure as SVG: the same text for the same figure, on a transparent ground, with its letters as outlines.

Outlines and not text, because a reader has neither matplotlib's font nor that of its formulas, and any other
would move the words; the words of a figure are in its caption and in its table.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fracrepro.figures.plotted import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["as_svg"]

#: A cloud of more points becomes a picture inside the SVG, which would otherwise be megabytes of paths.
MANY_POINTS = 20_000
_PIXELS = 200  # an inch, of such a picture
_FOREIGN = re.compile(r"<!DOCTYPE[^>]*>\s*|<metadata>.*?</metadata>\s*", re.DOTALL)  # name other hosts


def as_svg(figure: Figure) -> str:
    """Return a figure as SVG, cut to what is drawn, which names no date, program or host.

    A series of more than ``MANY_POINTS`` points is drawn as a picture; axes and words stay sharp.

    Args:
        figure: any figure of matplotlib; it is as it was afterwards.
    """
    import matplotlib as mpl

    settings: Any = {"svg.hashsalt": "fracrepro", "svg.fonttype": "path"}
    with mpl.rc_context(settings), _clouds_as_pictures(figure), io.BytesIO() as content:
        figure.savefig(
            content,
            format="svg",
            bbox_inches="tight",
            dpi=_PIXELS,
            facecolor=figure.get_facecolor(),
            metadata={"Date": None},
        )
        return _FOREIGN.sub("", content.getvalue().decode())


@contextlib.contextmanager
def _clouds_as_pictures(figure: Figure) -> Iterator[None]:
    clouds = [
        artist
        for axes in panels(figure)
        for artist in (*axes.lines, *axes.collections)
        if _points(artist) > MANY_POINTS
    ]
    before = [artist.get_rasterized() for artist in clouds]
    for artist in clouds:
        artist.set_rasterized(True)
    try:
        yield
    finally:
        for artist, whether in zip(clouds, before, strict=True):
            artist.set_rasterized(whether)


def _points(artist: Any) -> int:
    """How many points an artist draws."""
    if hasattr(artist, "get_xydata"):  # a line
        return len(artist.get_xydata())
    if hasattr(artist, "get_coordinates"):  # a mesh
        return artist.get_coordinates()[..., 0].size
    return max(len(artist.get_offsets()), sum(len(path.vertices) for path in artist.get_paths()))
