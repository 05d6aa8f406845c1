"""Which errors cost a user one line, and which keep their traceback."""

import ast
import json
import os
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fracrepro as fr
from fracrepro import errors
from fracrepro.workflow import packages
from fracrepro.workflow.cli import main
from fracrepro.workflow.project import ENVIRONMENT_VARIABLE

from .conftest import code, notebook

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "fracrepro"
CRITICAL = ["critical", "--width", "64", "--s", "1"]
CORE = {"numpy", "scipy", "click"}
# What each command is called with on a machine that has the core packages only, and how it ends there.
BARE = {
    "build": ([], "error: pyyaml is not installed: pip install 'fracrepro[book]'"),
    "check-answers": (["x.yml"], "error: pyyaml is not installed: pip install 'fracrepro[book]'"),
    "claims": ([], "error: pyyaml is not installed: pip install 'fracrepro[book]'"),
    "copy-notebooks": ([], "Usage: main copy-notebooks [OPTIONS] FOLDER"),  # with one it would copy
    "critical": (["--width", "64", "--s", "1"], ""),
    "data": (["status"], ""),
    "diagnose": (["x.py:f"], "error: torch is not installed: pip install 'fracrepro[nn]'"),
    "doctor": ([], ""),
    "handout": (["--out", "x"], "error: pyyaml is not installed: pip install 'fracrepro[book]'"),
    "list": ([], "error: pyyaml is not installed: pip install 'fracrepro[book]'"),
    "schemes": ([], "error: pandas is not installed: pip install 'fracrepro[nn]'"),
    "new-page": (["Bad-Name"], "error: name = 'Bad-Name': need lower-case words joined by underscores"),
    "run": ([], "error: pyyaml is not installed: pip install 'fracrepro[book]'"),
    "sweep": (["x.yml"], "error: pyyaml is not installed: pip install 'fracrepro[book]'"),
    "train": (["digits", "--profile", "quick"], "error: torch is not installed: pip install 'fracrepro[nn]'"),
}


def raising(error):
    def function(*arguments, **options):
        raise error

    return function


@pytest.mark.parametrize(
    "defect",
    [
        ValueError("operands could not be broadcast together"),
        KeyError("missing"),
        RuntimeError("size mismatch"),
        PermissionError(13, "nobody foresaw this"),
        ModuleNotFoundError("No module named 'fracrepro.nn.shemes'", name="fracrepro.nn.shemes"),
    ],
)
def test_a_defect_keeps_its_traceback(monkeypatch, defect):
    monkeypatch.setattr(fr, "critical_variance", raising(defect))
    result = CliRunner().invoke(main, CRITICAL)
    assert result.exception is defect
    assert result.stderr == ""


def test_a_numpy_error_inside_the_library_keeps_its_traceback(monkeypatch):
    import numpy as np

    monkeypatch.setattr(fr, "critical_variance", lambda *_: np.ones(2) + np.ones(3))
    result = CliRunner().invoke(main, CRITICAL)
    assert type(result.exception) is ValueError
    assert "broadcast" in str(result.exception)


@pytest.mark.parametrize(
    "refusal",
    [
        errors.FracreproError("x"),
        errors.ArgumentError("x"),
        errors.MissingPackageError("torch", "nn"),
        ModuleNotFoundError("No module named 'torch'", name="torch"),
    ],
)
def test_a_refusal_is_one_line(monkeypatch, refusal):
    monkeypatch.setattr(fr, "critical_variance", raising(refusal))
    result = CliRunner().invoke(main, CRITICAL)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1


def error_classes():
    """Every exception class that a module of the package defines, as (path, class definition)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and node.name.endswith(("Error", "Refusal")):
                yield path, node


def test_every_error_of_the_package_is_a_fracrepro_error():
    found = list(error_classes())
    assert len(found) >= 6
    family = {node.name for path, node in found if path.name == "errors.py"}
    for path, node in found:
        bases = {ast.unparse(base) for base in node.bases}
        assert node.name == "FracreproError" or bases & family, f"{path.name}: {node.name}"


def test_the_message_says_what_to_install_and_survives_a_worker():
    error = errors.MissingPackageError("pyyaml", "book")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "pyyaml is not installed: pip install 'fracrepro[book]'"
    assert isinstance(error, ImportError)


def imported_packages():
    """The top-level name of every import in the package, wherever in a module it stands."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").split(".")[0])
    return found - set(sys.stdlib_module_names) - {"fracrepro"}


def test_every_package_that_is_imported_is_one_that_an_extra_brings():
    optional = {"matplotlib_inline"}  # only where matplotlib draws into a notebook
    assert imported_packages() - CORE - optional <= set(packages.EXTRAS)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    brings = {
        extra: {canonicalize_name(Requirement(line).name) for line in lines}
        for extra, lines in project["optional-dependencies"].items()
    }
    # These come with others, which the extra names.
    through = {
        "nbclient": "papermill",
        "traitlets": "ipykernel",
        "requests": "pooch",
        "threadpoolctl": "scikit-learn",
    }
    for package, extra in packages.EXTRAS.items():
        name = packages.DISTRIBUTIONS.get(package, package)
        assert canonicalize_name(through.get(name, name)) in brings[extra], package


@pytest.fixture(scope="module")
def bare():
    """What each command and its help print and return where every package of the extras is missing."""
    calls = {name: [name, *arguments] for name, (arguments, _) in BARE.items()}
    calls |= {f"{name} --help": [name, "--help"] for name in BARE} | {"--help": ["--help"]}
    script = f"""
import json, sys
sys.modules.update(dict.fromkeys({sorted(packages.EXTRAS)!r}))  # an import of one of these fails now
from click.testing import CliRunner
from fracrepro.workflow.cli import main
results = {{name: CliRunner().invoke(main, call) for name, call in {calls!r}.items()}}
report = {{name: [r.exit_code, r.stdout, r.stderr, repr(r.exception)] for name, r in results.items()}}
print(json.dumps(report))
"""
    environment = os.environ | {ENVIRONMENT_VARIABLE: str(ROOT)}
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(result.stdout)


def test_the_table_of_bare_calls_names_every_command():
    assert set(BARE) == set(main.commands)


@pytest.mark.parametrize("command", BARE)
def test_without_the_extras_a_command_works_or_says_what_to_install(bare, command):
    expected = BARE[command][1]
    code, _, stderr, exception = bare[command]
    assert code == (2 if expected else 0), exception
    assert stderr.startswith(expected) if expected else not stderr


@pytest.mark.parametrize("command", ["--help", *(f"{name} --help" for name in BARE)])
def test_help_needs_no_extra(bare, command):
    code, stdout, _, exception = bare[command]
    assert code == 0, exception
    assert "Usage:" in stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "notebook 01_good: not valid JSON"),
        ("[]", "need a notebook of format 4"),
        (notebook(code("n: int = ", "parameters")), "parameters cell, line 1: not valid Python"),
        (notebook(code("n: int = 2 * k  # a number, in [0, 9]", "parameters")), "2 * k is no literal"),
    ],
)
@pytest.mark.parametrize("command", [["list"], ["run", "01_good"]])
def test_a_broken_notebook_is_named_in_one_line(project, text, message, command):
    (project.notebooks / "01_good.ipynb").write_text(text)
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "no such file"), ("- [", "not valid YAML"), ("a: 1", "need a list"), ("- x", "need a mapping")],
)
def test_a_broken_ledger_is_named_in_one_line(project, text, message):
    (project.root / "book").mkdir()
    if text is not None:
        (project.root / "book" / "claims.yml").write_text(text)
    result = CliRunner().invoke(main, ["claims"])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: claims.yml: {message}") or message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_refused_before_any_training(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr("fracrepro.workflow.records.run", lambda *_, **__: pytest.fail("a training began"))
    arguments = ["train", "digits", "--profile", "quick", "--out", str(tmp_path / "file" / "below")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "out = " in result.stderr
    assert "need a folder that can be written to" in result.stderr
