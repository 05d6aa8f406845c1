"""The ledger in the book: counts, rows with anchors, and boxes worded by it."""

import json
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from fracrepro.workflow.ledger import judged
from fracrepro.workflow.pages import bounded_zero

ROOT = Path(__file__).resolve().parents[2]
CLAIM = {
    "id": "product",
    "says": "The product `p` is what it is.",
    "source": "abstract",
    "kind": "identity",
    "margin": "within 1e-12 of 8",
    "verdict": "exact",
    "evidence": "01_good",
    "holds": {"error": "<= 1e-12", "seen": "is true"},
    "section": "proof",
    "values": {"error": 2.2e-16, "seen": True},
    "problem": "",
}
WEAKER = {**CLAIM, "id": "quotient", "verdict": "needs a condition", "section": "", "source": "derived here"}
PAGE = """# Good

```{verdict} product
The page's own words.
```

```{verdict} product quotient
```

(proof)=
## The proof
"""


LEDGER = "# Ledger\n\n```{ledger-counts}\n```\n\n```{ledger-filter}\n```\n\n```{ledger} abstract\n```\n"
INDEX = "# Index\n\n```{toctree}\nbook/claims\nbook/executed/01_good\n```\n"


@pytest.fixture
def built(tmp_path):
    """Returns a function that builds a book of two pages and gives them back, with the warnings."""

    def build(page=PAGE, ledger=LEDGER, claims=(CLAIM, WEAKER)):
        (tmp_path / "book" / "_generated").mkdir(parents=True)
        (tmp_path / "book" / "executed").mkdir()
        (tmp_path / "book" / "_generated" / "claims.json").write_text(json.dumps(claims))
        (tmp_path / "book" / "executed" / "01_good.md").write_text(page)
        (tmp_path / "book" / "claims.md").write_text(ledger)
        (tmp_path / "index.md").write_text(INDEX)
        warnings = (tmp_path / "warnings").open("w+")
        (tmp_path / "notebooks").mkdir()
        title = {"cell_type": "markdown", "source": ["# GOOD, in capitals\n"]}
        (tmp_path / "notebooks" / "01_good.ipynb").write_text(json.dumps({"cells": [title]}))
        options = {
            "extensions": ["myst_nb", "fracrepro.workflow.ledger"],
            "html_theme": "basic",
            "exclude_patterns": ["notebooks"],
        }
        out = tmp_path / "out"
        with patch_docutils(), docutils_namespace():
            app = Sphinx(
                tmp_path, None, out, out, "html", options, status=None, warning=warnings, freshenv=True
            )
            app.build()
        warnings.seek(0)
        soups = [
            BeautifulSoup((out / "book" / name).read_text(), "html.parser").select_one("div.body")
            for name in ("executed/01_good.html", "claims.html")
        ]
        return *soups, warnings.read()

    return build


def test_a_box_has_the_words_of_the_ledger_and_the_colour_of_the_weakest_verdict(built):
    page, _, warnings = built()
    assert warnings == ""
    one, two = page.select("div.admonition.verdict")
    assert {"verdict-exact"} < set(one["class"])
    assert "verdict-needs-a-condition" in two["class"]
    assert one.p.get_text() == "Claim and verdict"
    assert one.select_one("p.claim").get_text() == "The product p is what it is."
    assert [badge.get_text() for badge in two.select(".badge-verdict")] == ["Exact", "Needs a condition"]
    assert one.a["href"] == "../claims.html#claim-product"
    assert "own words." in one.get_text()


def test_a_row_has_an_anchor_and_leads_to_the_section_that_proves_it(built):
    page, ledger, _ = built()
    counts, rows = ledger.select("table")
    assert [cell.get_text() for cell in counts.select("th")] == [
        "verdict",
        "claims",
        "The abstract",
        "Derived here",
    ]
    assert [[cell.get_text() for cell in row.select("td")] for row in counts.select("tbody tr")] == [
        ["Exact", "1", "1", "0"],
        ["Needs a condition", "1", "0", "1"],
    ]
    [row] = rows.select("tbody tr")
    assert row["id"] == "claim-product"
    assert row.a["href"] == "executed/01_good.html#proof"
    assert row.a.get_text() == "page 01, GOOD, in capitals"
    assert page.select("#proof")
    assert [item.get_text() for item in row.select("li")] == [
        "error is below 10⁻¹⁵; it must be at most 10⁻¹²",
        "seen is yes; it must be yes",
    ]


def test_a_row_says_by_what_it_is_found_and_a_count_leads_to_its_rows(built):
    _, ledger, warnings = built()
    assert warnings == ""
    counts, rows = ledger.select("table")
    [row] = rows.select("tbody tr")
    assert {"in-verdict-exact", "in-source-abstract", "in-page-01_good"} <= set(row["class"])
    assert [link["href"] for link in counts.select("tbody tr")[0].select("a")] == [
        "claims.html?verdict=exact#filter",
        "claims.html?verdict=exact&source=abstract#filter",
    ]


def test_the_fields_offer_what_claims_have_and_stay_hidden_without_scripts(built):
    other = {**CLAIM, "id": "none", "verdict": "not derivable here", "evidence": "", "holds": {}}
    other |= {"source": "another paper", "paper": "", "section": ""}
    _, ledger, _ = built(claims=(CLAIM, WEAKER, other))
    form = ledger.select_one("form")
    assert form.has_attr("hidden")
    offered = {
        field["name"]: [option["value"] for option in field.select("option")] for field in form("select")
    }
    assert offered == {
        "page": ["", "01_good", "none"],
        "source": ["", "abstract", "derived-here", "another-paper"],
        "verdict": ["", "exact", "needs-a-condition", "not-derivable-here"],
    }
    assert all(field.find_parent("label") for field in form.select("select, input"))


def test_the_script_is_loaded_with_the_fields_and_nowhere_else(built, tmp_path):
    built()
    pages = {
        path: (tmp_path / "out" / "book" / path).read_text()
        for path in ("claims.html", "executed/01_good.html")
    }
    assert ["ledger.js" in text for text in pages.values()] == [True, False]


def test_a_badge_is_the_weakest_verdict_with_a_link_to_its_row(built):
    page, _, warnings = built(page="# Good\n\nIt is {badge}`product` or {badge}`quotient product`.\n")
    assert "no claim" not in warnings
    assert [(link["href"], link.get_text()) for link in page.select("p a:has(.badge-verdict)")] == [
        ("../claims.html#claim-product", "Exact"),
        ("../claims.html#claim-quotient", "Needs a condition"),
    ]


def test_an_unknown_claim_and_an_unknown_source_are_named(built):
    _, _, warnings = built(
        page="# Good\n\n```{verdict} produkt\n```\n\n{badge}`quotent`\n",
        ledger="# Ledger\n\n```{ledger} hearsay\n```\n",
    )
    assert "no claim produkt in book/claims.yml" in warnings
    assert "no claim quotent in book/claims.yml" in warnings
    assert "'hearsay' is none of abstract" in warnings


@pytest.mark.parametrize(
    ("value", "condition", "expected"),
    [
        (0.0, "<= 1e-15", "is 0 exactly; it must be at most 10⁻¹⁵"),
        (-0.5, "<= 0", "is −0.5; it must not be above 0"),
        (-0.00123, "< 0", "is −0.00123; it must be below 0"),
        (1e-7, ">= 1e-8", "is 10⁻⁷; it must be at least 10⁻⁸"),
        (8, "== 8", "is 8; it must be equal to 8"),
        (False, "is false", "is no; it must be no"),
        (None, "is true", "is –; it must be yes"),
    ],
)
def test_conditions_in_words(value, condition, expected):
    assert judged(value, condition) == expected


@pytest.mark.parametrize(
    ("before", "kind", "expected"),
    [
        ("deviates by at most\n", "error", ("deviates by at most\n", "10⁻¹⁶")),
        ("equal up to ", "error", ("equal up to ", "10⁻¹⁶")),
        ("the gap is ", "error", ("the gap is ", "exactly 0")),
        ("of them at most ", "count", ("of them ", "none")),
        ("with p ", "probability", ("with p ", "below 10⁻³⁰⁰")),
        ("at most ", "measure", ("at most ", "0")),
    ],
)
def test_no_sentence_says_at_most_zero_of_an_error(before, kind, expected):
    assert bounded_zero(before, kind) == expected


def test_a_margin_leads_to_another_row(built):
    row = {**CLAIM, "margin": "as in another row ({badge}`quotient`)"}
    _, ledger, warnings = built(claims=(row, WEAKER))
    assert warnings == ""
    [link] = ledger.select("tr#claim-product a[href$='#claim-quotient']")
    assert link.get_text() == "Needs a condition"
