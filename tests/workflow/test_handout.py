"""What is handed out: a page without solutions, and a sheet that goes back into the check.

`tests/book/test_bare_wheel.py` makes both from a wheel alone; the page is stubbed here, since Sphinx is slow.
"""

import json
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from fracrepro.errors import MissingPackageError
from fracrepro.workflow import exercises, handout, standalone
from fracrepro.workflow.cli import main
from fracrepro.workflow.project import ENVIRONMENT_VARIABLE, Project

ROOT = Path(__file__).resolve().parents[2]
KEY = """
ex-one: {page: 01_page, level: 2, goal: count, ask: how many $n$., answer: 3}
ex-two: {page: 01_page, level: 3, goal: prove it}
ex-other: {page: 02_other, level: 1, goal: see, ask: yes or no, answer: "yes"}
"""
PAGES = {
    "01_page": "# A page\n\n"
    "```{exercise} How many?\n:label: ex-one\n\n*Level 2. Goal: count.*\n\nCount $x$.\n```\n\n"
    "```{solution} ex-one\n:class: dropdown\n\nSecret.\n```\n\n"
    "````{exercise} Proof\n:label: ex-two\n\n```python\ncode\n```\n````\n",
    "02_other": "# Other\n\n```{exercise} See\n:label: ex-other\n\nLook at {prf:ref}`thm-x`.\n```\n",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    root = tmp_path / "project"
    (root / "notebooks").mkdir(parents=True)
    (root / "book").mkdir()
    (root / "notebooks" / "profiles.yml").write_text("book: {}\n")
    (root / "book" / "exercises.yml").write_text(KEY)
    for name, text in PAGES.items():
        cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": text}
        notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        (root / "notebooks" / f"{name}.ipynb").write_text(json.dumps(notebook))
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(root))
    monkeypatch.setattr(standalone, "from_text", lambda project, name, text, note, style: f"{note}\n{text}")
    return Project(root)


def handed_out(tmp_path, *names):
    result = CliRunner().invoke(main, ["handout", *names, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert (
        result.stdout
        == f"wrote {tmp_path / 'out' / 'exercises.html'}\nwrote {tmp_path / 'out' / 'answers.yml'}\n"
    )
    return [(tmp_path / "out" / name).read_text() for name in (handout.PAGE, handout.SHEET)]


def test_the_page_has_statements_with_level_and_goal_and_no_solutions(project, tmp_path):
    page, _ = handed_out(tmp_path)
    assert "Secret" not in page
    assert "{solution" not in page
    boxes = re.findall(r"^`{5}\{exercise\} (.*?)^`{5}$", page, flags=re.M | re.S)
    assert [box.splitlines()[0] for box in boxes] == ["How many?", "Proof", "See"]
    for level, goal, box in zip((2, 3, 1), ("count", "prove it", "see"), boxes, strict=True):
        assert box.count(f"*Level {level}. Goal: {goal}.*") == 1
    assert "Answer: how many $n$. Label: `ex-one`." in page
    assert "To be handed in on paper. Label: `ex-two`." in page
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## Page 01, “A page”",
        "## Page 02, “Other”",
    ]


def test_the_sheet_has_a_line_for_each_answer_that_can_be_checked(project, tmp_path):
    _, sheet = handed_out(tmp_path)
    assert yaml.safe_load(sheet) == {"name": None, "ex-one": None, "ex-other": None}
    assert "# “How many?”, level 2: how many n\nex-one:\n" in sheet
    assert "# “Proof”, level 3: on paper, under ex-two\n" in sheet
    assert max(map(len, sheet.splitlines())) <= 110


def test_a_sheet_goes_back_into_the_check(project, tmp_path):
    _, sheet = handed_out(tmp_path, "ex-one", "02_other")
    path = tmp_path / "out" / "answers.yml"
    for filled, code, words in (
        (sheet, 0, "2 not answered"),
        (sheet.replace("ex-one:", "ex-one: 3").replace("ex-other:", "ex-other: Yes"), 0, "2 right"),
        (sheet.replace("ex-one:", "ex-one: 4"), 1, "1 not right, 1 not answered"),
    ):
        path.write_text(filled)
        result = CliRunner().invoke(main, ["check-answers", str(path)])
        assert result.exit_code == code
        assert words in result.stdout


def test_a_filled_in_sheet_is_not_replaced(project, tmp_path):
    handed_out(tmp_path)
    (tmp_path / "out" / "exercises.html").unlink()
    (tmp_path / "out" / "answers.yml").write_text("ex-one: 3\n")
    result = CliRunner().invoke(main, ["handout", "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "has answers.yml already: need another folder" in result.stderr
    assert (tmp_path / "out" / "answers.yml").read_text() == "ex-one: 3\n"
    assert not (tmp_path / "out" / "exercises.html").exists()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["01_pag"], "did you mean '01_page'"),
        (["ex-on"], "did you mean 'ex-one'"),
        (["nothing"], "page = 'nothing'"),
    ],
)
def test_an_unknown_name_is_refused_before_anything_is_written(project, tmp_path, names, message):
    result = CliRunner().invoke(main, ["handout", *names, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_a_file_is_refused(project, tmp_path):
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(main, ["handout", "--out", str(tmp_path / "file")])
    assert result.exit_code == 2
    assert "need a folder that can be written to" in result.stderr


def test_without_the_packages_of_the_book_the_message_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(standalone.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="fracrepro\\[book\\]"):
        standalone.from_text(Project(ROOT), "handout", "# A", "note")


def test_without_a_project_the_sources_of_the_package_serve(monkeypatch, tmp_path):
    from fracrepro.errors import ArgumentError
    from fracrepro.workflow import bundle

    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setattr(
        bundle.Project, "find", classmethod(lambda cls: (_ for _ in ()).throw(ArgumentError("no")))
    )
    assert exercises.load(bundle.project()) == exercises.load(Project(ROOT))
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))
    with pytest.raises(ArgumentError, match="no"):
        bundle.project()
