"""The networks of the protocols: a description, and the plain module that it stands for."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import Tensor, nn

from fracrepro.arguments import choice, integer, integers, real, reals
from fracrepro.errors import ArgumentError
from fracrepro.nn.data.base import CLASSES
from fracrepro.nn.networks import conv
from fracrepro.theory.activations import LeakyReLU

__all__ = ["Network", "NetworkDescription", "build_module"]


@dataclass(frozen=True)
class NetworkDescription(ABC):
    """What a protocol can train: a frozen dataclass of plain values, which builds a classifier of images.

    A subclass is read back from records and checkpoints once its module is imported; :mod:`.families` has
    those of this package.

    Raises:
        ArgumentError: for a subclass whose family is another's.
    """

    registry: ClassVar[dict[str, type[NetworkDescription]]] = {}
    family: ClassVar[str] = ""
    """Names the class in a record, by its module and name where nothing shorter is given; empty for the
    networks of the first records, which have no such entry."""
    draws: ClassVar[bool] = False
    """Whether modules draw in training, as dropout does; :class:`.functional.FunctionalEnsemble` says what
    then repeats."""

    if TYPE_CHECKING:  # a field of every subclass, which a property here would hide

        @property
        def image_shape(self) -> tuple[int, int, int]:
            """(channels, height, width) of the input."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Enter the class under its family."""
        super().__init_subclass__(**options)
        own = f"{cls.__module__}.{cls.__qualname__}"
        if "family" not in vars(cls):
            cls.family = own
        there = cls.registry.setdefault(cls.family, cls)
        if f"{there.__module__}.{there.__qualname__}" != own:
            raise ArgumentError(f"family = {cls.family!r}: need another name, as {there.__qualname__} has it")
        cls.registry[cls.family] = cls  # a class that is defined again replaces the first

    @abstractmethod
    def build(self) -> nn.Module:
        """Return a module that maps images (B, channels, height, width) in [−1, 1] to logits."""

    @property
    def convolves(self) -> bool:
        """Whether there are convolutions, which decides how many runs share a core."""
        return False

    @property
    def start_biases(self) -> Literal["zero", "keep"]:
        """What becomes of the biases at the start, as :func:`fracrepro.nn.initialize_` says it."""
        return "zero"

    def rate_of(self, name: str) -> float:
        """Return the factor of the learning rate for the parameter of this name."""
        return 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers, ready for JSON, with the family where it has a name."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        record = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        return {"family": self.family, **record} if self.family else record

    @staticmethod
    def from_dict(record: Mapping[str, Any]) -> NetworkDescription:
        """Return what :meth:`to_dict` described.

        Raises:
            ArgumentError: for an unknown family, and values outside their ranges.
            TypeError: for missing or unknown fields.
        """
        if not isinstance(record, Mapping):
            raise TypeError(f"network = {record!r}")
        fields = dict(record)
        known = NetworkDescription.registry
        return known[choice("family", fields.pop("family", ""), tuple(known))](**fields)

    def _check_image_shape(self) -> None:
        """Check the field of that name, and make it a tuple."""
        shape = integers("image_shape", self.image_shape, "[1, inf)")
        if shape.shape != (3,):
            raise ArgumentError(f"image_shape = {self.image_shape!r}: need (channels, height, width)")
        object.__setattr__(self, "image_shape", tuple(shape.tolist()))


_SINCE_THE_FIRST_RECORDS = ("readout", "start_bias", "frame", "output", "rates")


@dataclass(frozen=True)
class Network(NetworkDescription):
    """Convolution blocks (possibly none), then fully connected layers, each followed by leaky ReLU.

    A block is a convolution without padding, ReLU and 2×2 max-pooling.
    By default the output layer has its leaky ReLU too, and biases are drawn, as in the authors' code.

    Args:
        image_shape: (channels, height, width) of the input.
        depth: number of fully connected layers, the output layer included, at least 1.
        width: units of each hidden layer, at least 1.
        negative_slope: of the leaky ReLU, at least 0 (0 is ReLU), finite.
        channels: output channels of each convolution block.
        kernel: side of every convolution kernel.
        readout: ``"leaky"`` or ``"linear"``: whether the output layer has its leaky ReLU.
        start_bias: ``"keep"`` for torch's default at the start, or ``"zero"``.
        frame: ``"scheme"`` where a scheme fills every fully connected layer; with ``"kaiming"`` the first and
            the last one have Kaiming's start with the gain of what follows, whatever the scheme.
        output: factor of the output, which the loss sees, positive.
        rates: factors of the learning rate for the weights of each fully connected layer, at least 0; none
            for 1 everywhere.

    Raises:
        ArgumentError: for a value outside these ranges, or an image too small for the blocks.

    >>> Network((1, 28, 28), depth=3, width=64).layer_shapes
    ((64, 784), (64, 64), (10, 64))
    """

    family: ClassVar[str] = ""

    image_shape: tuple[int, int, int]
    depth: int = 20
    width: int = 64
    negative_slope: float = 0.01
    channels: tuple[int, ...] = ()
    kernel: int = 5
    readout: Literal["leaky", "linear"] = "leaky"
    start_bias: Literal["zero", "keep"] = "keep"
    frame: Literal["scheme", "kaiming"] = "scheme"
    output: float = 1.0
    rates: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check every field; sequences become tuples, so that the description stays hashable."""
        self._check_image_shape()
        integer("depth", self.depth, "[1, inf)")
        integer("width", self.width, "[1, inf)")
        integer("kernel", self.kernel, "[1, inf)")
        real("negative_slope", self.negative_slope, "[0, inf)")
        if self.channels:
            integers("channels", self.channels, "[1, inf)")
        object.__setattr__(self, "channels", tuple(self.channels))
        choice("readout", self.readout, ("leaky", "linear"))
        choice("start_bias", self.start_bias, ("zero", "keep"))
        choice("frame", self.frame, ("scheme", "kaiming"))
        real("output", self.output, "(0, inf)")
        if self.rates:
            reals("rates", self.rates, "[0, inf)")
        object.__setattr__(self, "rates", tuple(map(float, self.rates)))
        if len(self.rates) not in (0, self.depth):
            raise ArgumentError(
                f"rates has {len(self.rates)} factors: need one for each of {self.depth} layers"
            )
        if self.features < 1:
            raise ArgumentError(
                f"image_shape = {self.image_shape}: too small for {len(self.channels)} blocks"
            )

    @property
    def conv_shapes(self) -> tuple[tuple[int, int, int, int], ...]:
        """The shapes of the convolution kernels, (out, in, kernel, kernel)."""
        inputs = (self.image_shape[0], *self.channels)
        return tuple((n, m, self.kernel, self.kernel) for m, n in zip(inputs, self.channels, strict=False))

    @property
    def features(self) -> int:
        """How many numbers enter the first fully connected layer."""
        channels, height, width = self.image_shape
        for channels in self.channels:  # noqa: B007  # the last one counts
            height, width = max(height - self.kernel + 1, 0) // 2, max(width - self.kernel + 1, 0) // 2
        return channels * height * width

    @property
    def layer_shapes(self) -> tuple[tuple[int, int], ...]:
        """The shapes of the weight matrices, (n_out, n_in)."""
        sizes = (self.features, *[self.width] * (self.depth - 1), CLASSES)
        return tuple(zip(sizes[1:], sizes[:-1], strict=True))

    @property
    def convolves(self) -> bool:
        """Whether there are convolution blocks."""
        return bool(self.channels)

    @property
    def slopes(self) -> tuple[float, ...]:
        """The slope of the leaky ReLU behind each fully connected layer; 1 where there is none."""
        last = self.negative_slope if self.readout == "leaky" else 1.0
        return (*[self.negative_slope] * (self.depth - 1), last)

    @property
    def start_biases(self) -> Literal["zero", "keep"]:
        """What becomes of the biases at the start."""
        return self.start_bias

    @property
    def framed(self) -> tuple[str, ...]:
        """The fully connected layers that no scheme fills."""
        return () if self.frame == "scheme" else ("dense0", f"dense{self.depth - 1}")

    def rate_of(self, name: str) -> float:
        """Return the factor of the learning rate for a parameter named as in :func:`build_module`."""
        layer, part = name.split(".")
        if not self.rates or part != "weight" or not layer.startswith("dense"):
            return 1.0
        return self.rates[int(layer.removeprefix("dense"))]

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers; what the first records did not have is there where it was set."""
        record = super().to_dict()
        for field in dataclasses.fields(self):
            if field.name in _SINCE_THE_FIRST_RECORDS and getattr(self, field.name) == field.default:
                del record[field.name]
        return record

    def build(self) -> nn.Sequential:
        """Return the module, as :func:`build_module` does."""
        return build_module(self)


class _Scaled(nn.Module):
    """The input times a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, input: Tensor) -> Tensor:
        return self.factor * input


def build_module(network: Network) -> nn.Sequential:
    """Return the network as a plain torch module, one model at a time: the reference for the ensemble."""
    sizes = [n_out for n_out, _ in network.layer_shapes]
    activation, last = LeakyReLU(network.negative_slope), network.readout == "leaky"
    built = conv(network.image_shape, network.channels, sizes, activation, kernel=network.kernel, last=last)
    if network.output != 1.0:
        built.add_module("scaled", _Scaled(network.output))
    return built
