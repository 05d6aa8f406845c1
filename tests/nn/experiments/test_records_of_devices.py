"""Records of one experiment from two devices: a difference of their laws would be seen, and none is.

An experiment that needs a GPU is compared with the records of the CPU that have its settings at other seeds;
one without a record yet is skipped.
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
OTHERS = [name for name, full in EXPERIMENTS.items() if full.to_dict().get("needs")]
LEVEL, WANTED = 0.01, 0.8
ENOUGH = 20  # runs of a scheme; with fewer there is no such power
COMPARED = {"mnist_cuda", "cifar10_cuda", "mechanism_cuda", "orders_cuda"}  # the others have fewer
MOST = 1000  # runs of a scheme, which are more than power needs
FREE = ("experiment", "seeds", "schemes", "needs")


def described(path):
    return json.loads(path.with_suffix(".json").read_text())


def settings(protocol):
    return {key: value for key, value in protocol.items() if key not in FREE}


def of_the_cpu(protocol):
    """The committed records of the CPU with these settings, whatever their seeds and schemes."""
    return [
        path
        for path in sorted(RECORDED.glob("*.csv"))
        if settings(described(path)["protocol"]) == settings(protocol)
        and described(path)["device"]["training"] == "cpu"
    ]


def judge(path):
    """Compare a record with those of the CPU; AssertionError unless they agree and that says something."""
    about = described(path)
    assert about["device"]["training"] != "cpu", "both are of a CPU"
    paths = of_the_cpu(about["protocol"])
    assert paths, "no record has the settings"
    first, second = pd.concat(map(pd.read_csv, paths)), pd.read_csv(path.with_suffix(".csv"))
    runs = first.groupby("scheme")["seed"].nunique()
    second = second[second["seed"] < second["seed"].min() + MOST]
    compared = set(runs[runs >= ENOUGH].index)
    first, second = (table[table["scheme"].isin(compared)] for table in (first, second))
    found = agreement(first, second, level=LEVEL)
    different = found[found["verdict"] == "different"]
    assert different.empty, f"the laws differ:\n{different.to_string()}"
    power = found[["power_shift", "power_spread"]].min().min()
    assert power >= WANTED, f"only a power of {power:.2f}"
    return found


@pytest.mark.parametrize("name", OTHERS)
def test_the_record_of_another_device_has_the_same_law(name):
    path = RECORDED / name
    if not path.with_suffix(".csv").is_file():
        pytest.skip(f"no record {path.name}")
    if name not in COMPARED:
        pytest.skip(f"fewer than {ENOUGH} runs on the CPU")
    judge(path)


def test_every_experiment_of_another_device_has_records_to_be_compared_with():
    found = {name: of_the_cpu(EXPERIMENTS[name].to_dict()) for name in OTHERS}
    assert {name: [path.stem for path in paths] for name, paths in found.items()} == {
        "mnist_cuda": ["mnist"],
        "cifar10_cuda": ["cifar10", "cifar10_confirm"],
        **{f"{name}_cuda": [name] for name in ("mechanism", "orders", "contest", "blocks")},
    }
    runs = {
        name: sum(len(described(path)["protocol"]["seeds"]) for path in paths)
        for name, paths in found.items()
    }
    assert {name for name in OTHERS if runs[name] >= ENOUGH} == COMPARED


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
    named = {"experiment": "mnist_cuda", "needs": "cuda", "seeds": list(range(20, 20 + runs))}
    about["protocol"] |= named | settings
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
    found = judge(write(tmp_path))
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
        ({"learning_rate": 0.02}, "no record has the settings"),
        ({"device": "cpu"}, "both are of a CPU"),
    ],
)
def test_the_judge_sees_what_is_wrong(tmp_path, made, message):
    with pytest.raises(AssertionError, match=message):
        judge(write(tmp_path, **made))


def test_the_judge_names_the_rows_that_differ(tmp_path):
    with pytest.raises(AssertionError, match="the laws differ") as caught:
        judge(write(tmp_path, change=shifted(2.0)))
    assert "kaiming" in str(caught.value)
    assert "xavier" not in str(caught.value)


def test_records_with_a_common_seed_are_refused(tmp_path):
    with pytest.raises(ValueError, match="shares the seed 19"):
        judge(write(tmp_path, change=lambda table: table.assign(seed=table["seed"] - 1)))
