"""The line below a page's overview that says which network "this page" means, made of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docutils import nodes

from fracrepro.figures.numbers import number
from fracrepro.figures.style import activation_label

__all__ = ["add", "described"]

_LAST = "Time to read:"  # in the paragraph that the line ends
_SYMBOLS = {"p": "p", "s": "s", "alpha": r"\alpha"}
_SIZES = {"width": "width {}", "depth": "depth {}", "blocks": "{} blocks", "threshold": "threshold {}"}


def described(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what to say of the parameters of a page, each with the kind of its text: ``words`` or ``math``.

    Nothing is said of a page without an order and a size: its networks have orders and sizes of their own.

    >>> described({"activation": "relu", "width": 64, "depth": 20, "s": 1.0, "networks": 300})
    [('words', 'ReLU'), ('words', 'width 64'), ('words', 'depth 20'), ('math', 's = 1')]
    >>> described({"width": 8, "depth": 20, "seed": 1}), described({"s": 1.0})
    ([], [])
    """
    found = []
    if "activation" in values:
        found.append(("words", activation_label(values["activation"])))
    sizes = [text.format(number(values[name], ".4g")) for name, text in _SIZES.items() if name in values]
    found += [("words", text) for text in sizes]
    found += [("math", f"{sign} = {values[name]:.4g}") for name, sign in _SYMBOLS.items() if name in values]
    return found if sizes and "s" in values else []


def add(doctree: nodes.document, values: Mapping[str, Any], box: nodes.Element) -> None:
    """End the paragraph of the reading time with the parameters and a link to the box that has them all."""
    said = described(values)
    places = (each for each in doctree.findall(nodes.paragraph) if _LAST in each.astext())
    place = next(places, None)
    if not said or place is None:
        return
    if not box["ids"]:
        box["ids"].append("parameters-of-this-page")
    place += [nodes.Text("\n"), nodes.strong("", "Computed here for:"), nodes.Text(" ")]
    for count, (kind, text) in enumerate(said):
        place += nodes.math(text, text) if kind == "math" else nodes.Text(text)
        place += nodes.Text(", " if count < len(said) - 1 else " (")
    link = nodes.reference("", "all parameters", internal=True, refid=box["ids"][0])
    place += [link, nodes.Text(").")]
