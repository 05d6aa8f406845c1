"""Sets of names: a parameter takes whatever a registry holds, and no list is typed twice."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from fracrepro.nn import data
from fracrepro.workflow import options, parameters
from fracrepro.workflow.cli import main

from .conftest import code, notebook


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
    assert set(everything) - set(fixed) == {"rrelu"}


def test_an_unknown_set_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match=r"line 1: option set = 'scheme'.*did you mean 'schemes'"):
        declared("scheme: str = 'kaiming'  # what to train, one of @scheme")


def test_list_shows_what_a_set_holds(project):
    for path in project.notebooks.glob("*.ipynb"):
        path.unlink()
    cell = code("dataset: str = 'digits'  # images, one of @datasets", "parameters")
    (project.notebooks / "01_set.ipynb").write_text(notebook(cell))
    result = CliRunner().invoke(main, ["list"])
    assert result.exit_code == 0
    assert "images: one of digits | mnist | cifar10" in result.stdout


@pytest.mark.parametrize("arguments", [["list"], ["run", "01_set"]])
def test_a_set_that_needs_torch_says_so_in_one_line(project, arguments):
    for path in project.notebooks.glob("*.ipynb"):
        path.unlink()
    cell = code("scheme: str = 'kaiming'  # what to train, one of @formulas", "parameters")
    (project.notebooks / "01_set.ipynb").write_text(notebook(cell))
    script = (
        f"import sys; sys.modules['torch'] = None; sys.argv[1:] = {arguments!r}\n"
        "from fracrepro.workflow.cli import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.strip() == "error: torch is not installed: pip install 'fracrepro[nn]'"
