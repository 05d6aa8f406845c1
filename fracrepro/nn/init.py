"""Initializers that take the arguments of `torch.nn.init` and return what those return.

The order `s` stands in second place, behind the tensor; all other arguments follow in torch's order.
What is called by position there is therefore called by name here.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.init import calculate_gain

from fracrepro import _moved
from fracrepro.arguments import choice, real
from fracrepro.errors import ArgumentError
from fracrepro.nn import scale
from fracrepro.nn.scale import Formula, Mode
from fracrepro.theory import activations
from fracrepro.theory.activations import Activation, Linear

__all__ = ["fractional_normal_", "fractional_std", "normal_", "random_walk_normal_", "random_walk_std"]

# What torch calls layers without an activation.
LINEAR = tuple(f"conv{kind}{d}d" for kind in ("", "_transpose") for d in (1, 2, 3))
# What torch has a gain for and the theory no law.
LAWLESS = ("sigmoid", "tanh", "selu")


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
              \sigma^2 = \frac{n_\text{out}}{\text{fan\_in}} \, (E R_{n_\text{out}}^s)^{-2/s}

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
    if _is_empty(tensor):
        return tensor
    return normal_(tensor, fractional_std(tensor.shape, s, a, mode, nonlinearity, formula=formula), generator)


def random_walk_normal_(
    tensor: Tensor,
    a: float | None = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill `tensor` with normal draws on the scale of Sussillo and Abbott's random walk initialization.

    .. math:: \sigma = \text{gain} \cdot e^{1.2/(\text{fan} - 2.4)} / \sqrt{\text{fan}}
              \quad\text{(rectifiers)}, \qquad
              \sigma = e^{1/(2\,\text{fan})} / \sqrt{\text{fan}} \quad\text{(linear)}

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
    if _is_empty(tensor):
        return tensor
    return normal_(tensor, random_walk_std(tensor.shape, a, mode, nonlinearity), generator)


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
    fan, width = _fan(shape, mode)
    if nonlinearity == "leaky_relu" and a is not None:
        a = real("a", a, "(-inf, inf)")
        if s == 2.0:  # also for slopes that the theory refuses as too small or too large
            return calculate_gain("leaky_relu", a) / math.sqrt(fan)
    activation = _activation(nonlinearity, a)
    return scale.fractional_std(s, fan, width, activation, formula)


def random_walk_std(
    shape: tuple[int, ...], a: float | None = 0.0, mode: Mode = "fan_in", nonlinearity: str = "leaky_relu"
) -> float:
    """Return the standard deviation that :func:`random_walk_normal_` gives to a tensor of this shape.

    Arguments, errors and source are those of :func:`random_walk_normal_`; the shape replaces the tensor.

    >>> round(random_walk_std((64, 64)), 6)
    0.180254
    """
    fan, _ = _fan(shape, mode)
    return scale.random_walk_std(fan, _activation(nonlinearity, a), mode)


def normal_(tensor: Tensor, std: float, generator: torch.Generator | None = None) -> Tensor:
    """Fill `tensor` with normal draws made where the generator lives, so that a seed means one start."""
    with torch.no_grad():
        if generator is None or generator.device == tensor.device:
            return tensor.normal_(0, std, generator=generator)
        drawn = torch.empty(tensor.shape, dtype=tensor.dtype, device=generator.device)
        return tensor.copy_(drawn.normal_(0, std, generator=generator))


def _is_empty(tensor: Tensor) -> bool:
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return True
    return False


def _activation(nonlinearity: str, a: float | None) -> Activation:
    """The law that torch's name stands for; the slope counts for leaky ReLU only, as in torch."""
    if nonlinearity in LAWLESS:
        raise ArgumentError(
            f"nonlinearity = {nonlinearity!r}: has no law here, because it is not positively homogeneous: "
            "what it does to a moment depends on the scale of its input"
        )
    if nonlinearity in LINEAR:
        return Linear()
    choice("nonlinearity", nonlinearity, (*activations.names(), *LINEAR))
    if nonlinearity == "leaky_relu" and a is not None:
        a = real("a", a, "(-inf, inf)")
    return activations.named(nonlinearity, a)


def _fan(shape: tuple[int, ...], mode: str) -> tuple[int, int]:
    """The fan that scales the variance and the width of the layer's output in the direction of `mode`."""
    mode = choice("mode", mode.lower() if isinstance(mode, str) else mode, scale.MODES)  # torch lowers it too
    if len(shape) < 2 or min(shape) < 1:
        raise ArgumentError(f"shape = {tuple(shape)}: need (n_out, n_in, *kernel) with every size at least 1")
    receptive_field = math.prod(shape[2:])
    n_out, n_in = shape[0], shape[1]
    return (n_in * receptive_field, n_out) if mode == "fan_in" else (n_out * receptive_field, n_in)


if not TYPE_CHECKING:  # a type checker that saw this would accept every name
    __getattr__ = _moved.getter(__name__)
