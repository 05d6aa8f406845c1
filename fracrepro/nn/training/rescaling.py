"""Networks rescaled layer by layer: another start is another output scale and other rates."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fracrepro.arguments import real, reals
from fracrepro.errors import ArgumentError
from fracrepro.nn.schemes.base import NormalScheme
from fracrepro.nn.schemes.plan import Slot
from fracrepro.nn.training.network import Network, build_module
from fracrepro.theory.activations import LeakyReLU

__all__ = ["Rescaling", "descend"]


@dataclass(frozen=True)
class Rescaling:
    """One positive factor for the weights of every fully connected layer, from the first to the last.

    With weights W = c·U in every layer and biases b = (c₁ ⋯ c_l)·a in layer l, the network of (W, b) is
    (c₁ ⋯ c_L) times the network of (U, a).

    Args:
        factors: c_l, positive and finite, one for each fully connected layer.

    Raises:
        ArgumentError: for a factor outside this range.

    Source:
        Derived on page 09, mnist-thm-scale.

    >>> Rescaling((2.0, 0.5, 3.0)).output
    3.0
    """

    factors: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the factors."""
        checked = reals("factors", self.factors, "(0, inf)")
        if checked.ndim != 1 or not len(checked):
            raise ArgumentError(f"factors = {self.factors!r}: need one for each layer")
        object.__setattr__(self, "factors", tuple(checked.tolist()))

    @classmethod
    def between(cls, network: Network, first: NormalScheme, second: NormalScheme) -> Rescaling:
        """Return the factors that make `second`'s starting weights into those of `first`."""
        pairs = zip(network.layer_shapes, network.slopes, strict=True)
        slots = [Slot(shape, LeakyReLU(slope)) for shape, slope in pairs]
        return cls(tuple(first.std(slot) / second.std(slot) for slot in slots))

    @property
    def output(self) -> float:
        """The factor of the network's output."""
        return math.prod(self.factors)

    def factor(self, name: str) -> float:
        """Return the factor of a parameter named as in :func:`.network.build_module`; 1 for convolutions."""
        layer, part = name.split(".")
        if not layer.startswith("dense"):
            return 1.0
        k = int(layer.removeprefix("dense"))
        return self.factors[k] if part == "weight" else math.prod(self.factors[: k + 1])

    def undo(self, parameters: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
        """Return (U, a) of (W, b), in float64."""
        return OrderedDict((name, tensor.double() / self.factor(name)) for name, tensor in parameters.items())


def descend(
    network: Network,
    start: Mapping[str, Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    rate: float,
    *,
    rescaling: Rescaling | None = None,
) -> tuple[list[float], OrderedDict[str, Tensor]]:
    """Train one network by gradient descent in float64; return its loss before each step, and its end.

    Args:
        network: the description.
        start: parameters named as in :func:`.network.build_module`; what it lacks is zero and stays zero, so
            that weights alone make a network without biases.
        batches: images of shape (B, channels, height, width), and labels.
        rate: of gradient descent, positive.
        rescaling: train (U, a) in place of (W, b): the loss sees the output times `rescaling.output`, and a
            parameter with the factor c has the rate divided by c².

    Raises:
        ArgumentError: for a rate outside its range, and for a rescaling of another depth.

    Source:
        Derived on page 09, mnist-thm-scale.
    """
    rate = real("rate", rate, "(0, inf)")
    rescaling = rescaling or Rescaling((1.0,) * network.depth)
    if len(rescaling.factors) != network.depth:
        raise ArgumentError(f"rescaling has {len(rescaling.factors)} factors: need {network.depth}")
    with torch.random.fork_rng(devices=[]):  # torch draws parameters here, which all are replaced
        module = build_module(network).double()
    fixed = {name: torch.zeros_like(p) for name, p in module.named_parameters() if name not in start}
    now = OrderedDict((name, tensor.detach().double()) for name, tensor in start.items())
    losses = []
    for images, labels in batches:
        leaves = {name: tensor.requires_grad_() for name, tensor in now.items()}
        output = torch.func.functional_call(module, fixed | leaves, images.double())
        loss = F.cross_entropy(rescaling.output * output, labels)
        gradients = torch.autograd.grad(loss, list(leaves.values()))
        losses.append(loss.item())
        now = OrderedDict(
            (name, tensor.detach() - rate / rescaling.factor(name) ** 2 * gradient)
            for (name, tensor), gradient in zip(leaves.items(), gradients, strict=True)
        )
    return losses, now
