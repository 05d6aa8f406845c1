"""Numbers in the text come from a run: what is quoted exists in a record, and what is typed is a setting."""

import json
import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from fracrepro.figures.numbers import number
from fracrepro.workflow import site
from fracrepro.workflow.project import Project

ZEROS = {"0", "exactly 0", "none", "10⁻¹⁶", "below 10⁻³⁰⁰"}  # by the words around it, see `bounded_zero`
ROOT = Path(__file__).resolve().parents[2]
PROJECT = Project(ROOT)
QUOTED = re.compile(r"\{glue:text\}`(?:executed/(?P<page>\w+)\.ipynb::)?(?P<name>\w+):(?P<format>[^`]+)`")
NUMBER = re.compile(r"(?<![\w.])\d+\.\d+(?:e[-+]?\d+)?(?!\w)|(?<![\w.])\d+(?= ?%)")
NOT_PROSE = (
    re.compile(r"```(?:bash|bibtex|python)\n.*?```", re.DOTALL),
    re.compile(r"\barXiv[:.]\d{4}\.\d{5}|\barxiv\.org/\S+", re.IGNORECASE),  # the number of a paper
    re.compile(r"\{[a-z:]+\}`[^`]*`"),  # roles, glued numbers among them
    re.compile(r"`[^`]*`"),
    re.compile(r"\$\$.*?\$\$", re.DOTALL),
    re.compile(r"\$[^$]*\$"),
)
# Chosen, not computed: levels of tests and intervals, wanted errors, slopes of the protocols, versions.
SETTINGS = {
    "0.001",
    "0.01",
    "0.05",
    "0.3",
    "0.5",
    "0.8",
    "0.9",
    "1.5",
    "1",
    "5",
    "50",
    "95",
    "99",
    "3.11",
    "4.0",
}
SETTINGS |= {"0.18", "2.05"}  # what an exercise gives


def texts():
    """(page, text) of every markdown cell and every prose page."""
    for name in PROJECT.notebook_names():
        for cell in json.loads(PROJECT.notebook_path(name).read_text())["cells"]:
            if cell["cell_type"] == "markdown":
                yield name, "".join(cell["source"])
    for path in sorted((ROOT / "book").glob("*.md")):
        yield path.stem, path.read_text()
    yield "index", (ROOT / "book" / "findings.yml").read_text()  # the landing page includes its answers


def typed_numbers(text):
    for pattern in NOT_PROSE:
        text = pattern.sub("", text)
    return NUMBER.findall(text)


def test_every_typed_number_is_a_setting():
    found = [(page, number) for page, text in texts() for number in typed_numbers(text)]
    assert [entry for entry in found if entry[1] not in SETTINGS] == []
    assert found  # the pattern does find numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("The loss falls by 21.8 %, at $s = 1.5$ and `x = 2.5`.", ["21.8"]),
        ("It is {glue:text}`gain:.1f` %, about 3 % more.", ["3"]),
        ("A p-value of 1.3e-05 at width 64.", ["1.3e-05"]),
    ],
)
def test_a_typed_result_would_be_seen(text, numbers):
    assert typed_numbers(text) == numbers


def test_every_quoted_number_stands_on_the_page_as_the_record_has_it(book):
    shown = {
        name.rsplit("/", 1)[-1]: [
            element.get_text()
            .replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
            .replace("\N{NO-BREAK SPACE}%", " %")
            for element in BeautifulSoup((book.site / f"{name}.html").read_text(), "html.parser").select(
                ".pasted-text"
            )
        ]
        for name in site.toc_files(book.project)
        if "/api/" not in name  # it has an index too, and quotes nothing
    }
    records = {name: book.record(name)["values"] for name in PROJECT.notebook_names()}
    count = 0
    for page, text in texts():
        for quote in QUOTED.finditer(text):
            value = records[quote["page"] or page][quote["name"]]
            written = (
                ZEROS if value == 0 and not isinstance(value, bool) else {number(value, quote["format"])}
            )
            assert written & set(shown[page]), f"{page}: {quote['name']}"
            count += 1
    assert count > 100
