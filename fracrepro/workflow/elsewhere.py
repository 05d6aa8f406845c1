"""What an executed page says of pages that are not built with it: a Sphinx extension for single pages.

A reference to a theorem, a section or a page elsewhere becomes words that say where it is, without a link.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes

from fracrepro.workflow.project import Project

if TYPE_CHECKING:
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

__all__ = ["anchors", "labels", "setup", "titles"]

_BOX = re.compile(
    r"^`{3,}\{(?:prf:)?(?P<kind>[a-z]+)\}(?P<title>[^\n]*)\n(?::[^\n]*\n)*?:label: (?P<label>\S+)", re.M
)
_TARGET = re.compile(r"^\((?P<label>[\w-]+)\)=\n+#+ (?P<title>[^\n]+)", re.M)
_HEADING = re.compile(r"^# (?P<title>[^\n]+)", re.M)


def setup(app: Sphinx) -> dict[str, Any]:
    """Answer the references that lead nowhere."""
    app.connect("missing-reference", say_where, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def say_where(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """Return words in place of a reference to another page; the author's own words where there are some."""
    target = node["reftarget"]
    if node.get("refexplicit") and content.astext() != target:
        return content
    root = Path(app.srcdir)
    key = target.rpartition("/")[2] if node["reftype"] == "doc" else target
    words = labels(root).get(key)
    return None if words is None else nodes.inline(words, words, classes=["elsewhere"])


def anchors(project: Project) -> dict[str, list[str]]:
    """Return the labels of each page of the book, by its name in the site without the ending.

    They are what an author wrote, so that they stay when a heading or a number changes.
    """
    found = {}
    for path in _pages(project.root):
        text = "\n\n".join(_prose(path))
        folder = "book/executed" if path.suffix == ".ipynb" else path.parent.relative_to(project.root)
        found[f"{folder}/{path.stem}"] = [
            match["label"] for pattern in (_BOX, _TARGET) for match in pattern.finditer(text)
        ]
    return found


@cache
def labels(root: Path) -> dict[str, str]:
    """Return what each label and each page of a project is, in words: ``theorem “…” on page 02``."""
    found = {}
    for path in _pages(root):
        text = "\n\n".join(_prose(path))
        title = titles(root)[path.stem]
        page = f"page {path.stem[:2]}" if path.stem[:2].isdigit() else f"“{title}”"
        found[path.stem] = f"{page}, “{title}”" if page.startswith("page") else page
        for box in _BOX.finditer(text):
            name = f" “{box['title'].strip()}”" if box["title"].strip() else ""
            found[box["label"]] = f"{box['kind']}{name} on {page}"
        for target in _TARGET.finditer(text):
            found[target["label"]] = f"“{target['title']}” on {page}"
    return found


@cache
def titles(root: Path) -> dict[str, str]:
    """Return the title of each page of a project, by the page's name."""
    headings = {path.stem: _HEADING.search("\n\n".join(_prose(path))) for path in _pages(root)}
    return {name: heading["title"] if heading else name for name, heading in headings.items()}


def _pages(root: Path) -> list[Path]:
    return [
        *sorted((root / "notebooks").glob("[0-9]*.ipynb")),
        *sorted((root / "book").glob("*.md")),
        *sorted((root / "book" / "api").glob("*.md")),
    ]


def _prose(path: Path) -> Iterator[str]:
    if path.suffix == ".md":
        yield path.read_text()
        return
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "markdown":
            yield "".join(cell["source"])
