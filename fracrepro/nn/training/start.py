"""Where a run starts: the parameters that its scheme and its seed decide."""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor

from fracrepro.errors import ArgumentError
from fracrepro.nn.schemes.base import Entry, Scheme
from fracrepro.nn.schemes.plan import Plan, Slot
from fracrepro.nn.training.network import Network, build_module
from fracrepro.nn.training.streams import stream
from fracrepro.theory.activations import LeakyReLU

__all__ = ["check_scheme", "initial_parameters"]


def check_scheme(network: Network, scheme: Scheme) -> None:
    """Refuse a scheme that cannot start this network, before anything is drawn.

    Raises:
        ArgumentError: for a scheme that needs data, or that cannot serve the fully connected layers.
    """
    _entries(scheme, _plan(network))


def initial_parameters(network: Network, scheme: Scheme, seed: int) -> OrderedDict[str, Tensor]:
    r"""Return the starting weights and biases of a run, named as in :func:`.network.build_module`.

    The scheme fills the weights of the fully connected layers from the seed's stream ``"weights"``.
    Schemes that scale normal draws get the same draws.
    Biases and convolutions have PyTorch's default, uniform within :math:`\pm 1/\sqrt{\text{fan\_in}}`, from
    streams of their own.
    Two such schemes at one seed therefore differ by one factor per layer and in nothing else.

    Raises:
        ArgumentError: for a scheme that does not fit, as :func:`check_scheme`.

    Source: the authors' code for the laws, our choice for the pairing.
    """
    plan = _plan(network)
    entries = _entries(scheme, plan)
    weights, biases, convolutions = (stream(seed, p) for p in ("weights", "biases", "convolutions"))
    parameters = OrderedDict((name, p.detach()) for name, p in plan.model.named_parameters())
    for name, tensor in parameters.items():
        bound = 1 / math.sqrt(math.prod(parameters[name.replace("bias", "weight")].shape[1:]))
        if name.startswith("conv"):
            tensor.uniform_(-bound, bound, generator=convolutions)
        elif name.endswith("bias"):
            tensor.uniform_(-bound, bound, generator=biases)
    with torch.no_grad():
        scheme.fill(plan, entries, weights)
    return parameters


def _plan(network: Network) -> Plan:
    """The fully connected layers of a new module, as a scheme sees them; convolutions keep their default."""
    with torch.random.fork_rng(devices=[]):  # torch draws parameters here, which all are replaced
        module = build_module(network)
    follows = LeakyReLU(network.negative_slope)
    slots = tuple(
        Slot(
            shape,
            follows,
            layer=f"dense{k}",
            module=module.get_submodule(f"dense{k}"),
            tensor=module.get_parameter(f"dense{k}.weight"),
            follower=module.get_submodule(f"leaky{k}"),
            first=k == 0 and not network.channels,
            last=k == network.depth - 1,
        )
        for k, shape in enumerate(network.layer_shapes)
    )
    return Plan(module, slots, executed=slots)


def _entries(scheme: Scheme, plan: Plan) -> list[Entry]:
    """What the scheme will fill; ArgumentError where it does not fit."""
    if scheme.needs_data:
        raise ArgumentError(f"scheme = {scheme.name!r}: needs data, and a run starts before it sees any")
    entries = scheme.prepare(plan)
    for entry in entries:
        if entry.refusal:
            raise ArgumentError(f"scheme = {scheme.name!r}: cannot fill {entry.layer}: {entry.refusal}")
    return entries
