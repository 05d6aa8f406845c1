"""The measurement of tails: its rows, its steps, its repetition, and that it can tell tails apart."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch

from fracrepro.nn import data
from fracrepro.nn.experiments import CIFAR10, GRADIENT_TAILS, GradientTails, gradient_tails, tail_figures
from fracrepro.nn.experiments.gradient_tails import FIGURES
from fracrepro.nn.training import batches
from fracrepro.nn.training.checkpoints import CheckpointError, read_checkpoint, write_checkpoint
from fracrepro.nn.training.network import Network, build_module
from fracrepro.nn.training.start import initial_parameters
from fracrepro.nn.training.streams import stream

SMALL = GRADIENT_TAILS.replace(
    dataset="digits",
    network=Network((1, 8, 8), depth=4, width=32),
    seeds=(0, 5),
    batch_sizes=(2, 16),
    steps=40,
    draws=500,
    layer=2,
)


@pytest.fixture(scope="module")
def results():
    return SMALL.run(device="cpu", progress=False)


def test_one_row_for_each_model_and_stage(results):
    assert list(results.columns) == ["experiment", "batch_size", "scheme", "s", "seed", "stage", *FIGURES]
    assert len(results) == 2 * 2 * 2 * 2
    counts = results.groupby(["batch_size", "scheme", "seed", "stage"]).size()
    assert (counts == 1).all()
    start, end = (results[results["stage"] == stage] for stage in ("start", "end"))
    assert start["step_evi"].isna().all()
    assert end[list(FIGURES)].notna().all(axis=None)
    # What does not depend on the batch size is the same for both before training.
    for figure in ("loss", "image_evi", "kurtosis", "weight_evi"):
        assert (start.groupby(["scheme", "seed"])[figure].nunique() == 1).all()


def test_training_takes_the_stated_steps(results):
    """The loss at the end equals that of plain gradient descent on the same batches."""
    dataset = data.load("digits")
    images = batches.normalize(torch.tensor(dataset.train_images))
    labels = torch.tensor(dataset.train_labels).long()
    module = build_module(SMALL.network)
    module.load_state_dict(initial_parameters(SMALL.network, SMALL.schemes[1], 5))
    optimizer = torch.optim.SGD(module.parameters(), SMALL.learning_rate)
    generator = stream(5, "order")
    for _ in range(SMALL.steps):
        chosen = torch.randint(len(labels), (16,), generator=generator)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(images[chosen]), labels[chosen]).backward()
        optimizer.step()
    expected = torch.nn.functional.cross_entropy(module(images), labels).item()
    found = results.query("batch_size == 16 and scheme == 'kaiming' and seed == 5 and stage == 'end'")
    assert found["loss"].item() == pytest.approx(expected, rel=1e-5)


def test_a_stopped_measurement_continues(results, tmp_path, monkeypatch):
    measure, calls = gradient_tails._measure_all, []

    def stops(study, batch_size, *rest):
        calls.append(batch_size)
        if calls == [2, 16]:
            raise KeyboardInterrupt
        return measure(study, batch_size, *rest)

    monkeypatch.setattr(gradient_tails, "_measure_all", stops)
    with pytest.raises(KeyboardInterrupt):
        SMALL.run(device="cpu", checkpoint=tmp_path, progress=False)
    again = SMALL.run(device="cpu", checkpoint=tmp_path, progress=False)
    assert calls == [2, 16, 16]
    pd.testing.assert_frame_equal(again, results)
    with pytest.raises(CheckpointError, match="steps is 40 there and 41 here"):
        SMALL.replace(steps=41).run(device="cpu", checkpoint=tmp_path, progress=False)
    path = tmp_path / "batch-2.ckpt"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="truncated or altered"):
        SMALL.run(device="cpu", checkpoint=tmp_path, progress=False)


def test_the_figures_of_another_batch_size_are_refused(tmp_path):
    few = SMALL.replace(steps=1)
    few.run(device="cpu", checkpoint=tmp_path, progress=False)
    kept = (tmp_path / "batch-2.ckpt").read_bytes()
    (tmp_path / "batch-2.ckpt").write_bytes((tmp_path / "batch-16.ckpt").read_bytes())
    with pytest.raises(CheckpointError, match=r"batch-2.ckpt .*images per step is 16 there and 2 here"):
        few.run(device="cpu", checkpoint=tmp_path, progress=False)
    (tmp_path / "batch-2.ckpt").write_bytes(kept)
    content = read_checkpoint(tmp_path / "batch-2.ckpt")
    described = content.pop("experiment")
    for figures in (content["figures"][:0], content["figures"][:, :-1]):
        write_checkpoint(tmp_path / "batch-2.ckpt", described, {"figures": figures})
        with pytest.raises(CheckpointError, match=r"batch-2.ckpt holds other figures"):
            few.run(device="cpu", checkpoint=tmp_path, progress=False)


def test_a_diverged_model_has_no_figures_and_leaves_its_neighbours_alone(results):
    wild = SMALL.replace(learning_rate=1e9, batch_sizes=(2,), steps=3)
    found = wild.run(device="cpu", progress=False)
    ends, starts = (found.query(f"stage == '{stage}'")[list(FIGURES)] for stage in ("end", "start"))
    assert ends.isna().all(axis=None)
    assert starts["loss"].notna().all()


def test_top_separates_powers_from_normal_numbers():
    generator = np.random.default_rng(0)
    power = torch.tensor(generator.standard_t(2, 40_000))
    normal = torch.tensor(generator.standard_normal(40_000))
    # k = 2000: the standard error is 0.025; a t law with 2 degrees has the index 1/2.
    assert tail_figures.top(power) == pytest.approx(0.5, abs=0.125)
    assert tail_figures.top(normal) < 0.1
    assert math.isnan(tail_figures.top(torch.zeros(1000)))
    assert math.isnan(tail_figures.top(torch.ones(1000)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_sizes": ()}, r"batch_sizes = \(\)"),
        ({"batch_sizes": (4, 4)}, "batch_sizes = 4 twice"),
        ({"batch_sizes": (0,)}, "batch_sizes"),
        ({"steps": 0}, "steps = 0"),
        ({"layer": 4}, "layer = 4"),
        ({"draws": 10}, "draws = 10"),
        ({"images": 10}, "images = 10"),
        ({"depths": 3}, "depths"),
        ({"network": CIFAR10.network, "dataset": "cifar10"}, "convolutions"),
    ],
)
def test_bad_fields_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        SMALL.replace(**changes)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="dataset = 'digits'"):
        GRADIENT_TAILS.run(data.load("digits"))
    with pytest.raises(ValueError, match="device = 'tpu'"):
        SMALL.run(device="tpu")


def test_json_round_trip():
    record = json.loads(json.dumps(SMALL.to_dict()))
    assert GradientTails.from_dict(record) == SMALL
    with pytest.raises(ValueError, match=r"top = 0\.1: the estimators here have 0\.05"):
        GradientTails.from_dict(record | {"top": 0.1})
    with pytest.raises(ValueError, match="describes no GradientTails"):
        GradientTails.from_dict({key: value for key, value in record.items() if key != "steps"})
