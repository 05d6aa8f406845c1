"""A verdict is per claim, the same on landing page, README, pages and ledger, and names its data sets."""

import json
import re
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

from fracrepro.workflow import findings, site
from fracrepro.workflow.claims import VERDICTS
from fracrepro.workflow.project import Project

ROOT = Path(__file__).resolve().parents[2]
CLAIMS = {row["id"]: row for row in yaml.safe_load((ROOT / "book" / "claims.yml").read_text())}
FINDINGS = yaml.safe_load((ROOT / "book" / "findings.yml").read_text())
WORDS = {name: row["verdict"] for name, row in CLAIMS.items()}
README = (ROOT / "README.md").read_text()


def between(text, begin, end):
    return text.partition(f"<!-- {begin} -->\n")[2].partition(f"\n<!-- {end} -->")[0].splitlines()


def said(label, words):
    """Verdict words in a piece of text, longest first, as (label, word)."""
    pattern = "|".join(sorted(map(re.escape, VERDICTS), key=len, reverse=True))
    return {(label, word) for word in re.findall(pattern, words.lower())}


def declared(ids, words):
    """The pairs of data sets and verdict that a row about these claims must show."""
    named = {
        name: [each for each in ("MNIST", "CIFAR-10", "digits") if each in CLAIMS[name]["says"]]
        for name in ids
    }
    kinds = {tuple(each) for each in named.values()}
    several = len(kinds) > 1 or any(len(each) > 1 for each in kinds)
    return {(" and ".join(named[name]) if several else "", words[name]) for name in ids}


def shown(text):
    """The pairs of data sets and verdict in the words of a row: 'MNIST: reproduced; CIFAR-10: exact'."""
    result = set()
    for part in re.split(r";|(?<!and )(?=CIFAR-10:)", text):
        label, colon, words = part.rpartition(":")
        result |= said(label.strip() if colon else "", words)
    return result


def wrong_in_readme(text, words):
    """What the README says of a verdict and the ledger does not: in its list, then in its table."""
    bullets = between(text, "findings", "end of findings")
    found = [
        entry["question"]
        for entry, line in zip(FINDINGS, bullets, strict=True)
        if not line.startswith(f"- {entry['question']} **")
        or shown(line.split("**")[1]) != declared(entry["claims"], words)
    ]
    rows = dict(line.strip("| ").split(" | ") for line in between(text, "claims", "end of claims")[2:])
    table = {row["says"]: f"**{words[name]}**" for name, row in CLAIMS.items() if row["source"] == "abstract"}
    return found + sorted(says for says in rows.keys() | table.keys() if rows.get(says) != table.get(says))


def wrong_badges(html, words):
    """The claims whose badge, linked to the ledger, says another word than the ledger does."""
    found = []
    for badge in BeautifulSoup(str(html), "html.parser").select(".badge-verdict"):
        link = badge.find_parent("a") or badge.parent.find("a", href=re.compile("#claim-"))
        name = link["href"].partition("#claim-")[2]
        if badge.get_text().lower() != words[name]:
            found.append(name)
    return found


def wrong_on_landing_page(html, words):
    rows = BeautifulSoup(str(html), "html.parser").select("table")[0].select("tbody tr")
    cells = [
        [cell.get_text().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'") for cell in row("td")]
        for row in rows
    ]
    return [
        entry["question"]
        for entry, (first, *_) in zip(FINDINGS, cells, strict=True)
        if not first.startswith(entry["question"])
        or shown(first.removeprefix(entry["question"])) != declared(entry["claims"], words)
    ]


def typed_on_pages():
    """Verdicts that a page types in bold instead of taking them from the ledger: page and word."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text())["cells"]:
            if cell["cell_type"] == "markdown":
                for bold in re.findall(r"\*\*([^*]*[Vv]erdict[^*:]*:[^*]*)\*\*", "".join(cell["source"])):
                    for _, word in said("", bold.rpartition(":")[2]):
                        yield path.stem, word


def changed(name):
    """The verdicts with another one for one claim."""
    return WORDS | {name: "not attempted"}


def test_the_readme_says_the_verdicts_of_the_ledger():
    assert wrong_in_readme(README, WORDS) == []
    assert findings.as_list(findings.load(Project(ROOT))) in README


@pytest.mark.parametrize("name", sorted({name for entry in FINDINGS for name in entry["claims"]}))
def test_a_changed_verdict_is_seen_in_the_readme(name):
    assert wrong_in_readme(README, changed(name))


def test_the_landing_page_says_the_verdicts_of_the_ledger(book):
    html = (book.site / "book" / "index.html").read_text()
    article = BeautifulSoup(html, "html.parser").select_one("article")
    assert wrong_on_landing_page(article, WORDS) == []
    assert wrong_badges(article, WORDS) == []
    for entry in FINDINGS:
        assert wrong_on_landing_page(article, changed(entry["claims"][0])) != []


def test_the_boxes_of_every_page_say_the_verdicts_of_the_ledger(book):
    count = 0
    for name in site.toc_notebooks(book.project):
        html = (book.site / "book" / "executed" / f"{name}.html").read_text()
        boxes = BeautifulSoup(html, "html.parser").select("article div.verdict:has(.badge-verdict)")
        assert [wrong for box in boxes for wrong in wrong_badges(box, WORDS)] == [], name
        for box in boxes:
            linked = box.select_one("a[href*='#claim-']")["href"].partition("#claim-")[2]
            assert wrong_badges(box, changed(linked)) == [linked]
            count += 1
    assert count > 0


def test_a_verdict_that_a_page_types_is_one_of_its_claims():
    """The control: the word of another verdict is none of them."""
    of_page = {}
    for row in CLAIMS.values():
        of_page.setdefault(row.get("evidence"), set()).add(row["verdict"])
    assert [pair for pair in typed_on_pages() if pair[1] not in of_page[pair[0]]] == []
    assert "not attempted" not in of_page["02_moment_preservation"]


def test_every_claim_of_the_abstract_has_a_place_on_the_landing_page():
    listed = [name for entry in FINDINGS for name in entry["claims"]]
    assert len(listed) == len(set(listed))
    assert {name for name, row in CLAIMS.items() if row["source"] == "abstract"} <= set(listed)


def test_no_answer_has_a_verdict_of_its_own():
    for entry in FINDINGS:
        text = " ".join(entry.get(field, "") for field in ("plain", "answer"))
        assert not said("", text), entry["question"]
        assert "**" not in text, entry["question"]


# Reported values that come from a recorded experiment, by page and name.
RECORDS = {
    "MNIST": [
        ("09_mnist", r"(record|late|sweep)_"),
        ("10_cifar10", r"mnist_"),
        ("17_related_theory", r"runs_"),
        ("18_what_the_order_changes", r"(share|epochs|accuracy|search)_"),
    ],
    "CIFAR-10": [
        ("10_cifar10", r"(record|late|curve|confirm)_"),
        ("17_related_theory", r"runs_"),
        ("18_what_the_order_changes", r"mechanism_"),
    ],
}


def unnamed(row):
    """The data sets whose recorded runs decide on a claim that does not name them."""
    return [
        data
        for data, places in RECORDS.items()
        for page, pattern in places
        if row.get("evidence") == page
        and any(re.match(pattern, name) for name in row["holds"])
        and data not in row["says"]
    ]


def test_a_claim_names_every_data_set_that_decides_on_it():
    assert {name: unnamed(row) for name, row in CLAIMS.items() if unnamed(row)} == {}
    both = [
        name for name, row in CLAIMS.items() if {"MNIST", "CIFAR-10"} <= set(findings.data_sets(row["says"]))
    ]
    assert set(both) >= {"early-lead-in-training-loss", "related-spread-of-runs"}
    for name in both:
        silent = CLAIMS[name] | {"says": CLAIMS[name]["says"].replace("MNIST", "images")}
        assert unnamed(silent) == ["MNIST"]
