"""Residual networks: blocks that keep one contract, and the layers before and behind them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from fracrepro.arguments import choice, integer, integers, real
from fracrepro.errors import ArgumentError
from fracrepro.nn.activations import module
from fracrepro.nn.blocks import ScalarBias
from fracrepro.theory.activations import Activation, Linear, ReLU, check_activation

__all__ = ["Block", "framed", "residual"]


class Block(nn.Module):
    r"""A residual block.

    .. math:: x \mapsto \varphi\big(\text{skip}(x) + \text{scale} \cdot \text{branch}(x)\big)

    This is the contract of :mod:`fracrepro.nn.blocks`; a module of your own with the same three attributes
    and the same forward pass serves as well.

    Args:
        branch: the layers of the residual branch in their order.
        skip: what the signal passes beside the branch; None passes it on as it is.
        scale: where the learnable factor of the branch starts; None for a branch without one.
        activation: :math:`\varphi`, applied to the sum; None for none.

    Raises:
        ArgumentError: for a branch that is no :class:`torch.nn.Sequential`, and a scale that is not finite.

    >>> block = Block(nn.Sequential(nn.Linear(2, 2)), scale=0.0)
    >>> block(torch.tensor([3.0, 4.0])).tolist()
    [3.0, 4.0]
    """

    def __init__(
        self,
        branch: nn.Sequential,
        skip: nn.Module | None = None,
        scale: float | None = None,
        activation: nn.Module | None = None,
    ) -> None:
        """Keep the parts."""
        super().__init__()
        if not isinstance(branch, nn.Sequential):
            raise ArgumentError(f"branch = {branch!r}: need an nn.Sequential")
        start = None if scale is None else real("scale", scale, "(-inf, inf)")
        self.branch = branch
        self.skip = nn.Identity() if skip is None else skip
        self.scale = None if start is None else nn.Parameter(torch.tensor(start))
        self.activation = activation

    def forward(self, input: Tensor) -> Tensor:
        """Add the branch to the skip connection."""
        branch = self.branch(input)
        total = self.skip(input) + (branch if self.scale is None else self.scale * branch)
        return total if self.activation is None else self.activation(total)


def residual(
    width: int | Sequence[int],
    blocks: int,
    hidden: int | Sequence[int],
    kind: Literal["pre", "post"] = "pre",
    skip: Literal["identity", "linear"] = "identity",
    scale: float | None = None,
    *,
    activation: Activation | None = None,
    layers: int = 2,
    kernel: int | None = None,
    front: bool = False,
    bias: bool = True,
    scalar_biases: bool = False,
) -> nn.Sequential:
    r"""Return residual blocks one behind the other, without a layer before or behind them.

    .. math:: x &\mapsto \text{skip}(x) + \text{scale} \cdot W_m \varphi(\cdots \varphi(W_1 x)), \\
              x &\mapsto \varphi(\text{skip}(x) + \text{scale} \cdot W_m \varphi(\cdots \varphi(W_1 x)))

    The first is ``kind="pre"``, the second ``kind="post"``.
    Blocks are called ``block0, block1, …`` and keep the contract of :mod:`fracrepro.nn.blocks`; the layers of
    a branch are called ``dense0, dense1, …`` or ``conv0, conv1, …``.
    All parameters are torch's defaults; :func:`framed` puts a first and a last layer around the blocks.

    Args:
        width: units (channels) between the blocks: one number, or `blocks` + 1 of them where they change.
        blocks: how many, from 1.
        hidden: units inside of a branch: one number, or one a block.
        kind: whether the activation acts on the sum (``"post"``) or inside of the branch only (``"pre"``).
        skip: ``"identity"`` passes the signal on (type B), ``"linear"`` through a matrix, a 1×1 convolution
            in convolutional blocks (type C); a change of width needs the second.
        scale: start of the learnable factor of each branch; None for none.
        activation: φ; None takes ReLU.
        layers: weight layers of a branch, from 1; Fixup's m.
        kernel: side of the convolution kernels, odd, with zero padding; None for fully connected layers.
        front: whether a branch begins with the activation, as in the pre-activation networks of He et al.
            2016; for ``"pre"`` only.
        bias: whether the layers of branches have biases; a linear skip connection has none.
        scalar_biases: whether a :class:`ScalarBias` stands before each layer and each activation, and at the
            end of the branch.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        The types B and C are those of Gadhikar and Burkholz 2022, as we recall them.

    >>> [name for name, _ in residual(4, 1, 8, scale=0.0).block0.named_parameters()]
    ['scale', 'branch.dense0.weight', 'branch.dense0.bias', 'branch.dense1.weight', 'branch.dense1.bias']
    """
    count = integer("blocks", blocks, "[1, inf)")
    between = _several("width", width, count + 1)
    inside = _several("hidden", hidden, count)
    choice("kind", kind, ("pre", "post"))
    choice("skip", skip, ("identity", "linear"))
    bent = check_activation("activation", ReLU() if activation is None else activation)
    deep = integer("layers", layers, "[1, inf)")
    side = None if kernel is None else integer("kernel", kernel, "[1, inf)")
    if side is not None and side % 2 == 0:
        raise ArgumentError(f"kernel = {kernel!r}: need an odd number")
    if front and kind == "post":
        raise ArgumentError("front = True: need kind='pre', after a sum without an activation")
    if skip == "identity" and len(set(between)) > 1:
        raise ArgumentError(f"width = {width!r}: need one width with skip='identity'; 'linear' changes it")
    made: OrderedDict[str, nn.Module] = OrderedDict()
    for k, ((n_in, n_out), within) in enumerate(zip(pairwise(between), inside, strict=True)):
        sizes = [n_in, *[within] * (deep - 1), n_out]
        branch = _branch(sizes, bent, side, front, bias, scalar_biases)
        matrix = None if skip == "identity" else _layer(n_in, n_out, None if side is None else 1, False)
        made[f"block{k}"] = Block(branch, matrix, scale, module(bent) if kind == "post" else None)
    return nn.Sequential(made)


def framed(
    blocks: nn.Sequential,
    inputs: int,
    outputs: int,
    *,
    activation: Activation | None = None,
    bias: bool = True,
    scalar_bias: bool = False,
) -> nn.Sequential:
    """Return a network with a first layer before the blocks of :func:`residual` and a last one behind them.

    Before convolutional blocks the first layer is a convolution with the kernel of the blocks; behind them
    the last one stands after an average over the image.
    The children are called ``stem, activation, blocks, readout``, with ``pool, flatten`` and ``bias`` before
    the last where there are any.

    Args:
        blocks: what :func:`residual` returns.
        inputs: coordinates (channels) of the input, from 1.
        outputs: from 1.
        activation: after the first layer; None takes ReLU, ``Linear()`` leaves it out.
        bias: whether the two layers have biases.
        scalar_bias: whether a :class:`ScalarBias` stands before the last layer.

    Raises:
        ArgumentError: outside these ranges, and for other blocks.

    >>> [name for name, _ in framed(residual(4, 3, 8), 2, 10).named_children()]
    ['stem', 'activation', 'blocks', 'readout']
    """
    integer("inputs", inputs, "[1, inf)")
    integer("outputs", outputs, "[1, inf)")
    bent = check_activation("activation", ReLU() if activation is None else activation)
    if not isinstance(blocks, nn.Sequential):
        raise ArgumentError(f"blocks = {blocks!r}: need what networks.residual returns")
    applied = [each for each in blocks.modules() if isinstance(each, (nn.Linear, nn.Conv2d))]
    branches = [each.branch for each in blocks if isinstance(each, Block)]
    if not branches or len(branches) < len(blocks) or not applied:
        raise ArgumentError(f"blocks = {type(blocks).__name__}: need what networks.residual returns")
    first = next(each for each in branches[0] if each in applied)
    last = next(each for each in reversed(branches[-1]) if each in applied)
    made: OrderedDict[str, nn.Module] = OrderedDict()
    side = first.kernel_size[0] if isinstance(first, nn.Conv2d) else None
    made["stem"] = _layer(inputs, first.weight.shape[1], side, bias)
    if not isinstance(bent, Linear):
        made["activation"] = module(bent)
    made["blocks"] = blocks
    if side is not None:
        made["pool"], made["flatten"] = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    if scalar_bias:
        made["bias"] = ScalarBias()
    made["readout"] = _layer(last.weight.shape[0], outputs, None, bias)
    return nn.Sequential(made)


def _branch(
    sizes: Sequence[int], activation: Activation, kernel: int | None, front: bool, bias: bool, scalars: bool
) -> nn.Sequential:
    """The layers of a branch with the activations between them."""
    made: OrderedDict[str, nn.Module] = OrderedDict()
    for k, (n_in, n_out) in enumerate(pairwise(sizes)):
        if k or front:
            if scalars:
                made[f"before_activation{k}"] = ScalarBias()
            made[f"activation{k}"] = module(activation)
        if scalars:
            made[f"before_layer{k}"] = ScalarBias()
        made[f"{'dense' if kernel is None else 'conv'}{k}"] = _layer(n_in, n_out, kernel, bias)
    if scalars:
        made["end"] = ScalarBias()
    return nn.Sequential(made)


def _layer(n_in: int, n_out: int, kernel: int | None, bias: bool) -> nn.Linear | nn.Conv2d:
    """A fully connected layer, or a convolution that keeps the size of the image."""
    if kernel is None:
        return nn.Linear(n_in, n_out, bias=bias)
    return nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2, bias=bias)


def _several(name: str, value: int | Sequence[int], count: int) -> list[int]:
    """One number for all, or as many as there are."""
    if not isinstance(value, Sequence):
        return [integer(name, value, "[1, inf)")] * count
    values: list[int] = integers(name, value, "[1, inf)").tolist()
    if len(values) != count:
        raise ArgumentError(f"{name} = {value!r}: need one number or {count} of them")
    return values
