"""In the built book: anchors that stay, meta tags for search engines, and entries to cite."""

import functools
import importlib.util
import json
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from fracrepro.workflow import citation
from fracrepro.workflow.project import Project

ROOT = Path(__file__).resolve().parents[2]
RELEASED = json.loads((ROOT / "tests" / "reference" / "anchors.json").read_text())
NAMES = Project(ROOT).notebook_names()


@functools.cache
def soup(path):
    return BeautifulSoup(path.read_text(), "html.parser")


def gone(released, present):
    """The addresses that were and are not."""
    return [
        f"{page}#{name}" if name else page
        for page, names in released.items()
        for name in ["", *names]
        if page not in present or (name and name not in present[page])
    ]


def test_no_address_of_a_released_version_is_gone_from_the_sources():
    path = ROOT / "tests" / "reference" / "make_anchors.py"
    spec = importlib.util.spec_from_file_location("make_anchors", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    present = module.present()
    assert gone(RELEASED, present) == [], "while nothing is released, run tests/reference/make_anchors.py"
    assert len(RELEASED["book/executed/02_moment_preservation.html"]) >= 5
    # Controls: a page and a label that go are noticed.
    assert gone(RELEASED, present | {"book/cite.html": None} | {"book/claims.html": []})
    fewer = {page: names for page, names in present.items() if page != "book/cite.html"}
    assert gone(RELEASED, fewer) == ["book/cite.html"]


def test_every_released_address_is_on_its_page(book):
    present = {}
    for page in RELEASED:
        if (book.site / page).is_file():
            present[page] = {found["id"] for found in soup(book.site / page).find_all(id=True)}
    assert gone(RELEASED, present) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_meta_tags_and_leads_to_its_entry(book, name):
    page = soup(book.site / "book" / "executed" / f"{name}.html")
    found = {tag["name"]: tag["content"] for tag in page.find_all("meta", attrs={"name": True})}
    assert found["citation_title"] == citation.page_title(book.project, name)
    assert found["citation_inbook_title"] == citation.book(book.project).title
    assert found["citation_author"] == "The fracrepro authors"
    [link] = [link for link in page.select(".provenance a") if link.get_text() == "Cite this page"]
    file, _, anchor = link["href"].partition("#")
    assert (book.site / "book" / "executed" / file).resolve() == book.site / "book" / "cite.html"
    entry = soup(book.site / "book" / "cite.html").find(id=anchor)
    assert entry.find("pre").get_text().strip() == citation.bibtex(citation.page(book.project, name))


def test_the_landing_page_is_the_book(book):
    page = soup(book.site / "book" / "index.html")
    [title] = page.find_all("meta", attrs={"name": "citation_title"})
    assert title["content"] == citation.book(book.project).title
    assert page.find_all("meta", attrs={"name": "citation_inbook_title"}) == []
    # While the address of the repository is not set, nothing claims one.
    assert page.find_all("meta", attrs={"name": "citation_public_url"}) == []


def test_the_page_on_citing_shows_the_paper_and_the_book(book):
    blocks = [block.get_text().strip() for block in soup(book.site / "book" / "cite.html").find_all("pre")]
    for work in (citation.paper(book.project), citation.book(book.project)):
        assert citation.bibtex(work) in blocks
