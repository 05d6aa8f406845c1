"""The glossary: its tables, and links from the first use of a word or a symbol on a page."""

import pytest
from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from fracrepro.errors import ArgumentError
from fracrepro.workflow.glossary import load

GLOSSARY = r"""
- symbol: s
  means: "The order."
  code: s
- symbol: \sigma^2(s, d)
  means: "The critical variance."
- symbol: q
  means: "Said on page 02 only."
  only: ["02"]
- word: tail
  means: "What is far out."
- word: tail index
  also: [tail indices]
  means: 'The "power" of a tail.'
- word: layer
  means: "Not on page 01."
  except: ["01"]
"""
PAGE = r"""# The tail index of a layer

`tail index`, [the tail index](https://example.org), and

```text
tail index
```

## On tail index and $s$

The Tail
index of order $s$ and $\sigma^2(s, d)$: the tail of $q$, an entail-index in a layer.
A second tail index of order $s$, and a tail.
"""


@pytest.fixture
def built(tmp_path):
    """Returns a function that builds a book with two executed pages and gives them back with the glossary."""

    def build(text=PAGE):
        (tmp_path / "book" / "executed").mkdir(parents=True)
        (tmp_path / "book" / "glossary.yml").write_text(GLOSSARY)
        tables = "\n\n".join(f"```{{glossary-table}} {kind}\n```" for kind in ("symbols", "words"))
        (tmp_path / "book" / "glossary.md").write_text(f"# Glossary\n\n{tables}\n\nA tail index.\n")
        for name in ("01_one", "02_two"):
            (tmp_path / "book" / "executed" / f"{name}.md").write_text(text)
        names = "\n".join(("book/glossary", "book/executed/01_one", "book/executed/02_two"))
        (tmp_path / "index.md").write_text(f"# Index\n\n```{{toctree}}\n{names}\n```\n")
        extensions = ["myst_nb", "sphinx_proof", "fracrepro.workflow.glossary"]
        options = {"extensions": extensions, "html_theme": "basic", "myst_enable_extensions": ["dollarmath"]}
        out, warnings = tmp_path / "out", (tmp_path / "warnings").open("w+")
        with patch_docutils(), docutils_namespace():
            Sphinx(tmp_path, None, out, out, "html", options, status=None, warning=warnings).build()
        warnings.seek(0)
        assert warnings.read() == ""
        pages = ("executed/01_one", "executed/02_two", "glossary")
        return [BeautifulSoup((out / "book" / f"{name}.html").read_text(), "html.parser") for name in pages]

    return build


def links(soup):
    return [
        (" ".join(link.get_text().split()), link["href"], link["data-means"])
        for link in soup.select("a.term")
    ]


def test_the_first_use_in_a_sentence_is_a_link_with_the_meaning(built):
    one, two, _ = built()
    assert links(one) == [
        ("Tail index", "../glossary.html#word-tail-index", 'The "power" of a tail.'),
        (r"\(s\)", "../glossary.html#symbol-s", "The order."),
        (r"\(\sigma^2(s, d)\)", "../glossary.html#symbol-sigma-2-s-d", "The critical variance."),
        ("tail", "../glossary.html#word-tail", "What is far out."),
    ]
    added = {target for _, target, _ in links(two)} - {target for _, target, _ in links(one)}
    assert added == {"../glossary.html#symbol-q", "../glossary.html#word-layer"}


def test_no_link_stands_in_a_heading_in_code_or_in_another_link(built):
    one, _, _ = built()
    for link in one.select("a.term"):
        assert link.find_parent(["h1", "h2", "code", "pre"]) is None
        assert link.find_parent("a") is None
    assert not one.select("a.term a")


def test_every_entry_has_an_anchor_that_its_links_lead_to(built):
    one, two, glossary = built()
    anchors = [row["id"] for row in glossary.select("tbody tr")]
    assert len(anchors) == len(set(anchors)) == 6
    for soup in (one, two):
        assert {target.partition("#")[2] for _, target, _ in links(soup)} <= set(anchors)
    assert not glossary.select("a.term"), "the glossary does not lead to itself"


def test_words_stand_in_alphabetical_order_and_pages_without_zeros(built):
    _, _, glossary = built()
    symbols, words = (
        [[cell.get_text().strip() for cell in row.select("td")] for row in table.select("tbody tr")]
        for table in glossary.select("table")
    )
    assert [row[0] for row in words] == ["layer", "tail", "tail index"]
    assert symbols[2][1].endswith("On page 2.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("word: x", "need a list"),
        ("- word: x", "means is missing"),
        ("- means: x", "need a symbol or a word"),
        ("- {word: x, symbol: y, means: z}", "need a symbol or a word"),
        ("- {word: x, meaning: y}", "need a symbol or a word"),
        ("- {word: x, means: y, also: z}", "also = 'z': need a list"),
        ("- {word: x, means: 3}", "means = 3: need text"),
        ("- {word: x y, means: z}\n- {word: x-y, means: z}", "word-x-y comes twice"),
    ],
)
def test_a_malformed_entry_is_named(tmp_path, text, message):
    path = tmp_path / "glossary.yml"
    path.write_text(text)
    with pytest.raises(ArgumentError, match=message):
        load(path)


def test_no_glossary_is_no_error(tmp_path):
    assert load(tmp_path / "glossary.yml") == []
