"""Records of one experiment from two devices: a difference of their laws would be seen, and none is.

An experiment ``NAME_cuda`` is ``NAME`` on a GPU at other seeds; those without a record yet are skipped.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fracrepro.nn.experiments.registry import EXPERIMENTS
from fracrepro.stats.agreement import agreement
from fracrepro.stats.paired import FIGURES

RECORDED = Path(__file__).resolve().parents[3] / "recorded"
ENDING = "_cuda"
OTHERS = [name for name in EXPERIMENTS if name.endswith(ENDING)]
LEVEL, WANTED = 0.01, 0.8


def judge(first, second):
    """Compare two records, paths without ending; AssertionError unless they agree and that says something."""
    about = [json.loads(path.with_suffix(".json").read_text()) for path in (first, second)]
    settings = [
        {key: value for key, value in one["protocol"].items() if key not in ("experiment", "seeds")}
        for one in about
    ]
    assert settings[0] == settings[1], "the settings differ"
    devices = [one["device"]["training"] for one in about]
    assert devices[0] == "cpu" != devices[1], f"the devices are {devices}"
    found = agreement(*(pd.read_csv(path.with_suffix(".csv")) for path in (first, second)), level=LEVEL)
    different = found[found["verdict"] == "different"]
    assert different.empty, f"the laws differ:\n{different.to_string()}"
    power = found[["power_shift", "power_spread"]].min().min()
    assert power >= WANTED, f"only a power of {power:.2f}"
    return found


@pytest.mark.parametrize(
    "name", OTHERS or [pytest.param("", marks=pytest.mark.skip(reason="no experiment of a second device"))]
)
def test_the_record_of_another_device_has_the_same_law(name):
    second, first = RECORDED / name, RECORDED / name.removesuffix(ENDING)
    for path in (first, second):
        if not path.with_suffix(".csv").is_file():
            pytest.skip(f"no record {path.name}")
    judge(first, second)


def write(folder, *, runs=100, change=lambda rows: rows, device="NVIDIA made up", **settings):
    """Write a made-up record: other seeds, runs drawn from those of recorded/mnist.csv, with noise.

    It is nearer to that record than an independent one would be.
    """
    rng = np.random.default_rng(47)
    rows = pd.read_csv(RECORDED / "mnist.csv").set_index(["scheme", "epoch", "seed"])
    deviations = rows.groupby(["scheme", "epoch"])[list(FIGURES)].std()
    drawn = rng.integers(0, 20, runs)
    made = rows.reset_index().groupby("seed")
    table = pd.concat(
        made.get_group(place).assign(seed=seed, experiment="mnist_cuda")
        for seed, place in enumerate(drawn, start=20)
    )
    width = deviations.loc[pd.MultiIndex.from_frame(table[["scheme", "epoch"]])].to_numpy()
    # The noise takes what it adds to the spread from the distance to the mean.
    means = table.groupby(["scheme", "epoch"])[list(FIGURES)].transform("mean")
    noise = 0.3 * width * rng.normal(size=width.shape)
    table[list(FIGURES)] = means + (table[list(FIGURES)] - means) * np.sqrt(1 - 0.3**2) + noise
    table = change(table.reset_index(drop=True))
    about = json.loads((RECORDED / "mnist.json").read_text())
    about["protocol"] |= {"experiment": "mnist_cuda", "seeds": list(range(20, 20 + runs))} | settings
    about["device"] |= {"training": device}
    path = folder / "mnist_cuda"
    table.to_csv(path.with_suffix(".csv"), index=False)
    path.with_suffix(".json").write_text(json.dumps(about))
    return path


def shifted(by, scheme="kaiming"):
    """A change that moves the figures of one scheme by so many standard deviations."""

    def change(table):
        rows = table["scheme"] == scheme
        deviations = table[rows].groupby("epoch")[list(FIGURES)].transform("std")
        table.loc[rows, list(FIGURES)] += by * deviations
        return table

    return change


def dying(table):
    """A change after which three of four runs of one scheme have diverged by the end."""
    rows = (table["scheme"] == "fractional") & (table["epoch"] == 30) & (table["seed"] % 4 > 0)
    return table.assign(test_loss=table["test_loss"].mask(rows))


def test_a_made_up_record_of_the_same_law_passes(tmp_path):
    found = judge(RECORDED / "mnist", write(tmp_path))
    assert len(found) == 4 * 4 * 2
    assert set(found["runs_first"]) == {20}
    assert set(found["runs_second"]) == {100}


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"change": shifted(1.5)}, "the laws differ"),
        ({"change": shifted(-1.5, "random_walk")}, "the laws differ"),
        ({"change": lambda table: table.assign(train_loss=table["train_loss"] * 1.1)}, "the laws differ"),
        ({"change": dying}, "the laws differ"),
        ({"runs": 30}, "only a power of 0"),
        ({"learning_rate": 0.02}, "the settings differ"),
        ({"device": "cpu"}, "the devices are"),
    ],
)
def test_the_judge_sees_what_is_wrong(tmp_path, made, message):
    with pytest.raises(AssertionError, match=message):
        judge(RECORDED / "mnist", write(tmp_path, **made))


def test_the_judge_names_the_rows_that_differ(tmp_path):
    with pytest.raises(AssertionError, match="the laws differ") as caught:
        judge(RECORDED / "mnist", write(tmp_path, change=shifted(2.0)))
    assert "kaiming" in str(caught.value)
    assert "xavier" not in str(caught.value)


def test_records_with_a_common_seed_are_refused(tmp_path):
    with pytest.raises(ValueError, match="shares the seed 19"):
        judge(RECORDED / "mnist", write(tmp_path, change=lambda table: table.assign(seed=table["seed"] - 1)))
