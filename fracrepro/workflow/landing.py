"""The figure on the landing page, drawn when the book is built: from the library and what pages reported."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from fracrepro import files
from fracrepro.workflow import seals
from fracrepro.workflow.project import Project

#: What is compared with which page's values: the scheme, by the name in reported values, and its label.
_OTHERS = {"kaiming": "Kaiming", "xavier": "Xavier"}
_PAGES = {"MNIST": "09_mnist", "CIFAR-10": "10_cifar10"}
_FOLDER = "book/_generated"


def figure_path(mode: str) -> str:
    """Where the figure for a mode is, below the project's folder; the page names the light one.

    >>> figure_path("light")
    'book/_generated/landing-light.svg'
    """
    return f"{_FOLDER}/landing-{mode}.svg"


def write(project: Project) -> None:
    """Draw the figure for both modes, if the project has the pages whose values it shows.

    Raises:
        OSError: when it cannot be written.
    """
    values = {data: _values(project, page) for data, page in _PAGES.items()}
    if not all(values.values()):
        return
    for mode in ("light", "dark"):
        files.write_text(project.root / figure_path(mode), drawn(values, mode))


def _values(project: Project, page: str) -> Mapping[str, Any]:
    if not (project.executed / f"{page}.json").is_file():
        return {}
    return seals.edited_page(project.executed, page)[0].get("values", {})


def drawn(values: Mapping[str, Mapping[str, Any]], mode: str) -> str:
    """Return the figure as SVG, the same text for the same values.

    Args:
        values: what the pages with the full protocols reported, by data set.
        mode: "light" or "dark".
    """
    import matplotlib as mpl

    from fracrepro.figures.landing import Difference, landing_figure
    from fracrepro.figures.style import use_style

    def difference(data: str, other: str) -> Difference:
        mean, low, high = (values[data][f"late_{part}_{other}"] for part in ("mean", "low", "high"))
        return Difference(data, mean, low, high, values[data]["record_runs"])

    rows = {label: [difference(data, other) for data in values] for other, label in _OTHERS.items()}
    with mpl.rc_context({"svg.hashsalt": "landing", "backend": "svg"}):
        use_style()
        with io.StringIO() as text:
            landing_figure(rows, mode).savefig(text, format="svg", metadata={"Date": None})
            return text.getvalue()
