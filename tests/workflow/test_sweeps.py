"""Sweeps: the points, the one table, what is kept, what a failure leaves, what is refused before any work."""

import csv
import json

import pandas as pd
import pytest
from click.testing import CliRunner

from fracrepro.errors import ArgumentError
from fracrepro.workflow import notebooks, sweepfile, sweeps
from fracrepro.workflow.cli import main
from fracrepro.workflow.engine import Engine
from fracrepro.workflow.sweeps import NotebookSweep

from .conftest import code, notebook

CHEAP = notebook(
    code(
        """
        n: int = 1  # a number, in [0, 99]
        s: float = 1.0  # order, in (0, 2]
        kind: str = "relu"  # activation, one of relu | linear
        orders: list[float] = [0.5]  # several orders, in (0, 2]
        """,
        "parameters",
    ),
    code(
        """
        import numpy as np
        from fracrepro.workflow import report
        if n == 7:
            1 / 0
        report(draw=s * np.random.default_rng(n).normal(), kind=kind)
        if n > 8:
            report(large=True)
        """
    ),
)


@pytest.fixture
def cheap(project):
    (project.notebooks / "04_cheap.ipynb").write_text(CHEAP)
    return project


def fracrepro(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def timeless(path):
    return pd.read_csv(path).drop(columns=list(sweeps.TIMING))


def never(*_):
    raise AssertionError("a kernel was started")


def test_points_are_all_combinations_and_the_last_axis_moves_fastest(cheap):
    sweep = NotebookSweep(cheap, "04_cheap", {"s": ["0.5", "2"], "n": [3, 1]}, fixed={"kind": "linear"})
    assert [label for label, _ in sweep.points] == ["s=0.5, n=3", "s=0.5, n=1", "s=2.0, n=3", "s=2.0, n=1"]
    assert [item.parameters["n"] for _, item in sweep.points] == [3, 1, 3, 1]
    assert {item.parameters["kind"] for _, item in sweep.points} == {"linear"}
    assert len({item.digest for _, item in sweep.points}) == 4


def test_the_table_has_a_row_a_point_and_what_is_finished_is_not_computed_again(cheap, tmp_path, monkeypatch):
    out = tmp_path / "out"
    arguments = ["run", "04_cheap", "--sweep", "n=3,9", "--output-dir", out, "--jobs", "1"]
    dry = fracrepro(*arguments, "--dry-run")
    assert dry.exit_code == 0
    assert "2 points (n: 2), 0 finished, 2 to compute" in dry.stdout
    assert not out.exists()
    result = fracrepro(*arguments)
    assert result.exit_code == 0, result.output
    with open(out / "04_cheap.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["n", "s", "kind", "orders", "draw", "reported_kind", "large", "seconds", "started"]
    assert [row[:4] for row in rows[1:]] == [["3", "1.0", "relu", "[0.5]"], ["9", "1.0", "relu", "[0.5]"]]
    assert [row[6] for row in rows[1:]] == ["", "True"]  # what a point did not report is empty
    import numpy as np

    assert float(rows[1][4]) == np.random.default_rng(3).normal()  # every digit
    before = (out / "04_cheap.csv").read_bytes()
    monkeypatch.setattr(notebooks, "execute", never)
    again = fracrepro(*arguments)
    assert again.exit_code == 0, again.output
    assert "2 points (n: 2), 2 finished, 0 to compute" in again.stdout
    assert (out / "04_cheap.csv").read_bytes() == before
    assert fracrepro("run", "04_cheap", "--sweep", "n=9,3", "--output-dir", out, "--jobs", "1").exit_code == 0
    swapped = timeless(out / "04_cheap.csv")  # the points are the same, the order is this sweep's
    assert list(swapped["n"]) == [9, 3]
    assert sorted(path.name for path in out.iterdir()) == [".04_cheap.points", "04_cheap.csv", "04_cheap.svg"]
    assert "draw over n, 2 points" in " ".join((out / "04_cheap.svg").read_text().split())


def test_an_edited_or_damaged_point_is_computed_again(cheap, tmp_path):
    sweep = NotebookSweep(cheap, "04_cheap", {"n": [3]})
    assert sweeps.run(sweep, tmp_path, Engine(jobs=1)) == []
    (tmp_path / "04_cheap.svg").write_text("of an earlier sweep")
    assert sweeps.draw(sweep, tmp_path) is None  # with one point no number changes
    assert not (tmp_path / "04_cheap.svg").exists()
    [(_, item)] = sweep.points
    [path] = (tmp_path / ".04_cheap.points").glob("*.json")
    content = json.loads(path.read_text())
    assert sweeps.Store(tmp_path, "04_cheap").read(item) == content["record"]
    content["record"]["values"]["draw"] *= 1.001
    for text in (json.dumps(content), path.read_text()[:-20], "[]", "{}", "\xff"):
        path.write_text(text)
        assert sweeps.Store(tmp_path, "04_cheap").read(item) is None
        assert sweeps.outlook(sweep, tmp_path, Engine(jobs=1)).finished == 0


def test_a_failure_is_listed_with_its_parameters_and_stops_no_other(cheap, tmp_path):
    arguments = ["run", "04_cheap", "--sweep", "n=7,3", "-p", "s", "0.5", "--output-dir", tmp_path]
    result = fracrepro(*arguments)
    assert result.exit_code == 1
    assert "FAILED n=7: cell [3]: ZeroDivisionError: division by zero" in result.stderr
    assert "1 of 2 points failed; their rows are missing" in result.stderr
    [failed] = tmp_path.glob(".04_cheap.points/*.failed.ipynb")
    assert str(failed) in result.stderr
    assert list(timeless(tmp_path / "04_cheap.csv")["n"]) == [3]
    again = fracrepro(*arguments)  # it is tried again, and the other is not
    assert "1 finished, 1 to compute" in again.stdout


@pytest.mark.parametrize("jobs", [2, 4])
def test_points_have_the_same_values_for_any_number_of_workers_and_after_a_lost_one(cheap, tmp_path, jobs):
    """At four workers each point first kills the worker that started its kernel."""
    if jobs == 4:
        kill = (
            "import os, pathlib, time\n"
            f"mark = pathlib.Path({str(tmp_path)!r}) / f'died-{{n}}'\n"
            "if mark.parent.joinpath('kill').exists() and not mark.exists():\n"
            "    mark.write_text('')\n"
            "    os.kill(os.getppid(), 9)\n"
            "    time.sleep(60)\n"
        )
        path = cheap.notebooks / "04_cheap.ipynb"
        content = json.loads(path.read_text())
        content["cells"].insert(1, code(kill))
        path.write_text(json.dumps(content))
    sweep = NotebookSweep(cheap, "04_cheap", {"n": [1, 2, 3]})
    for number in (1, jobs):
        folder = tmp_path / str(number)
        assert sweeps.run(sweep, folder, Engine(jobs=number, progress=False)) == []
        (tmp_path / "kill").write_text("")
    one, other = (timeless(tmp_path / str(number) / "04_cheap.csv") for number in (1, jobs))
    pd.testing.assert_frame_equal(one, other)
    assert len(list(tmp_path.glob("died-*"))) == (3 if jobs == 4 else 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sweep", "m=1,2"], "sweep: parameter = 'm'"),
        (["--sweep", "n=1,x"], "n = 'x': need an integer in [0, 99]"),
        (["--sweep", "n=1,100"], "n = '100': need an integer in [0, 99]"),
        (["--sweep", "n=1,1"], "n = 1 twice"),
        (["--sweep", "s=1,1.0"], "s = 1.0 twice"),
        (["--sweep", "n=1,"], "n = ''"),
        (["--sweep", "n="], "need NAME=v1,v2"),
        (["--sweep", "n"], "need NAME=v1,v2"),
        (["--sweep", "n=1", "--sweep", "n=2"], "n is varied twice"),
        (["--sweep", "n=1", "-p", "n", "2"], "n is set to one value too"),
        (["--sweep", "kind=relu,lineer"], "did you mean 'linear'"),
        (["--sweep", "orders=[1,2],[3]"], "orders = '[3]'"),
        (["--sweep", "n=1", "--profile", "qick"], "did you mean 'quick'"),
        (["--sweep", "n=1", "--scheduler", "nonsense"], "scheduler = 'nonsense'"),
        (["--sweep", "n=1", "--worker-timeout", "-1"], "worker_timeout = -1"),
        (["--dry-run"], "need a sweep"),
    ],
)
def test_a_refused_sweep_says_why_in_one_line_and_starts_nothing(
    cheap, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.setattr("fracrepro.workflow.execution._run_papermill", never)
    result = fracrepro("run", "04_cheap", *arguments, "--output-dir", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("*.csv"))


def test_a_sweep_needs_a_folder_and_one_notebook(cheap):
    assert "need --output-dir DIR" in fracrepro("run", "04_cheap", "--sweep", "n=1").stderr
    assert "not of 2" in fracrepro("run", "04_cheap", "01_good", "--sweep", "n=1").stderr
    assert "not of 0" in fracrepro("run", "--sweep", "n=1").stderr


GOOD_FILE = "notebook: 04_cheap\nparameters: {kind: linear}\nsweep:\n  n: [3, 2]\n  s: [0.5, 1]\n"
TRAINING = "experiment: digits\nsettings: {runs: 2, epochs: 1, s: 0.5}\nsweep: {depth: [2, 3], width: [8]}\n"


def test_a_file_describes_the_same_sweep_as_the_command_line(cheap, tmp_path):
    path = tmp_path / "sweep.yml"
    path.write_text(GOOD_FILE)
    axes = {"n": ["3", "2"], "s": ["0.5", "1"]}
    found, wanted = (
        sweepfile.load(path, cheap),
        NotebookSweep(cheap, "04_cheap", axes, fixed={"kind": "linear"}),
    )
    assert found.points == wanted.points
    dry = fracrepro("sweep", path, "--dry-run", "--output-dir", tmp_path / "out", "--jobs", "2")
    assert dry.stdout.startswith("04_cheap: 4 points (n: 2 × s: 2), 0 finished, 4 to compute")


def test_a_file_describes_a_sweep_of_an_experiment(cheap, tmp_path):
    path = tmp_path / "sweep.yml"
    path.write_text(TRAINING)
    sweep = sweepfile.load(path, cheap)
    assert [cell for cell, _ in sweep.cells()] == [{"depth": 2, "width": 8}, {"depth": 3, "width": 8}]
    assert sweep.protocol.epochs == 1
    assert sweep.protocol.seeds == (0, 1)
    assert sweep.protocol.schemes[0].order == 0.5
    dry = fracrepro("sweep", path, "--dry-run", "--output-dir", tmp_path / "out")
    assert dry.stdout.startswith("digits: 4 pieces, 0 finished, 4 to train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "need a mapping"),
        ("- 1", "need a mapping"),
        ("{", "not valid YAML"),
        ("a: !!python/object/apply:os.system [echo]", "not valid YAML"),
        ("sweep: {n: [1]}", "need exactly one of the keys notebook and experiment"),
        (GOOD_FILE + "experiment: digits", "need exactly one of the keys notebook and experiment"),
        (GOOD_FILE + "sweep: {n: [1]}", "the key 'sweep' comes twice"),
        (GOOD_FILE + "sweeep: {n: [1]}", "did you mean 'sweep'"),
        (GOOD_FILE.replace("n: [3, 2]", "m: [3, 2]"), "sweep: parameter = 'm'"),
        (GOOD_FILE.replace("[3, 2]", "3"), "sweep: n = 3: need a list of values"),
        (GOOD_FILE.replace("[3, 2]", "[]"), "sweep: n = []: need a list of values"),
        (GOOD_FILE.replace("[3, 2]", "[3, 200]"), "n = 200: need an integer in [0, 99]"),
        (GOOD_FILE.replace("[3, 2]", "[3, 3]"), "n = 3 twice"),
        (GOOD_FILE.replace("{kind: linear}", "[kind]"), "parameters = ['kind']: need a mapping"),
        (GOOD_FILE.replace("kind:", "kynd:"), "did you mean 'kind'"),
        (GOOD_FILE.replace("04_cheap", "04_cheep"), "did you mean '04_cheap'"),
        (GOOD_FILE.replace("04_cheap", "[1]"), "notebook = [1]: need a name"),
        ("notebook: 04_cheap", "sweep: need at least one parameter"),
        (GOOD_FILE + "profile: papr", "profile = 'papr'"),
        (TRAINING.replace("digits", "digit"), "did you mean 'digits'"),
        (TRAINING.replace("digits", "gradient_tails"), "experiment = 'gradient_tails'"),
        (TRAINING.replace("depth:", "dept:"), "did you mean 'depth'"),
        (TRAINING.replace("[2, 3]", "[2, 0]"), "depth = 0"),
        (TRAINING.replace("[2, 3]", "[2, x]"), "depth = 'x'"),
        (TRAINING.replace("runs: 2", "runs: two"), "settings: runs = 'two': need an integer"),
        (TRAINING.replace("runs: 2", "rnus: 2"), "did you mean 'runs'"),
        (TRAINING.replace("s: 0.5", "s: 3.5"), "s = 3.5"),
        (TRAINING + "parameters: {s: 1}", "key = 'parameters'"),
    ],
)
def test_a_wrong_file_is_refused_by_name_in_one_line(cheap, tmp_path, text, message):
    path = tmp_path / "sweep.yml"
    path.write_text(text)
    result = fracrepro("sweep", path, "--output-dir", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert str(path) in result.stderr
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_none_is_named(cheap, tmp_path):
    (tmp_path / "latin.yml").write_bytes(b"a: \xff")
    for name, words in (
        ("nowhere.yml", "no such file"),
        ("latin.yml", "not a text file"),
        (".", "cannot be read"),
    ):
        result = fracrepro("sweep", tmp_path / name)
        assert result.exit_code == 2
        assert words in result.stderr


def test_axes_of_a_command_line():
    assert sweeps.parse_axes(["orders=[1,2],[3]", "s=1"]) == {"orders": ["[1,2]", "[3]"], "s": ["1"]}
    with pytest.raises(ArgumentError, match="need NAME"):
        sweeps.parse_axes(["=1"])
