"""The built pages: complete, without errors, and without a request to any other host."""

import functools
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from fracrepro.workflow import site

FOREIGN = re.compile(r"^(https?:)?//")
# What an SVG may ask for; the addresses of the two name spaces are names.
FOREIGN_NAMES = re.compile(
    r"(?:href|src)=\"(?!#|data:)[^\"]*\"|url\((?!#)[^)]*\)|https?://(?!www\.w3\.org/)[^\"<]*"
)


def pages(book):
    return {name: book.site / f"{name}.html" for name in site.toc_files(book.project)}


@functools.cache
def soups(book):
    return {name: BeautifulSoup(path.read_text(), "html.parser") for name, path in pages(book).items()}


def test_one_worker_holds_all_tests_of_the_book(book, request):
    """Else every worker builds a book of its own, which costs minutes and shows nowhere."""
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("not distributed by groups")
    assert request.node.nodeid.endswith("@book")


def test_every_page_of_the_table_of_contents_exists(book):
    assert set(site.toc_notebooks(book.project)) == set(book.project.notebook_names())
    for name, path in pages(book).items():
        assert path.is_file(), name


def test_no_page_holds_a_traceback_or_output_on_stderr(book):
    for name, soup in soups(book).items():
        assert not soup.select(".output.traceback, .output.stderr"), name


def test_no_page_loads_anything_from_another_host(book):
    loaders = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
    for name, soup in soups(book).items():
        for tag, attribute in loaders.items():
            for element in soup.find_all(tag):
                if tag == "link" and "canonical" in (element.get("rel") or []):
                    continue
                assert not FOREIGN.match(element.get(attribute) or ""), f"{name}: {element}"


def test_every_figure_has_a_number_a_caption_and_alt_text(book):
    count = 0
    for name, soup in soups(book).items():
        for image in soup.select("article img"):
            alt = image.get("alt", "")
            assert len(alt) > 40, f"{name}: {alt!r}"
            assert not re.search(r"\.(png|svg)$", alt), f"{name}: alt text is a file name"
            caption = image.find_parent("figure").select_one("figcaption")
            # Prose pages are no chapters: their figures have a number without one.
            number = r"Fig\. \d+\.\d+" if "executed" in name else r"Fig\. \d+ "
            assert re.match(number, caption.get_text(strip=True, separator=" ")), name
            count += 1
    assert count >= 7


def test_every_figure_has_its_svg_and_its_data(book):
    count = 0
    for name, soup in soups(book).items():
        for figure in soup.select("article figure:has(img)"):
            links = figure.find_next_sibling("p", class_="figure-files").select("a")
            number = re.match(r"Fig\. [\d.]*\d", figure.figcaption.get_text(strip=True, separator=" "))[0]
            assert [link["aria-label"] for link in links] == [f"SVG of {number}", f"data (CSV) of {number}"]
            vector, data = (pages(book)[name].parent / link["href"] for link in links)
            root = ET.parse(vector).getroot()
            title = root.find("{http://www.w3.org/2000/svg}title").text
            assert len(title) > 10, vector
            assert set(FOREIGN_NAMES.findall(vector.read_text())) == set(), vector
            table = pd.read_csv(data, comment="#")
            assert {"panel", "series", "label", "kind", "look", "x", "y"} <= set(table), data
            assert len(table), data
            assert data.read_text().startswith(
                f"# figure {data.stem} of the page {name.rpartition('/')[2]}: "
            )
            count += 1
    assert count >= 40


def test_code_that_only_draws_is_folded(book):
    for name, soup in soups(book).items():
        for block in soup.select("div.cell_input"):
            if "plt.subplots" in block.get_text():
                assert block.find_parent("details"), name


def test_internal_links_and_anchors_lead_somewhere(book):
    anchors = {
        path.resolve(): {tag["id"] for tag in soup.find_all(id=True)}
        for path, soup in zip(pages(book).values(), soups(book).values(), strict=True)
    }
    for path, soup in zip(pages(book).values(), soups(book).values(), strict=True):
        for link in soup.select("article a[href]"):
            target, _, anchor = link["href"].partition("#")
            target = target.partition("?")[0]
            if re.match(r"[a-z]+:", target):
                continue
            file = (path.parent / target).resolve() if target else path.resolve()
            assert file.exists(), f"{path.name}: {link['href']}"
            assert not anchor or file not in anchors or anchor in anchors[file], (
                f"{path.name}: {link['href']}"
            )


def test_theorems_are_numbered_boxes(book):
    text = soups(book)["book/executed/02_moment_preservation"].select_one("div.proof.theorem p").get_text()
    assert re.match(r"Theorem \d+\.\d+", text)


def test_glued_numbers_are_those_of_the_record(book):
    soup = soups(book)["book/index"]
    pasted = [element.get_text() for element in soup.select(".pasted-text")]
    values = book.record("02_moment_preservation")["values"]
    assert f"{values['percent_above_kaiming']:.2f}" in pasted
    assert f"{values['percent_norm_gain']:.1f}" in pasted


def test_a_failed_notebook_stops_the_build_and_keeps_the_old_site(book):
    path = book.project.notebook_path("02_moment_preservation")
    original, before = path.read_text(), (book.site / "index.html").stat().st_ino
    try:
        path.write_text(original.replace("use_style()\\n", "1 / 0\\n"))
        result = book.fracrepro("build", "--profile", "quick")
    finally:
        path.write_text(original)
    assert result.returncode == 1
    assert "02_moment_preservation: FAILED in cell" in result.stderr
    assert (book.site / "index.html").stat().st_ino == before


def test_mathjax_comes_without_the_files_that_no_page_needs(book):
    size = sum(
        path.stat().st_size for path in Path(book.site / "_static" / "mathjax").rglob("*") if path.is_file()
    )
    assert size < 3e6
