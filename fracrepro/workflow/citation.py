"""How the book, a page of it and the paper are cited: read from CITATION.cff, written as BibTeX."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fracrepro.errors import ArgumentError
from fracrepro.workflow.project import Project, read_yaml

__all__ = ["Work", "bibtex", "book", "page", "page_names", "page_title", "paper", "site_address"]

_FILE = "CITATION.cff"
_SERIES = "Proceedings of Machine Learning Research"  # that of PMLR; CITATION.cff has no field for a series
_HEADING = re.compile(r"^# (.+)$", re.M)
_ACCENTS = {"\u0308": '"', "\u0301": "'", "\u0300": "`", "\u0302": "^", "\u0303": "~"}
_OTHERS = {"&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_"}


@dataclass(frozen=True)
class Work:
    """Something to cite.

    Attributes:
        key: by which BibTeX knows it.
        kind: the type of its entry.
        title: of the work.
        authors: family name and given name of each; a group has no given name.
        released: when it appeared; only the year where that is all that is known.
        facts: the other fields of the entry, in their order.
    """

    key: str
    kind: str
    title: str
    authors: tuple[tuple[str, str], ...]
    released: date | int
    facts: Mapping[str, str]

    @property
    def year(self) -> int:
        """The year in which it appeared."""
        return self.released if isinstance(self.released, int) else self.released.year


def book(project: Project, address: str = "") -> Work:
    """Return the book as a work; `address` is that of its site, if it has one.

    Raises:
        ArgumentError: when CITATION.cff is missing or lacks a field; names it.
    """
    content = _content(project.root / _FILE)
    facts = {"note": f"Version {content['version']}", **({"url": address} if address else {})}
    released = content["date-released"]
    return Work("fracrepro", "misc", content["title"], _authors(content), released, facts)


def paper(project: Project) -> Work:
    """Return the paper that the book reproduces: the first of the references in CITATION.cff.

    Raises:
        ArgumentError: as `book`.
    """
    entry = _content(project.root / _FILE)["references"][0]
    facts = {
        "booktitle": entry["collection-title"],
        "series": _SERIES,
        "volume": str(entry["volume"]),
        "pages": f"{entry['start']}--{entry['end']}",
        "eprint": entry["identifiers"][0]["value"].removeprefix("arXiv:"),
        "url": entry["url"],
    }
    authors = _authors(entry)
    first = unicodedata.normalize("NFKD", authors[0][0]).encode("ascii", "ignore").decode().lower()
    return Work(f"{first}{entry['year']}", "inproceedings", entry["title"], authors, entry["year"], facts)


def page(project: Project, name: str, address: str = "") -> Work:
    """Return one page of the book as a work; `address` is that of the book's site, if it has one.

    Raises:
        ArgumentError: for an unknown page, and as `book`.
    """
    whole = book(project)
    facts = {"note": f"Page {name[:2]} of {whole.title}, {whole.facts['note'].lower()}"}
    if address:
        facts["url"] = f"{address}book/executed/{name}.html"
    return Work(
        f"fracrepro-{name[:2]}", "misc", page_title(project, name), whole.authors, whole.released, facts
    )


def page_names(project: Project) -> list[str]:
    """Return the pages that can be cited, in the order of the book: the notebooks."""
    return project.notebook_names()


def page_title(project: Project, name: str) -> str:
    """Return the heading of a page.

    Raises:
        ArgumentError: for an unknown page, and for one without a heading.
    """
    for cell in json.loads(project.notebook_path(name).read_text())["cells"]:
        found = _HEADING.search("".join(cell["source"])) if cell["cell_type"] == "markdown" else None
        if found:
            return found[1].strip()
    raise ArgumentError(f"notebook {name}: need a heading, a line that begins with '# '")


def bibtex(work: Work) -> str:
    r"""Return the BibTeX entry of a work, in ASCII where a letter has a name in LaTeX.

    >>> print(bibtex(Work("hu2021", "misc", "A & B", (("Gürbüz", "M."), ("The authors", "")), 2021, {})))
    @misc{hu2021,
      author = {G{\"u}rb{\"u}z, M. and {The authors}},
      title  = {A \& B},
      year   = {2021}
    }
    """
    names = [f"{family}, {given}" if given else f"{{{family}}}" for family, given in work.authors]
    fields = {"author": " and ".join(names), "title": work.title, **work.facts, "year": str(work.year)}
    longest = max(map(len, fields))
    lines = [
        f"  {name:<{longest}} = {{{value if name == 'url' else _latex(value)}}}"
        for name, value in fields.items()
    ]
    return "\n".join([f"@{work.kind}{{{work.key},", ",\n".join(lines), "}"])


def site_address(repository: str) -> str:
    """Return where the pages of a repository on GitHub are published; "" for any other address.

    >>> site_address("https://github.com/Somebody/book"), site_address("https://example.org/a/b")
    ('https://somebody.github.io/book/', '')
    """
    parts = urlsplit(repository)
    names = parts.path.strip("/").split("/")
    if parts.netloc != "github.com" or len(names) != 2:
        return ""
    return f"https://{names[0].lower()}.github.io/{names[1]}/"


def _content(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    needed = ("title", "version", "date-released", "authors", "references")
    missing = [name for name in needed if not isinstance(content, dict) or name not in content]
    if missing:
        raise ArgumentError(f"{path}: {missing[0]} is missing")
    return content


def _authors(entry: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (author["name"], "") if "name" in author else (author["family-names"], author["given-names"])
        for author in entry["authors"]
    )


def _latex(text: str) -> str:
    """Letters with accents as LaTeX has them, and its special characters escaped."""
    written = []
    for letter in text:
        parts = unicodedata.normalize("NFD", letter)
        if len(parts) == 2 and parts[1] in _ACCENTS:
            written.append(f"{{\\{_ACCENTS[parts[1]]}{parts[0]}}}")
        else:
            written.append(_OTHERS.get(letter, letter))
    return "".join(written)
