"""A new page passes the suite as it is: style, contract, execution, its own test, its claim, the book."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import fracrepro as fr
from fracrepro.workflow import exercises, site
from fracrepro.workflow.cli import main
from fracrepro.workflow.newpage import new_page
from fracrepro.workflow.project import ENVIRONMENT_VARIABLE, Project

ROOT = Path(__file__).resolve().parents[2]
TOC = """format: jb-book
root: book/index
defaults:
  numbered: true
parts:
  - caption: Training
    chapters:
      - file: book/executed/01_good  # the only one
      - file: book/executed/02_broken
  - caption: Use it
    chapters:
      - file: book/rerun
"""


def run(root, *command):
    environment = os.environ | {ENVIRONMENT_VARIABLE: str(root)}
    result = subprocess.run(command, capture_output=True, text=True, cwd=root, env=environment, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A copy of the project with one page more."""
    root = tmp_path_factory.mktemp("whole")
    for name in ("notebooks", "book", "tests"):
        unwanted = shutil.ignore_patterns("executed", "mathjax", "_generated", "__pycache__")
        shutil.copytree(ROOT / name, root / name, ignore=unwanted)
    for name in ("_toc.yml", "_config.yml", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, root)
    (root / "fracrepro").symlink_to(ROOT / "fracrepro")  # for the order of imports
    return root, [path.relative_to(root).as_posix() for path in new_page(Project(root), "a_new_page")]


def test_the_page_passes_the_suite(whole):
    """Its own tests execute it; those of all pages check its contract, its style and its place."""
    root, written = whole
    [notebook] = [path for path in written if path.endswith(".ipynb")]
    page = Path(notebook).stem
    run(root, sys.executable, "-m", "ruff", "check", notebook, written[1])
    run(root, sys.executable, "-m", "ruff", "format", "--check", notebook, written[1])
    tests = [f"tests/book/test_{page}.py", "tests/book/test_notebooks.py", "tests/book/test_numbers.py"]
    chosen = f"({page} or typed or profiles) and not executes_nothing"
    options = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-k", chosen]
    output = run(root, sys.executable, "-m", "pytest", *options, *tests, "tests/workflow/test_claims.py")
    assert " passed" in output
    assert "skipped" not in output
    project = Project(root)
    assert site.toc_notebooks(project) == project.notebook_names()


def test_the_book_builds_with_it_and_its_claim_stands(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "profiles.yml").write_text("quick: {}\nbook: {}\npaper: {}\n")
    (tmp_path / "book").mkdir()
    for folder in ("_static", "_templates"):
        shutil.copytree(ROOT / "book" / folder, tmp_path / "book" / folder)
    for name in ("claims.md", "references.bib"):
        shutil.copy(ROOT / "book" / name, tmp_path / "book")
    (tmp_path / "book" / "index.md").write_text("# A small book\n\nOne page.\n")
    for name in ("claims", "exercises"):
        (tmp_path / "book" / f"{name}.yml").write_text("# Every one.\n")
    shutil.copy(ROOT / "_config.yml", tmp_path)
    # A place for the page to go behind; the builder sees the page alone.
    (tmp_path / "_toc.yml").write_text(TOC.replace("rerun", "claims"))
    new_page(Project(tmp_path), "a_new_page")
    toc = (tmp_path / "_toc.yml").read_text()
    (tmp_path / "_toc.yml").write_text(
        "\n".join(line for line in toc.splitlines() if "_good" not in line and "_broken" not in line)
    )
    command = str(Path(sys.executable).with_name("fracrepro"))
    run(tmp_path, command, "build", "--profile", "quick")
    [entry] = json.loads(run(tmp_path, command, "claims", "--profile", "quick", "--json"))
    assert entry["problem"] == ""
    html = (Project(tmp_path).site / "book" / "executed" / "01_a_new_page.html").read_text()
    assert "Fig. 1.1" in html
    assert "A new page" in html


@pytest.fixture
def small(project):
    (project.root / "book").mkdir()
    for name in ("claims", "exercises"):
        (project.root / "book" / f"{name}.yml").write_text("# Every one.\n")
    (project.root / "_toc.yml").write_text(TOC)
    return project


def test_the_page_gets_the_next_number_and_the_last_place(small):
    result = CliRunner().invoke(main, ["new-page", "joint_distribution"])
    assert result.exit_code == 0, result.output
    assert [line.removeprefix("wrote ") for line in result.stdout.splitlines()] == [
        "notebooks/03_joint_distribution.ipynb",
        "tests/book/test_03_joint_distribution.py",
        "_toc.yml",
        "book/claims.yml",
        "book/exercises.yml",
    ]
    assert site.toc_notebooks(small) == ["01_good", "02_broken", "03_joint_distribution"]
    toc = (small.root / "_toc.yml").read_text()
    assert (
        toc.replace("      - file: book/executed/03_joint_distribution\n", "") == TOC
    )  # the rest is as it was
    [claim] = yaml.safe_load((small.root / "book" / "claims.yml").read_text())
    assert claim["evidence"] == "03_joint_distribution"
    [(entry, box)] = exercises.chosen(small, ["03_joint_distribution"])
    assert (entry.level, entry.goal) == (box.level, box.goal)
    assert entry.answer == fr.critical_variance(2, 64, fr.ReLU())


@pytest.mark.parametrize(
    "name",
    [
        "Joint",
        "3_joint",
        "00_joint",
        "02_joint",
        "03_good",
        "joint-distribution",
        "joint_",
        "",
        "../x",
        "good",
    ],
)
def test_a_bad_name_is_refused_and_nothing_is_written(small, name):
    before = sorted(small.root.rglob("*"))
    result = CliRunner().invoke(main, ["new-page", name])
    assert result.exit_code == 2
    assert f"name = {name!r}: need" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sorted(small.root.rglob("*")) == before


def pages(small):
    return site.toc_notebooks(small), small.notebook_names()


def test_a_page_fills_the_first_gap_and_stands_before_the_later_ones(small):
    runner = CliRunner()
    assert runner.invoke(main, ["new-page", "17_related"]).exit_code == 0
    assert runner.invoke(main, ["new-page", "joint"]).exit_code == 0
    expected = ["01_good", "02_broken", "03_joint", "17_related"]
    assert pages(small) == (expected, expected)
    result = runner.invoke(main, ["new-page", "12_limits"])
    assert result.stdout.splitlines()[0] == "wrote notebooks/12_limits.ipynb"
    expected.insert(3, "12_limits")
    assert pages(small) == (expected, expected)


@pytest.mark.parametrize("missing", ["_toc.yml", "book/claims.yml", "book/exercises.yml"])
def test_a_project_without_a_book_is_refused(small, missing):
    (small.root / missing).unlink()
    before = sorted(small.root.rglob("*"))
    result = CliRunner().invoke(main, ["new-page", "joint"])
    assert result.exit_code == 2
    assert Path(missing).name in result.stderr
    assert sorted(small.root.rglob("*")) == before
