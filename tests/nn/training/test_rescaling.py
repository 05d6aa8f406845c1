"""A rescaled network trains like the original: real runs, and to the last bit for powers of two."""

import math

import numpy as np
import pytest
import torch

from fracrepro.nn import data
from fracrepro.nn.schemes import make
from fracrepro.nn.training import batches
from fracrepro.nn.training.network import Network, build_module
from fracrepro.nn.training.rescaling import Rescaling, descend
from fracrepro.nn.training.start import initial_parameters

NETWORK = Network((1, 8, 8), depth=6, width=16)
BIG = Network((1, 8, 8), depth=20, width=64)
CONVOLUTIONAL = Network((1, 8, 8), depth=4, width=16, channels=(4,), kernel=3)
RNG = np.random.default_rng(3)
FACTORS = {6: tuple(RNG.uniform(0.5, 2.0, 6)), 4: tuple(RNG.uniform(0.5, 2.0, 4))}


@pytest.fixture(scope="module")
def steps():
    """60 batches of the digits."""
    digits = data.load("digits")
    indices = batches.order((0,), 1, 1440)[0, : 16 * 60].reshape(60, 16)
    images = batches.normalize(torch.tensor(digits.train_images)).double()
    labels = torch.tensor(digits.train_labels, dtype=torch.int64)
    return [(images[i], labels[i]) for i in indices]


def start_of(network, scheme="kaiming", *, biases=True):
    start = initial_parameters(network, make(scheme), seed=4)
    return {name: tensor for name, tensor in start.items() if biases or not name.endswith("bias")}


def gap(one, other):
    return max(abs(a / b - 1) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("network", [NETWORK, CONVOLUTIONAL])
def test_two_trainings_are_one(steps, network, biases):
    start, rescaling = start_of(network, biases=biases), Rescaling(FACTORS[network.depth])
    losses, end = descend(network, start, steps, 0.05)
    other_losses, other_end = descend(network, rescaling.undo(start), steps, 0.05, rescaling=rescaling)
    assert all((end[name] - tensor).abs().max() > 1e-3 for name, tensor in start.items())  # it does move
    assert gap(losses, other_losses) < 1e-11
    for name, tensor in end.items():
        np.testing.assert_allclose(rescaling.factor(name) * other_end[name], tensor, rtol=1e-9, atol=1e-12)


def test_powers_of_two_agree_to_the_last_bit(steps):
    start, rescaling = start_of(NETWORK), Rescaling((2.0, 0.5, 4.0, 1.0, 0.25, 2.0))
    losses, end = descend(NETWORK, start, steps, 0.05)
    other_losses, other_end = descend(NETWORK, rescaling.undo(start), steps, 0.05, rescaling=rescaling)
    assert losses == other_losses
    assert all(torch.equal(rescaling.factor(name) * other_end[name], end[name]) for name in end)


def test_the_reference_is_torchs_own_optimizer(steps):
    start = {name: tensor.double() for name, tensor in start_of(NETWORK).items()}
    module = build_module(NETWORK).double()
    module.load_state_dict(start)
    optimizer = torch.optim.SGD(module.parameters(), 0.05)
    expected = []
    for images, labels in steps:
        loss = torch.nn.functional.cross_entropy(module(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    assert gap(descend(NETWORK, start, steps, 0.05)[0], expected) < 1e-11


class Wrong(Rescaling):
    """A rescaling with one thing wrong."""

    def __init__(self, factors, *, output=None, power=1.0):
        super().__init__(factors)
        object.__setattr__(self, "wrong_output", output)
        object.__setattr__(self, "power", power)

    @property
    def output(self):
        return super().output if self.wrong_output is None else self.wrong_output

    def factor(self, name):
        return super().factor(name) ** self.power


@pytest.mark.parametrize("wrong", [{"output": 1.0}, {"power": 0.5}, {"power": 0.0}])
def test_another_output_scale_or_rate_is_another_training(steps, wrong):
    # Controls: no output scale, rates divided by c in place of c², rates not divided at all.
    start, rescaling = start_of(NETWORK, biases=False), Rescaling(FACTORS[6])
    losses, _ = descend(NETWORK, start, steps, 0.05)
    mistaken = Wrong(FACTORS[6], **wrong)
    other, _ = descend(NETWORK, rescaling.undo(start), steps, 0.05, rescaling=mistaken)
    assert gap(losses, other) > 1e-3


def test_biases_that_are_not_rescaled_make_another_network(steps):
    start, rescaling = start_of(NETWORK), Rescaling(FACTORS[6])
    losses, _ = descend(NETWORK, start, steps, 0.05)
    kept = rescaling.undo(start) | {k: v.double() for k, v in start.items() if k.endswith("bias")}
    assert gap(losses, descend(NETWORK, kept, steps, 0.05, rescaling=rescaling)[0]) > 1e-3


def test_factors_between_schemes_are_those_of_their_starts():
    fractional, kaiming = make("fractional", s=1.0), make("kaiming")
    rescaling = Rescaling.between(BIG, fractional, kaiming)
    starts = [initial_parameters(BIG, scheme, 0) for scheme in (fractional, kaiming)]
    for k, factor in enumerate(rescaling.factors):
        one, other = (start[f"dense{k}.weight"].double() for start in starts)
        np.testing.assert_allclose(one, factor * other, rtol=1e-6)  # float32
    assert rescaling.output == pytest.approx(math.prod(rescaling.factors), rel=1e-15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Rescaling((1.0, 0.0)), "factors"),
        (lambda: Rescaling(()), "factors"),
        (lambda: descend(NETWORK, {}, [], 0.0), "rate"),
        (lambda: descend(NETWORK, {}, [], 0.1, rescaling=Rescaling((1.0,))), "1 factors: need 6"),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
