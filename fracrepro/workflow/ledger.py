"""The ledger in the book: a Sphinx extension with its tables, its counts, and the boxes on the pages.

All three are made of the judged claims that the build has written, so a verdict is worded in one place.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from fracrepro.figures import numbers
from fracrepro.workflow import elsewhere, ledger_filter
from fracrepro.workflow.claims import SOURCES, VERDICTS

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

__all__ = ["setup", "table"]

logger = logging.getLogger(__name__)

_PAGE = "book/claims"
_WORDS = ("The abstract", "The authors' code", "Derived here", "Other papers")
_TITLES = dict(zip(SOURCES, _WORDS, strict=True))
_SIGNS = {"<=": "at most", ">=": "at least", "==": "equal to", "<": "below", ">": "above"}


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directives."""
    app.add_directive("ledger", Ledger)
    app.add_directive("ledger-counts", Counts)
    app.add_directive("ledger-filter", Filter)
    app.add_node(fold, html=(open_fold, close_fold))
    app.connect("html-page-context", ledger_filter.add_script)
    app.add_directive("verdict", Verdict)
    app.add_role("badge", Badge())
    return {"parallel_read_safe": False, "parallel_write_safe": True}


def _claims(env: BuildEnvironment) -> list[dict[str, Any]]:
    """The judged claims, as :func:`fracrepro.workflow.site.write_ledger` has written them."""
    path = Path(env.srcdir) / "book" / "_generated" / "claims.json"
    env.note_dependency(str(path))
    return json.loads(path.read_text())


def _page_titles(env: BuildEnvironment) -> dict[str, str]:
    """The titles of the pages that are built."""
    return elsewhere.titles(Path(env.srcdir))


def _link(env: BuildEnvironment, document: str, anchor: str, *children: nodes.Node) -> nodes.reference:
    """A link to an anchor of another page."""
    uri = env.app.builder.get_relative_uri(env.docname, document)
    return nodes.reference("", "", *children, internal=True, refuri=f"{uri}#{anchor}" if anchor else uri)


class Badge(SphinxRole):
    """``{badge}`claim-id [more ids]` ``: the weakest verdict of claims, linked to its row of the ledger."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Make the badge; an unknown claim is an error of the page."""
        known = {claim["id"]: claim["verdict"] for claim in _claims(self.env)}
        unknown = [name for name in self.text.split() if name not in known]
        if unknown:
            message = self.inliner.reporter.error(
                f"badge: no claim {', '.join(unknown)} in book/claims.yml", line=self.lineno
            )
            return [nodes.problematic(self.rawtext, self.rawtext)], [message]
        weakest = max(self.text.split(), key=lambda name: VERDICTS.index(known[name]))
        return [_link(self.env, _PAGE, anchor(weakest), badge(known[weakest]))], []


class _FromLedger(SphinxDirective):
    """What all directives here share: the judged claims."""

    def claims(self) -> list[dict[str, Any]]:
        """The judged claims."""
        return _claims(self.env)

    def link(self, document: str, anchor: str, text: str) -> nodes.reference:
        """A link to an anchor of another page."""
        return _link(self.env, document, anchor, nodes.Text(text))

    def text(self, text: str) -> list[nodes.Node]:
        """A sentence of the ledger, in which backticks mark names."""
        found, messages = self.parse_inline(text, lineno=self.lineno)
        return [*found, *messages]


class Verdict(_FromLedger):
    """``{verdict} claim-id [more ids]``: sentence and verdict of claims, and the page's own words as body."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Make one box, coloured by the weakest of its verdicts."""
        known = {claim["id"]: claim for claim in self.claims()}
        ids = self.arguments[0].split()
        unknown = [name for name in ids if name not in known]
        if unknown:
            raise self.error(f"verdict: no claim {', '.join(unknown)} in book/claims.yml")
        chosen = [known[name] for name in ids]
        weakest = max((claim["verdict"] for claim in chosen), key=VERDICTS.index)
        box = nodes.admonition(classes=["verdict", css_class(weakest)])
        title = "Claim and verdict" if len(chosen) == 1 else "Claims and verdicts"
        box += nodes.title(title, title)
        for claim in chosen:
            box += nodes.paragraph("", "", *self.text(claim["says"]), classes=["claim"])
            line = nodes.paragraph("", "", badge(claim["verdict"]), nodes.Text(" "))
            line += self.link(_PAGE, anchor(claim["id"]), "Test and margin in the ledger")
            box += line
        box += self.parse_content_to_nodes()
        return [box]


class Ledger(_FromLedger):
    """``{ledger} SOURCE``: the claims of one source, one row each, with anchors and links to the evidence."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Make a table; a narrow screen shows its rows as cards."""
        source = self.arguments[0]
        if source not in SOURCES:
            raise self.error(f"ledger: {source!r} is none of {', '.join(SOURCES)}")
        chosen = [claim for claim in self.claims() if claim["source"] == source]
        if not chosen:
            return [nodes.paragraph("", "No claim yet.")]
        rows = [[self.claim(claim), self.test(claim)] for claim in chosen]
        ids = [anchor(claim["id"]) for claim in chosen]
        made = table(("claim and verdict", "test"), rows, ids=ids, classes=["ledger", "cards"])
        for row, claim in zip(made.findall(nodes.row), [None, *chosen], strict=True):
            row["classes"] += ledger_filter.classes(claim) if claim else []
        return [made]

    def claim(self, claim: dict[str, Any]) -> list[nodes.Node]:
        """The sentence, its verdict, and where the evidence is."""
        verdict = nodes.paragraph("", "", badge(claim["verdict"]), nodes.Text(" "), *self.evidence(claim))
        sentence = claim["says"] + (f" {{cite}}`{claim['paper']}`" if claim.get("paper") else "")
        return [nodes.paragraph("", "", *self.text(sentence)), verdict]

    def evidence(self, claim: dict[str, Any]) -> list[nodes.Node]:
        """A link to the section that proves the claim, or to its page."""
        if not claim["evidence"]:
            return [nodes.Text("none yet" if claim["verdict"] == "not attempted" else "no test")]
        document = f"book/executed/{claim['evidence']}"
        if document not in self.env.found_docs:
            raise self.error(f"ledger: no page {claim['evidence']} for the claim {claim['id']}")
        words = f"page {ledger_filter.page_words(claim['evidence'], _page_titles(self.env))}"
        return [self.link(document, claim.get("section", ""), words)]

    def test(self, claim: dict[str, Any]) -> list[nodes.Node]:
        """The margin, then each value beside its condition."""
        margin = claim["margin"][:1].upper() + claim["margin"][1:].rstrip(".") + "."
        parts: list[nodes.Node] = [nodes.paragraph("", "", *self.text(margin))]
        if claim["holds"]:
            items = nodes.bullet_list(classes=["conditions"])
            for name, condition in claim["holds"].items():
                words = nodes.Text(f" {judged(claim['values'].get(name), condition)}")
                items += nodes.list_item("", nodes.paragraph("", "", nodes.literal(name, name), words))
            count = len(claim["holds"])
            parts.append(fold("", items, summary="One value" if count == 1 else f"{count} values"))
        return parts


class Filter(_FromLedger):
    """``{ledger-filter}``: fields that leave the rows of one page, source or verdict."""

    def run(self) -> list[nodes.Node]:
        """Make the form, which shows where scripts run."""
        return [ledger_filter.form(self.claims(), _TITLES, _page_titles(self.env))]


class Counts(_FromLedger):
    """``{ledger-counts}``: how many claims of each source have which verdict."""

    def run(self) -> list[nodes.Node]:
        """Make a small table; verdicts that no claim has are left out."""
        counts = Counter((claim["verdict"], claim["source"]) for claim in self.claims())
        sources = [source for source in SOURCES if any(key[1] == source for key in counts)]
        rows = []
        for verdict in VERDICTS:
            found = [counts[verdict, source] for source in sources]
            if sum(found):
                total = self.listed(sum(found), verdict=verdict)
                each = [
                    self.listed(count, verdict=verdict, source=source)
                    for count, source in zip(found, sources, strict=True)
                ]
                rows.append([[badge(verdict)], total, *each])
        return [table(("verdict", "claims", *(_TITLES[source] for source in sources)), rows)]

    def listed(self, count: int, **choice: str) -> list[nodes.Node]:
        """A count, linked to the rows that it counts."""
        text = nodes.Text(str(count))
        if not count:
            return [text]
        uri = self.env.app.builder.get_relative_uri(self.env.docname, _PAGE)
        uri = uri or self.env.app.builder.get_target_uri(_PAGE).rsplit("/", 1)[-1]
        return [nodes.reference("", "", text, internal=True, refuri=uri + ledger_filter.address(**choice))]


class fold(nodes.General, nodes.Element):
    """What opens on demand; without scripts too."""


def open_fold(writer: Any, node: fold) -> None:
    """Begin the fold of a page."""
    writer.body.append(f'<details class="fold"><summary>{escape(node["summary"])}</summary>\n')


def close_fold(writer: Any, node: fold) -> None:
    """End the fold of a page."""
    writer.body.append("</details>\n")


def anchor(claim: str) -> str:
    """Return the anchor of a claim's row."""
    return f"claim-{claim}"


def css_class(verdict: str) -> str:
    """Return the class that colours a verdict.

    >>> css_class("needs a condition")
    'verdict-needs-a-condition'
    """
    return f"verdict-{verdict.replace(' ', '-')}"


def badge(verdict: str) -> nodes.inline:
    """Return a verdict in the ledger's words and colour."""
    words = verdict[0].upper() + verdict[1:]
    return nodes.inline(words, words, classes=["badge-verdict", css_class(verdict)])


def judged(value: Any, condition: str) -> str:
    """Return a value with the condition that it meets, in words.

    A small bound from above is one on an error, and rounding is not shown digit by digit.

    >>> judged(2.2e-16, "<= 1e-12"), judged(True, "is true")
    ('is below 10⁻¹⁵; it must be at most 10⁻¹²', 'is yes; it must be yes')
    """
    if condition.startswith("is "):
        return f"is {numbers.number(value)}; it must be {numbers.number(condition == 'is true')}"
    sign = next(sign for sign in _SIGNS if condition.startswith(sign))
    bound = float(condition.removeprefix(sign))
    if sign == "<=" and bound == 0:
        return f"is {numbers.number(value)}; it must not be above 0"
    is_error = sign[0] == "<" and 0 < bound <= 1e-6 and value >= 0
    shown = numbers.error(value) if is_error else numbers.number(value)
    return f"is {shown}; it must be {_SIGNS[sign]} {numbers.number(bound, '.6g')}"


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[Sequence[nodes.Node]]],
    *,
    ids: Sequence[str] = (),
    classes: Sequence[str] = (),
) -> nodes.table:
    """Return a table whose cells hold nodes; each row can have an anchor."""
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in head), cols=len(head))
    body = nodes.tbody()
    for k, cells in enumerate(rows):
        row = nodes.row(ids=[ids[k]] if ids else [])
        for cell in cells:
            parts = list(cell)
            inline = all(isinstance(part, (nodes.Inline, nodes.Text)) for part in parts)
            row += nodes.entry("", *([nodes.paragraph("", "", *parts)] if inline else parts))
        body += row
    titles = nodes.row("", *(nodes.entry("", nodes.paragraph("", title)) for title in head))
    group += [nodes.thead("", titles), body]
    return nodes.table("", group, classes=["colwidths-auto", *classes])
