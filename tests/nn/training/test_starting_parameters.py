"""Starting parameters, pinned bit for bit: every record rests on them.

`tests/reference/starting_parameters.json` holds one sha256 a run, made with the first edition's code.
"""

import hashlib
import json
from pathlib import Path

import pytest

from fracrepro.nn.schemes import make
from fracrepro.nn.training.network import Network
from fracrepro.nn.training.start import initial_parameters

REFERENCE = Path(__file__).resolve().parents[2] / "reference" / "starting_parameters.json"
NETWORKS = {
    "mnist": Network((1, 28, 28)),
    "cifar10": Network((3, 32, 32), channels=(6, 16)),
    "digits": Network((1, 8, 8)),
    "rectifier": Network((1, 28, 28), depth=10, width=16, negative_slope=0.0),
    "steep": Network((1, 8, 8), depth=5, width=33, negative_slope=0.9, channels=(6,), kernel=3),
}
SCHEMES = {
    "published": make("fractional", s=1.0, formula="published"),
    "derived": make("fractional", s=1.5, formula="derived"),
    **{f"exact-{s:g}": make("fractional", s=s, formula="exact") for s in (0.0, 0.25, 1.0, 2.0)},
    **{name: make(name) for name in ("kaiming", "xavier", "random_walk", "lyapunov")},
}
SEEDS = (0, 7, 2147483647)


def digest(parameters):
    total = hashlib.sha256()
    for name, tensor in parameters.items():
        total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        total.update(tensor.contiguous().numpy().tobytes())
    return total.hexdigest()


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_starting_parameters_are_those_of_the_first_edition(network, scheme):
    pinned = json.loads(REFERENCE.read_text())
    for seed in SEEDS:
        parameters = initial_parameters(NETWORKS[network], SCHEMES[scheme], seed)
        assert digest(parameters) == pinned[f"{network} {scheme} {seed}"]


def test_another_scale_gives_another_digest():
    pinned = set(json.loads(REFERENCE.read_text()).values())
    assert len(pinned) == len(NETWORKS) * len(SCHEMES) * len(SEEDS) - DUPLICATES
    other = initial_parameters(NETWORKS["digits"], make("fractional", s=1.01, formula="exact"), 0)
    assert digest(other) not in pinned


# Order 0 is the Lyapunov scheme, in every network; order 2 is Kaiming where the slope is 0, in one.
DUPLICATES = (len(NETWORKS) + 1) * len(SEEDS)
