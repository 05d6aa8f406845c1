"""What a network may say besides its shape: factors of the output and of rates, how it begins and ends."""

import pytest
import torch

from fracrepro.errors import ArgumentError
from fracrepro.nn.schemes import make
from fracrepro.nn.training.functional import FunctionalEnsemble
from fracrepro.nn.training.lanes import ensemble_of
from fracrepro.nn.training.network import Network, NetworkDescription
from fracrepro.nn.training.start import initial_parameters


@pytest.mark.parametrize(
    "fields",
    [
        {"output": 2.5},
        {"rates": (0.5, 1.0, 2.0, 0.0)},
        {"readout": "linear", "start_bias": "zero"},
        {"channels": (3,), "kernel": 3, "output": 0.5, "rates": (2.0, 1.0, 0.5, 1.5)},
    ],
)
def test_both_ensembles_train_what_a_network_says(fields):
    """Differentiated by hand and by torch: factors of the output and of rates, no activation at the end."""
    network = Network((1, 8, 8), depth=4, width=8, **fields)
    schemes, seeds = [make("kaiming"), make("fractional", s=0.5)], (2, 5)
    ours = ensemble_of(network, schemes, seeds, "cpu")
    modules = []
    for seed in seeds:
        for scheme in schemes:
            module = network.build()
            module.load_state_dict(initial_parameters(network, scheme, seed))
            modules.append(module)
    theirs = FunctionalEnsemble(modules, len(seeds), rate_of=network.rate_of)
    plain = FunctionalEnsemble(
        [_loaded(Network((1, 8, 8), depth=4, width=8, channels=network.channels, kernel=network.kernel), m)
         for m in modules],
        len(seeds),
    )  # fmt: skip
    generator = torch.Generator().manual_seed(1)
    for _ in range(8):
        images = torch.empty(2, 16, 1, 8, 8).uniform_(-1, 1, generator=generator)
        labels = torch.randint(10, (2, 16), generator=generator)
        figures = [each.step(images, labels, 0.2, 1e-3) for each in (ours, theirs, plain)]
    torch.testing.assert_close(figures[0], figures[1], rtol=2e-5, atol=1e-5)
    assert (figures[0] - figures[2])[0].abs().max() > 1e-2  # the control lacks what the network says
    for model in range(4):
        expected = theirs.parameters(model)
        for name, value in ours.parameters(model).items():
            torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5)


def _loaded(network, module):
    built = network.build()
    built.load_state_dict(module.state_dict())
    return built


def test_old_descriptions_are_written_as_before():
    assert set(Network((1, 8, 8)).to_dict()) == {
        "image_shape", "depth", "width", "negative_slope", "channels", "kernel",
    }  # fmt: skip
    changed = Network((1, 8, 8), depth=2, output=2.0, rates=(1.0, 0.5), readout="linear", start_bias="zero")
    assert NetworkDescription.from_dict(changed.to_dict()) == changed


@pytest.mark.parametrize(
    ("name", "value"),
    [("readout", "none"), ("start_bias", "ones"), ("output", 0.0), ("rates", (1.0,)), ("rates", (1.0, -1.0))],
)
def test_fields_out_of_range_are_refused(name, value):
    with pytest.raises(ArgumentError, match=f"^{name}"):
        Network((1, 8, 8), depth=2, **{name: value})
