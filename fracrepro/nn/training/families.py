"""Networks of other families that a protocol can name, residual and spiking ones.

The trainer, its checkpoints and records take them like the first one:

>>> from fracrepro.nn.experiments import DIGITS
>>> DIGITS.replace(network=Residual((1, 8, 8), blocks=4)).to_dict()["network"]["family"]
'residual'

A network of your own is another subclass of :class:`.network.NetworkDescription`.
Graph networks have no images: :class:`.functional.FunctionalEnsemble` trains them on all nodes at once.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import torch
from torch import nn

from fracrepro.arguments import choice, integer, real
from fracrepro.errors import ArgumentError
from fracrepro.nn import networks
from fracrepro.nn.data.base import CLASSES
from fracrepro.nn.training.network import NetworkDescription
from fracrepro.theory.activations import LeakyReLU, ReLU

__all__ = ["Residual", "Spiking"]


@dataclass(frozen=True)
class Residual(NetworkDescription):
    """A first layer, residual blocks, and a last layer: `networks.framed` around `networks.residual`.

    Without convolutions an image is flattened; the first layer is followed by the activation.

    Args:
        image_shape: (channels, height, width) of the input.
        blocks: how many, from 1.
        width: units (channels) between the blocks, from 1.
        hidden: units (channels) inside of a branch, from 1.
        kind: ``"pre"`` has the activation inside of the branch only, ``"post"`` on the sum too.
        skip: ``"identity"``, or ``"linear"`` for a matrix beside the branch.
        scale: start of the learnable factor of each branch; None for none.
        negative_slope: of the activation, at least 0 (0 is ReLU), finite.
        layers: weight layers of a branch, from 1.
        kernel: side of the convolution kernels, odd; None for fully connected layers.
        scalar_biases: whether one learnable number is added before each layer and each activation.
        start_bias: ``"zero"``, or ``"keep"`` for torch's default, at the start.
        scalar_rate: factor of the learning rate of learnable factors and numbers, at least 0; the published
            Fixup trainings take 0.1.

    Raises:
        ArgumentError: for a value outside these ranges.

    >>> Residual((1, 8, 8), blocks=2).to_dict()["family"]
    'residual'
    >>> [name for name, _ in Residual((1, 8, 8), blocks=2).build().network.named_children()]
    ['stem', 'activation', 'blocks', 'readout']
    """

    family: ClassVar[str] = "residual"

    image_shape: tuple[int, int, int]
    blocks: int = 8
    width: int = 64
    hidden: int = 64
    kind: Literal["pre", "post"] = "pre"
    skip: Literal["identity", "linear"] = "identity"
    scale: float | None = None
    negative_slope: float = 0.0
    layers: int = 2
    kernel: int | None = None
    scalar_biases: bool = False
    start_bias: Literal["zero", "keep"] = "zero"
    scalar_rate: float = 1.0

    def __post_init__(self) -> None:
        """Check every field."""
        self._check_image_shape()
        for name in ("blocks", "width", "hidden", "layers"):
            integer(name, getattr(self, name), "[1, inf)")
        real("negative_slope", self.negative_slope, "[0, inf)")
        choice("start_bias", self.start_bias, ("zero", "keep"))
        real("scalar_rate", self.scalar_rate, "[0, inf)")
        if not isinstance(self.scalar_biases, bool):
            raise ArgumentError(f"scalar_biases = {self.scalar_biases!r}: need True or False")
        self._blocks(1)  # checks what is left

    @property
    def convolves(self) -> bool:
        """Whether the layers are convolutions."""
        return self.kernel is not None

    @property
    def start_biases(self) -> Literal["zero", "keep"]:
        """What becomes of the biases at the start."""
        return self.start_bias

    def rate_of(self, name: str) -> float:
        """Return `scalar_rate` for the factors of branches and the numbers that are added, 1 for the rest."""
        return self.scalar_rate if name in self._scalars else 1.0

    def build(self) -> nn.Sequential:
        """Return the module, with torch's default parameters."""
        channels, height, width = self.image_shape
        framed = networks.framed(
            self._blocks(self.blocks),
            channels if self.convolves else channels * height * width,
            CLASSES,
            activation=self._activation,
            scalar_bias=self.scalar_biases,
        )
        return framed if self.convolves else _flattened(framed)

    @cached_property
    def _scalars(self) -> frozenset[str]:
        with torch.device("meta"):
            named = self.build().named_parameters()
        return frozenset(name for name, parameter in named if not parameter.ndim)

    @property
    def _activation(self) -> ReLU | LeakyReLU:
        return LeakyReLU(self.negative_slope) if self.negative_slope else ReLU()

    def _blocks(self, count: int) -> nn.Sequential:
        return networks.residual(
            self.width,
            count,
            self.hidden,
            self.kind,
            self.skip,
            self.scale,
            activation=self._activation,
            layers=self.layers,
            kernel=self.kernel,
            scalar_biases=self.scalar_biases,
        )


@dataclass(frozen=True)
class Spiking(NetworkDescription):
    """Fully connected layers of threshold units, and a linear last layer: `networks.spiking`.

    The pixels of a flattened image enter as currents, the same at every time step.

    Args:
        image_shape: (channels, height, width) of the input.
        depth: number of layers, the last one included, at least 1.
        width: units of each hidden layer, from 1.
        threshold: of the units.
        steps: time steps, from 1; the output is the mean over them.
        leak: the share of a potential that is left after a step, in [0, 1].
        reset: ``"subtract"`` or ``"zero"``: what a spike does to a potential.
        surrogate: width of the surrogate gradient, positive.
        start_bias: ``"zero"``, or ``"keep"`` for torch's default, at the start.

    Raises:
        ArgumentError: for a value outside these ranges.

    >>> Spiking((1, 8, 8), depth=3, steps=4).to_dict()["family"]
    'spiking'
    """

    family: ClassVar[str] = "spiking"

    image_shape: tuple[int, int, int]
    depth: int = 4
    width: int = 64
    threshold: float = 1.0
    steps: int = 1
    leak: float = 0.9
    reset: Literal["subtract", "zero"] = "subtract"
    surrogate: float = 0.5
    start_bias: Literal["zero", "keep"] = "zero"

    def __post_init__(self) -> None:
        """Check every field."""
        self._check_image_shape()
        integer("depth", self.depth, "[1, inf)")
        integer("width", self.width, "[1, inf)")
        real("threshold", self.threshold, "(-inf, inf)")
        choice("start_bias", self.start_bias, ("zero", "keep"))
        self._layers([1, 1, 1])  # checks what is left

    @property
    def start_biases(self) -> Literal["zero", "keep"]:
        """What becomes of the biases at the start."""
        return self.start_bias

    def build(self) -> nn.Sequential:
        """Return the module, with torch's default parameters."""
        return _flattened(
            self._layers([math.prod(self.image_shape), *[self.width] * (self.depth - 1), CLASSES])
        )

    def _layers(self, sizes: list[int]) -> nn.Module:
        return networks.spiking(
            sizes,
            self.threshold,
            steps=self.steps,
            leak=self.leak,
            reset=self.reset,
            surrogate=self.surrogate,
        )


def _flattened(network: nn.Module) -> nn.Sequential:
    """The network for images, of which it sees one row of numbers."""
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(), network=network))
