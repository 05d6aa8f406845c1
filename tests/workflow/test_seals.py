"""Seals: what was edited after it was made is evidence no more, and the file is named."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from fracrepro.workflow import notebooks
from fracrepro.workflow.cli import main

from .conftest import code, notebook

CLAIM = {
    "id": "product",
    "says": "The product is what it is.",
    "source": "abstract",
    "kind": "identity",
    "margin": "Exact.",
    "verdict": "exact",
    "evidence": "01_good",
    "holds": {"product": "<= 9"},
}


_MADE = {}  # what a kernel made of a source: seconds, and the same for every test


def executed(project):
    """Put the executed page of 01_good in its place."""
    source = project.notebook_path("01_good").read_text()
    paths = [project.executed / f"01_good.{ending}" for ending in ("ipynb", "json")]
    if source not in _MADE:
        [outcome] = notebooks.run(project, ["01_good"], profile="quick", force=True)
        assert outcome.error == ""
        _MADE[source] = [path.read_bytes() for path in paths]
    project.executed.mkdir(exist_ok=True)
    for path, content in zip(paths, _MADE[source], strict=True):
        path.write_bytes(content)


@pytest.fixture
def judged(project):
    """A page that was executed, a claim on it, and a function that returns exit code and problem."""
    (project.root / "book").mkdir()
    (project.root / "book" / "claims.yml").write_text(yaml.safe_dump([CLAIM]))
    executed(project)

    def judge():
        result = CliRunner().invoke(main, ["claims", "--json", "--profile", "quick"])
        return result.exit_code, json.loads(result.stdout)[0]["problem"]

    return judge


def scaled(record):
    """What the attack did: every number × 1.001."""
    values = {
        key: value * 1.001 if isinstance(value, float) else value for key, value in record["values"].items()
    }
    return record | {"values": values}


def edit(path, change):
    content = json.loads(path.read_text())
    path.write_text(json.dumps(change(content), indent=1))


def in_metadata(change):
    def edited(page):
        return page | {"metadata": page["metadata"] | {"fracrepro": change(page["metadata"]["fracrepro"])}}

    return edited


def with_other_output(page):
    text = json.dumps(page["cells"]).replace("'relu'", "'tanh'")
    assert text != json.dumps(page["cells"])
    return page | {"cells": json.loads(text)}


def without_last_cell(page):
    return page | {"cells": page["cells"][:-1]}


@pytest.mark.parametrize(
    ("record", "page", "problem"),
    [
        (scaled, None, "01_good.json was edited"),
        (None, in_metadata(scaled), "01_good.ipynb was edited or is of another run"),
        (scaled, in_metadata(scaled), "01_good.json was edited"),
        (lambda r: r | {"seed": 7}, in_metadata(lambda r: r | {"seed": 7}), "01_good.json was edited"),
        (
            lambda r: {k: v for k, v in r.items() if k != "content"},
            in_metadata(lambda r: {k: v for k, v in r.items() if k != "content"}),
            "an older version made it",
        ),
        (None, with_other_output, "01_good.ipynb was edited"),
        (None, without_last_cell, "01_good.ipynb was edited"),
    ],
)
def test_an_edited_page_or_record_is_not_current_and_named(project, judged, record, page, problem):
    assert judged() == (0, "")
    for change, path in (
        (record, project.executed / "01_good.json"),
        (page, project.executed / "01_good.ipynb"),
    ):
        if change:
            edit(path, change)
    code, found = judged()
    assert code == 1
    assert problem in found
    assert not notebooks.plan(project, "01_good", "quick").is_current(project.executed)


def test_an_edited_page_is_executed_again(project, judged):
    assert notebooks.run(project, ["01_good"], profile="quick") == []  # unchanged
    edit(project.executed / "01_good.json", scaled)
    [outcome] = notebooks.run(project, ["01_good"], profile="quick")
    assert outcome.error == ""
    assert judged() == (0, "")


def test_white_space_and_the_order_of_keys_are_no_edit(project, judged):
    for name in ("01_good.json", "01_good.ipynb"):
        path = project.executed / name
        content = json.loads(path.read_text())
        path.write_text(json.dumps(dict(reversed(content.items())), indent=3))
    assert judged() == (0, "")


@pytest.mark.parametrize("name", ["01_good.json", "01_good.ipynb"])
@pytest.mark.parametrize("content", ["", "{", "null", "[]", '{"values": 3}', "[" * 10_000])
def test_a_damaged_page_or_record_is_named(project, judged, name, content):
    (project.executed / name).write_text(content)
    code, problem = judged()
    assert code == 1
    assert name in problem
    assert "run 01_good again" in problem
    assert len(problem.splitlines()) == 1


READS = notebook(
    code("width: int = 8  # neurons, in [1, 9]", "parameters"),
    code("from fracrepro.workflow import report\nreport(product=1.0 * width)"),
    fracrepro={"recorded": ["mnist"]},
)


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("mnist.csv", lambda text: text.replace("0.9", "0.8", 1), "mnist.csv was edited: expected sha256"),
        ("mnist.json", lambda text: text.replace('"wall_seconds": 2', '"wall_seconds": 1'), "mnist.json was"),
        ("mnist.json", lambda text: text.replace('"content"', '"contents"'), "mnist.json was edited"),
        ("mnist.json", lambda text: text[:-20], "mnist.json: not valid JSON"),
    ],
)
def test_an_edited_recorded_experiment_is_named_by_the_ledger(project, judged, name, change, problem):
    (project.notebooks / "01_good.ipynb").write_text(READS)
    project.recorded.mkdir()
    for path in (Path(__file__).resolve().parents[2] / "recorded").glob("mnist.*"):
        shutil.copy(path, project.recorded)
    executed(project)
    assert judged() == (0, "")
    path = project.recorded / name
    text = path.read_text()
    path.write_text(change(text))
    assert path.read_text() != text
    code, found = judged()
    assert code == 1
    assert problem in found


def test_a_record_that_is_not_of_its_plan_is_named_by_the_ledger(project, judged):
    (project.notebooks / "01_good.ipynb").write_text(READS)
    project.recorded.mkdir()
    for path in (Path(__file__).resolve().parents[2] / "recorded").glob("mnist.*"):
        shutil.copy(path, project.recorded)
    executed(project)
    assert judged() == (0, "")  # the record has no plan, and needs none
    project.plans.mkdir()
    (project.plans / "mnist.yml").write_text("question: Written afterwards?\n")
    code, found = judged()
    assert code == 1
    assert "mnist.json: was not recorded under mnist.yml" in found
