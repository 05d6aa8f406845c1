"""The glossary: a Sphinx extension with its tables, and links from the first use of each symbol and word.

``book/glossary.yml`` says what symbols and words mean.
A link carries the meaning, which a small script shows on hover and at the keyboard's focus; without scripts
it leads to the entry all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

from fracrepro.errors import ArgumentError
from fracrepro.workflow.ledger import table
from fracrepro.workflow.project import read_yaml

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

__all__ = ["setup"]

PAGE = "book/glossary"
KINDS = ("symbols", "words")
_FIELDS = {"symbol", "word", "also", "means", "code", "see", "only", "except"}
_LISTS = {"also", "only", "except"}
_EXECUTED = "book/executed/"
# Where a link would stand in another link, or where nobody reads a sentence.
_CLOSED = (
    nodes.title,
    nodes.caption,
    nodes.rubric,
    nodes.reference,
    nodes.literal,
    nodes.FixedTextElement,
    nodes.math,
    nodes.math_block,
    nodes.comment,
    nodes.thead,
    nodes.raw,
    nodes.citation,
    addnodes.pending_xref,
    addnodes.desc_signature,
)


@dataclass(frozen=True)
class Entry:
    """A symbol or a word of the book; `name` is TeX for a symbol.

    Executed pages are named by their numbers, ``"03"``, and others by their names, ``"scaling"``.
    """

    kind: str
    name: str
    means: str
    also: tuple[str, ...] = ()
    code: str = ""
    see: str = ""
    only: tuple[str, ...] = ()
    excepted: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        r"""The anchor of its row.

        >>> Entry("symbols", r"\sigma^2(s, d)", "").anchor, Entry("words", "tail index", "").anchor
        ('symbol-sigma-2-s-d', 'word-tail-index')
        """
        return f"{self.kind[:-1]}-{'-'.join(re.findall('[a-zA-Z0-9]+', self.name))}"

    @property
    def spoken(self) -> str:
        r"""The symbol in words.

        >>> Entry("symbols", r"\sigma^2(s, d)", "").spoken, Entry("symbols", "x^{(k)}", "").spoken
        ('sigma squared (s, d)', 'x (k)')
        """
        text = re.sub(r"[\\{}]", "", self.name.replace("^2", " squared")).replace("(", " (")
        return " ".join(re.sub("[_^]", " ", text).split())

    def holds_on(self, docname: str) -> bool:
        """Whether it has this meaning on a page.

        >>> entry = Entry("symbols", "k", "", excepted=("12", "scaling"))
        >>> [entry.holds_on(f"book/{name}") for name in ("executed/12_joint", "scaling", "numerics")]
        [False, False, True]
        """
        name = docname.rpartition("/")[2]
        page = name[:2] if docname.startswith(_EXECUTED) else name
        return page not in self.excepted and (not self.only or page in self.only)

    def finds(self) -> re.Pattern[str]:
        """What finds a word in running text, also across the end of a line."""
        forms = sorted((self.name, *self.also), key=len, reverse=True)
        words = "|".join(re.escape(form).replace(r"\ ", r"\s+") for form in forms)
        return re.compile(rf"(?<![\w-])(?:{words})(?![\w-])", re.IGNORECASE)


def load(path: Path) -> list[Entry]:
    """Read the entries; none where there is no file.

    Raises:
        ArgumentError: for an entry that has an unknown field, no meaning, or a name that comes twice.
    """
    if not path.is_file():
        return []
    content = read_yaml(path)
    if not isinstance(content, list):
        raise ArgumentError(f"{path}: need a list of symbols and words")
    entries = [_entry(item, path) for item in content]
    names = [entry.anchor for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ArgumentError(f"{path}: {', '.join(twice)} comes twice")
    return entries


def _entry(item: Any, path: Path) -> Entry:
    if not isinstance(item, dict) or set(item) - _FIELDS or ("symbol" in item) == ("word" in item):
        raise ArgumentError(f"{path}: {item!r}: need a symbol or a word, and none but {sorted(_FIELDS)}")
    for name, value in item.items():
        fits = isinstance(value, list) if name in _LISTS else isinstance(value, str) and value
        if not fits:
            raise ArgumentError(f"{path}: {name} = {value!r}: need {'a list' if name in _LISTS else 'text'}")
    if "means" not in item:
        raise ArgumentError(f"{path}: {item!r}: means is missing")
    kind = "symbols" if "symbol" in item else "words"
    return Entry(
        kind,
        item[kind[:-1]],
        item["means"],
        tuple(item.get("also", ())),
        item.get("code", ""),
        item.get("see", ""),
        tuple(item.get("only", ())),
        tuple(item.get("except", ())),
    )


def entries(env: BuildEnvironment) -> list[Entry]:
    """The entries of the book that is built, read once."""
    if not hasattr(env, "fracrepro_glossary"):
        env.fracrepro_glossary = load(Path(env.srcdir) / f"{PAGE}.yml")  # type: ignore[attr-defined]
    return env.fracrepro_glossary  # type: ignore[attr-defined]


class GlossaryTable(SphinxDirective):
    """``{glossary-table} symbols`` or ``words``: one row each, with an anchor."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Make the table; a narrow screen shows its rows as cards."""
        kind = self.arguments[0]
        if kind not in KINDS:
            raise self.error(f"glossary-table: {kind!r} is none of {', '.join(KINDS)}")
        self.env.note_dependency(str(Path(self.env.srcdir) / f"{PAGE}.yml"))
        chosen = [entry for entry in entries(self.env) if entry.kind == kind]
        if kind == "words":
            chosen.sort(key=lambda entry: entry.name.casefold())
        rows = [self.row(entry) for entry in chosen]
        head = (kind[:-1], "meaning", "in code", "more")
        return [table(head, rows, ids=[entry.anchor for entry in chosen], classes=["glossary", "cards"])]

    def row(self, entry: Entry) -> list[list[nodes.Node]]:
        """The cells of one entry."""
        name = nodes.math(entry.name, entry.name) if entry.kind == "symbols" else nodes.Text(entry.name)
        means = entry.means
        if entry.only:
            numbers = ", ".join(page.lstrip("0") for page in entry.only)
            means += f" On page{'s' if len(entry.only) > 1 else ''} {numbers}."
        return [
            [nodes.strong("", "", name)] if entry.kind == "words" else [name],
            [nodes.Text(means)],
            [nodes.literal(entry.code, entry.code)] if entry.code else [],
            self.more(entry.see) if entry.see else [],
        ]

    def more(self, see: str) -> list[nodes.Node]:
        """A reference to a theorem's label, or to a page."""
        found, messages = self.parse_inline(
            f"{{doc}}`{see}`" if "/" in see else f"{{prf:ref}}`{see}`", lineno=self.lineno
        )
        return [*found, *messages]


class term_link(nodes.reference):
    """A symbol or a word with its meaning."""


def open_link(writer: Any, node: term_link) -> None:
    """Begin a link that carries the meaning."""
    attributes = {"href": node["refuri"], "data-means": node["means"], "aria-label": node.get("spoken", "")}
    written = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items() if value)
    writer.body.append(f'<a class="term"{written}>')


def close_link(writer: Any, node: term_link) -> None:
    """End the link."""
    writer.body.append("</a>")


class LinkFirstUses(SphinxPostTransform):
    """The first place of a page where a symbol or a word of the glossary stands becomes a link."""

    default_priority = 900  # after references have been resolved, so that none is put into another
    formats = ("html",)

    def run(self, **options: Any) -> None:
        """Look through the page once, in reading order."""
        docname = self.env.docname
        if docname == PAGE or docname.startswith("book/api/"):
            return
        here = [entry for entry in entries(self.env) if entry.holds_on(docname)]
        self.link_symbols(
            docname, {form: e for e in here if e.kind == "symbols" for form in (e.name, *e.also)}
        )
        self.link_words(docname, [entry for entry in here if entry.kind == "words"])

    def link(self, docname: str, entry: Entry, content: nodes.Node) -> term_link:
        """A link to an entry."""
        uri = f"{self.app.builder.get_relative_uri(docname, PAGE)}#{entry.anchor}"
        spoken = (
            entry.spoken if entry.kind == "symbols" else ""
        )  # nobody can count on formulas in names of links
        return term_link("", "", content, refuri=uri, internal=True, means=entry.means, spoken=spoken)

    def link_symbols(self, docname: str, symbols: dict[str, Entry]) -> None:
        """Link the formulas in running text that are nothing but the symbol."""
        done: set[str] = set()
        for formula in list(self.document.findall(nodes.math)):
            entry = symbols.get(formula.astext())
            if entry and entry.anchor not in done and _is_open(formula):
                done.add(entry.anchor)
                formula.replace_self(self.link(docname, entry, formula.deepcopy()))

    def link_words(self, docname: str, words: list[Entry]) -> None:
        """Link the words; where two begin at one place, the longer one."""
        left = {entry.anchor: (entry, entry.finds()) for entry in words}
        _join_lines(self.document)
        for text in list(self.document.findall(nodes.Text)):
            if left and _is_open(text):
                parts = list(self.parts(docname, str(text), left))
                if any(isinstance(part, term_link) for part in parts):
                    text.parent.replace(text, parts)

    def parts(
        self, docname: str, text: str, left: dict[str, tuple[Entry, re.Pattern[str]]]
    ) -> Iterator[nodes.Node]:
        """The pieces of a text, with links for the words that are left, which are then taken out."""
        while True:
            found = [(match, entry) for entry, finds in left.values() if (match := finds.search(text))]
            if not found:
                break
            match, entry = min(found, key=lambda pair: (pair[0].start(), -pair[0].end()))
            del left[entry.anchor]
            if match.start():
                yield nodes.Text(text[: match.start()])
            yield self.link(docname, entry, nodes.Text(match[0]))
            text = text[match.end() :]
        if text:
            yield nodes.Text(text)


def _join_lines(document: nodes.document) -> None:
    """Make one text of the lines of a paragraph, which the parser of Markdown keeps apart."""
    for parent in document.findall(nodes.TextElement):
        joined: list[nodes.Node] = []
        for child in parent.children:
            if isinstance(child, nodes.Text) and joined and isinstance(joined[-1], nodes.Text):
                joined[-1] = nodes.Text(joined[-1] + child)
            else:
                joined.append(child)
        parent[:] = joined


def _is_open(node: nodes.Node) -> bool:
    """Whether a link may stand here: in a sentence, a caption included, and in no other link."""
    parent = node.parent
    paragraph = False
    while parent is not None:
        if isinstance(parent, _CLOSED):
            return False
        paragraph = paragraph or isinstance(parent, nodes.paragraph)
        parent = parent.parent
    return paragraph


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive, the links and their script."""
    app.add_directive("glossary-table", GlossaryTable)
    app.add_node(term_link, html=(open_link, close_link))
    app.add_post_transform(LinkFirstUses)
    app.add_js_file("terms.js", loading_method="defer")
    return {"parallel_read_safe": False, "parallel_write_safe": True}
