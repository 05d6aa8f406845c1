"""Damaged inputs and full disks: one line that names the file, exit code 2, and what was finished is kept."""

import contextlib
import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from fracrepro import files
from fracrepro.nn.data.base import DataError
from fracrepro.workflow import claims
from fracrepro.workflow.cli import main

from .conftest import PARAMETERS, code, notebook

ROOT = Path(__file__).resolve().parents[2]


def fracrepro(*arguments):
    """Call the command; it must end with one line, and without a traceback."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


def changed(**changes):
    """A notebook of which something is not what it must be."""
    return json.dumps(json.loads(notebook(code(PARAMETERS, "parameters"))) | changes)


CELL = code(PARAMETERS, "parameters")
NOTEBOOKS = {
    "no text": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "no cells": changed(cells=[]),
    "cells of text": changed(cells="none"),
    "null cell": changed(cells=[None]),
    "cell without a type": changed(cells=[{"metadata": {}, "source": ""}]),
    "cell without metadata": changed(cells=[CELL | {"metadata": None}]),
    "cell of numbers": changed(cells=[CELL | {"source": 7}]),
    "tags of text": changed(cells=[CELL | {"metadata": {"tags": "parameters"}}]),
    "metadata of text": changed(metadata="none"),
    "null uses": changed(metadata={"fracrepro": None}),
    "uses of text": changed(metadata={"fracrepro": {"recorded": "mnist"}}),
    "data of a parameter that is none": changed(metadata={"fracrepro": {"data_parameters": ["dataset"]}}),
}


@pytest.mark.parametrize("damage", NOTEBOOKS)
def test_a_damaged_notebook_is_named(project, damage):
    content = NOTEBOOKS[damage]
    path = project.notebooks / "01_good.ipynb"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert "01_good" in fracrepro("run", "01_good", "--profile", "quick")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "need a mapping from profile"),
        ("quick:\n", "'quick': need a mapping from notebook to parameters, or {}"),
        ("quick: {01_good: }\n", "profile quick: 01_good: need a mapping of parameters"),
        ("quick: {01_good: 3}\n", "profile quick: 01_good: need a mapping of parameters"),
        ("quick: {01_goof: {width: 8}}\n", "notebook = '01_goof': need one of.*did you mean '01_good'"),
        ("quick: {01_good: {width: 0}}\n", "profile quick: 01_good: width = 0: need an integer"),
        ("quick: {01_good: {widht: 8}}\n", "did you mean 'width'"),
        ("quick: {01_good: {width: 2001-99-99}}\n", "not valid YAML"),
        ("quick: !!python/object/apply:os.system [echo]\n", "not valid YAML"),
        (b"\xff\xfe\x00", "not a text file"),
    ],
)
def test_a_damaged_profile_is_named(project, text, message):
    project.profiles.write_bytes(text if isinstance(text, bytes) else text.encode())
    said = fracrepro("run", "01_good", "--profile", "quick")
    assert str(project.profiles) in said
    assert re.search(message, said)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": 7}, "id = 7: need text"),
        ({"says": None}, "says = None: need text"),
        ({"margin": ["x"]}, "margin = .*need text"),
        ({"evidence": 3}, "evidence = 3: need text"),
        ({"holds": None}, "holds = None: need conditions"),
        ({"holds": ["product"]}, "holds = .*need conditions"),
        ({"holds": {"product": 8}}, "8 is no condition"),
        ({"holds": {"product": "<= --1"}}, "is no condition"),
        ({"holds": {"product": "<= e"}}, "is no condition"),
    ],
)
def test_a_damaged_claim_is_named_with_its_file(tmp_path, change, message):
    good = {
        "id": "product",
        "says": "It is.",
        "source": "abstract",
        "kind": "identity",
        "margin": "Exact.",
        "verdict": "exact",
        "evidence": "01_good",
        "holds": {"product": "== 8"},
    }
    path = tmp_path / "claims.yml"
    path.write_text(json.dumps([good]))
    assert len(claims.load(path)) == 1
    path.write_text(json.dumps([good | change]))
    with pytest.raises(ValueError, match=rf"claims\.yml: claim .*{message}") as caught:
        claims.load(path)
    assert "\n" not in str(caught.value)


def test_a_readme_without_its_marks_is_not_rewritten(project):
    (project.root / "book").mkdir()
    (project.root / "book" / "claims.yml").write_text("[]")
    (project.root / "README.md").write_text("nothing of ours")
    assert "README.md: need the lines" in fracrepro("claims", "--readme", "--profile", "quick")
    assert (project.root / "README.md").read_text() == "nothing of ours"


@pytest.fixture
def disk(tmp_path):
    """A disk of 2 MiB, for whoever may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


SIZE = 2**21
PAGE = 4096  # a folder takes one, and a file what it has, rounded up
TRAIN = ("train", "digits", "--profile", "quick", "--runs", "2", "--scheme", "kaiming", "--device", "cpu")


def fill(disk, leave=PAGE):
    (disk / "fill").write_bytes(bytes(SIZE - leave))


def test_a_full_disk_is_one_line_of_train_and_the_finished_runs_are_kept(disk, monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)  # one run after the other
    fill(disk, leave=500_000)  # a checkpoint has 330 000 bytes
    assert "No space left on device; what was finished is kept" in fracrepro(*TRAIN, "--out", disk)
    kept = (disk / ".digits.checkpoints").iterdir()
    assert sorted(path.name for path in kept) == ["seeds-0.ckpt", "start.json"]
    (disk / "fill").unlink()
    result = CliRunner().invoke(main, [*TRAIN, "--out", str(disk)])
    assert result.exit_code == 0, result.stderr
    assert json.loads((disk / "digits.json").read_text())["resumed"]
    assert sorted(path.name for path in disk.iterdir()) == ["digits.csv", "digits.json"]


def test_a_full_disk_is_one_line_of_run(disk, project):
    fill(disk)
    said = fracrepro("run", "01_good", "--profile", "quick", "--output-dir", disk)
    assert str(disk / "01_good.ipynb") in said
    assert "No space left on device; what was finished is kept" in said
    assert [path.name for path in disk.iterdir()] == ["fill"]


@pytest.mark.parametrize(
    "call",
    [(*TRAIN, "--out"), ("run", "01_good", "--profile", "quick", "--output-dir")],
    ids=["train", "run"],
)
def test_an_output_that_cannot_be_one_is_refused_in_one_line(project, disk, tmp_path, call):
    (tmp_path / "file").write_text("")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for output in (disk, tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        assert "need a folder that can be written to" in fracrepro(*call, output)


@pytest.fixture
def full(monkeypatch):
    """Return a function after which every file of this name is one too many."""

    writer = files.atomic_writer

    def is_full(name):
        @contextlib.contextmanager
        def write(path, mode="wb"):
            if Path(path).name == name:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            with writer(path, mode) as file:
                yield file

        monkeypatch.setattr(files, "atomic_writer", write)

    return is_full


def test_a_full_disk_leaves_the_readme_and_half_of_no_page(project, full):
    (project.root / "book").mkdir()
    written = {
        project.root / "book" / "claims.yml": "[]\n",
        project.root / "book" / "exercises.yml": "# none\n",
        project.root / "_toc.yml": "root: x\nchapters:\n- file: book/executed/01_good\n",
        project.root / "README.md": "<!-- claims -->\nold\n<!-- end of claims -->\n",
    }
    for path, text in written.items():
        path.write_text(text)
    before = {path: path.read_bytes() for path in project.root.rglob("*") if path.is_file()}
    full("README.md")
    assert "README.md: No space left" in fracrepro("claims", "--readme", "--profile", "quick")
    for name in ("test_03_third.py", "_toc.yml", "claims.yml", "exercises.yml"):
        full(name)
        assert f"{name}: No space left on device" in fracrepro("new-page", "third")
    assert {path: path.read_bytes() for path in project.root.rglob("*") if path.is_file()} == before


def test_a_name_that_is_too_long_is_one_line_of_new_page(project):
    (project.root / "book").mkdir()
    for name in ("claims", "exercises"):
        (project.root / "book" / f"{name}.yml").write_text("# none\n")
    (project.root / "_toc.yml").write_text("root: x\nchapters:\n- file: book/executed/01_good\n")
    assert "too long" in fracrepro("new-page", "x" * 300)


@pytest.mark.parametrize(
    "arguments",
    [["doctor"], ["data", "status"], ["data", "verify", "digits"], ["data", "verify", "mnist"], ["list"]],
    ids=lambda arguments: " ".join(arguments),
)
def test_a_home_that_is_no_folder_costs_no_traceback(project, tmp_path, arguments):
    (tmp_path / "home").write_text("")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "FRACREPRO_DATA"))}
    environment |= {"HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    (project.notebooks / "02_broken.ipynb").unlink()
    command = [sys.executable, "-c", "from fracrepro.workflow.cli import main; main()", *arguments]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == (2 if "mnist" in arguments else 0), result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == (1 if "mnist" in arguments else 0)


def test_standard_output_that_is_full_is_one_line(project):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    (project.notebooks / "02_broken.ipynb").unlink()
    with open("/dev/full", "w") as sink:
        result = subprocess.run(
            [sys.executable, "-c", "from fracrepro.workflow.cli import main; main()", "list"],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=sink,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert result.stderr == "error: writing: No space left on device; what was finished is kept\n"
    assert result.returncode == 2


def test_the_boundary_lets_no_other_error_of_the_system_pass_as_a_users(monkeypatch):
    import fracrepro as fr

    for defect, status in ((OSError(errno.EBADF, "Bad file descriptor"), 1), (DataError("x"), 2)):
        monkeypatch.setattr(fr, "critical_variance", lambda *_, e=defect: (_ for _ in ()).throw(e))
        result = CliRunner().invoke(main, ["critical", "--width", "8", "--s", "1"])
        assert result.exit_code == status
        assert (result.exception is defect) == (status == 1)
