"""The measurement at equal epochs: its rows, its training, its figures computed another way."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from fracrepro.nn import data
from fracrepro.nn.experiments import BATCH_SIZE, BatchSizes, batch_sizes
from fracrepro.nn.experiments.batch_sizes import FIGURES
from fracrepro.nn.training import batches
from fracrepro.nn.training.checkpoints import CheckpointError
from fracrepro.nn.training.gradients import layer_gradients
from fracrepro.nn.training.network import Network, build_module
from fracrepro.nn.training.start import initial_parameters
from fracrepro.nn.training.streams import stream

SMALL = BATCH_SIZE.replace(
    dataset="digits",
    network=Network((1, 8, 8), depth=3, width=32),
    seeds=(0, 5),
    batch_sizes=(4, 16),
    learning_rates=(0.02, 0.05),
    epochs=2,
    draws=500,
    images=600,
    measured=900,
    layer=1,
    goal=1.5,
)
RUN = "batch_size == 16 and scheme == 'kaiming' and seed == 5"


@pytest.fixture(scope="module")
def results():
    return SMALL.run(device="cpu", progress=False)


@pytest.fixture(scope="module")
def digits():
    dataset = data.load("digits")
    return batches.normalize(torch.tensor(dataset.train_images)), torch.tensor(dataset.train_labels).long()


def trained(digits, size, rate):
    """The module of one run after training, by torch's own optimizer, and the loss at each look."""
    images, labels = digits
    module = build_module(SMALL.network)
    module.load_state_dict(initial_parameters(SMALL.network, SMALL.schemes[1], 5))
    optimizer = torch.optim.SGD(module.parameters(), rate)
    looks, n = [], len(labels)
    for epoch in (1, 2):
        order = batches.order([5], epoch, n)[0]
        for first in range(0, n, size):
            chosen = order[first : first + size]
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(images[chosen]), labels[chosen]).backward()
            optimizer.step()
            done = first + len(chosen)
            if done * 10 // n > first * 10 // n:
                loss = torch.nn.functional.cross_entropy(module(images[:1000]), labels[:1000]).item()
                looks.append((epoch - 1 + done / n, loss))
    return module, looks


def test_one_row_for_each_model_and_stage(results):
    columns = ["experiment", "batch_size", "learning_rate", "scheme", "s", "seed", "stage", *FIGURES]
    assert list(results.columns) == columns
    assert len(results) == 2 * 2 * 2 * 3
    assert (results.groupby(["batch_size", "scheme", "seed", "stage"]).size() == 1).all()
    start, end = (results[results["stage"] == stage] for stage in ("start", "end"))
    assert end[list(FIGURES)].notna().all(axis=None)
    assert (start["passes"] == 0).all()
    assert (end["passes"] == 2).all()
    assert start[["step_evi", "noise_evi", "gaussian_evi", "noise_gap"]].isna().all(axis=None)
    # What does not depend on the batch size is the same for both before training.
    for figure in ("loss", "image_evi", "kurtosis", "pre_kurtosis", "pre_evi"):
        assert (start.groupby(["scheme", "seed"])[figure].nunique() == 1).all()


def test_training_takes_the_stated_epochs_at_the_stated_rate_and_meets_the_goal(results, digits):
    module, looks = trained(digits, 16, 0.05)
    images, labels = digits
    expected = torch.nn.functional.cross_entropy(module(images[:900]), labels[:900]).item()
    end = results.query(f"{RUN} and stage == 'end'").iloc[0]
    assert end["loss"] == pytest.approx(expected, rel=1e-4)
    assert end["learning_rate"] == 0.05
    other, _ = trained(digits, 16, 0.02)  # the control: the other batch size's rate
    found = torch.nn.functional.cross_entropy(other(images[:900]), labels[:900]).item()
    assert abs(found / expected - 1) > 0.05
    first = next(passes for passes, loss in looks if loss <= SMALL.goal)
    goal = results.query(f"{RUN} and stage == 'goal'").iloc[0]
    assert goal["passes"] == first
    assert goal["loss"] == pytest.approx(SMALL.goal, abs=0.3)


def test_figures_of_the_end_by_another_way(results, digits):
    module, _ = trained(digits, 16, 0.05)
    parameters, (images, labels) = dict(module.named_parameters()), digits
    end = results.query(f"{RUN} and stage == 'end'").iloc[0]
    signal, kurtoses = images[:600].flatten(1), []
    for k in range(3):
        weight, bias = parameters[f"dense{k}.weight"], parameters[f"dense{k}.bias"]
        z = (signal @ weight.T + bias).detach()
        kurtoses.append(np.median(stats.kurtosis(z.double().numpy(), axis=0)))
        signal = torch.where(z > 0, z, SMALL.network.negative_slope * z)
    assert end["pre_kurtosis"] == pytest.approx(np.mean(kurtoses), rel=1e-3)
    generator = stream(5, "noise")
    chosen = torch.randperm(900, generator=generator)[:600]
    layer = layer_gradients(SMALL.network, parameters, images[chosen], labels[chosen], 1)
    each = torch.einsum("no,ni->noi", layer.deltas.double(), layer.inputs.double()).flatten(1).numpy()
    moving = each.std(0) > 0
    assert end["kurtosis"] == pytest.approx(np.median(stats.kurtosis(each[:, moving], axis=0)), rel=1e-2)
    assert end["noise_kurtosis"] == end["kurtosis"] / 16
    assert end["noise_gap"] == end["noise_evi"] - end["gaussian_evi"]


def test_looks_are_even_over_an_epoch():
    for n, size in ((1000, 1), (1000, 7), (60000, 2), (30, 8)):
        windows = list(batch_sizes._windows(n, size))
        looks = [last for _, last, look in windows if look]
        assert [last for *_, last, _ in windows][-1] == n == looks[-1]
        assert len(looks) == min(10, len(windows))
        # Each look is the first moment at which another tenth is over.
        for last in looks:
            assert last * 10 // n > max(last - size, 0) * 10 // n


def test_a_stopped_measurement_continues(results, tmp_path, monkeypatch):
    measure, calls = batch_sizes._piece, []

    def stops(study, place, seeds, *rest):
        calls.append((place, seeds))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return measure(study, place, seeds, *rest)

    monkeypatch.setattr(batch_sizes, "_piece", stops)
    with pytest.raises(KeyboardInterrupt):
        SMALL.run(device="cpu", checkpoint=tmp_path, progress=False)
    again = SMALL.run(device="cpu", checkpoint=tmp_path, progress=False)
    assert calls == [(0, (0,)), (0, (5,)), (1, (0,)), (1, (0,)), (1, (5,))]
    without = [results.drop(columns="seconds"), again.drop(columns="seconds")]
    pd.testing.assert_frame_equal(*without)
    with pytest.raises(CheckpointError, match=r"goal is 1\.5 there and 1\.4 here"):
        SMALL.replace(goal=1.4).run(device="cpu", checkpoint=tmp_path, progress=False)
    kept = tmp_path / "batch-4-seeds-0-0.ckpt"
    kept.write_bytes((tmp_path / "batch-4-seeds-5-5.ckpt").read_bytes())
    with pytest.raises(CheckpointError, match="runs at seeds is"):
        SMALL.run(device="cpu", checkpoint=tmp_path, progress=False)


def test_a_goal_that_is_never_reached_and_a_run_that_diverges_have_no_figures():
    wild = SMALL.replace(learning_rates=(0.02, 1e9), epochs=1, goal=1e-9)
    found = wild.run(device="cpu", progress=False)
    names = [name for name in FIGURES if name not in ("seconds", "passes")]
    assert found.query("stage == 'goal'")[names].isna().all(axis=None)
    ends = found.query("stage == 'end'").set_index("batch_size")
    assert ends.loc[16, names].isna().all(axis=None)
    assert ends.loc[4, "loss"].notna().all()
    assert (found["seconds"] > 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_sizes": (4, 4)}, "batch_sizes = 4 twice"),
        ({"learning_rates": (0.1,)}, r"learning_rates = \(0.1,\): need one for each of \(4, 16\)"),
        ({"learning_rates": (0.1, 0)}, "learning_rates = 0"),
        ({"epochs": 0}, "epochs = 0"),
        ({"goal": 0}, "goal = 0"),
        ({"layer": 3}, "layer = 3"),
        ({"measured": 500}, r"measured = 500: need an integer in \[600, inf\)"),
    ],
)
def test_bad_fields_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        SMALL.replace(**changes)


def test_json_round_trip_and_profiles():
    assert BatchSizes.from_dict(json.loads(json.dumps(SMALL.to_dict()))) == SMALL
    quick = BATCH_SIZE.settle("quick")
    assert (quick.dataset, quick.epochs) == ("digits", 1)
    assert BATCH_SIZE.settle("book", epochs=3).epochs == 3
    assert BATCH_SIZE.goal == math.log(10) / 2
