"""The arms of a start against the plain loop, module by module; the theorem; refusals."""

import dataclasses

import numpy as np
import pytest
import torch

from fracrepro.errors import ArgumentError
from fracrepro.nn import data
from fracrepro.nn.schemes import make
from fracrepro.nn.training.arms import arms_between, train_arms
from fracrepro.nn.training.batches import normalize, order
from fracrepro.nn.training.network import Network, build_module
from fracrepro.nn.training.rescaling import Rescaling, descend
from fracrepro.nn.training.start import initial_parameters

NETWORK = Network((1, 8, 8), depth=5, width=12)
RESCALING = Rescaling((1.3, 0.8, 1.1, 1.2, 0.9))
ARMS = arms_between(RESCALING)
BATCH, RATE, SEEDS = 240, 0.05, (3, 8)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def train(digits, *, biases, arms=ARMS, epochs=2, precision=torch.float64):
    return train_arms(
        NETWORK, make("kaiming"), arms, SEEDS, digits, epochs=epochs, batch_size=BATCH, learning_rate=RATE,
        biases=biases, precision=precision,
    )  # fmt: skip


def plain(digits, arm, seed, epoch, *, biases):
    """The mean loss of one arm in one epoch, by torch's module and optimizer."""
    module = build_module(NETWORK).double()
    start = initial_parameters(NETWORK, make("kaiming"), seed)
    module.load_state_dict(start)
    groups = []
    for name, p in module.named_parameters():
        k = int(name.split(".")[0].removeprefix("dense"))
        if name.endswith("weight"):
            p.data *= arm.weights[k]
            groups.append({"params": [p], "lr": RATE * arm.rates[k]})
        elif biases:
            groups.append({"params": [p], "lr": RATE})
        else:
            p.requires_grad_(False).zero_()
    optimizer = torch.optim.SGD(groups, lr=RATE)
    images = normalize(torch.tensor(digits.train_images)).double()
    labels, sums = torch.tensor(digits.train_labels).long(), []
    for number in range(1, epoch + 1):
        total = 0.0
        for chosen in order((seed,), number, len(labels))[0].split(BATCH):
            loss = torch.nn.functional.cross_entropy(arm.output * module(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
        sums.append(total / len(labels))
    return sums


@pytest.mark.parametrize("biases", [True, False])
def test_every_arm_is_what_torch_trains(digits, biases):
    found = train(digits, biases=biases).set_index(["scheme", "seed", "epoch"])["train_loss"]
    for name, arm in ARMS.items():
        for seed in SEEDS:
            expected = plain(digits, arm, seed, 2, biases=biases)
            np.testing.assert_allclose(found.loc[name, seed], expected, rtol=1e-11)


def test_without_biases_scale_and_rates_are_the_other_start_and_with_them_they_are_not(digits):
    without, whole = (
        train(digits, biases=b).pivot(index=["seed", "epoch"], columns="scheme", values="train_loss")
        for b in (False, True)
    )
    np.testing.assert_allclose(without["both"], without["other start"], rtol=1e-12)
    # Controls: one of the two alone, and both where biases are not rescaled.
    for arm in ("scale", "rates", "reference"):
        assert (without[arm] - without["other start"]).abs().max() > 1e-3
    assert (whole["both"] - whole["other start"]).abs().max() > 1e-3


def test_the_loop_of_the_theorem_agrees(digits):
    start = initial_parameters(NETWORK, make("kaiming"), 3)
    weights = {k: v for k, v in start.items() if k.endswith("weight")}
    chosen = order((3,), 1, 1440)[0].split(BATCH)
    images = normalize(torch.tensor(digits.train_images)).double()
    labels = torch.tensor(digits.train_labels).long()
    losses, _ = descend(NETWORK, weights, [(images[c], labels[c]) for c in chosen], RATE, rescaling=RESCALING)
    found = train(digits, biases=False, epochs=1).set_index(["scheme", "seed"])["train_loss"]
    assert found.loc["both", 3] == pytest.approx(np.mean(losses), rel=1e-11)


def test_accuracy_is_a_share_and_float32_is_near(digits):
    single = train(digits, biases=True, precision=torch.float32)
    double = train(digits, biases=True)
    assert single["train_accuracy"].between(0, 1).all()
    np.testing.assert_allclose(single["train_loss"], double["train_loss"], rtol=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs = 0"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"learning_rate": 0.0}, "learning_rate = 0.0"),
        ({"seeds": (1, 1)}, "seeds"),
        ({"arms": arms_between(Rescaling((2.0,)))}, "need 5 factors"),
        ({"network": Network((1, 8, 8), depth=5, channels=(2,), kernel=3)}, "fully connected"),
        ({"network": dataclasses.replace(NETWORK, image_shape=(1, 9, 9))}, "need a fully connected one for"),
    ],
)
def test_bad_input_is_refused_by_name(digits, changes, message):
    call = {"network": NETWORK, "reference": make("kaiming"), "arms": ARMS, "seeds": SEEDS}
    call |= {"dataset": digits, "epochs": 1, "batch_size": BATCH, "learning_rate": RATE} | changes
    with pytest.raises(ArgumentError, match=message):
        train_arms(**call)
