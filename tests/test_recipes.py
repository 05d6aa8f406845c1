"""The recipes of CONTRIBUTING.md, followed to the letter in a copy of the package."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RECIPE = re.compile(r"<!-- recipe: (\w+) -->\n *```(?:python|yaml)\n(.*?)\n *```", re.DOTALL)
PARAMETERS = """
phi: str = "relu"  # an activation, one of @activations
fixed: str = "relu"  # an activation, one of @fixed_activations
scheme: str = "kaiming"  # a scheme, one of @schemes
"""
ACTIVATION = """
import json, math, sys
import numpy as np
import torch
from click.testing import CliRunner
import fracrepro as fr
from fracrepro.nn import activations
from fracrepro.workflow.cli import main

def command(*arguments):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout

bent = fr.activation("bent", slope=0.25)
z = torch.linspace(-2, 2, 9, dtype=torch.float64)
module = activations.module(bent)
rng = np.random.default_rng(0)
log_norms = fr.simulate_log_norms(20000, 1, 8, bent, fr.critical_variance(1.0, 8, bent), rng=rng)
print(json.dumps({
    "list": command("list"),
    "critical": float(command("critical", "--width", "8", "--s", "2", "--activation", "bent").split()[0]),
    "moment": float(np.exp(log_norms[:, 1]).mean()),
    "module": module(z).tolist(),
    "law": repr(activations.law(module)),
}))
"""
SCHEME = """
import json, sys
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
import pandas as pd
from click.testing import CliRunner
from fracrepro.figures.training import paired_points, training_curves
from fracrepro.nn import schemes
from fracrepro.workflow.cli import main

def command(*arguments):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout

command("train", "digits", "--scheme", "kaiming", "--scheme", "constant", "--profile", "quick", "--runs", "1",
        "--device", "cpu", "--out", "out")
results = pd.read_csv("out/digits.csv")
training_curves(results)
curves = {line.get_label(): line.get_color() for line in plt.gcf().axes[0].lines}
paired_points(results, "kaiming")
points = [line.get_color() for line in plt.gcf().axes[0].lines]
print(json.dumps({
    "list": command("list"),
    "schemes": command("schemes"),
    "help": command("train", "--help"),
    "trained": sorted(set(results["scheme"])),
    "record": json.load(open("out/digits.json"))["protocol"]["schemes"],
    "curves": curves,
    "points": points,
}))
"""


@pytest.fixture
def recipes():
    found = dict(RECIPE.findall((ROOT / "CONTRIBUTING.md").read_text()))
    assert set(found) == {"activation", "scheme", "experiment", "plan"}
    return {name: textwrap.dedent(code) for name, code in found.items()}


@pytest.fixture
def copy(tmp_path):
    """A copy of the package, beside a project with one notebook."""
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "fracrepro", tmp_path / "fracrepro", ignore=unwanted)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "profiles.yml").write_text("quick: {}\nbook: {}\n")
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": PARAMETERS.strip()}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "notebooks" / "01_page.ipynb").write_text(json.dumps(notebook))
    return tmp_path


def python(copy, *arguments):
    environment = os.environ | {"PYTHONPATH": str(copy), "FRACREPRO_PROJECT": str(copy)}
    command = [sys.executable, *arguments]
    result = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def doctests_pass(copy, path):
    """The example in the recipe's docstring, in the copied module."""
    options = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--doctest-modules"]
    assert " passed" in python(copy, "-m", "pytest", *options, "--rootdir", str(copy), str(path))


def options_of(listing, parameter):
    [line] = [line for line in listing.splitlines() if line.split()[:1] == [parameter]]
    return line.rpartition("one of ")[2].split(" | ")


def test_an_activation_is_one_class(copy, recipes):
    path = copy / "fracrepro" / "theory" / "activations.py"
    path.write_text(f"{path.read_text()}\n\n{recipes['activation']}\n")
    found = json.loads(python(copy, "-c", ACTIVATION))
    assert "bent" in options_of(found["list"], "phi")
    assert "bent" in options_of(found["list"], "fixed")
    # At order 2 a coordinate keeps (1 + slope²)/2 of its second moment; the default slope is 0.5.
    assert found["critical"] == pytest.approx(2 / (8 * (1 + 0.5**2)), rel=1e-14)
    # The mean of 20000 draws of mean 1 and standard deviation below 0.4; false alarm below 1e-6.
    assert found["moment"] == pytest.approx(1, abs=5 * 0.4 / 20000**0.5)
    z = [k / 2 - 2 for k in range(9)]
    assert found["module"] == [x if x > 0 else -0.25 * x for x in z]
    assert found["law"] == "Bent(slope=0.25)"
    doctests_pass(copy, path)


def test_a_scheme_is_one_file(copy, recipes):
    path = copy / "fracrepro" / "nn" / "schemes" / "constant.py"
    path.write_text(recipes["scheme"] + "\n")
    found = json.loads(python(copy, "-c", SCHEME))
    assert "constant" in options_of(found["list"], "scheme")
    assert "constant         Constant; our example" in found["schemes"]
    assert "size in (0, inf), default 0.1" in found["schemes"]
    assert "constant" in found["help"]
    assert found["trained"] == ["constant", "kaiming"]
    assert {"name": "constant", "s": None, "formula": None} in found["record"]
    assert found["curves"]["Constant"] == "#5f5f5f"
    assert "#5f5f5f" in found["points"]
    doctests_pass(copy, path)


def test_an_experiment_under_a_plan_is_one_entry_and_one_file(copy, recipes):
    if shutil.which("git") is None:
        pytest.skip("needs git")
    path = copy / "fracrepro" / "nn" / "experiments" / "protocol.py"
    path.write_text(f"{path.read_text()}\n{recipes['experiment']}\n")
    (copy / "plans").mkdir()
    (copy / "plans" / "digits_order.yml").write_text(recipes["plan"] + "\n")
    identity = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "plans"], [*identity, "commit", "-q", "-m", "A plan"]):
        subprocess.run(["git", "-C", str(copy), *command], check=True)
    code = "from fracrepro.workflow.cli import main; main()"
    said = python(copy, "-c", code, "train", "digits_order", "--device", "cpu", "--dry-run")
    assert said.startswith("the plan: plans/digits_order.yml, commit ")
    assert "digits_order: " in said.splitlines()[1]


def test_the_recipes_are_needed(copy):
    """Without the added code the same script ends at the unknown name."""
    environment = os.environ | {"PYTHONPATH": str(copy), "FRACREPRO_PROJECT": str(copy)}
    command = [sys.executable, "-c", ACTIVATION]
    result = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode
    assert "activation = 'bent': need one of" in result.stderr


def test_printed_code_is_in_the_style_of_the_package(recipes, tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "fracrepro").mkdir()
    (tmp_path / "fracrepro" / "constant.py").write_text(recipes["scheme"] + "\n")
    (tmp_path / "fracrepro" / "bent.py").write_text(recipes["activation"] + "\n")
    ruff = [sys.executable, "-m", "ruff"]
    both = ["fracrepro/constant.py", "fracrepro/bent.py"]
    subprocess.run([*ruff, "check", both[0]], cwd=tmp_path, check=True)
    subprocess.run([*ruff, "format", "--check", *both], cwd=tmp_path, check=True)
