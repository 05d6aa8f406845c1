"""The pictures of pages without a notebook, drawn when the book is built, for light and for dark mode.

The landing page shows the library's law beside what pages on training reported; the page on diagnosis shows
what its call draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fracrepro import files
from fracrepro.workflow import seals
from fracrepro.workflow.project import Project

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODES = ("light", "dark")  #: the modes of a page
LIGHT, DARK = (f"-{mode}.svg" for mode in MODES)  #: how the names of the two pictures end
DATA = ".csv"  #: how the name of the file with their data ends
#: What the fractional scheme is compared with: its name in reported values, and its label.
OTHERS = {"kaiming": "Kaiming", "xavier": "Xavier"}
#: The pages with the full protocols, by data set.
PAGES = {"MNIST": "09_mnist", "CIFAR-10": "10_cifar10"}
_DEPTH, _WIDTH, _IMAGES = 20, 64, 128  # of the network and the batch that are diagnosed


@dataclass(frozen=True)
class Picture:
    """A figure as SVG, and its data as CSV."""

    svg: str
    csv: str


def path(name: str, mode: str) -> str:
    """Where a picture is, below the project's folder; a page names the light one and gets both.

    >>> path("landing", "light")
    'book/_generated/landing-light.svg'
    """
    return f"book/_generated/{name}-{mode}.svg"


def write(project: Project) -> None:
    """Draw what the project's pages show: the landing figure where it has their values, and a diagnosis.

    Raises:
        OSError: when a picture cannot be written.
    """
    values = {data: _values(project, page) for data, page in PAGES.items()}
    if all(values.values()):
        _write(project, "landing", lambda mode: landing(values, mode))
    if (project.root / "book" / "diagnose.md").is_file():
        _write(project, "diagnosis", diagnosis)


def _values(project: Project, page: str) -> Mapping[str, Any]:
    if not (project.executed / f"{page}.json").is_file():
        return {}
    return seals.edited_page(project.executed, page)[0].get("values", {})


def _write(project: Project, name: str, draw: Callable[[str], Picture]) -> None:
    for mode in MODES:
        picture = draw(mode)
        files.write_text(project.root / path(name, mode), picture.svg)
    files.write_text(project.root / f"{path(name, MODES[0]).removesuffix(LIGHT)}{DATA}", picture.csv)


def landing(values: Mapping[str, Mapping[str, Any]], mode: str) -> Picture:
    """Return the landing figure, the same text for the same values.

    Args:
        values: what the pages with the full protocols reported, by data set.
        mode: "light" or "dark".
    """
    from fracrepro.figures.landing import Difference, landing_figure

    def difference(data: str, other: str) -> Difference:
        mean, low, high = (values[data][f"late_{part}_{other}"] for part in ("mean", "low", "high"))
        return Difference(data, mean, low, high, values[data]["record_runs"])

    rows = {label: [difference(data, other) for data in values] for other, label in OTHERS.items()}
    return _picture(lambda: landing_figure(rows, mode))


def diagnosis(mode: str) -> Picture:
    """Return what :func:`fracrepro.nn.diagnosis.plot_diagnosis` draws of three schemes.

    Args:
        mode: "light" or "dark".
    """
    import matplotlib as mpl
    import torch

    import fracrepro as fr
    from fracrepro.figures.landing import inks
    from fracrepro.nn import data, diagnose, initialize_, networks
    from fracrepro.nn.diagnosis import plot_diagnosis

    found = data.load("digits").train_images[:_IMAGES]
    images = torch.tensor(found).flatten(1) / 127.5 - 1
    sizes = [images.shape[1], *[_WIDTH] * (_DEPTH - 1), 10]
    frames = {}
    for scheme in ("fractional", "kaiming", "xavier"):
        model = networks.mlp(sizes, fr.ReLU())
        initialize_(model, scheme, batch=images, generator=torch.Generator().manual_seed(0))
        frames[scheme] = diagnose(model, images)

    def draw() -> Figure:
        with mpl.rc_context(inks(mode)):
            return plot_diagnosis(frames)

    return _picture(draw)


def _picture(draw: Callable[[], Figure]) -> Picture:
    """Draw in the book's style."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    from fracrepro.figures.plotted import as_csv
    from fracrepro.figures.style import use_style
    from fracrepro.figures.vector import as_svg

    with mpl.rc_context():
        use_style()
        figure = draw()
        picture = Picture(as_svg(figure), as_csv(figure))
        plt.close(figure)
        return picture
