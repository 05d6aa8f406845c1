"""The start of a run: any scheme that fits, the same draws for those that scale them, a line for others."""

from dataclasses import dataclass

import pytest
import torch

from fracrepro.errors import ArgumentError
from fracrepro.nn import data, schemes
from fracrepro.nn.experiments import CIFAR10, DIGITS, GRADIENT_TAILS
from fracrepro.nn.schemes.base import NormalScheme, Scheme
from fracrepro.nn.schemes.plan import Prescription
from fracrepro.nn.schemes.variance import Kaiming
from fracrepro.nn.training import train
from fracrepro.nn.training.network import Network
from fracrepro.nn.training.start import initial_parameters, startable

SMALL = Network((1, 8, 8), depth=3, width=8)
MIXED = Network((3, 12, 12), depth=3, width=8, channels=(4,))


@dataclass(frozen=True)
class Identity(Scheme):
    """No draws: ones on the diagonal."""

    label = "identity"

    def prescribe(self, slot):
        return Prescription(None)

    def fill(self, plan, entries, generator):
        for entry in entries:
            torch.nn.init.eye_(entry.tensor)


@dataclass(frozen=True)
class Square(Kaiming):
    """Serves square layers only."""

    name = ""

    def std(self, slot):
        if slot.fan_in != slot.fan_out:
            raise ArgumentError("is not square")
        return super().std(slot)


@dataclass(frozen=True)
class Measured(Kaiming):
    """Needs a batch."""

    name = ""
    needs_data = True


def called(name, scheme):
    """The scheme under a name that the registry does not see, as it reads those of classes."""
    object.__setattr__(scheme, "name", name)
    return scheme


def test_a_scheme_of_any_kind_fills_the_fully_connected_layers():
    ours, kaiming = (
        initial_parameters(MIXED, scheme, 3) for scheme in (called("identity", Identity()), Kaiming())
    )
    assert list(ours) == list(kaiming)
    for name, tensor in ours.items():
        if name.startswith("dense") and name.endswith("weight"):
            assert torch.equal(tensor, torch.eye(*tensor.shape))
        else:  # convolutions and biases have streams of their own
            assert torch.equal(tensor, kaiming[name])
        assert not tensor.requires_grad


def test_nothing_but_the_streams_is_drawn_from():
    before = torch.get_rng_state()
    initial_parameters(MIXED, Kaiming(), 3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", startable())
def test_every_scheme_that_fits_starts_and_trains(name):
    scheme = schemes.make(name)
    start = initial_parameters(SMALL, scheme, 5)
    again = initial_parameters(SMALL, scheme, 5)
    for key, tensor in start.items():
        assert tensor.isfinite().all()
        assert torch.equal(tensor, again[key])
    if isinstance(scheme, NormalScheme):  # the same draws: one factor a layer from Kaiming's
        for key, tensor in initial_parameters(SMALL, Kaiming(), 5).items():
            ratio = start[key] / tensor
            torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio), rtol=1e-6, atol=0)
    protocol = DIGITS.replace(network=SMALL, schemes=[scheme], seeds=(5,), epochs=1)
    results = train(protocol, data.load("digits"), device="cpu", progress=False)
    assert results["scheme"].tolist() == [name]


def test_what_does_not_fit_is_no_start():
    names = set(schemes.names())
    assert {"fractional", "kaiming", "lyapunov", "random_walk", "xavier"} <= set(startable()) <= names
    assert not [name for name in startable() if schemes.get(name).needs_data]


TAILS = GRADIENT_TAILS.replace(dataset="digits", network=DIGITS.network)
SQUARE = called("square", Square()), "scheme = 'square': cannot start dense19: .*is not square$"


@pytest.mark.parametrize(
    ("study", "scheme", "message"),
    [
        (DIGITS, *SQUARE),
        (TAILS, *SQUARE),
        (TAILS, called("measured", Measured()), "scheme = 'measured': needs data, and there are none"),
    ],
)
def test_a_scheme_that_does_not_fit_is_refused_before_the_data_are_read(study, scheme, message, monkeypatch):
    monkeypatch.setattr(data, "load", lambda name: pytest.fail("the data were read"))
    with pytest.raises(ArgumentError, match=message):
        study.replace(schemes=[scheme]).run(device="cpu", progress=False)


def test_the_command_line_takes_every_scheme_that_fits():
    chosen = CIFAR10.settle("quick", schemes=startable())
    assert [scheme.name for scheme in chosen.schemes] == list(startable())
    assert chosen.schemes[list(startable()).index("fractional")] == CIFAR10.schemes[0]  # its own options
    half = CIFAR10.settle(s=0.5)
    assert [scheme.order for scheme in half.schemes] == [0.5, None, None]
    assert half.schemes[0].formula == CIFAR10.schemes[0].formula
    assert CIFAR10.settle(schemes=["kaiming", "kaiming"]).schemes == (schemes.make("kaiming"),)
    with pytest.raises(ArgumentError, match=r"s = 0\.5: need a scheme with an order"):
        CIFAR10.settle(schemes=["xavier"], s=0.5)
    with pytest.raises(ArgumentError, match="did you mean 'xavier'"):
        CIFAR10.settle(schemes=["xavir"])
