"""An extension of IPython: with every figure that a cell shows come its SVG and its data.

`fracrepro run` and `fracrepro build` load it into each kernel, so that no page has code for it; the book puts
both below the figure as files.
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["KIND", "load_ipython_extension"]

#: The kind of an output that holds both; other readers of a notebook pass it over.
KIND = "application/vnd.fracrepro.figure+json"


def load_ipython_extension(shell: Any) -> None:
    """Let a kernel add ``{"svg": …, "csv": …}`` to each figure that it shows.

    What goes wrong there is shown as a traceback below the figure and stops nothing.

    Args:
        shell: of the kernel.
    """
    from IPython.core.formatters import BaseFormatter, catch_format_error

    class FilesFormatter(BaseFormatter):
        """Not a function for one type, as usual: those of figures are taken out when the style is set."""

        _return_type = dict

        @catch_format_error
        def __call__(self, shown: Any) -> dict[str, str] | None:
            figures = sys.modules.get("matplotlib.figure")
            return files_of(shown) if figures and isinstance(shown, figures.Figure) else None

    shell.display_formatter.formatters[KIND] = FilesFormatter(
        parent=shell.display_formatter, format_type=KIND
    )


def files_of(figure: Any) -> dict[str, str]:
    """Return SVG and CSV of a figure."""
    from fracrepro.figures.plotted import as_csv
    from fracrepro.figures.vector import as_svg

    return {"svg": as_svg(figure), "csv": as_csv(figure)}
