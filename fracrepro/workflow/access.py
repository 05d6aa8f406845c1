"""What the theme and its builder leave undone for keyboards and screen readers: a Sphinx extension.

Each function names what it repairs; `tests/book/test_access.py` looks for what is left with axe-core.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode, depart_HideCellInput, visit_HideCellInput
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["setup"]

_BLANK = re.compile(r'<th( class="(?:blank|index_name)\b[^"]*")\s*>(?:&nbsp;)?</th>')
_SHARED = ("proof-content", "exercise-content", "solution-content")
_APOSTROPHE = re.compile(r"(?<=\w)'")  # the titles of solutions are copied before quotes become typographic
_BEFORE = re.compile(r"[(\[“]+$")
_BEHIND = re.compile(r"(?:[.,;:!?)\]”%]|’s?|-\w+)+")  # also the end of "$s$-th"
_LATE = 900  # behind the theme's own handlers


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect everything here to Sphinx."""
    app.setup_extension("myst_nb")
    app.connect("doctree-read", empty_cells)
    app.connect("doctree-read", own_ids)
    app.add_post_transform(LinksWithoutSpace)
    app.add_post_transform(FormulasWithPunctuation)
    app.connect("html-page-context", name_folds, priority=_LATE)
    app.add_node(HideCodeCellNode, override=True, html=(open_code, depart_HideCellInput))
    app.add_js_file("scroll.js", loading_method="defer")
    app.add_node(nodes.citation, override=True, html=(open_citation, close_citation))
    app.add_node(nodes.entry, override=True, html=(open_cell, close_cell))
    app.add_node(addnodes.desc_parameterlist, override=True, html=(open_parameters, close_parameters))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def empty_cells(app: Sphinx, doctree: nodes.document) -> None:
    """Make cells of pandas' headers without words, over the names of rows and below those of columns."""
    for raw in doctree.findall(nodes.raw):
        if "html" in raw.get("format", "") and "<th" in raw.astext():
            raw.children = [nodes.Text(without_empty_headers(raw.astext()))]


def without_empty_headers(html: str) -> str:
    """Return a table of pandas with cells in the place of empty headers.

    >>> without_empty_headers('<tr><th class="blank level0" >&nbsp;</th><th class="col0">x</th></tr>')
    '<tr><td class="blank level0"></td><th class="col0">x</th></tr>'
    """
    return _BLANK.sub(r"<td\1></td>", html)


def own_ids(app: Sphinx, doctree: nodes.document) -> None:
    """Give the content of each theorem, exercise and solution an id of its own; all of a page share one."""
    for section in doctree.findall(nodes.section):
        if section["ids"] and section["ids"][0] in _SHARED and section.parent["ids"]:
            section["ids"] = [f"{section.parent['ids'][0]}-content"]


class LinksWithoutSpace(SphinxPostTransform):
    """The link in a solution's title begins with the word, not with the space before it; quotes are curly."""

    default_priority = 30  # behind those that make these titles

    def run(self, **options: Any) -> None:
        """Put the space in front of the link, and the typographic sign in the place of each apostrophe."""
        for title in self.document.findall(nodes.title):
            for text in list(title.findall(nodes.Text)):
                if "'" in text and isinstance(text.parent, (nodes.title, nodes.reference)):
                    curly = _APOSTROPHE.sub("\N{RIGHT SINGLE QUOTATION MARK}", text)
                    text.parent.replace(text, nodes.Text(curly))
            for link in [each for each in title if isinstance(each, nodes.reference)]:
                words = link[0] if link.children else None
                if isinstance(words, nodes.Text) and words.startswith(" "):
                    link.replace(words, nodes.Text(words.lstrip()))
                    title.insert(title.index(link), nodes.Text(" "))


class FormulasWithPunctuation(SphinxPostTransform):
    """A formula stays on one line with the punctuation around it; a browser would part them anywhere."""

    default_priority = 950  # behind the glossary's links
    formats = ("html",)

    def run(self, **options: Any) -> None:
        """Put both into a piece that the style does not break."""
        for formula in list(self.document.findall(nodes.math)):
            link = formula.parent
            piece = link if isinstance(link, nodes.reference) and len(link) == 1 else formula
            if isinstance(piece.parent, nodes.TextElement):
                self.join(piece)

    def join(self, piece: nodes.Element) -> None:
        """Put a formula, or its link, together with what stands close to it on both sides."""
        parent, place = piece.parent, piece.parent.index(piece)
        before, behind = _text(parent, place - 1), _text(parent, place + 1)
        opening, closing = _BEFORE.search(before), _BEHIND.match(behind)
        if opening or closing:
            whole = nodes.inline("", "", classes=["unbroken"])
            parent[place] = whole
            whole += piece
        if opening:  # by place: a text equals every other one with the same words
            parent[place - 1] = nodes.Text(before[: opening.start()])
            whole.insert(0, nodes.Text(opening[0]))
        if closing:
            parent[place + 1] = nodes.Text(behind[closing.end() :])
            whole += nodes.Text(closing[0])


def _text(parent: nodes.Element, place: int) -> str:
    """The text at a place; nothing where there is none."""
    inside = 0 <= place < len(parent) and isinstance(parent[place], nodes.Text)
    return str(parent[place]) if inside else ""


def name_folds(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Say which pages a fold of the sidebar holds; the theme's has a sign alone."""
    original: Callable[..., Any] | None = context.get("generate_toctree_html")
    if original is None:  # another theme
        return

    def named(*arguments: Any, **options: Any) -> Any:
        tree = original(*arguments, **options)
        for summary in tree.select("summary") if hasattr(tree, "select") else ():
            link = summary.find_parent("li").find("a")
            if link is not None and not summary.get_text(strip=True):
                summary["aria-label"] = f"Pages below {link.get_text(strip=True)}"
        return tree

    context["generate_toctree_html"] = named


def open_code(writer: Any, node: HideCodeCellNode) -> None:
    """Begin folded code, whose name is what one sees and not another one."""
    begins = len(writer.body)
    visit_HideCellInput(writer, node)
    name = ' aria-label="Toggle hidden content"'
    writer.body[begins:] = [piece.replace(name, "") for piece in writer.body[begins:]]


def open_citation(writer: Any, node: nodes.citation) -> None:
    """Begin an entry of the bibliography, without the roles of books, which are deprecated."""
    if not isinstance(node.previous_sibling(), nodes.citation):
        writer.body.append('<div class="citation-list">\n')
    writer.body.append(writer.starttag(node, "div", classes=[node.tagname]))


def close_citation(writer: Any, node: nodes.citation) -> None:
    """End an entry of the bibliography."""
    writer.body.append("</div>\n")
    if not isinstance(node.next_node(descend=False, siblings=True), nodes.citation):
        writer.body.append("</div>\n")


def open_cell(writer: Any, node: nodes.entry) -> None:
    """Begin a cell; where a phone shows rows as cards, without their header, it carries its column's name."""
    begins, row = len(writer.body), node.parent
    type(writer).visit_entry(writer, node)
    group, place = row.parent.parent, row.index(node)
    if place and isinstance(row.parent, nodes.tbody) and "cards" in group.parent["classes"] and node.astext():
        heads = [cell.astext() for head in group.findall(nodes.thead) for cell in head[0]]
        label = f'<td data-label="{escape(heads[place])}"'
        writer.body[begins] = writer.body[begins].replace("<td", label, 1)


def close_cell(writer: Any, node: nodes.entry) -> None:
    """End a cell."""
    type(writer).depart_entry(writer, node)


def open_parameters(writer: Any, node: addnodes.desc_parameterlist) -> None:
    """Begin the parameters of a signature."""
    node["begins"] = len(writer.body)
    type(writer).visit_desc_parameterlist(writer, node)


def close_parameters(writer: Any, node: addnodes.desc_parameterlist) -> None:
    """End them; on lines of their own Sphinx makes them a list of definitions that have no terms."""
    type(writer).depart_desc_parameterlist(writer, node)
    instead = {"<dl>": '<span class="parameters">', "</dl>": "</span>", "<dd>": "<span>", "</dd>": "</span>"}
    begins = node["begins"]
    writer.body[begins:] = [instead.get(piece.strip(), piece) for piece in writer.body[begins:]]
