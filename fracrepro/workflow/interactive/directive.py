"""The Sphinx extension that puts interactive figures on pages."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from fracrepro.workflow.interactive import tables
from fracrepro.workflow.interactive.registry import FIGURES

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["setup"]

_FOLDER = "interactive"  # of the static files
_TABLES = f"{_FOLDER}/tables"


class Place(nodes.General, nodes.Element):
    """Where a page has an interactive figure; `figure` is its name, `options` are for its script."""


class Interactive(SphinxDirective):
    """``{interactive} NAME``: a figure that the reader operates, with a caption as its body.

    ``:static:`` holds the words for readers without scripts and on paper, with a link to a static figure; on
    paper they also say what a screen has there, in the place of the caption.
    ``:options:`` holds JSON for the script.
    """

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {
        "static": directives.unchanged_required,
        "options": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        """Make the place, the words for readers without scripts, and the caption."""
        name = self.arguments[0]
        if name not in FIGURES:
            raise self.error(f"interactive: {name!r} is none of {', '.join(FIGURES)}")
        if "static" not in self.options or not self.content:
            raise self.error(f"interactive: {name} needs a caption, and :static: for readers without scripts")
        try:
            options = json.loads(self.options.get("options", "{}"))
        except ValueError as error:
            raise self.error(f"interactive: :options: of {name} is no JSON: {error}") from None
        for table in (pattern.format(**options) for pattern in FIGURES[name].tables):
            if not tables.place(Path(self.env.srcdir), table).is_file():
                raise self.error(
                    f"interactive: no table {table}, which {name} reads with :options: {options}"
                )
        box = nodes.container(classes=["interactive"])
        words, messages = self.parse_inline(self.options["static"], lineno=self.lineno)
        box += Place(figure=name, options=options)
        paper = f" On a screen there is a figure to operate here: {FIGURES[name].title}."
        words.append(nodes.inline(paper, paper, classes=["interactive-paper"]))
        box += nodes.paragraph("", "", *words, classes=["interactive-static"])
        caption = nodes.container(classes=["interactive-caption"])
        caption += self.parse_content_to_nodes()
        box += caption
        return [box, *messages]


def markup(figure: str, options: dict[str, Any]) -> str:
    """Return the empty element that the figure's script fills.

    >>> markup("calculator", {})
    '<div class="interactive-place" role="group" aria-label="Calculator" data-figure="calculator"></div>\\n'
    """
    title = html.escape(FIGURES[figure].title)
    more = f' data-options="{html.escape(json.dumps(options))}"' if options else ""
    label = f'role="group" aria-label="{title}"'
    return f'<div class="interactive-place" {label} data-figure="{figure}"{more}></div>\n'


def _visit(translator: Any, node: Place) -> None:
    translator.body.append(markup(node["figure"], node["options"]))


def _skip(translator: Any, node: Place) -> None:
    raise nodes.SkipNode


def _depart(translator: Any, node: Place) -> None:
    pass


def load(app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Let a page load what its figures need; pages without one load nothing."""
    places = list(doctree.findall(Place)) if doctree is not None else []
    if not places:
        return
    chosen = [FIGURES[place["figure"]] for place in places]
    named = [
        table.format(**place["options"])
        for place, figure in zip(places, chosen, strict=True)
        for table in figure.tables
    ]
    app.add_css_file(f"{_FOLDER}/interactive.css")
    # Every figure needs the first scripts of its list before the last, and the tables before both.
    scripts = dict.fromkeys(script for figure in chosen for script in figure.scripts)
    read = [f"{_TABLES}/{name}.js" for name in dict.fromkeys(named)]
    for file in (*read, *(f"{_FOLDER}/{name}.js" for name in scripts)):
        app.add_js_file(file, priority=900, loading_method="defer")


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive, and what pages with it load."""
    app.add_node(Place, html=(_visit, _depart), latex=(_skip, None), text=(_skip, None))
    app.add_directive("interactive", Interactive)
    app.connect("html-page-context", load)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
