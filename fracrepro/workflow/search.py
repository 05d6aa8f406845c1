"""What the search shows first: a Sphinx extension that lists theorems, headings and words of the glossary.

Sphinx' own search counts words of the text; a theorem's title is to it what any other words are.
The list is a script of its own, which only the page with the results loads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes

from fracrepro import files
from fracrepro.workflow import glossary

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

__all__ = ["setup"]

_LIST, _SCRIPT = "search-first.js", "search.js"
_API = "book/api/"


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect everything here to Sphinx."""
    app.connect("html-page-context", add_scripts)
    app.connect("build-finished", write_list)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_scripts(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Load the list and what uses it on the page with the results, and on no other."""
    if page == "search":
        app.add_js_file(_LIST, loading_method="defer")
        app.add_js_file(_SCRIPT, loading_method="defer")


def write_list(app: Sphinx, exception: Exception | None) -> None:
    """Write the list beside the other scripts of the site."""
    if exception is None and app.builder.format == "html":
        found = sorted(entries(app.env))
        text = f"const SEARCH_FIRST = {json.dumps(found, ensure_ascii=False, separators=(',', ':'))};\n"
        files.write_text(Path(app.outdir) / "_static" / _LIST, text)


def entries(env: BuildEnvironment) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield what is listed: page, anchor, kind, title and where it stands; titles keep their formulas as TeX.

    The kinds are "theorem" (and all that is stated in a box), "page", "heading" and "word".
    """
    for page in sorted(env.found_docs):
        if page.startswith(_API):
            continue
        doctree = env.get_doctree(page)
        title = _words(env.titles[page])
        yield page, "", "page", title, ""
        for node in doctree.findall(nodes.Element):
            if "realtype" in node and "label" in node:
                numbers = (
                    env.toc_fignumbers.get(page, {}).get(node["countertype"], {}).get(node["ids"][0], ())
                )
                name = f"{node['realtype'].capitalize()} {'.'.join(map(str, numbers))}".strip()
                stated = _words(node[0]).removeprefix("(").removesuffix(")") or name
                yield page, node["ids"][0], "theorem", stated, f"{name} in {title}"
            elif isinstance(node, nodes.section) and node.parent is not doctree and _has_title(node):
                yield page, node["ids"][0], "heading", _words(node[0]), f"in {title}"
    for entry in glossary.entries(env):
        name = entry.name if entry.kind == "words" else rf"\({entry.name}\)"
        yield glossary.PAGE, entry.anchor, "word", name, entry.means


def _has_title(section: nodes.section) -> bool:
    return bool(section["ids"]) and isinstance(section[0], nodes.title)


def _words(title: nodes.Element) -> str:
    """The text of a title, with formulas in the delimiters that the script looks for."""
    parts = []
    for node in title.findall():
        if isinstance(node, nodes.math):
            parts.append(rf"\({node.astext()}\)")
        elif isinstance(node, nodes.Text) and not isinstance(node.parent, nodes.math):
            parts.append(str(node))
    return " ".join("".join(parts).split())
