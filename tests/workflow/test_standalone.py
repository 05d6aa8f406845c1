"""Pages to read, one file each: what stands for references that lead elsewhere, and what fails no run.

`tests/book/test_bare_wheel.py` makes one of a page of the book and opens it in a browser.
"""

import base64
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes
from sphinx import addnodes

from fracrepro.workflow import elsewhere, notebooks, site, standalone, work
from fracrepro.workflow.execution import Outcome
from fracrepro.workflow.project import Project

ROOT = Path(__file__).resolve().parents[2]


def reference(target, kind="ref", words="", explicit=False):
    node = addnodes.pending_xref(reftype=kind, reftarget=target, refexplicit=explicit, refdoc="page")
    content = nodes.inline(words or target, words or target)
    found = elsewhere.say_where(SimpleNamespace(srcdir=str(ROOT)), None, node, content)
    return None if found is None else found.astext()


def test_a_reference_to_another_page_says_where_it_is():
    assert reference("thm-moment") == "theorem “Moment preservation” on page 02"
    assert reference("moment-axis").endswith(" on page 02")
    assert reference("../book/executed/05_log_normality", "doc") == "page 05, “Log-normality”"
    assert reference("claims", "doc").startswith("“")
    assert reference("thm-moment", words="the theorem", explicit=True) == "the theorem"
    assert reference("nothing-of-ours") is None  # Sphinx then says what it always says


def test_every_label_that_a_notebook_refers_to_has_words():
    import re

    known = elsewhere.labels(ROOT)
    for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "markdown"]
        text = "\n".join("".join(cell["source"]) for cell in cells)
        targets = re.findall(r"\{(?:prf:ref|ref)\}`(?:[^`<]*<)?([^`>]+)>?`", text)
        assert [target for target in targets if target not in known] == [], path.name
        pages = re.findall(r"\{doc\}`(?:[^`<]*<)?([^`>]+)>?`", text)
        assert [page for page in pages if page.rpartition("/")[2] not in known] == [], path.name


PAGE = """<html><head><title>A page</title>
<link rel="stylesheet" href="../../_static/a.css"/><script src="../../_static/big.js"></script></head>
<body><article class="bd-article"><h1>A page</h1><img src="../../_images/x.png" alt="x"/>
<a href="../claims.html#c">elsewhere</a> <a href="02_other.html#t">beside</a> <a href="https://example.org">out</a>
<a href="../bibliography.html#id7">He, 2015</a>
<p class="figure-files"><a href="01_page/x.csv" download="x.csv">data (CSV)</a></p>
<div class="verdict">The <a href="../glossary.html#t">term</a>. <a href="../claims.html#c">Ledger</a></div>
</article></body></html>"""
STYLE = """@import "basic.css?v=1"; @import url('gone.css');
@font-face{src:url(f.woff)} .a{background:url(b.png)} .c{color:red}"""
LISTING = (
    """<div class="citation" id="id7"><p>He 2015.</p></div><div class="citation" id="id8">Not cited.</div>"""
)


@pytest.fixture
def built(tmp_path):
    files = {
        "book/executed/01_page.html": PAGE,
        "book/bibliography.html": LISTING,
        "book/executed/01_page/x.csv": "x,y\n1,2\n",
        "_static/basic.css": ".d{color:blue}",
        "_static/a.css": STYLE,
        "_static/big.js": "fetch('everything')",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "_images").mkdir()
    (tmp_path / "_images" / "x.png").write_bytes(b"picture")
    return tmp_path


def test_a_page_becomes_one_file(built):
    from bs4 import BeautifulSoup

    path = built / "book" / "executed" / "01_page.html"
    soup = BeautifulSoup(
        standalone.Page(path, built, ("01_page", "02_other")).whole("fracrepro run", ".e{}"), "html.parser"
    )
    content = base64.b64encode(b"picture").decode()
    assert soup.img["src"] == f"data:image/png;base64,{content}"
    table = base64.b64encode(b"x,y\n1,2\n").decode()
    assert soup.select_one(".figure-files a")["href"] == f"data:text/csv;base64,{table}"
    links = {link.get_text(): link["href"] for link in soup.find_all("a", href=True, download=False)}
    assert links == {"beside": "02_other.html#t", "out": "https://example.org", "He, 2015": "#id7"}
    assert soup.find(id="id7").get_text() == "He 2015."
    assert soup.find(id="id8") is None
    assert soup.select_one(".verdict").get_text().strip() == "The term."
    assert ".c{color:red}" in soup.style.get_text()
    assert ".d{color:blue}" in soup.style.get_text()
    assert "@import" not in soup.style.get_text()
    assert "woff" not in soup.style.get_text()
    assert "b.png" not in soup.style.get_text()
    assert "everything" not in str(soup)
    assert "MathJax" not in str(soup)  # there is no formula
    assert soup.select_one("p.standalone").get_text() == "fracrepro run"
    assert ".e{}" in soup.style.get_text()


def test_a_project_without_a_book_gets_no_page(project, tmp_path, capsys):
    assert not standalone.has_book(project)
    assert standalone.has_book(Project(ROOT))
    work._write_html(project, tmp_path, ["01_good"])
    assert list(tmp_path.glob("*.html")) == []
    assert capsys.readouterr() == ("", "")


def test_a_page_that_cannot_be_made_fails_no_run(project, tmp_path, monkeypatch, capsys):
    outcome = Outcome("01_good", "{}", {"seconds": 1.0})
    monkeypatch.setattr(notebooks, "run", lambda *_, **__: [outcome])
    monkeypatch.setattr(standalone, "has_book", lambda _: True)

    def fail(*_):
        raise site.BuildError("no such role")

    monkeypatch.setattr(standalone, "write", fail)
    work.run_notebooks(project, ["01_good"], output=tmp_path)
    said = capsys.readouterr()
    assert "01_good: executed" in said.out
    assert said.err == "no page to read: no such role\n"
