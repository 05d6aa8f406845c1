"""How book, pages and paper are cited: CITATION.cff, BibTeX and meta tags, each against another source."""

import re
from datetime import date
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

from fracrepro import __version__
from fracrepro.errors import ArgumentError
from fracrepro.workflow import citation, citing
from fracrepro.workflow.project import Project

ROOT = Path(__file__).resolve().parents[2]
PROJECT = Project(ROOT)
SITE = "https://somebody.github.io/book/"


def fields(entry):
    """The type, the key and the fields of one BibTeX entry, with the accents as letters."""
    head = re.match(r"@(\w+)\{([^,]+),", entry)
    found = dict(re.findall(r"^\s+(\w+)\s*= \{(.*)\},?$", entry, re.M))
    for code, letter in ((r"{\"u}", "ü"), (r"{\"U}", "Ü")):
        found = {name: value.replace(code, letter) for name, value in found.items()}
    return head[1], head[2], found


def in_references(key):
    text = (ROOT / "book" / "references.bib").read_text()
    return fields(text[text.index(f"@inproceedings{{{key},") :].partition("\n}")[0] + "\n}")


def test_the_citation_file_has_what_version_1_2_of_the_format_requires():
    content = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert content["cff-version"] == "1.2.0"
    for name in ("message", "title"):
        assert isinstance(content[name], str)
        assert content[name]
    assert content["type"] in ("software", "dataset")
    assert content["version"] == __version__
    assert type(content["date-released"]) is date
    assert content["license"] == "MIT"
    works = [content, *content["references"]]
    for work in works:
        assert work["authors"]
        for author in work["authors"]:
            assert "name" in author or {"family-names", "given-names"} <= author.keys()
    for reference in content["references"]:
        assert {"type", "title", "authors", "year"} <= reference.keys()


def test_it_credits_the_book_and_the_paper():
    content = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert content["title"].startswith("fracrepro")
    assert content["references"][0]["title"].startswith("Fractional moment-preserving initialization")
    assert "preferred-citation" not in content  # it would be shown alone
    assert "paper" in content["message"]
    assert "book" in content["message"]


def test_the_papers_entry_is_that_of_the_books_references():
    kind, key, found = fields(citation.bibtex(citation.paper(PROJECT)))
    assert (kind, key, found) == in_references("gurbuzbalaban2021")
    # Control: the comparison tells works apart.
    assert found != in_references("he2015")[2]


def test_the_books_entry():
    kind, key, found = fields(citation.bibtex(citation.book(PROJECT, SITE)))
    assert (kind, key) == ("misc", "fracrepro")
    assert found == {
        "author": "{The fracrepro authors}",
        "title": "fracrepro: a reference reproduction of fractional moment-preserving initialization",
        "note": f"Version {__version__}",
        "url": SITE,
        "year": "2026",
    }
    assert "url" not in fields(citation.bibtex(citation.book(PROJECT)))[2]


def test_every_page_has_an_entry_of_its_own():
    entries = [
        fields(citation.bibtex(citation.page(PROJECT, name, SITE))) for name in PROJECT.notebook_names()
    ]
    keys = [key for _, key, _ in entries]
    assert len(set(keys)) == len(keys)
    by_key = {key: found for _, key, found in entries}
    assert by_key["fracrepro-02"]["title"] == "Moment preservation"
    assert by_key["fracrepro-02"]["url"] == f"{SITE}book/executed/02_moment_preservation.html"
    assert by_key["fracrepro-02"]["note"].startswith("Page 02 of fracrepro: a reference reproduction")
    with pytest.raises(ArgumentError, match="did you mean '02_moment_preservation'"):
        citation.page(PROJECT, "02_moment")


def test_entries_are_read_by_a_program_that_reads_bibtex():
    from pybtex.database import parse_string

    works = [citation.paper(PROJECT), citation.book(PROJECT, SITE)]
    works += [citation.page(PROJECT, name) for name in PROJECT.notebook_names()]
    text = "\n\n".join(map(citation.bibtex, works))
    assert text.isascii()
    entries = parse_string(text, "bibtex").entries
    assert list(entries) == [work.key for work in works]
    authors = entries["gurbuzbalaban2021"].persons["author"]
    assert [str(author) for author in authors] == ['G{\\"u}rb{\\"u}zbalaban, Mert', "Hu, Yuanhan"]
    [group] = entries["fracrepro"].persons["author"]
    assert group.last_names == ["{The fracrepro authors}"]


def test_a_citation_file_that_lacks_a_field_is_named(tmp_path):
    (tmp_path / "CITATION.cff").write_text("title: t\nversion: 1\n")
    with pytest.raises(ArgumentError, match=r"CITATION\.cff: date-released is missing"):
        citation.book(Project(tmp_path))
    with pytest.raises(ArgumentError, match="no such file"):
        citation.paper(Project(tmp_path / "none"))


def meta(lines):
    soup = BeautifulSoup("\n".join(lines), "html.parser")
    found = {}
    for tag in soup.find_all("meta"):
        found.setdefault(tag["name"], []).append(tag["content"])
    return found


def test_meta_tags_of_a_chapter_and_of_the_book():
    chapter = meta(citing.tags(PROJECT, "book/executed/02_x", 'A "title" & more', SITE, "book/index"))
    assert chapter["citation_title"] == ['A "title" & more']
    assert chapter["citation_inbook_title"] == [citation.book(PROJECT).title]
    assert chapter["citation_author"] == ["The fracrepro authors"]
    assert chapter["citation_fulltext_html_url"] == [f"{SITE}book/executed/02_x.html"]
    [published] = chapter["citation_publication_date"]
    assert re.fullmatch(r"\d{4}/\d\d/\d\d", published)
    [reference] = chapter["citation_reference"]
    assert "citation_author=Gürbüzbalaban, Mert; citation_author=Hu, Yuanhan" in reference
    whole = meta(citing.tags(PROJECT, "book/index", "Welcome", "", "book/index"))
    assert whole["citation_title"] == [citation.book(PROJECT).title]
    assert "citation_inbook_title" not in whole
    assert not [name for name in whole if name.endswith("_url")]  # while no address is known


def test_the_page_on_citing_asks_for_all_three():
    text = (ROOT / "book" / "cite.md").read_text()
    assert re.findall(r"^```\{bibtex\} (\w+)$", text, re.M) == ["paper", "book", "pages"]
    assert "@" not in text  # nothing that could differ from the citation file
