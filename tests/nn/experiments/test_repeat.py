"""The committed records, repeated in part: same bits, on the real images.

A record's bits are those of its version of torch on a CPU; another one may round differently.
"""

import io
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fracrepro.nn import data
from fracrepro.nn.experiments import CIFAR10, EXPERIMENTS, GRADIENT_TAILS, MNIST, gradient_tails, tail_figures
from fracrepro.nn.training import batches, train
from fracrepro.nn.training.start import initial_parameters

RECORDED = Path(__file__).resolve().parents[3] / "recorded"
needs_data = pytest.mark.skipif(not os.environ.get("FRACREPRO_DATA"), reason="FRACREPRO_DATA is not set")


def recorded(name):
    """A record's rows; a skip where this torch is not the one that made it."""
    torch_then = json.loads((RECORDED / f"{name}.json").read_text())["versions"]["torch"]
    if torch_then.split("+")[0] != torch.__version__.split("+")[0]:
        pytest.skip(f"the record is of torch {torch_then}, this is {torch.__version__}")
    return pd.read_csv(RECORDED / f"{name}.csv")


def written(results):
    """Results as a record holds them, without what no second run repeats."""
    return pd.read_csv(io.StringIO(results.to_csv(index=False))).drop(columns="seconds", errors="ignore")


def same(results, rows):
    expected = rows[written(results).columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(written(results).reset_index(drop=True), expected, check_exact=True)


@pytest.mark.mnist
@needs_data
def test_the_first_epoch_on_mnist_has_the_recorded_bits():
    rows = recorded("mnist").query("epoch == 1 and seed < 2")
    results = train(MNIST.replace(seeds=range(2), epochs=1), device="cpu", threads=2, progress=False)
    assert len(results) == 8
    same(results, rows)
    with pytest.raises(AssertionError):  # the control: another seed
        same(results.assign(seed=1 - results["seed"]), rows)


@pytest.mark.mnist
@needs_data
def test_the_first_epoch_of_a_cell_of_a_sweep_has_the_recorded_bits():
    cell = [("depth", (10,)), ("negative_slope", (0.0,))]
    sweep = EXPERIMENTS["mnist_depth"].replace(seeds=range(1), epochs=1, axes=cell)
    rows = recorded("mnist_depth").query("epoch == 1 and seed == 0 and depth == 10 and negative_slope == 0")
    results = sweep.run(device="cpu", progress=False)
    assert len(results) == 3
    same(results, rows)


@pytest.mark.mnist
@needs_data
def test_the_tails_of_one_network_before_training_have_the_recorded_bits():
    row = recorded("gradient_tails").query("stage == 'start' and seed == 0 and batch_size == 8").iloc[0]
    mnist, study = data.load("mnist"), GRADIENT_TAILS
    images, labels = torch.tensor(mnist.train_images), torch.tensor(mnist.train_labels).long()
    start = initial_parameters(study.network, study.schemes[0], 0)
    pixels = batches.normalize(images)
    sample = tail_figures.sample_of(study, start, start, 0, pixels, labels, batch_size=8)
    names = gradient_tails.FIGURES
    found = dict(zip(names, tail_figures.figures_of(sample, names), strict=True))
    assert np.isnan([found.pop("step_evi"), row["step_evi"]]).all()
    assert found == row[list(found)].to_dict()


@pytest.mark.cifar10
@needs_data
def test_the_first_epoch_on_cifar10_has_the_recorded_bits():
    rows = recorded("cifar10").query("epoch == 1 and seed == 0")
    results = train(CIFAR10.replace(seeds=range(1), epochs=1), device="cpu", progress=False)
    assert len(results) == 3
    same(results, rows)
