"""The filter of the ledger: native fields above its tables, which a script of our own makes work.

Without scripts the form stays hidden and the tables stay whole.
The choice stands in the address, ``claims.html?verdict=exact``, so that a filtered list can be sent on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from docutils import nodes

from fracrepro.workflow.claims import SOURCES, VERDICTS

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_SCRIPT = "ledger.js"


def classes(claim: Mapping[str, Any]) -> list[str]:
    """The classes of a claim's row, by which the script finds it."""
    fields = {"verdict": claim["verdict"], "source": claim["source"], "page": claim["evidence"]}
    return [f"in-{name}-{slug(value)}" for name, value in fields.items()]


def slug(text: str) -> str:
    """Return a value as it stands in a class and in an address.

    >>> slug("authors' code"), slug("02_moment_preservation"), slug("")
    ('authors-code', '02_moment_preservation', 'none')
    """
    return text.replace("'", "").replace(" ", "-") or "none"


def address(**choice: str) -> str:
    """Return what follows the address of the ledger for a choice of fields.

    >>> address(verdict="needs a condition", source="abstract")
    '?verdict=needs-a-condition&source=abstract#filter'
    """
    return f"?{urlencode({name: slug(value) for name, value in choice.items()})}#filter"


def page_words(page: str, titles: Mapping[str, str]) -> str:
    """Return number and title of a page; a page of no known title keeps its name.

    >>> page_words("09_mnist", {"09_mnist": "MNIST"}), page_words("09_mnist", {}), page_words("", {})
    ('09, MNIST', '09_mnist', 'without a page')
    """
    if not page:
        return "without a page"
    return f"{page[:2]}, {titles[page]}" if page in titles else page


def form(
    claims: Sequence[Mapping[str, Any]], sources: Mapping[str, str], titles: Mapping[str, str]
) -> nodes.raw:
    """Return the form: what any claim has can be chosen.

    Args:
        claims: the judged claims.
        sources: how sources are called.
        titles: the titles of the pages.
    """
    found = {name: {claim[name] for claim in claims} for name in ("verdict", "source", "evidence")}
    pages = sorted(found["evidence"] - {""}) + [""] * ("" in found["evidence"])
    fields = [
        _select("page", "Page", ((page, page_words(page, titles)) for page in pages)),
        _select("source", "Source", ((each, sources[each]) for each in SOURCES if each in found["source"])),
        _select("verdict", "Verdict", ((each, each) for each in VERDICTS if each in found["verdict"])),
        '<label>Words <input type="search" name="words" autocomplete="off"></label>',
        '<button type="reset">Show all</button>',
    ]
    content = "\n".join(fields)
    html = (
        f'<form id="filter" class="ledger-filter" aria-label="Filter the claims" hidden>\n{content}\n'
        '<p role="status"></p>\n</form>\n'
    )
    return nodes.raw("", html, format="html")


def _select(name: str, label: str, options: Iterable[tuple[str, str]]) -> str:
    listed = "".join(
        f'<option value="{escape(slug(value))}">{escape(words[:1].upper() + words[1:])}</option>'
        for value, words in options
    )
    return f'<label>{label} <select name="{name}"><option value="">All</option>{listed}</select></label>'


def add_script(app: Sphinx, docname: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Load the script on a page with a form, and on no other."""
    if doctree is not None and any('"ledger-filter"' in raw.astext() for raw in doctree.findall(nodes.raw)):
        app.add_js_file(_SCRIPT, loading_method="defer")
