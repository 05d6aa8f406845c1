"""Recorded experiments: what is written, what is refused, and that an interruption changes nothing."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from fracrepro.nn.experiments import DIGITS, EXPERIMENTS, GRADIENT_TAILS, Sweep
from fracrepro.workflow import records
from fracrepro.workflow.cli import main

RECORDED = Path(__file__).resolve().parents[2] / "recorded"
COLUMNS = "experiment,scheme,s,seed,epoch,train_loss,train_accuracy,test_loss,test_accuracy,seconds"


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    folder = tmp_path_factory.mktemp("record")
    arguments = [
        "train",
        "digits",
        "--runs",
        "2",
        "--epochs",
        "2",
        "--scheme",
        "fractional",
        "--scheme",
        "kaiming",
    ]
    result = CliRunner().invoke(main, [*arguments, "--s", "0.5", "--device", "cpu", "--out", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


def protocol():
    return DIGITS.settle(runs=2, epochs=2, schemes=("fractional", "kaiming"), s=0.5)


def test_the_table_is_tidy(record):
    text = (record / "digits.csv").read_text()
    assert text.splitlines()[0] == COLUMNS
    table = pd.read_csv(record / "digits.csv")
    assert len(table) == 2 * 2 * 2
    assert set(table["s"].dropna()) == {0.5}
    assert set(table["epoch"]) == {1, 2}
    assert table["test_accuracy"].between(0, 1).all()
    assert sorted(path.name for path in record.iterdir()) == [
        "digits.csv",
        "digits.json",
    ]  # no checkpoints left


def test_the_record_says_where_the_table_comes_from(record):
    facts = json.loads((record / "digits.json").read_text())
    assert facts["protocol"]["epochs"] == 2
    assert set(facts) >= {
        "sha256",
        "data_digest",
        "versions",
        "device",
        "commit",
        "package_digest",
        "wall_seconds",
    }


def test_load_gives_the_results_back(record):
    results = records.load_record(record, protocol())
    pd.testing.assert_frame_equal(results, pd.read_csv(record / "digits.csv"))


def test_load_refuses_an_altered_table_another_protocol_and_nothing(record, tmp_path):
    with pytest.raises(ValueError, match=r"epochs is 2 there and 3"):
        records.load_record(record, protocol().replace(epochs=3))
    for name in ("digits.csv", "digits.json"):
        (tmp_path / name).write_bytes((record / name).read_bytes())
    (tmp_path / "digits.csv").write_text((record / "digits.csv").read_text().replace("kaiming", "xavier", 1))
    with pytest.raises(ValueError, match="expected sha256"):
        records.load_record(tmp_path, protocol())
    with pytest.raises(ValueError, match="fracrepro train digits"):
        records.load_record(tmp_path / "nowhere", protocol())


def test_an_interrupted_call_continues_and_ends_with_the_same_results(record, tmp_path, monkeypatch):
    from fracrepro.nn.training.lanes import Lane

    advance, calls = Lane.advance, []

    def interrupted(self, *arguments):
        calls.append(self)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return advance(self, *arguments)

    monkeypatch.setattr(Lane, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        records.run(protocol(), tmp_path, device="cpu", interval=0.0)
    assert not (tmp_path / "digits.csv").exists()
    assert list(tmp_path.glob(".digits.checkpoints/*.ckpt"))
    monkeypatch.setattr(Lane, "advance", advance)
    records.run(protocol(), tmp_path, device="cpu")
    expected = records.load_record(record, protocol()).drop(columns="seconds")
    pd.testing.assert_frame_equal(records.load_record(tmp_path, protocol()).drop(columns="seconds"), expected)
    assert json.loads((tmp_path / "digits.json").read_text())["resumed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digit"], "did you mean 'digits'"),
        (["digits", "--profile", "papr"], "did you mean 'paper'"),
        (["digits", "--runs", "0"], "runs = 0"),
        (["digits", "--epochs", "-1"], "epochs = -1"),
        (["digits", "--scheme", "kaimin"], "did you mean 'kaiming'"),
        (["digits", "--s", "2.5"], "s = 2.5"),
        (["digits", "--s", "nan"], "s = nan"),
        (["digits", "--scheme", "kaiming", "--s", "1"], "fractional"),
        (["digits", "--epochs", "2"], "need --out"),
        (["mnist_width", "--s", "0.5"], "its own schemes and orders"),
        (["gradient_tails", "--scheme", "kaiming"], "its own schemes and orders"),
        (["gradient_tails", "--epochs", "2"], "counts steps"),
        (["mnist_dept"], "did you mean 'mnist_depth'"),
        (["digits", "--profile", "quick", "--out", "somewhere", "--device", "tpu"], "device = 'tpu'"),
    ],
)
def test_bad_input_is_one_line_before_any_training(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "fracrepro.nn.training.lanes.Lane.advance", lambda *_: pytest.fail("training has begun")
    )
    result = CliRunner().invoke(main, ["train", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("*.csv"))


def test_sweeps_and_tails_are_recorded_like_trainings(tmp_path, monkeypatch):
    small = DIGITS.replace(name="small_sweep", epochs=1, seeds=range(2), schemes=DIGITS.schemes[:2])
    sweep = Sweep(small, [("depth", (2, 3))])
    monkeypatch.setitem(EXPERIMENTS, "small_sweep", sweep)
    arguments = ["train", "small_sweep", "--device", "cpu", "--out", str(tmp_path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "depth=3 scheme=kaiming: test accuracy" in result.stdout
    assert len(records.load_record(tmp_path, sweep)) == 2 * 2 * 2
    with pytest.raises(ValueError, match=r"axes is .*3.* there and .*4.* in the protocol"):
        records.load_record(tmp_path, Sweep(small, [("depth", (2, 4))]))
    tails = GRADIENT_TAILS.settle("quick").replace(
        dataset="digits", network=DIGITS.network, batch_sizes=[2], steps=2, draws=500, images=500
    )
    results = records.run(tails, tmp_path, device="cpu")
    assert tails.summary(results)[0].startswith("batch_size=2 scheme=fractional s=1.0: loss 2.3")
    pd.testing.assert_frame_equal(records.load_record(tmp_path, tails), results)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "gradient_tails.csv",
        "gradient_tails.json",
        "small_sweep.csv",
        "small_sweep.json",
    ]


def test_the_paper_profile_is_the_protocol_itself():
    for full in EXPERIMENTS.values():
        assert full.settle() == full
        assert full.settle("quick") != full


@pytest.mark.parametrize("name", sorted(path.stem for path in RECORDED.glob("*.csv")))
def test_every_committed_record_is_of_its_experiment(name):
    described = json.loads((RECORDED / f"{name}.json").read_text())["protocol"]
    full = EXPERIMENTS[name]
    assert full.to_dict() == described
    assert type(full).from_dict(described) == full
    assert len(records.load_record(RECORDED, full)) > 0


def test_a_record_of_other_settings_is_not_replaced(tmp_path):
    def train(*more):
        arguments = ["train", "digits", "--profile", "quick", "--epochs", "1", "--out", str(tmp_path)]
        return CliRunner().invoke(main, [*arguments, *more])

    assert train("--runs", "1").exit_code == 0
    kept = (tmp_path / "digits.csv").read_bytes()
    refused = train("--runs", "1", "--scheme", "kaiming")
    assert refused.exit_code == 2
    assert "of other schemes; need another folder" in refused.stderr
    assert (tmp_path / "digits.csv").read_bytes() == kept
    assert train("--runs", "1").exit_code == 0  # the same settings again are the same record


def training(folder, *more):
    """Start `fracrepro train digits` in a process of its own."""
    options = ["--profile", "quick", "--device", "cpu", "--out", str(folder), *more]
    code = "from fracrepro.workflow.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "train", "digits", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(folder, pattern):
    deadline = time.monotonic() + 120
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_second_training_in_a_folder_names_the_first(tmp_path):
    long = ("--epochs", "200", "--runs", "1")
    first = training(tmp_path, *long)
    wait_for(tmp_path, ".digits.checkpoints")
    others = [training(tmp_path, *long) for _ in range(3)]
    said = [other.communicate()[1] for other in others]
    assert [other.returncode for other in others] == [2, 2, 2]
    for line in said:
        start = f"error: out = {str(tmp_path)!r}: recording of 'digits': process {first.pid} on "
        assert line.startswith(start)
        assert len(line.splitlines()) == 1
    assert first.poll() is None  # and goes on
    first.kill()
    first.communicate()


def test_a_killed_training_leaves_no_lock_and_its_strays_are_swept(tmp_path):
    first = training(tmp_path)
    wait_for(tmp_path, ".digits.lock")
    first.kill()
    first.communicate()
    checkpoints = tmp_path / ".digits.checkpoints"
    checkpoints.mkdir(exist_ok=True)
    for stray in (checkpoints / ".seeds-0.ckpt.abcd1234.part", tmp_path / ".digits.csv.abcd1234.part"):
        stray.write_text("half of it")  # as a kill leaves it
    again = training(tmp_path)
    assert again.communicate()[1] == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.csv", "digits.json"]


def test_a_record_without_a_digest_gets_one_only_if_its_table_is_the_one(record, tmp_path):
    for name in ("digits.csv", "digits.json"):
        shutil.copy(record / name, tmp_path)
    with pytest.raises(ValueError, match="has a digest already"):
        records.seal(tmp_path, "digits")
    facts = json.loads((tmp_path / "digits.json").read_text())
    digest = facts.pop("content")
    (tmp_path / "digits.json").write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=r"digits.json was edited.* made before version 0\.2"):
        records.load_record(tmp_path, protocol())
    records.seal(tmp_path, "digits")
    assert json.loads((tmp_path / "digits.json").read_text()) == facts | {"content": digest}
    records.load_record(tmp_path, protocol())
    (tmp_path / "digits.json").write_text(json.dumps(facts))
    (tmp_path / "digits.csv").write_text((record / "digits.csv").read_text() + "\n")
    with pytest.raises(ValueError, match=r"digits.csv: expected sha256"):
        records.seal(tmp_path, "digits")


@pytest.mark.parametrize("content", ["", "{", "null", "{}", '{"protocol": 3, "sha256": ""}', "[" * 100_000])
def test_a_damaged_record_is_named(record, tmp_path, content):
    for name in ("digits.csv", "digits.json"):
        shutil.copy(record / name, tmp_path)
    (tmp_path / "digits.json").write_text(content)
    with pytest.raises(ValueError, match=r"digits\.json: ") as caught:
        records.load_record(tmp_path, protocol())
    assert "\n" not in str(caught.value)
