"""Where a run starts: the parameters that its scheme and its seed decide."""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn

from fracrepro.errors import ArgumentError
from fracrepro.nn import schemes
from fracrepro.nn.initialize import initialize_
from fracrepro.nn.schemes.base import Scheme
from fracrepro.nn.training.network import Network, build_module
from fracrepro.nn.training.streams import stream

__all__ = ["check_scheme", "initial_parameters", "startable"]


def initial_parameters(network: Network, scheme: Scheme, seed: int) -> OrderedDict[str, Tensor]:
    r"""Return the starting weights and biases of a run, named as in :func:`.network.build_module`.

    The scheme fills the weights of the fully connected layers from the seed's stream ``"weights"``.
    Schemes that scale normal draws get the same draws.
    Biases and convolutions have PyTorch's default, uniform within :math:`\pm 1/\sqrt{\text{fan\_in}}`, from
    streams of their own.
    Two such schemes at one seed therefore differ by one factor per layer and in nothing else.

    Args:
        network: the description.
        scheme: fills the fully connected layers.
        seed: of the run, in [0, 2^31).

    Raises:
        ArgumentError: for a scheme that needs data, or that cannot serve a fully connected layer.

    Source:
        The authors' code for the laws, our choice for the pairing.
    """
    if scheme.needs_data:
        raise ArgumentError(f"scheme = {scheme.name!r}: needs data, and a run starts before it sees any")
    with torch.random.fork_rng(devices=[]):  # torch draws parameters here, which all are replaced
        module = build_module(network)
    weights, biases, convolutions = (stream(seed, p) for p in ("weights", "biases", "convolutions"))
    report = initialize_(
        module, scheme, generator=weights, bias="keep", include=_fully_connected, untreatable="keep"
    )
    for row in report[report["layer"].str.startswith("dense")].query("parameter == 'weight'").itertuples():
        if not row.scheme:
            raise ArgumentError(f"scheme = {scheme.name!r}: cannot start {row.layer}: {row.note}")
    parameters = OrderedDict((name, tensor.detach()) for name, tensor in module.named_parameters())
    for name, tensor in parameters.items():
        bound = 1 / math.sqrt(math.prod(parameters[name.replace("bias", "weight")].shape[1:]))
        if name.startswith("conv"):
            tensor.uniform_(-bound, bound, generator=convolutions)
        elif name.endswith("bias"):
            tensor.uniform_(-bound, bound, generator=biases)
    return parameters


def check_scheme(network: Network, scheme: Scheme) -> None:
    """Refuse a scheme that cannot start this network, before any work; ArgumentError says why."""
    initial_parameters(network, scheme, seed=0)


def startable() -> tuple[str, ...]:
    """Return the names of the schemes that can, with their default options, start a network of this kind."""
    network = Network((1, 8, 8), depth=3, width=8)

    def fits(name: str) -> bool:
        if "dense" not in schemes.get(name).families:
            return False
        try:
            check_scheme(network, schemes.make(name))
        except ArgumentError:
            return False
        return True

    return tuple(filter(fits, schemes.names()))


def _fully_connected(name: str, module: nn.Module) -> bool:
    """The layers that schemes fill; convolutions keep torch's default."""
    return isinstance(module, nn.Linear)
