"""Initializers that fill a tensor with independent normal draws.

The order `s` stands in second place, behind the tensor; all other arguments follow in torch's order.
What is called by position there is therefore called by name here.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.init import calculate_gain

from fracrepro.arguments import choice, real
from fracrepro.errors import ArgumentError
from fracrepro.nn import scale
from fracrepro.nn.init._shared import (
    constant_when_compiled,
    fans,
    is_empty,
    is_part,
    named_law,
    sizes,
)
from fracrepro.nn.scale import Formula, Mode

__all__ = [
    "fractional_normal_",
    "fractional_std",
    "normal_",
    "random_walk_normal_",
    "random_walk_std",
    "uniform_",
]


def fractional_normal_(
    tensor: Tensor,
    s: float = 1.0,
    a: float | None = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: torch.Generator | None = None,
    *,
    formula: Formula = "exact",
) -> Tensor:
    r"""Fill `tensor` with normal draws whose variance preserves the moment of order `s` from layer to layer.

    .. math:: W_{ij} \sim N(0, \sigma^2), \qquad
              \sigma^2 = \frac{n_\text{out}}{\text{fan_in}} \, (E R_{n_\text{out}}^s)^{-2/s}

    with :math:`R_n` the one-layer factor at width :math:`n`.
    The other modes and formulas are in :func:`fractional_std`.
    At s = 2 the result equals :func:`torch.nn.init.kaiming_normal_` bit for bit under the same generator, for
    everything that function accepts and the theory has a law for.

    Args:
        tensor: weights of shape ``(n_out, n_in)`` or ``(n_out, n_in, *kernel)``, changed in place.
        s: preserved order in [0, 2]; 0 preserves the mean of the log-norm, 2 is Kaiming.
        a: negative slope, used with ``"leaky_relu"`` only; None is torch's 0.01.
        mode: ``"fan_in"`` keeps the forward moment, ``"fan_out"`` the backward one.
        nonlinearity: the name of an activation of the theory, or of torch's linear layers (``"conv2d"``, …).
        generator: source of the draws; None takes torch's global one.
        formula: ``"exact"``, ``"derived"`` or ``"published"``.

    Returns:
        `tensor`.

    Raises:
        ArgumentError: for an argument outside the ranges above, before `tensor` is touched; also for
            ``"tanh"``, ``"sigmoid"`` and ``"selu"``, where no law says what a layer does to a moment.

    Source:
        The abstract for square layers; derived on page 08, backward-thm-rectangular, for rectangular ones.

    >>> weight, kaiming = torch.empty(64, 64), torch.empty(64, 64)
    >>> _ = fractional_normal_(weight, s=2.0, generator=torch.Generator().manual_seed(0))
    >>> _ = torch.nn.init.kaiming_normal_(kaiming, generator=torch.Generator().manual_seed(0))
    >>> torch.equal(weight, kaiming)
    True
    """
    if is_empty(tensor):
        return tensor
    std = fractional_std(sizes(tensor), s, a, mode, nonlinearity, formula=formula)
    return normal_(tensor, std, generator)


def random_walk_normal_(
    tensor: Tensor,
    a: float | None = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill `tensor` with normal draws on the scale of Sussillo and Abbott's random walk initialization.

    .. math:: \sigma &= \text{gain} \cdot e^{1.2/(\text{fan} - 2.4)} / \sqrt{\text{fan}}
              \quad\text{(rectifiers)}, \\
              \sigma &= e^{1/(2\,\text{fan})} / \sqrt{\text{fan}} \quad\text{(linear)}

    The first is their numerical fit of the scale that keeps the mean of the log-norm.

    Args:
        tensor: weights of shape ``(n_out, n_in)`` or ``(n_out, n_in, *kernel)``, changed in place.
        a: negative slope, used with ``"leaky_relu"`` only; at 0 the gain is √2, as in the authors' code;
            None is torch's 0.01.
        mode: ``"fan_in"`` or ``"fan_out"``: which fan enters.
        nonlinearity: ``"linear"`` or torch's name of a linear layer, ``"relu"`` or ``"leaky_relu"``.
        generator: source of the draws; None takes torch's global one.

    Returns:
        `tensor`.

    Raises:
        ArgumentError: for an argument outside the ranges above, before `tensor` is touched; also for a
            fan of 1 or 2 at a rectifier, because the fit has its pole at 2.4.

    Source:
        The authors' code.

    >>> tuple(random_walk_normal_(torch.empty(3, 5), nonlinearity="linear").shape)
    (3, 5)
    """
    if is_empty(tensor):
        return tensor
    return normal_(tensor, random_walk_std(sizes(tensor), a, mode, nonlinearity), generator)


@constant_when_compiled
def fractional_std(
    shape: tuple[int, ...],
    s: float = 1.0,
    a: float | None = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    formula: Formula = "exact",
) -> float:
    r"""Return the standard deviation that :func:`fractional_normal_` gives to a tensor of this shape.

    With n the width the factor law needs, n_out for ``fan_in`` and n_in for ``fan_out``,
    and :math:`\sigma^2_c` the critical variance:

    * ``"exact"``: :math:`\sigma^2 = n \, \sigma_c^2(s, n) / \text{fan}`;
    * ``"derived"``: the same with the second-order expansion of :math:`\sigma_c^2` in 1/n;
    * ``"published"``: the authors' expansion, with the fan in every place.

    For a convolution n is the channel count.
    That is a heuristic: neighbouring outputs share weights and inputs, so they are not independent.

    Args:
        shape: ``(n_out, n_in)`` or ``(n_out, n_in, *kernel)``, all sizes at least 1.
        s: order in [0, 2].
        a: negative slope, used with ``"leaky_relu"`` only; None is torch's 0.01.
        mode: ``"fan_in"`` or ``"fan_out"``.
        nonlinearity: the name of an activation of the theory, or of torch's linear layers (``"conv2d"``, …).
        formula: ``"exact"``, ``"derived"`` or ``"published"``.

    Returns:
        The standard deviation, positive.

    Raises:
        ArgumentError: for an argument outside these ranges, or where the authors' expansion is not positive.

    Source:
        The abstract for square layers, the authors' code for ``"published"``; derived on page 08,
        backward-thm-rectangular, for the rest.

    >>> fractional_std((64, 32), s=2.0, nonlinearity="linear") == 1 / math.sqrt(32)
    True
    """
    s = real("s", s, "[0, 2]")
    choice("formula", formula, scale.FORMULAS)
    fan, width = fans(shape, mode)
    if nonlinearity == "leaky_relu" and a is not None:
        a = real("a", a, "(-inf, inf)")
        if s == 2.0:  # also for slopes that the theory refuses as too small or too large
            return calculate_gain("leaky_relu", a) / math.sqrt(fan)
    activation = named_law(nonlinearity, a)
    return scale.fractional_std(s, fan, width, activation, formula)


@constant_when_compiled
def random_walk_std(
    shape: tuple[int, ...], a: float | None = 0.0, mode: Mode = "fan_in", nonlinearity: str = "leaky_relu"
) -> float:
    """Return the standard deviation that :func:`random_walk_normal_` gives to a tensor of this shape.

    Arguments, errors and source are those of :func:`random_walk_normal_`; the shape replaces the tensor.

    >>> round(random_walk_std((64, 64)), 6)
    0.180254
    """
    fan, _ = fans(shape, mode)
    return scale.random_walk_std(fan, named_law(nonlinearity, a), mode)


def normal_(tensor: Tensor, std: float, generator: torch.Generator | None = None) -> Tensor:
    """Fill `tensor` with normal draws made where the generator lives, so that a seed means one start.

    Raises:
        ArgumentError: for a tensor that several processes share.
    """
    _check_whole(tensor)
    with torch.no_grad():
        if generator is None or generator.device == tensor.device:
            return tensor.normal_(0, std, generator=generator)
        drawn = torch.empty(tensor.shape, dtype=tensor.dtype, device=generator.device)
        return tensor.copy_(drawn.normal_(0, std, generator=generator))


def uniform_(
    tensor: Tensor, bound: float, generator: torch.Generator | None = None, *, contiguous: bool = False
) -> Tensor:
    """Fill `tensor` with uniform draws from -`bound` to `bound`, made where the generator lives.

    With `contiguous` the order of the draws is that of the indices whatever the layout of the memory, as in
    `reset_parameters` of torch's convolutions; else it is that of the memory, as in `torch.nn.init`.

    Raises:
        ArgumentError: for a tensor that several processes share.
    """
    _check_whole(tensor)
    device = tensor.device if generator is None else generator.device
    with torch.no_grad():
        if device == tensor.device and (tensor.is_contiguous() or not contiguous):
            return tensor.uniform_(-bound, bound, generator=generator)
        drawn = torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
        return tensor.copy_(drawn.uniform_(-bound, bound, generator=generator))


def _check_whole(tensor: Tensor) -> None:
    """Refuse a part: processes with one seed would draw the same numbers into every part."""
    if is_part(tensor):
        raise ArgumentError("tensor: several processes share it: draw the whole, then shard it")
