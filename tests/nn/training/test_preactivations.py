"""Pre-activations and their tails, against hooks, scipy and the estimator for one sample."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import integrate, stats

from fracrepro.errors import ArgumentError
from fracrepro.nn import data
from fracrepro.nn.schemes import make
from fracrepro.nn.training.batches import normalize
from fracrepro.nn.training.network import Network, build_module
from fracrepro.nn.training.preactivations import (
    layer_tails,
    normal_twin,
    pre_activations,
    stable_layers,
    start_probabilities,
    tail_indices,
    tails_in_training,
)
from fracrepro.nn.training.start import initial_parameters
from fracrepro.stats.paired import mean_intervals
from fracrepro.stats.power import kolmogorov_test
from fracrepro.stats.tails import extreme_value_index

NETWORK = Network((1, 8, 8), depth=4, width=12)
SCHEME = make("kaiming")


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def pixels(digits):
    return normalize(torch.tensor(digits.train_images))


def test_pre_activations_are_what_hooks_see(pixels):
    start = initial_parameters(NETWORK, SCHEME, 0)
    module, seen = build_module(NETWORK).double(), []
    module.load_state_dict(start)
    for part in module.modules():
        if isinstance(part, torch.nn.Linear):
            part.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    module(pixels[:7].double())
    inputs, found = pre_activations(NETWORK, start, pixels[:7])
    assert len(seen) == len(found) == 4
    for (h, z), mine, pre in zip(seen, inputs, found, strict=True):
        torch.testing.assert_close(h, mine, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(z, pre, rtol=1e-12, atol=1e-14)


def test_indices_are_those_of_the_estimator_for_one_sample():
    sample = np.random.default_rng(0).standard_t(3, (400, 5))
    expected = [extreme_value_index(np.abs(column), 20)[0] for column in sample.T]
    np.testing.assert_allclose(tail_indices(sample), expected, rtol=1e-12)
    assert np.isnan(tail_indices(np.zeros((400, 1)))).all()
    found = layer_tails(sample)
    assert found.evi_images == pytest.approx(np.median(expected), rel=1e-12)
    assert found.evi_layer == pytest.approx(extreme_value_index(np.abs(sample).ravel(), 100)[0], rel=1e-12)
    assert found.kurtosis_images == pytest.approx(np.median(stats.kurtosis(sample)), rel=1e-12)
    assert found.kurtosis_layer == pytest.approx(stats.kurtosis(sample.ravel()), rel=1e-12)


def test_the_law_before_training_is_the_integral_over_the_bias(pixels):
    inputs, found = pre_activations(NETWORK, initial_parameters(NETWORK, SCHEME, 1), pixels[:1])
    expected = []
    for h, z in zip(inputs, found, strict=True):
        fan_in, std = h.shape[1], math.sqrt(2 / h.shape[1]) * float(h.norm())
        bound = 1 / math.sqrt(fan_in)
        for value in z[0].tolist():
            mass, _ = integrate.quad(
                lambda b, value=value, std=std: stats.norm.cdf((value - b) / std), -bound, bound, epsabs=1e-13
            )
            expected.append(mass / (2 * bound))
    found = start_probabilities(NETWORK, SCHEME, 1, pixels[:1])
    np.testing.assert_allclose(found, expected, atol=1e-11)


def test_the_test_of_that_law_keeps_its_level_and_rejects_half_of_the_variance(pixels):
    # 200 networks at level 0.05: more than 22 false alarms have probability 0.0005.
    true = [start_probabilities(NETWORK, SCHEME, k, pixels[k : k + 1]) for k in range(200)]
    assert sum(kolmogorov_test(u, lambda x: x, level=0.05).rejected for u in true) <= 22
    wrong = [start_probabilities(NETWORK, SCHEME, k, pixels[k : k + 1], factor=0.5**0.5) for k in range(200)]
    assert kolmogorov_test(np.concatenate(wrong), lambda x: x).rejected
    assert not kolmogorov_test(np.concatenate(true), lambda x: x).rejected


def test_the_twin_has_the_moments_and_is_normal():
    rng = np.random.default_rng(2)
    values = rng.standard_t(2.5, (4000, 3)) @ np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 2.0], [0.0, 0.0, 1.0]])
    twin = normal_twin(values, rng)
    # Entries of a covariance of 4000 normal numbers: standard errors of at most sqrt(2/4000) of the scale.
    scale = np.sqrt(np.outer(*2 * [values.var(0)]))
    assert (np.abs(np.cov(twin.T) - np.cov(values.T)) / scale).max() < 5 * math.sqrt(2 / 4000)
    assert np.abs(stats.kurtosis(twin)).max() < 5 * math.sqrt(24 / 4000) < stats.kurtosis(values).max()


@pytest.mark.parametrize("shared", [False, True])
def test_a_stable_law_is_wrongly_excluded_no_more_often_than_stated_and_the_normal_law_always(shared):
    # 200 experiments of six networks each, intervals at 0.95: the mean is missed from below in at most
    # 2.5 % if the values were normal; more than 13 of 200 would have probability 0.0006.
    rng = np.random.default_rng(4)
    stable = pd.DataFrame(stable_layers(1.9, 200, 20, 1200, rng=rng, shared=shared))["evi_images"].to_numpy()
    normal = pd.DataFrame(stable_layers(2.0, 200, 20, 60, rng=rng))["evi_images"].to_numpy()
    high = mean_intervals(pd.DataFrame(stable.reshape(200, 6).T))["high"]
    assert (high < stable.mean()).sum() <= 13
    assert (mean_intervals(pd.DataFrame(normal.reshape(10, 6).T))["high"] < stable.mean()).all()


def test_training_is_measured_at_the_start_and_after_equal_epochs(digits):
    found = tails_in_training(
        NETWORK, SCHEME, [0, 1], digits, batch_sizes=[48, 480], epochs=[1, 2], learning_rate=0.05, images=100
    )
    assert found.groupby(["batch_size", "epoch"]).size().to_dict() == {
        (0, 0): 8, (48, 1): 8, (48, 2): 8, (480, 1): 8, (480, 2): 8,
    }  # fmt: skip
    assert np.isfinite(found["evi_layer"]).all()
    pixels = normalize(torch.tensor(digits.train_images[:100]))
    start = pre_activations(NETWORK, initial_parameters(NETWORK, SCHEME, 1), pixels)[1][2]
    row = found.query("epoch == 0 and seed == 1 and layer == 2").iloc[0]
    assert row["evi_layer"] == pytest.approx(tail_indices(start.numpy().reshape(-1, 1))[0], rel=1e-9)
    assert found.query("epoch == 2").groupby("batch_size")["loss"].mean().is_monotonic_increasing


def test_a_diverged_network_is_not_a_number(digits):
    found = tails_in_training(
        NETWORK, SCHEME, [0], digits, batch_sizes=[48], epochs=[2], learning_rate=1e6, images=100
    )
    assert found.query("epoch == 2")["evi_layer"].isna().all()
    assert found.query("epoch == 0")["evi_layer"].notna().all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tail_indices([1.0, 2.0]), "shape"),
        (lambda: tail_indices(np.ones((10, 1)), 0.05), "shape"),
        (lambda: tail_indices(np.ones((100, 1)), 1.0), "top = 1.0"),
        (lambda: stable_layers(0.0, 100, 2, 1, rng=np.random.default_rng(0)), "alpha = 0.0"),
        (lambda: stable_layers(1.9, 10, 2, 1, rng=np.random.default_rng(0)), "images = 10"),
        (lambda: start_probabilities(NETWORK, SCHEME, 0, torch.ones(1, 1, 8, 8), factor=0.0), "factor"),
        (
            lambda: tails_in_training(
                NETWORK, SCHEME, [0], data.load("digits"), batch_sizes=[8], epochs=[2, 1], learning_rate=0.1
            ),
            "epochs",
        ),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
