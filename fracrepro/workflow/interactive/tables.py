"""The tables that interactive figures read, made by the build and kept while all they are made of stays.

A table is a script that puts one value into the page, since a page opened from disk may load scripts alone.
Its first line names all that it was made of: the package's sources, the records, the versions.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

from fracrepro import files
from fracrepro.figures.style import ORDERS, order_style, scheme_style
from fracrepro.nn import schemes
from fracrepro.theory import activations
from fracrepro.theory.homogeneous import Activation
from fracrepro.workflow import sources
from fracrepro.workflow.interactive import draws, records
from fracrepro.workflow.interactive.registry import FIGURES
from fracrepro.workflow.project import Project

__all__ = ["TABLES", "Table", "place", "script", "wanted", "write"]


@dataclass(frozen=True)
class Table:
    """How one table is made.

    Attributes:
        make: returns what the figure reads, as plain values.
        modules: prefixes of the modules that decide about it.
        inputs: files of the project that do.
    """

    make: Callable[[Project], Any]
    modules: tuple[str, ...]
    inputs: tuple[str, ...] = ()


def named_activations(project: Project) -> list[dict[str, Any]]:
    """Every activation that has a name: the slopes of its defaults, and which fields it has."""
    found = []
    for name in activations.names():
        made = activations.activation(name)
        fields = {key: value for key, value in vars(made).items() if isinstance(value, float)}
        label = _label(type(made))
        slopes = {"positive": made.slopes.positive, "negative": made.slopes.negative}
        found.append({"name": name, "label": label, "fields": fields, **slopes})
    return found


def _label(kind: type[Activation]) -> str:
    """What readers call an activation: the class of torch, or ours where torch has none."""
    return "linear" if kind.torch_name == "Identity" else kind.torch_name or kind.__name__


def looks(project: Project) -> dict[str, Any]:
    """Label and colour of every scheme, and the colours between which those of the orders are mixed."""
    found = {name: scheme_style(name) for name in schemes.names()}
    return {
        "schemes": {name: {"label": look["label"], "colour": look["color"]} for name, look in found.items()},
        "orders": [order_style(order)["color"] for order in ORDERS],
    }


#: Recorded experiments whose runs the figure `training` can show.
RECORDS = ("mnist", "cifar10", "contest", "blocks")

TABLES: dict[str, Table] = {
    "schemes": Table(looks, ("fracrepro.nn.schemes", "fracrepro.figures.style")),
    **{
        f"training_{name}": Table(
            partial(records.training, name=name),
            ("fracrepro.workflow.interactive.records", "fracrepro.figures.style"),
            (f"recorded/{name}.csv", f"recorded/{name}.json"),
        )
        for name in RECORDS
    },
    "angles": Table(draws.angles, ("fracrepro.theory", "fracrepro.workflow.interactive.draws")),
    "spectra": Table(
        draws.spectra, ("fracrepro.nn", "fracrepro.theory", "fracrepro.workflow.interactive.draws")
    ),
    "activations": Table(named_activations, ("fracrepro.theory.activations", "fracrepro.theory.slopes")),
}


def write(project: Project, pages: Iterable[Path]) -> None:
    """Write the tables of the figures on some pages into the book's static files; one that is current stays.

    Args:
        project: whose book it is.
        pages: sources of the pages, notebooks or Markdown.
    """
    digests = sources.source_digests()
    for name in wanted(page.read_text() for page in pages):
        path, key = place(project.root, name), made_of(TABLES[name], project, digests)
        first = path.read_text().partition("\n")[0] if path.is_file() else ""
        if first != f"// {key}":
            files.write_text(path, f"// {key}\n{script(name, TABLES[name].make(project))}")


def wanted(pages: Iterable[str]) -> list[str]:
    """Return the tables of the figures that the text of pages names, of every record where one chooses.

    >>> wanted(["```{interactive} angle", "no figure"]), wanted(["{interactive} training"])[1:3]
    (['angles'], ['training_mnist', 'training_cifar10'])
    """
    named = {name for text in pages for name in re.findall(r"\{interactive\} (\w+)", text)}
    chosen = [table for name, figure in FIGURES.items() if name in named for table in figure.tables]
    patterns = [re.sub(r"\{\w+\}", "*", table) for table in chosen]
    return [name for name in TABLES if any(fnmatch(name, pattern) for pattern in patterns)]


def place(root: Path, name: str) -> Path:
    """Return where a table's script is in a project."""
    return root / "book" / "_static" / "interactive" / "tables" / f"{name}.js"


def made_of(table: Table, project: Project, digests: dict[str, str]) -> str:
    """Return the hash of all that a table depends on."""
    own = (*table.modules, __name__)
    parts = [f"{name} {digest}" for name, digest in digests.items() if name.startswith(own)]
    parts += [f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "scipy", "torch")]
    parts += [f"{name} {_digest(project.root / name)}" for name in table.inputs]
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def script(name: str, value: Any) -> str:
    """Return the script that gives a page a table.

    >>> script("widths", [8, 64])
    'window.fracrepro = window.fracrepro || { data: {} };\\nfracrepro.data["widths"] = [8,64];\\n'
    """
    content = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return (
        f'window.fracrepro = window.fracrepro || {{ data: {{}} }};\nfracrepro.data["{name}"] = {content};\n'
    )
