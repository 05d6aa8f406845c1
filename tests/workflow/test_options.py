"""Sets of names: a parameter takes whatever a registry holds, and no list is typed twice."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import fracrepro as fr
from fracrepro.nn import data
from fracrepro.workflow import options, parameters
from fracrepro.workflow.cli import main

from .conftest import code, notebook

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "fracrepro"


def declared(cell):
    return parameters.declared(json.loads(notebook(code(cell, "parameters"))), "nb")


def test_every_set_holds_distinct_names():
    for name in options.SETS:
        found = options.option_set(name)
        assert found, name
        assert len(set(found)) == len(found), name
        assert all(isinstance(entry, str) and entry for entry in found), name


def test_a_parameter_takes_the_names_of_a_set():
    contract = declared("dataset: str = 'digits'  # images, one of @datasets")
    assert contract["dataset"].options == tuple(data.NAMES)
    assert contract["dataset"].help == "images"
    assert contract["dataset"].parse("cifar10") == "cifar10"
    with pytest.raises(ValueError, match=r"dataset = 'imagenet': need one of digits \| mnist"):
        contract["dataset"].parse("imagenet")


def test_a_list_takes_them_too():
    contract = declared("phi: list[str] = ['relu']  # what follows, one of @activations")
    assert contract["phi"].parse("[linear, rrelu]") == ["linear", "rrelu"]


def test_the_registry_is_read_when_the_contract_is(monkeypatch):
    monkeypatch.setitem(options.SETS, "datasets", lambda: ("digits", "new"))
    assert declared("dataset: str = 'new'  # images, one of @datasets")["dataset"].options[1] == "new"


def test_fixed_activations_are_those_without_random_slopes():
    everything, fixed = options.option_set("activations"), options.option_set("fixed_activations")
    assert set(everything) - set(fixed) == {name for name in everything if fr.activation(name).slopes.random}
    assert "rrelu" not in fixed


def test_an_unknown_set_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match=r"line 1: option set = 'scheme'.*did you mean 'schemes'"):
        declared("scheme: str = 'kaiming'  # what to train, one of @scheme")


def test_list_shows_what_a_set_holds(project):
    for path in project.notebooks.glob("*.ipynb"):
        path.unlink()
    cell = code("dataset: str = 'digits'  # images, one of @datasets", "parameters")
    (project.notebooks / "01_set.ipynb").write_text(notebook(cell))
    project.profiles.write_text("quick: {}\nbook: {}\n")
    result = CliRunner().invoke(main, ["list"])
    assert result.exit_code == 0
    assert "images: one of digits | mnist | cifar10" in result.stdout


def literals(tree):
    """Every list, tuple, set or dict of the source whose entries, or keys, are plain text."""
    for node in ast.walk(tree):
        entries = getattr(node, "keys", None) or getattr(node, "elts", None) or []
        if entries and all(isinstance(e, ast.Constant) and isinstance(e.value, str) for e in entries):
            yield node.lineno, [entry.value for entry in entries]


def test_no_module_types_by_hand_what_a_registry_holds():
    """A registry is allowed its own list; elsewhere a copy would miss the next name."""
    homes = {
        "formulas": {"theory/published.py"},
        "normal_schemes": {"nn/experiments/contest.py"},  # what a recorded protocol compared
        # The figure of recorded runs shows two records, which bear the names of their data.
        "downloads": {"nn/data/__init__.py", "workflow/interactive/tables.py"},
    }
    sets = {name: set(options.option_set(name)) for name in options.SETS}
    found, seen = [], set()
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE).as_posix()
        for line, entries in literals(ast.parse(path.read_text())):
            for name, known in sets.items():
                if set(entries) >= known:
                    seen.add(name)
                    if where not in homes.get(name, ()):
                        found.append(f"{where}:{line} types {name}")
    assert found == []
    assert seen == set(homes)  # the search sees what is there


def test_no_notebook_types_by_hand_what_a_registry_holds():
    """A page may take a few data sets; activations, schemes and formulas are all or none."""
    sets = {name: set(options.option_set(name)) for name in ("activations", "schemes", "formulas")}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        [source] = [
            "".join(cell["source"])
            for cell in json.loads(path.read_text())["cells"]
            if "parameters" in cell["metadata"].get("tags", [])
        ]
        for text in re.findall(r"one of ([^@\n]+)", source):
            typed = {name.strip() for name in text.split("|")}
            for name, known in sets.items():
                assert not typed <= known, f"{path.name} types {name}: {text}"


def test_the_command_line_takes_names_from_the_registries():
    result = CliRunner().invoke(main, ["train", "--help"])
    assert all(name in result.stdout for name in options.option_set("schemes"))
    usage = "".join(result.stdout.split())  # the names run over lines
    assert all(name in usage for name in options.option_set("experiments"))
    result = CliRunner().invoke(main, ["schemes"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines() if not line.startswith(" ")] == list(
        options.option_set("schemes")
    )
    assert "s in [0, 2], default 1.0" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["critical", "--width", "8", "--s", "1", "--activation", "leaky"], "did you mean 'leaky_relu'"),
        (["train", "digit"], "did you mean 'digits'"),
        (["train", "digits", "--scheme", "kaimin"], "did you mean 'kaiming'"),
        (["data", "fetch", "digits"], "need one of 'mnist', 'cifar10'"),
        (["data", "verify", "minst"], "did you mean 'mnist'"),
    ],
)
def test_an_unknown_name_is_one_line_with_the_nearest(arguments, message):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["list"], ["run", "01_set"]])
def test_a_set_that_needs_torch_says_so_in_one_line(project, arguments):
    for path in project.notebooks.glob("*.ipynb"):
        path.unlink()
    cell = code("experiment: str = 'mnist'  # what to train, one of @experiments", "parameters")
    (project.notebooks / "01_set.ipynb").write_text(notebook(cell))
    project.profiles.write_text("quick: {}\nbook: {}\n")
    script = (
        f"import sys; sys.modules['torch'] = None; sys.argv[1:] = {arguments!r}\n"
        "from fracrepro.workflow.cli import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.strip() == "error: torch is not installed: pip install 'fracrepro[nn]'"
