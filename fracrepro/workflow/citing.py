"""Citations in the built book: a Sphinx extension with BibTeX on a page and meta tags on all of them.

Scholarly search engines and reference managers read the meta tags that begin with ``citation_``.
Addresses appear only where the site's is known: from ``html_baseurl``, else from the repository's address.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from fracrepro.arguments import choice
from fracrepro.errors import ArgumentError
from fracrepro.workflow import citation
from fracrepro.workflow.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx
    from sphinx.config import Config

__all__ = ["setup", "tags"]

_EXECUTED = "book/executed/"
_PAGE = "book/cite"


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive, the meta tags and each page's link to its entry."""
    app.add_directive("bibtex", Bibtex)
    app.connect("html-page-context", add_tags)
    app.connect("doctree-read", link_entry, priority=900)  # after the box of provenance has been made
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _address(config: Config) -> str:
    """The address of the built book, with a slash at its end; "" where it is not known."""
    base = getattr(config, "html_baseurl", "") or citation.site_address(
        getattr(config, "fracrepro_repository", "")
    )
    return f"{base.rstrip('/')}/" if base else ""


class Bibtex(SphinxDirective):
    """``{bibtex} book``, ``paper`` or ``pages``: the entry of a work, or of each page with its title."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the entries; those of the pages have anchors, ``cite-NAME``."""
        project, address = Project(Path(self.env.srcdir)), _address(self.config)
        self.env.note_dependency(str(project.root / "CITATION.cff"))
        try:
            what = choice("bibtex", self.arguments[0], ("book", "paper", "pages"))
            if what == "book":
                return [_block(citation.book(project, address))]
            if what == "paper":
                return [_block(citation.paper(project))]
            return [
                _entry(name, citation.page(project, name, address)) for name in citation.page_names(project)
            ]
        except ArgumentError as error:
            raise self.error(str(error)) from None


def _block(work: citation.Work) -> nodes.literal_block:
    text = citation.bibtex(work)
    return nodes.literal_block(text, text, language="bibtex")


def _entry(name: str, work: citation.Work) -> nodes.container:
    """The entry of one page under its title."""
    title = f"{name[:2]} {work.title}"
    box = nodes.container(ids=[anchor(name)], classes=["cite-page"])
    box += nodes.paragraph("", "", nodes.strong(title, title))
    box += _block(work)
    return box


def anchor(name: str) -> str:
    """The anchor of a page's entry.

    >>> anchor("02_moment_preservation")
    'cite-02-moment-preservation'
    """
    return f"cite-{name.replace('_', '-')}"


def link_entry(app: Sphinx, doctree: nodes.document) -> None:
    """Let the box at the end of an executed page lead to the entry that cites the page."""
    docname = app.env.docname
    boxes = [box for box in doctree.findall(nodes.admonition) if "provenance" in box["classes"]]
    if not docname.startswith(_EXECUTED) or not boxes or _PAGE not in app.env.found_docs:
        return
    uri = f"{app.builder.get_relative_uri(docname, _PAGE)}#{anchor(docname.removeprefix(_EXECUTED))}"
    text = "Cite this page"
    boxes[-1] += nodes.paragraph("", "", nodes.reference(text, text, internal=True, refuri=uri))


def add_tags(app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Add the meta tags to a page of the book; what has no source, such as the search, gets none."""
    project = Project(Path(app.srcdir))
    if doctree is None or not (project.root / "CITATION.cff").is_file():
        return
    title = nodes.Text(context.get("title", "")).astext()
    lines = tags(project, pagename, _plain(title), _address(app.config), str(app.config.root_doc))
    context["metatags"] = context.get("metatags", "") + "".join(f"\n{line}" for line in lines)


def _plain(title: str) -> str:
    """A title of Sphinx without its markup, and without the number of the chapter."""
    from bs4 import BeautifulSoup

    return re.sub(r"^\d+\.\s+", "", BeautifulSoup(title, "html.parser").get_text())


def tags(project: Project, pagename: str, title: str, address: str, root: str) -> list[str]:
    """Return the meta tags of a page: the book's own on the page `root`, a chapter's on every other."""
    return [
        f'<meta name="{name}" content="{html.escape(content)}" />'
        for name, content in _facts(project, pagename, title, address, root)
    ]


def _facts(project: Project, pagename: str, title: str, address: str, root: str) -> Iterator[tuple[str, str]]:
    book, paper = citation.book(project), citation.paper(project)
    yield "citation_title", book.title if pagename == root else title
    for family, given in book.authors:
        yield "citation_author", f"{family}, {given}" if given else family
    if pagename != root:
        yield "citation_inbook_title", book.title
    assert not isinstance(book.released, int)  # CITATION.cff has a date
    yield "citation_publication_date", book.released.strftime("%Y/%m/%d")
    yield "citation_language", "en"
    if address:
        yield "citation_fulltext_html_url", f"{address}{pagename}.html"
        yield "citation_public_url", f"{address}{pagename}.html"
    names = "; ".join(f"citation_author={family}, {given}" for family, given in paper.authors)
    yield (
        "citation_reference",
        f"citation_title={paper.title}; {names}; citation_publication_date={paper.year}; "
        f"citation_conference_title={paper.facts['booktitle']}",
    )
