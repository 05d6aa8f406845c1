"""Trainings on the engine: the record of an uninterrupted one, whatever happens to workers and driver."""

import dataclasses
import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from fracrepro.errors import ArgumentError
from fracrepro.nn import data
from fracrepro.nn.experiments import DIGITS, GRADIENT_TAILS, SWEEPS, Sweep
from fracrepro.nn.schemes import make
from fracrepro.nn.training import pieces
from fracrepro.nn.training.lanes import FIGURES, Lane
from fracrepro.workflow import records, training_tasks
from fracrepro.workflow.cli import main
from fracrepro.workflow.engine import Engine

RECORDED = Path(__file__).resolve().parents[2] / "recorded"
COMMAND = str(Path(sys.executable).with_name("fracrepro"))
SMALL = Sweep(
    DIGITS.replace(
        name="small",
        schemes=[make("fractional", s=s, formula="exact") for s in (0.5, 2.0)],
        seeds=range(2),
        epochs=2,
    ),
    axes=[("depth", (3, 2)), ("learning_rate", (0.01,))],
)


@pytest.fixture(scope="module")
def images():
    return data.load("digits")


@pytest.fixture(scope="module")
def direct(images):
    return SMALL.run(images, device="cpu", progress=False)


def same(one, other):
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), other.drop(columns="seconds"))


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_a_sweep_has_the_bits_of_this_process_for_any_number_of_workers(images, direct, tmp_path, jobs):
    interval = 0.0 if jobs == 2 else 300.0  # two pieces an epoch each, or one to the end
    same(
        training_tasks.run(SMALL, images, tmp_path, Engine(jobs=jobs, progress=False), interval=interval),
        direct,
    )


def test_a_comparison_is_recorded_as_by_training_in_this_process(tmp_path):
    protocol = DIGITS.settle("quick", runs=3, schemes=("fractional", "kaiming"))
    one, two = tmp_path / "one", tmp_path / "two"
    records.run(protocol, one, device="cpu")
    records.run(protocol, two, device="cpu", engine=Engine(jobs=2, progress=False))
    same(records.load_record(one, protocol), records.load_record(two, protocol))
    assert sorted(path.name for path in two.iterdir() if not path.name.startswith(".digits.lock")) == [
        "digits.csv",
        "digits.json",
    ]


def test_what_is_finished_is_not_trained_again_and_either_way_continues_the_other(
    images, direct, tmp_path, monkeypatch
):
    advance, calls = Lane.advance, []

    def interrupted(lane, *rest):
        calls.append(lane)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return advance(lane, *rest)

    engine = Engine(jobs=1, progress=False)
    monkeypatch.setattr(Lane, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        training_tasks.run(SMALL, images, tmp_path, engine, interval=0.0)
    steps = []
    monkeypatch.setattr(Lane, "advance", lambda lane, *rest: (steps.append(lane), advance(lane, *rest))[1])
    outlook = training_tasks.outlook(SMALL, images, tmp_path.parent, engine, "cpu")
    assert (outlook.pieces, outlook.finished) == (4, 0)  # of the record's folder, where nothing is
    same(SMALL.run(images, device="cpu", checkpoint=tmp_path, progress=False), direct)
    assert len(steps) == 4 * 2 - 3
    same(training_tasks.run(SMALL, images, tmp_path, engine), direct)
    assert len(steps) == 4 * 2 - 3


def test_a_worker_that_dies_loses_one_piece(images, direct, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import engine_tasks

    monkeypatch.setattr(training_tasks, "train_piece", engine_tasks.train_and_die_once)
    monkeypatch.setenv("ENGINE_TASKS_FOLDER", str(tmp_path))  # workers inherit it
    engine = Engine(jobs=2, progress=False)
    same(training_tasks.run(SMALL, images, tmp_path / "c", engine, interval=0.0), direct)
    assert len(list(tmp_path.glob("died-*"))) == 4  # each lane's worker, after its first epoch


def test_a_piece_that_fails_is_listed_and_the_others_are_kept(images, tmp_path, monkeypatch):
    def fails(piece, *rest):
        if piece.protocol.network.depth == 3:
            raise OSError(28, "No space left on device")
        return train(piece, *rest)

    train = training_tasks.train_piece
    monkeypatch.setattr(training_tasks, "train_piece", fails)
    monkeypatch.setattr("fracrepro.workflow.engine.Task.__post_init__", lambda task: None)
    with pytest.raises(training_tasks.UnfinishedError, match="2 of 4 pieces failed") as raised:
        training_tasks.run(SMALL, images, tmp_path, Engine(jobs=1, progress=False))
    assert all(line.startswith("depth=3,learning_rate=0.01, seed") for line in raised.value.failures)
    assert [path.name for path in tmp_path.iterdir()] == ["depth=2,learning_rate=0.01"]


FILE = """
experiment: digits
settings: {runs: 2, epochs: 4, schemes: [kaiming]}
sweep: {depth: [2, 3], width: [8, 16]}
"""


def test_a_killed_driver_continues_and_ends_with_the_record_of_an_undisturbed_one(project, tmp_path):
    path, out = tmp_path / "sweep.yml", tmp_path / "out"
    path.write_text(FILE)
    assert (
        CliRunner()
        .invoke(main, ["sweep", str(path), "--output-dir", str(out / "1"), "--jobs", "1"])
        .exit_code
        == 0
    )
    command = [COMMAND, "sweep", str(path), "--output-dir", str(out / "2"), "--jobs", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while process.poll() is None and not list(out.glob("2/.digits.checkpoints/*/*.ckpt")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert result.returncode == 0, result.stderr
    assert "8 pieces, 0 finished" not in result.stdout
    same(*(pd.read_csv(out / run / "digits.csv") for run in ("1", "2")))


def test_an_experiment_of_one_piece_is_refused_and_other_data_too(images, tmp_path):
    with pytest.raises(ArgumentError, match="is one piece of work"):
        training_tasks.run(GRADIENT_TAILS, images, tmp_path, Engine(jobs=2))
    [piece, *_] = pieces.pieces(DIGITS, "cpu")
    with pytest.raises(ArgumentError, match="dataset = 'other'"):
        piece.advance(dataclasses.replace(images, name="other"), None)


def test_the_recorded_sweeps_offer_their_lanes_cell_by_cell():
    lanes = SWEEPS["mnist_depth"].pieces("cpu")
    assert len(lanes) == 8 * 4  # cells, and lanes of two seeds each, for three schemes
    assert len({piece.name for piece in lanes}) == len(lanes)
    assert {piece.folder for piece in lanes[:4]} == {"depth=10,negative_slope=0"}
    assert [piece.seeds for piece in lanes[:4]] == [(0, 1), (2, 3), (4, 5), (6, 7)]
    assert [piece.seeds for piece in SWEEPS["mnist_depth"].pieces("cuda")[:2]] == [tuple(range(8))] * 2


@pytest.mark.mnist
def test_a_piece_of_a_recorded_sweep_has_the_bits_of_the_record():
    """One epoch of one lane, which is all that a test has time for."""
    sweep, mnist = SWEEPS["mnist_depth"], data.load("mnist")
    [piece, *_] = sweep.pieces("cpu")
    state = piece.advance(mnist, None, seconds=0.0)
    assert state.epoch == 1
    record = pd.read_csv(RECORDED / "mnist_depth.csv")
    rows = record.query("depth == 10 and negative_slope == 0 and epoch == 1 and seed in @piece.seeds")
    content = torch.load(io.BytesIO(state.content.split(b"\n", 2)[2]), weights_only=True)
    figures = dict(zip(FIGURES, content["figures"][0], strict=True))
    for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
        recorded = rows.sort_values(["seed"], kind="stable")[name]  # a lane has its seeds outside
        assert recorded.tolist() == figures[name].tolist()
