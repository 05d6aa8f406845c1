"""The command line: what it prints, and that a mistake costs one line."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import fracrepro as fr
from fracrepro.workflow.cli import main

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments):
    return CliRunner().invoke(main, arguments)


def test_critical_prints_all_digits():
    result = run("critical", "--width", "64", "--s", "1", "--activation", "relu")
    assert result.exit_code == 0
    assert float(result.stdout.split()[0]) == fr.critical_variance(1.0, 64, fr.ReLU())
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--width", "0", "--s", "1"], "width = 0"),
        (["--width", "64", "--s", "-1"], "s = -1"),
        (["--width", "64", "--s", "2.5"], "s = 2.5"),
        (["--width", "64", "--s", "nan"], "s = nan"),
        (
            ["--width", "64", "--s", "1", "--activation", "leaky_relu", "--negative-slope", "nan"],
            "negative_slope = nan",
        ),
    ],
)
def test_critical_refuses_by_name_value_and_range(arguments, name):
    result = run("critical", *arguments)
    assert result.exit_code == 2
    assert name in result.stderr
    assert "need" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_critical_refuses_a_slope_that_the_activation_does_not_have():
    result = run("critical", "--width", "64", "--s", "1", "--activation", "relu", "--negative-slope", "0.1")
    assert result.exit_code == 2
    assert "negative_slope" in result.stderr


@pytest.mark.parametrize("arguments", [["--width", "1.5", "--s", "1"], ["--width", "True", "--s", "1"]])
def test_critical_takes_whole_widths_only(arguments):
    result = run("critical", *arguments)
    assert result.exit_code == 2
    assert "'--width'" in result.stderr


def test_list_shows_parameters_with_their_ranges(project):
    (project.notebooks / "02_broken.ipynb").unlink()
    result = run("list")
    assert result.exit_code == 0
    assert "profiles: quick, book" in result.stdout
    assert "an integer in [1, 4096]" in result.stdout


def test_doctor_names_what_is_missing_and_how_to_get_it(project, monkeypatch):
    monkeypatch.delenv("FRACREPRO_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(project.root))
    result = run("doctor")
    assert result.exit_code == 0
    lines = {line.split(":")[0]: line for line in result.stdout.splitlines()}
    assert fr.__version__ in lines["fracrepro"]
    assert "missing" in lines["data set mnist"]
    assert "-> " in lines["data set mnist"]
    assert "not built" in lines["book"]
    assert not {"torch", "scipy"} & {name for name, line in lines.items() if "missing" in line}


def test_data_status_and_verify_of_the_bundled_digits():
    assert "digits" in run("data", "status").stdout
    digest = run("data", "verify", "digits").stdout.strip()
    assert len(digest) == 64


def test_an_altered_data_file_is_named_with_both_checksums(tmp_path, monkeypatch):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / f"{name}-ubyte.gz").write_bytes(gzip.compress(b"not an image"))
    monkeypatch.setenv("FRACREPRO_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    result = run("data", "verify", "mnist")
    assert result.exit_code == 2
    assert "ubyte.gz" in result.stderr
    assert "expected" in result.stderr
    assert "found" in result.stderr
    result = run("train", "mnist", "--profile", "quick", "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert not (tmp_path / "out" / "mnist.csv").exists()


def test_the_command_starts_without_the_heavy_libraries():
    heavy = ("torch", "papermill", "dask", "matplotlib", "pandas", "sklearn")
    code = f"import sys, fracrepro.workflow.cli; print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_training_needs_no_notebook_library(tmp_path):
    """A bare machine with a GPU has torch, numpy, scipy, pandas, click and tqdm, and nothing of the book."""
    blocked = ("papermill", "dask", "distributed", "matplotlib", "seaborn", "pooch", "nbformat", "sklearn")
    script = f"""
import pathlib, sys
sys.modules.update(dict.fromkeys({blocked!r}))  # an import of one of these fails now
import numpy as np
from fracrepro.nn import data
from fracrepro.nn.experiments import DIGITS
from fracrepro.workflow import records
pixels, labels = np.zeros((160, 1, 8, 8), np.uint8), np.arange(160, dtype=np.uint8) % 10
data.load = lambda name: data.Dataset(name, pixels, labels, pixels, labels)
records.run(DIGITS.settle("quick", runs=1), pathlib.Path(sys.argv[1]), device="cpu")
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "digits.csv").is_file()
