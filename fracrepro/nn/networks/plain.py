"""Fully connected and convolutional networks, one layer behind the other."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from fracrepro.arguments import integer, integers
from fracrepro.errors import ArgumentError
from fracrepro.nn.activations import module
from fracrepro.theory.activations import Activation, ReLU, check_activation

__all__ = ["conv", "mlp"]


def mlp(
    sizes: Sequence[int], activation: Activation, *, bias: bool = True, last: bool = False
) -> nn.Sequential:
    """Return a fully connected network, with torch's default parameters.

    Layers are called ``dense0, dense1, …``; an activation bears its own name and the number of its layer.

    Args:
        sizes: units of the input and of every layer, at least two numbers from 1.
        activation: after every layer but the last.
        bias: whether layers have biases.
        last: whether the activation follows the last layer too, as in the authors' networks.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        The network of page 02, def-network.

    >>> from fracrepro.theory.activations import LeakyReLU
    >>> [name for name, _ in mlp([8, 16, 3], LeakyReLU(0.1)).named_children()]
    ['dense0', 'leaky0', 'dense1']
    """
    return nn.Sequential(_dense(sizes, activation, bias, last))


def conv(
    image_shape: Sequence[int],
    channels: Sequence[int],
    sizes: Sequence[int],
    activation: Activation,
    *,
    kernel: int = 5,
    block_activation: Activation | None = None,
    bias: bool = True,
    last: bool = False,
) -> nn.Sequential:
    """Return convolution blocks, then fully connected layers, with torch's default parameters.

    A block is a convolution without padding, an activation and 2×2 max-pooling.
    Layers are called ``conv0, conv1, …`` and ``dense0, dense1, …``.

    Args:
        image_shape: (channels, height, width) of the input.
        channels: output channels of each block; none gives a fully connected network for images.
        sizes: units of every fully connected layer, at least one number from 1.
        activation: after every fully connected layer but the last.
        kernel: side of every convolution kernel.
        block_activation: in the blocks; None takes ReLU, as the authors do.
        bias: whether layers have biases.
        last: whether the activation follows the last layer too, as in the authors' networks.

    Raises:
        ArgumentError: outside these ranges, or for an image too small for the blocks.

    Source:
        The authors' code for the shape of the blocks.

    >>> from fracrepro.theory.activations import LeakyReLU
    >>> lenet = conv((3, 32, 32), (6, 16), [64, 10], LeakyReLU(0.01))
    >>> [tuple(parameter.shape) for parameter in lenet.parameters() if parameter.ndim > 1]
    [(6, 3, 5, 5), (16, 6, 5, 5), (64, 400), (10, 64)]
    """
    shape = integers("image_shape", image_shape, "[1, inf)").tolist()
    if len(shape) != 3:
        raise ArgumentError(f"image_shape = {image_shape!r}: need (channels, height, width)")
    if len(channels):
        integers("channels", channels, "[1, inf)")
    kernel = integer("kernel", kernel, "[1, inf)")
    bent = check_activation("block_activation", ReLU() if block_activation is None else block_activation)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    n_in, height, width = shape
    for k, n_out in enumerate(channels):
        layers[f"conv{k}"] = nn.Conv2d(n_in, n_out, kernel, bias=bias)
        layers[f"conv_{_kind(bent)}{k}"] = module(bent)
        layers[f"pool{k}"] = nn.MaxPool2d(2)
        n_in, height, width = n_out, (height - kernel + 1) // 2, (width - kernel + 1) // 2
        if height < 1 or width < 1:
            raise ArgumentError(f"image_shape = {tuple(shape)}: too small for {len(channels)} blocks")
    layers["flatten"] = nn.Flatten()
    return nn.Sequential(layers | _dense([n_in * height * width, *sizes], activation, bias, last))


def _dense(
    sizes: Sequence[int], activation: Activation, bias: bool, last: bool
) -> OrderedDict[str, nn.Module]:
    """The fully connected layers with their activations."""
    counts = integers("sizes", sizes, "[1, inf)").tolist()
    if not isinstance(counts, list) or len(counts) < 2:
        raise ArgumentError(f"sizes = {sizes!r}: need the units of the input and of at least one layer")
    check_activation("activation", activation)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for k, (n_in, n_out) in enumerate(pairwise(counts)):
        layers[f"dense{k}"] = nn.Linear(n_in, n_out, bias=bias)
        if last or k < len(counts) - 2:
            layers[f"{_kind(activation)}{k}"] = module(activation)
    return layers


def _kind(activation: Activation) -> str:
    """A short name: `leaky` for leaky ReLU."""
    return (activation.name or type(activation).__name__.lower()).partition("_")[0]
