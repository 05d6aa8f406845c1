"""`fracrepro diagnose`: a table for a model in a file, and one line for what is wrong with it."""

import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from fracrepro.nn import data, diagnose
from fracrepro.workflow.cli import main

SOURCE = """
from torch import nn

def flat():
    return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))

def images():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10)).double()

def either():  # the weight of a later layer does not say what the first function takes
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4))

def words():
    return nn.Linear(7, 2)

def number():
    return 3

def fails():
    return nn.Linear(2, 2)(5)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "models.py"
    path.write_text(SOURCE)
    return path


def run(*arguments):
    return CliRunner().invoke(main, ["diagnose", *map(str, arguments)])


@pytest.mark.parametrize("name", ["flat", "images", "either"])
def test_a_table_has_the_rows_of_diagnose(file, tmp_path, name):
    table = tmp_path / "out.csv"
    result = run(f"{file}:{name}", "--size", "32", "--csv", table)
    assert result.exit_code == 0, result.stderr
    namespace = {}
    exec(SOURCE, namespace)
    torch.manual_seed(0)
    model = namespace[name]()
    batch = torch.tensor(data.load("digits").train_images[:32]) / 255
    batch = batch.double() if name == "images" else batch.flatten(1)
    expected = diagnose(model, batch)
    found = pd.read_csv(table)
    assert found["log_norm"].tolist() == pytest.approx(expected["log_norm"].tolist(), rel=1e-6)
    assert found["kind"].tolist() == expected["kind"].tolist()
    lines = result.stdout.splitlines()
    assert lines[0].split()[:2] == ["layer", "kind"]
    assert f"{expected['log_norm'][0]:.3f}" in lines[1]


def test_a_scheme_is_applied_first_and_the_seed_decides(file):
    plain = run(f"{file}:flat")
    lsuv = run(f"{file}:flat", "--scheme", "lsuv")
    assert lsuv.exit_code == 0, lsuv.stderr
    assert lsuv.stdout.startswith("initialized by lsuv: 4 of 4 parameters")
    assert "counts as normal" in plain.stdout
    assert "counts as normal" not in lsuv.stdout
    assert run(f"{file}:flat").stdout == plain.stdout
    assert run(f"{file}:flat", "--seed", "1").stdout != plain.stdout


@pytest.mark.parametrize(
    ("address", "options", "message"),
    [
        ("{0}", (), "need FILE.py:FUNCTION"),
        ("{0}:", (), "need FILE.py:FUNCTION"),
        ("missing.py:flat", (), "there is no file missing.py"),
        ("{0}:flatt", (), "has no function 'flatt'; did you mean 'flat'?"),
        ("{0}:number", (), "number() returns int, no model"),
        ("{0}:fails", (), "fails() fails: TypeError:"),
        ("{0}:words", (), "the model does not run on it"),
        ("{0}:flat", ("--images",), "the model does not run on it"),
        ("{0}:flat", ("--batch", "digit"), "did you mean 'digits'?"),
        ("{0}:flat", ("--scheme", "lsu"), "did you mean 'lsuv'?"),
    ],
)
def test_a_mistake_costs_one_line(file, address, options, message):
    result = run(address.format(file), *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_file_that_does_not_load_says_why(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("import nothing_of_this_name\n")
    result = run(f"{broken}:flat")
    assert result.exit_code == 2
    assert "ModuleNotFoundError: No module named 'nothing_of_this_name'" in result.stderr
    broken.write_text("def flat(:\n")
    assert "SyntaxError" in run(f"{broken}:flat").stderr
