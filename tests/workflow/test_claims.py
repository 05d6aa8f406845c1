"""The ledger: a verdict stands only on evidence that exists, is current, and does not contradict it."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from fracrepro.workflow import claims, notebooks
from fracrepro.workflow.cli import main
from fracrepro.workflow.project import Project

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    "id": "product",
    "says": "The product is what it is.",
    "source": "abstract",
    "kind": "identity",
    "margin": "Exact.",
    "verdict": "exact",
    "evidence": "01_good",
    "holds": {"product": "== 8"},
}
OPEN = {**GOOD, "id": "open", "verdict": "not attempted", "evidence": "", "holds": {}}


@pytest.fixture
def ledger(project):
    """Returns a function that declares claims and gives back the exit code and the JSON of the command."""
    (project.root / "book").mkdir()

    def judged(*entries):
        (project.root / "book" / "claims.yml").write_text(yaml.safe_dump(list(entries)))
        result = CliRunner().invoke(main, ["claims", "--json", "--profile", "quick"])
        return result.exit_code, json.loads(result.stdout) if result.stdout else result.stderr

    return judged


@pytest.fixture
def evidence(project):
    notebooks.run(project, ["01_good"], profile="quick")  # reports product = 8.0


def test_a_verdict_stands_on_current_evidence(ledger, evidence):
    code, [entry, other] = ledger(GOOD, OPEN)
    assert code == 0
    assert entry["values"] == {"product": 8.0}
    assert entry["problem"] == other["problem"] == ""
    assert set(entry) >= {"id", "says", "source", "kind", "margin", "verdict", "evidence", "values"}


@pytest.mark.parametrize(
    ("holds", "problem"),
    [
        ({"product": "> 8"}, "contradicts"),
        ({"product": "is true"}, "contradicts"),
        ({"kind": "<= 1"}, "contradicts"),
        ({"quotient": "> 0"}, "reports no quotient"),
    ],
)
def test_a_contradicted_or_missing_value_fails(ledger, evidence, holds, problem):
    code, [entry] = ledger({**GOOD, "holds": holds})
    assert code == 1
    assert problem in entry["problem"]


def test_no_run_is_no_evidence(ledger):
    code, [entry] = ledger(GOOD)
    assert code == 1
    assert "has not been run" in entry["problem"]


def test_evidence_older_than_its_notebook_fails(ledger, evidence, project):
    path = project.notebook_path("01_good")
    path.write_text(path.read_text().replace("import os", "import os  # changed"))
    code, [entry] = ledger(GOOD)
    assert code == 1
    assert "older" in entry["problem"]


@pytest.mark.parametrize(
    "change",
    [
        {"source": "hearsay"},
        {"kind": "opinion"},
        {"verdict": "true"},
        {"holds": {"product": "about 8"}},
        {"holds": {}, "evidence": ""},
        {"verdict": "not attempted"},
        {"verdict": "not derivable here"},
        {"verdict": "not derivable here", "evidence": "", "holds": {}, "margin": ""},
        {"source": "another paper"},
        {"paper": "he2015"},
        {"surprise": 1},
    ],
)
def test_a_malformed_claim_is_refused(ledger, evidence, change):
    code, message = ledger({**GOOD, **change})
    assert code == 2
    assert len(message.strip().splitlines()) == 1


def test_what_another_paper_states_may_be_out_of_reach(ledger, evidence):
    beyond = {**OPEN, "verdict": "not derivable here", "source": "another paper", "paper": "he2015"}
    code, [entry] = ledger({**beyond, "margin": "Its proof needs an oracle."})
    assert code == 0
    assert (entry["paper"], entry["values"]) == ("he2015", {})


def test_two_claims_cannot_share_an_id(ledger, evidence):
    code, message = ledger(GOOD, GOOD)
    assert code == 2
    assert "product is declared twice" in message


@pytest.mark.parametrize(
    ("value", "condition", "expected"),
    [
        (1e-13, "<= 1e-12", True),
        (1e-11, "<= 1e-12", False),
        (-2, "< -1.5", True),
        (3, ">= 3", True),
        (True, "is true", True),
        (True, "is false", False),
        (1, "is true", False),
        (True, "== 1", False),
        ("8", "== 8", False),
    ],
)
def test_conditions(value, condition, expected):
    assert claims.holds(value, condition) is expected


def test_the_declared_claims_cover_the_abstract_and_name_existing_notebooks():
    declared = claims.load(ROOT / "book" / "claims.yml")
    names = Project(ROOT).notebook_names()
    assert {claim.evidence for claim in declared if claim.evidence} <= set(names)
    assert sum(claim.source == "abstract" for claim in declared) >= 12
    assert {claim.source for claim in declared} == set(claims.SOURCES)


def test_the_readme_shows_the_declared_verdicts():
    assert claims.readme_table(Project(ROOT)) in (ROOT / "README.md").read_text()
