"""Where a run starts: the parameters that its scheme and its seed decide."""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fracrepro.errors import ArgumentError
from fracrepro.nn import schemes
from fracrepro.nn.initialize import initialize_
from fracrepro.nn.schemes.base import Scheme
from fracrepro.nn.training.network import Network, NetworkDescription, build_module
from fracrepro.nn.training.streams import stream

__all__ = [
    "check_scheme",
    "initial_parameters",
    "stand_in",
    "startable",
    "starting_module",
    "starting_modules",
]


def initial_parameters(
    network: Network, scheme: Scheme, seed: int, batch: Tensor | None = None
) -> OrderedDict[str, Tensor]:
    r"""Return the starting weights and biases of a run, named as in :func:`.network.build_module`.

    The scheme fills the weights of the fully connected layers from the seed's stream ``"weights"``.
    Schemes that scale normal draws get the same draws.
    Biases and convolutions have PyTorch's default, uniform within :math:`\pm 1/\sqrt{\text{fan_in}}`, from
    streams of their own; the fully connected layers' biases are 0 where the network says so.
    Two such schemes at one seed therefore differ by one factor per layer and in nothing else.

    Args:
        network: the description.
        scheme: fills the fully connected layers.
        seed: of the run, in [0, 2^31).
        batch: images for a scheme that needs data; no other sees them.

    Raises:
        ArgumentError: for a scheme that needs data where there are none, or that cannot serve a fully
            connected layer.

    Source:
        The authors' code for the laws, our choice for the pairing.
    """
    if scheme.needs_data and batch is None:
        raise ArgumentError(f"scheme = {scheme.name!r}: needs data, and there are none where it starts")
    with torch.random.fork_rng(devices=[]):  # torch draws parameters here, which all are replaced
        module = build_module(dataclasses.replace(network, output=1.0))  # the start knows no factor
    frame = stream(seed, "frame")
    for layer in network.framed:  # before the scheme, which may look at what data become
        gain = math.sqrt(2 / (1 + network.slopes[int(layer.removeprefix("dense"))] ** 2))
        weight = module.get_parameter(f"{layer}.weight").detach()
        weight.normal_(0, gain / math.sqrt(weight.shape[1]), generator=frame)
    weights, biases, convolutions = (stream(seed, p) for p in ("weights", "biases", "convolutions"))
    report = initialize_(
        module,
        scheme,
        batch=batch if scheme.needs_data else None,
        generator=weights,
        bias=network.start_bias,
        include=lambda name, part: isinstance(part, nn.Linear) and name not in network.framed,
        untreatable="keep",
    )
    for row in report[report["layer"].str.startswith("dense")].query("parameter == 'weight'").itertuples():
        if not row.scheme and row.layer not in network.framed:
            raise ArgumentError(f"scheme = {scheme.name!r}: cannot start {row.layer}: {row.note}")
    parameters = OrderedDict((name, tensor.detach()) for name, tensor in module.named_parameters())
    for name, tensor in parameters.items():
        bound = 1 / math.sqrt(math.prod(parameters[name.replace("bias", "weight")].shape[1:]))
        if name.startswith("conv"):
            tensor.uniform_(-bound, bound, generator=convolutions)
        elif name.endswith("bias") and network.start_bias == "keep":
            tensor.uniform_(-bound, bound, generator=biases)
        elif name.endswith("bias"):
            tensor.zero_()
    return parameters


def starting_module(
    build: Callable[[], nn.Module],
    scheme: Scheme,
    seed: int,
    *,
    batch: Any = None,
    bias: Literal["zero", "keep"] = "zero",
) -> nn.Module:
    """Return a module of any kind at the start of a run.

    The scheme fills it from the seed's stream ``"weights"``.
    What no scheme fills, such as a stem that it leaves alone and biases with ``bias="keep"``, has the
    defaults of its module, drawn from the seed's stream ``"biases"``: runs at one seed share it.

    Args:
        build: returns a fresh module.
        scheme: serves the whole module.
        seed: of the run, in [0, 2^31).
        batch: as in :func:`fracrepro.nn.initialize_`: what follows a layer is then seen in a run of the
            module, and schemes that need data have them.
        bias: as there.

    Raises:
        ArgumentError: for a scheme that cannot serve the module.

    Source:
        Our choice.
    """
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(stream(seed, "biases").initial_seed())
        module = build()
    initialize_(module, scheme, batch=batch, generator=stream(seed, "weights"), bias=bias)
    return module


def starting_modules(
    build: Callable[[], nn.Module],
    schemes: Sequence[Scheme],
    seeds: Sequence[int],
    *,
    batches: Sequence[Any] | None = None,
    bias: Literal["zero", "keep"] = "zero",
) -> list[nn.Module]:
    """Return a module a run for :class:`.functional.FunctionalEnsemble`, in its order: schemes within seeds.

    Args:
        build: returns a fresh module.
        schemes: S of them.
        seeds: G of them.
        batches: one for each seed, which all schemes there see; None for none.
        bias: as in :func:`starting_module`.

    Raises:
        ArgumentError: for a scheme that cannot serve the module, and another number of batches.

    >>> made = starting_modules(lambda: nn.Linear(3, 2), [schemes.make("kaiming")], seeds=[0, 1])
    >>> len(made), float(made[0].bias.detach().abs().sum())
    (2, 0.0)
    """
    given = [None] * len(seeds) if batches is None else list(batches)
    if len(given) != len(seeds):
        raise ArgumentError(f"batches: {len(given)} of them: need one a seed, {len(seeds)}")
    return [
        starting_module(build, scheme, seed, batch=batch, bias=bias)
        for seed, batch in zip(seeds, given, strict=True)
        for scheme in schemes
    ]


def stand_in(network: NetworkDescription) -> Tensor:
    """Return a few images of noise: enough to see how a network runs, and to try a scheme that needs data."""
    images = torch.empty(16, *network.image_shape)
    return images.uniform_(-1, 1, generator=stream(0, "noise"))


def check_scheme(network: NetworkDescription, scheme: Scheme, *, data: bool = True) -> None:
    """Refuse a scheme that cannot start this network, before any work.

    Args:
        network: the description.
        scheme: any.
        data: whether runs see data before they start; without them a scheme that needs some is refused.

    Raises:
        ArgumentError: says why.
    """
    batch = stand_in(network) if data or not scheme.needs_data else None
    if isinstance(network, Network):
        initial_parameters(network, scheme, 0, batch)
    else:
        starting_module(network.build, scheme, 0, batch=batch, bias=network.start_biases)


def startable() -> tuple[str, ...]:
    """Return the names of the schemes that start such a network by their default options, without data."""
    network = Network((1, 8, 8), depth=3, width=8)

    def fits(name: str) -> bool:
        if "dense" not in schemes.get(name).families:
            return False
        try:
            check_scheme(network, schemes.make(name), data=False)
        except ArgumentError:
            return False
        return True

    return tuple(filter(fits, schemes.names()))
