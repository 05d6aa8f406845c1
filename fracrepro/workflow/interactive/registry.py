"""Which interactive figures there are, and what a page loads for each."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FIGURES", "Figure"]


@dataclass(frozen=True)
class Figure:
    """What a page loads for an interactive figure.

    Attributes:
        title: what the figure is, for readers who hear the page.
        scripts: files of ``book/_static/interactive`` in the order in which they run, without endings.
        tables: tables of `fracrepro.workflow.interactive.tables` that it reads; ``{name}`` in one stands for
            an option of the place.
    """

    title: str
    scripts: tuple[str, ...]
    tables: tuple[str, ...] = ()


FIGURES: dict[str, Figure] = {
    "calculator": Figure("Calculator", ("base", "laws", "calculator"), ("activations",)),
    "lognorm": Figure("The law of the log-norm", ("base", "chart", "laws", "walk", "lognorm"), ("schemes",)),
    "smalloutputs": Figure(
        "Small outputs under three schemes", ("base", "chart", "laws", "walk", "smalloutputs"), ("schemes",)
    ),
    "training": Figure(
        "Training curves and paired differences",
        ("base", "chart", "training"),
        ("schemes", "training_{record}"),
    ),
    "angle": Figure("The angle between two inputs", ("base", "chart", "angle"), ("angles",)),
    "spectrum": Figure(
        "The spectrum of the Jacobian by scheme", ("base", "chart", "spectrum"), ("schemes", "spectra")
    ),
}
