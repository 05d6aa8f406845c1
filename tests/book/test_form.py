"""The form of a page: what a reader sees of figures, numbers, code, verdicts and provenance on every page."""

import functools
import re

import pytest
from bs4 import BeautifulSoup

from fracrepro import __version__
from fracrepro.workflow import claims, site
from fracrepro.workflow.ledger import anchor

WIDTHS = (390, 1300, 1920)

RAW = {
    "a power of ten of Python's": r"\d(?:\.\d+)?e[+-]?\d+\b",
    "a bare truth value": r"\b(?:True|False|None|nan)\b",
    "a bound of 0": r"\bat most 0(?![.,]?\d)",
    "more digits than anybody reads": r"\d\.\d{10,}",
    "a hyphen for a minus": r"(?<![\w.)\]}/-])-\d",
    "exp of a number": r"\bexp\([+-]?\d",
}
NOT_TEXT = "pre, code, kbd, samp, script, style, .math, mjx-container, dt.sig, .bibliography, .citation"


def executed(book):
    return [name for name in site.toc_files(book.project) if name.startswith("book/executed/")]


@functools.cache
def article(book, name):
    return BeautifulSoup((book.site / f"{name}.html").read_text(), "html.parser").select_one("article")


def raw_forms(html):
    """Every raw number in the text of a piece of HTML, with what stands around it."""
    soup = BeautifulSoup(str(html), "html.parser")
    for tag in soup.select(NOT_TEXT):
        tag.replace_with(" · ")
    for tag in soup.select("td, th, p, li"):
        tag.append("\n")
    text = soup.get_text()
    return [
        f"{what}: {text[max(0, match.start() - 30) : match.end() + 10]!r}"
        for what, pattern in RAW.items()
        for match in re.finditer(pattern, text)
    ]


def out_of_form(found):
    """What is wrong, page by page."""
    return {name: each for name, each in found.items() if each}


def test_numbers_are_written_for_people(book):
    pages = [name for name in site.toc_files(book.project) if "/api/" not in name]
    found = {name: raw_forms(article(book, name)) for name in pages}
    assert out_of_form(found) == {}


@pytest.mark.parametrize(
    ("html", "count"),
    [
        ("<p>about 1.4e+03 networks, exp(+0.179)</p>", 2),
        ("<p>changes by at most 0.</p><p>at most 0.5</p>", 1),
        ("<p>rejects: False</p>", 1),
        ("<td>0.123456789012345</td><td>-1.5</td>", 2),
        ("<p><code>1e-3 None</code> Nonetheless, 1.4×10³ in depth 1-2 and page-1</p>", 0),
    ],
)
def test_a_raw_form_would_be_seen(html, count):
    assert len(raw_forms(html)) == count


def test_open_code_is_at_most_a_dozen_lines(book):
    found = {}
    for name in executed(book):
        blocks = [
            block.get_text().strip("\n").split("\n")
            for block in article(book, name).select("div.cell_input")
            if not block.find_parent("details")
        ]
        found[name] = [lines[0] for lines in blocks if len(lines) > 12 or max(map(len, lines)) > 88]
    assert out_of_form(found) == {}


def test_every_attempted_claim_has_a_box_on_its_page(book):
    found = {name: [] for name in executed(book)}
    for claim in claims.load(book.project.root / "book" / "claims.yml"):
        if claim.evidence:
            name = f"book/executed/{claim.evidence}"
            links = article(book, name).select(f"div.verdict a[href$='claims.html#{anchor(claim.id)}']")
            if not links:
                found[name].append(claim.id)
    assert out_of_form(found) == {}


def test_every_row_of_the_ledger_has_an_anchor_and_its_verdict_in_colour(book):
    rows = article(book, "book/claims").select("table.ledger tbody tr")
    declared = claims.load(book.project.root / "book" / "claims.yml")
    assert sorted(row["id"] for row in rows) == sorted(anchor(claim.id) for claim in declared)
    worded = {row["id"]: row.select_one(".badge-verdict").get_text().lower() for row in rows}
    assert worded == {anchor(claim.id): claim.verdict for claim in declared}
    counts = article(book, "book/claims").select("table")[0].select("tbody tr td:nth-child(2)")
    assert sum(int(cell.get_text()) for cell in counts) == len(declared)


def test_every_executed_page_says_where_it_comes_from_and_how_to_run_it_again(book):
    for name in executed(book):
        record = book.record(name.rsplit("/", 1)[-1])
        box = article(book, name).select_one("div.provenance")
        assert f"fracrepro run {record['notebook']} --profile quick --output-dir mine" in box.pre.get_text()
        rows = [[cell.get_text() for cell in row.select("td")] for row in box.select("tbody tr")]
        assert [row[0] for row in rows] == list(record["parameters"])
        assert all(len(row) == 4 and all(row) for row in rows)
        assert record["digest"][:16] in box.get_text()
        assert f"fracrepro {__version__}" in box.get_text()
        assert f"numpy {record['versions']['numpy']}" in box.get_text()


MEASURE = """() => {
  const top = (node) => node.getBoundingClientRect().top + window.scrollY;
  const images = [...document.querySelectorAll('article img')].filter(image => image.offsetWidth > 0);
  const blocks = [...document.querySelectorAll('article pre')];
  const figure = document.querySelector('article figure img');
  return {
    images: images.map(image => [image.src, image.naturalWidth / image.naturalHeight,
                                 image.offsetWidth / image.offsetHeight, image.offsetHeight]),
    wide: blocks.filter(block => block.scrollWidth > block.clientWidth + 1).map(block => block.innerText),
    figure: figure ? top(figure) : null,
    width: document.documentElement.scrollWidth,
  };
}"""


@pytest.fixture(scope="module")
def measured(book, browser, served):
    """What a browser makes of every page with figures, by width and page; folded parts are opened."""
    result = {}
    for width in WIDTHS:
        page = browser.new_page(viewport={"width": width, "height": 900})
        for name in [*executed(book), "book/index", "book/claims", "book/initialize"]:
            page.goto(f"{served}{name}.html", wait_until="load")
            page.evaluate(
                "() => window.MathJax && MathJax.startup && MathJax.startup.promise.then(() => null)"
            )
            before = page.evaluate(MEASURE)
            page.evaluate("() => document.querySelectorAll('details').forEach(each => { each.open = true; })")
            result[width, name] = page.evaluate(MEASURE) | {"figure": before["figure"]}
        page.close()
    return result


@pytest.mark.browser
def test_no_figure_is_distorted(measured):
    """Heights are whole pixels, hence the tolerance."""
    count = 0
    for key, found in measured.items():
        for source, natural, shown, height in found["images"]:
            assert shown == pytest.approx(natural, rel=1.5 / height), f"{key}: {source}"
            count += 1
    assert count > 3 * 30


@pytest.mark.browser
def test_the_measure_sees_a_distorted_figure_and_a_wide_line(browser):
    page = browser.new_page(viewport={"width": 390, "height": 900})
    svg = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='600' height='300'/>"
    page.set_content(
        f'<article><figure><img src="{svg}" style="width:600px; height:300px; max-width:100%"></figure>'
        f"<pre>{'x' * 200}</pre></article>"
    )
    page.wait_for_function("() => document.querySelector('img').naturalWidth > 0")
    found = page.evaluate(MEASURE)
    page.close()
    [[_, natural, shown, height]] = found["images"]
    assert shown != pytest.approx(natural, rel=1.5 / height)
    assert len(found["wide"]) == 1


@pytest.mark.browser
def test_no_line_of_code_or_output_is_wider_than_its_box(measured):
    found = {key: found["wide"] for key, found in measured.items() if key[0] == 1300 and found["wide"]}
    assert found == {}


@pytest.mark.browser
def test_the_first_figure_comes_within_two_screens(book, measured):
    found = {
        name: [place] if (place := measured[1300, name]["figure"]) is None or place > 1800 else []
        for name in executed(book)
    }
    assert out_of_form(found) == {}


@pytest.mark.browser
def test_the_ledger_fits_a_phone(measured):
    assert measured[390, "book/claims"]["width"] <= 390
