"""The findings of landing page and README: verdicts grouped by data set, and what is refused."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from fracrepro.errors import ArgumentError
from fracrepro.workflow import findings
from fracrepro.workflow.cli import main
from fracrepro.workflow.project import Project

CLAIM = """
- id: {name}
  says: "{says}"
  source: derived here
  kind: identity
  margin: "within 1e-12"
  verdict: {verdict}
  evidence: {page}
  holds: {{error: "<= 1e-12"}}
"""
ROWS = (
    ("one", "It is so (MNIST).", "not reproduced", "09_mnist"),
    ("two", "It is so (CIFAR-10).", "reproduced", "10_cifar10"),
    ("three", "It is so (CIFAR-10).", "exact", "10_cifar10"),
    ("four", "It is so.", "exact", "02_moment"),
)


@pytest.fixture
def small(tmp_path):
    """Returns a function that makes a project with four claims and the findings given as text."""

    def make(text):
        (tmp_path / "book").mkdir()
        rows = (dict(zip(("name", "says", "verdict", "page"), row, strict=True)) for row in ROWS)
        (tmp_path / "book" / "claims.yml").write_text("".join(CLAIM.format(**row) for row in rows))
        if text is not None:
            (tmp_path / "book" / "findings.yml").write_text(text)
        return Project(tmp_path)

    return make


def entry(ids, **more):
    fields = {"question": "Is it?", "claims": f"[{ids}]", "plain": "It is."} | more
    return "- " + "\n  ".join(f"{name}: {value}" for name, value in fields.items())


def test_data_sets_are_named_where_a_row_covers_several(small):
    [finding] = findings.load(small(entry("two, one, three")))
    line = "- Is it? **MNIST: not reproduced; CIFAR-10: exact, reproduced.** It is."
    assert findings.as_list([finding]) == line
    cells = findings.as_table([finding]).splitlines()[-2].split(" | ")
    assert cells[0] == "| Is it?<br>MNIST: {badge}`one`<br>CIFAR-10: {badge}`three` {badge}`two`"
    assert cells[2] == "{doc}`executed/09_mnist`, {doc}`executed/10_cifar10` |"


def test_one_verdict_stands_alone_and_the_answer_goes_to_the_landing_page(small):
    project = small(entry("four", answer='"It is {glue:text}`x:d`."'))
    assert findings.as_list(findings.load(project)) == "- Is it? **Exact.** It is."
    findings.write(project)
    table = (project.root / "book" / "_generated" / "findings.md").read_text()
    assert "| Is it? {badge}`four` | It is {glue:text}`x:d`. | {doc}`executed/02_moment` |" in table


def test_a_project_without_findings_gets_none(small):
    project = small(None)
    findings.write(project)
    findings.update_readme(project)
    assert not (project.root / "book" / "_generated").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("one: two", "need a list"),
        ("- one", "need a mapping"),
        (entry("five"), "no claim 'five'"),
        (entry(""), "need a list of ids"),
        (entry("four", plain="'{glue:text}`x`'"), "without quoted numbers"),
        (entry("four", question="'a | b'"), "one line of text"),
        (entry("four", plain="3"), "one line of text"),
        (entry("four", verdict="exact"), "field of a finding"),
    ],
)
def test_a_malformed_entry_is_refused_with_its_file(text, message, small):
    with pytest.raises(ArgumentError, match=message) as caught:
        findings.load(small(text))
    assert "findings.yml" in str(caught.value)


def test_a_readme_without_the_marks_is_not_rewritten(small, monkeypatch):
    project = small(entry("four"))
    readme = Path(project.root / "README.md")
    readme.write_text("<!-- claims -->\n<!-- end of claims -->\n")
    with pytest.raises(ArgumentError, match="<!-- findings -->"):
        findings.update_readme(project)
    readme.write_text(readme.read_text() + "<!-- findings -->\nold\n<!-- end of findings -->\n")
    findings.update_readme(project)
    assert "<!-- findings -->\n- Is it? **Exact.** It is.\n<!-- end of findings -->" in readme.read_text()


def test_the_command_says_what_it_rewrites():
    assert "claims and findings" in CliRunner().invoke(main, ["claims", "--help"]).output
