"""Slides are made of a page's boxes and figures: which, in which order, and what is left to the page."""

import io
import re

import pytest
from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from fracrepro.workflow.slides import deck, slides, split_sentence

PAGE = r"""<section id="page"><h1>Dropout<a class="headerlink" href="#page">#</a></h1>
<div class="verdict verdict-exact admonition"><p class="admonition-title">Claim and verdict</p>
<p class="claim">It is kept.</p>
<p><span class="badge-verdict verdict-exact">Exact</span> <a href="x">Ledger</a></p>
<p>In the words of <a class="term" href="g#t" data-means="all">the page</a>.</p></div>
<p><strong>Overview.</strong> First this.
Then <span class="math">\(x\)</span>.</p>
<div class="cell"><details>code</details><figure id="fig-a"><a class="image-reference" href="p.png">
<img src="p.png" alt="A curve that rises." style="width: 3px"></a>
<figcaption><p><span class="caption-number">Fig. 7.1 </span><span class="caption-text">It rises at \(x\)
for 1.5 and 2. Moments over <b>depth</b>.</span></p></figcaption></figure>
<p class="figure-files"><a href="a.svg">SVG</a></p></div>
<section id="s"><h2>The statement</h2>
<div class="proof theorem admonition" id="t"><p class="admonition-title">
<span class="caption-number">Theorem 7.1 </span> (One factor)</p>
<section id="proof-content"><p>By <a href="#d">that</a>.</p>
</section></div><div class="proof admonition" id="proof"><p>Proof. Long.</p></div></section>
<div class="verdict admonition"><p class="claim">B.</p>
<p><span class="badge-verdict">Reproduced</span></p></div>
<div class="verdict admonition"><p class="claim">C.</p><p><span class="badge-verdict">Exact</span></p></div>
<section id="w"><h2>What this shows, and what it does not</h2><p>It shows a.
It does not show b.</p>
<div class="exercise admonition" id="e"><p class="admonition-title">
<span class="caption-number">Exercise 7.1</span> (How)</p>
<section><p>Find it.</p></section></div>
<div class="solution admonition"><p>Secret.</p></div></section></section>"""


@pytest.fixture
def found():
    return list(slides(BeautifulSoup(PAGE, "html.parser"), "07_dropout.html"))


def test_the_order_is_that_of_a_talk_and_headings_say_the_message(found):
    assert [(slide.kind, slide.heading) for slide in found] == [
        ("title", "Dropout"),
        ("overview", "Overview"),
        ("verdict", "It is kept."),
        ("figure", "It rises at \\(x\\)\nfor 1.5 and 2"),
        ("statement", "Theorem 7.1. One factor"),
        ("verdict", "Claims and verdicts"),
        ("summary", "What this shows, and what it does not"),
        ("exercise", "Exercise 7.1. How"),
    ]


def test_proofs_solutions_code_and_files_stay_on_the_page(found):
    text = " ".join(slide.content for slide in found)
    assert not re.search(r"Proof|Secret|code|SVG|Ledger|id=|style=", text)


def test_what_a_slide_holds(found):
    by_kind = {slide.kind: slide.content for slide in found}
    assert (
        by_kind["overview"] == '<ul><li>First this.</li><li>Then <span class="math">\\(x\\)</span>.</li></ul>'
    )
    assert '<img src="p.png" alt="A curve that rises.">' in by_kind["figure"]
    assert "<strong>Fig. 7.1.</strong> Moments over <b>depth</b>." in by_kind["figure"]
    assert 'href="07_dropout.html#d"' in by_kind["statement"]
    assert by_kind["summary"].count("<li>") == 2
    [first, *others] = [slide.content for slide in found if slide.kind == "verdict"]
    assert "In the words of the page." in first
    assert others[0].count("<li>") == 2


def test_a_box_with_several_claims_lists_each_below_its_verdict():
    words = "<p>In the words of"
    second = '<p class="claim">It is lost.</p><p><b class="badge-verdict">Not reproduced</b><a>Ledger</a></p>'
    box = PAGE.replace(words, second + words)
    several = next(x for x in slides(BeautifulSoup(box, "html.parser"), "p.html") if x.kind == "verdict")
    assert several.heading == "Claims and verdicts"
    shown = BeautifulSoup(several.content, "html.parser")
    assert [item.get_text() for item in shown.select("li")] == [
        "ExactIt is kept.",
        "Not reproducedIt is lost.",
    ]
    assert shown.get_text().rstrip().endswith("In the words of the page.")
    assert "Ledger" not in several.content


def test_a_deck_has_unique_anchors_page_numbers_and_no_foreign_address(found):
    text = deck(found, "07_dropout", "The <book>", {"mathjax": {"tex": "</script>"}, "path": "m.js"})
    soup = BeautifulSoup(text, "html.parser")
    numbers = [tag.get_text() for tag in soup.select(".number")]
    assert numbers == [f"{k} / {len(found)}" for k in range(1, len(found) + 1)]
    ids = [tag["id"] for tag in soup.select("[id]")]
    assert len(ids) == len(set(ids))
    assert soup.title.get_text() == "Slides: Dropout"
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text)
    assert len(soup.select("script")) == 3


@pytest.mark.parametrize(
    ("text", "message", "rest"),
    [
        ("It rises. Then more. End.", "It rises", "Then more. End."),
        ("At 0.5 it rises: <i>A. B</i> too. Rest", "At 0.5 it rises: <i>A. B</i> too", "Rest"),
        ("Does it? Yes.", "Does it?", "Yes."),
        ("Alone", "Alone", ""),
    ],
)
def test_the_message_of_a_caption_is_its_first_sentence(text, message, rest):
    assert split_sentence(text) == (message, rest)


def test_a_build_writes_the_deck_and_links_to_it_from_its_page_and_from_prose(tmp_path):
    folder = tmp_path / "book" / "executed"
    folder.mkdir(parents=True)
    (tmp_path / "index.md").write_text("# A\n\nThe {slides}`01_page` and {slides}`02_gone`.\n")
    (folder / "01_page.md").write_text("# Page\n\n**Overview.** One.\nTwo.\n")
    settings = {"extensions": ["myst_nb", "sphinx.ext.mathjax", "fracrepro.workflow.slides"]}
    settings |= {"html_theme": "basic", "mathjax_path": "m.js", "mathjax3_config": {}}
    out, warnings = tmp_path / "out", io.StringIO()
    with patch_docutils(), docutils_namespace():
        Sphinx(tmp_path, None, out, out, "html", settings, status=None, warning=warnings).build()
    made = BeautifulSoup((out / "book/executed/01_page-slides.html").read_text(), "html.parser")
    assert [item.get_text() for item in made.select("li")] == ["One.", "Two."]
    page = BeautifulSoup((out / "book/executed/01_page.html").read_text(), "html.parser")
    assert page.select_one("p.page-slides a")["href"] == "01_page-slides.html"
    index = BeautifulSoup((out / "index.html").read_text(), "html.parser")
    links = [link["href"] for link in index.find_all("a", string="slides")]
    assert links[0] == "book/executed/01_page-slides.html"
    assert "slides: no page 02_gone" in warnings.getvalue()
    assert not list((out / "book").rglob("index-slides.html"))
