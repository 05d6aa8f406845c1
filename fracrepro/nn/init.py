"""Initializers with the argument order and return value of `torch.nn.init`: a comparison costs one import."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from fracrepro.arguments import choice, real
from fracrepro.errors import ArgumentError
from fracrepro.nn import scale
from fracrepro.theory.activations import Activation, LeakyReLU, Linear, ReLU

__all__ = ["fractional_normal_", "fractional_std", "random_walk_normal_", "random_walk_std"]

NONLINEARITIES = ("linear", "relu", "leaky_relu")


def fractional_normal_(
    tensor: Tensor,
    s: float = 1.0,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: torch.Generator | None = None,
    *,
    formula: str = "exact",
) -> Tensor:
    r"""Fill `tensor` with normal draws whose variance preserves the moment of order `s` from layer to layer.

    .. math:: W_{ij} \sim N(0, \sigma^2), \qquad
              \sigma^2 = \frac{n_\text{out}}{\text{fan\_in}} \, (E R_{n_\text{out}}^s)^{-2/s}

    with :math:`R_n` the one-layer factor at width :math:`n`.
    The other modes and formulas are in :func:`fractional_std`.
    At s = 2 the result equals :func:`torch.nn.init.kaiming_normal_` bit for bit under the same generator.

    Args:
        tensor: weights of shape (n_out, n_in) or (n_out, n_in, *kernel), changed in place.
        s: preserved order in [0, 2]; 0 preserves the mean of the log-norm, 2 is Kaiming.
        a: negative slope, used with ``"leaky_relu"`` only.
        mode: ``"fan_in"`` keeps the forward moment, ``"fan_out"`` the backward one.
        nonlinearity: ``"linear"``, ``"relu"`` or ``"leaky_relu"``.
        generator: source of the draws; None takes torch's global one.
        formula: ``"exact"``, ``"derived"`` or ``"published"``.

    Returns:
        `tensor`.

    Raises:
        ArgumentError: for an argument outside the ranges above, before `tensor` is touched.

    Source: the abstract for square layers; derived here for rectangular ones.

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
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill `tensor` with normal draws on the scale of Sussillo and Abbott's random walk initialization.

    .. math:: \sigma = \text{gain} \cdot e^{1.2/(\text{fan} - 2.4)} / \sqrt{\text{fan}}
              \quad\text{(rectifiers)}, \qquad
              \sigma = e^{1/(2\,\text{fan})} / \sqrt{\text{fan}} \quad\text{(linear)}

    The first is their numerical fit of the scale that keeps the mean of the log-norm.

    Args:
        tensor: weights of shape (n_out, n_in) or (n_out, n_in, *kernel), changed in place.
        a: negative slope, used with ``"leaky_relu"`` only; at 0 the gain is √2, as in the authors' code.
        mode: ``"fan_in"`` or ``"fan_out"``: which fan enters.
        nonlinearity: ``"linear"``, ``"relu"`` or ``"leaky_relu"``.
        generator: source of the draws; None takes torch's global one.

    Returns:
        `tensor`.

    Raises:
        ArgumentError: for an argument outside the ranges above, before `tensor` is touched; also for a
            fan of 1 or 2 at a rectifier, because the fit has its pole at 2.4.

    Source: the authors' code.

    >>> tuple(random_walk_normal_(torch.empty(3, 5), nonlinearity="linear").shape)
    (3, 5)
    """
    if _is_empty(tensor):
        return tensor
    return normal_(tensor, random_walk_std(tensor.shape, a, mode, nonlinearity), generator)


def fractional_std(
    shape: tuple[int, ...],
    s: float = 1.0,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    formula: str = "exact",
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
        shape: (n_out, n_in) or (n_out, n_in, *kernel), all sizes at least 1.
        s: order in [0, 2].
        a: negative slope, used with ``"leaky_relu"`` only.
        mode: ``"fan_in"`` or ``"fan_out"``.
        nonlinearity: ``"linear"``, ``"relu"`` or ``"leaky_relu"``.
        formula: ``"exact"``, ``"derived"`` or ``"published"``.

    Returns:
        The standard deviation, positive.

    Raises:
        ArgumentError: for an argument outside these ranges, or where the authors' expansion is not positive.

    Source: the abstract for square layers, the authors' code for ``"published"``, derived here for the rest.

    >>> fractional_std((64, 32), s=2.0, nonlinearity="linear") == 1 / math.sqrt(32)
    True
    """
    activation = _activation(nonlinearity, a)
    fan, width = _fan(shape, mode)
    return scale.fractional(s, fan, width, activation, formula)


def random_walk_std(
    shape: tuple[int, ...], a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> float:
    """Return the standard deviation that :func:`random_walk_normal_` gives to a tensor of this shape.

    Arguments, errors and source are those of :func:`random_walk_normal_`; the shape replaces the tensor.

    >>> round(random_walk_std((64, 64)), 6)
    0.180254
    """
    fan, _ = _fan(shape, mode)
    return scale.random_walk(fan, _activation(nonlinearity, a), mode)


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


def _activation(nonlinearity: str, a: float) -> Activation:
    """The law that torch's name stands for; the slope counts for leaky ReLU only, as in torch."""
    choice("nonlinearity", nonlinearity, NONLINEARITIES)
    if nonlinearity == "leaky_relu":
        return LeakyReLU(real("a", a, "(-inf, inf)"))
    return Linear() if nonlinearity == "linear" else ReLU()


def _fan(shape: tuple[int, ...], mode: str) -> tuple[int, int]:
    """The fan that scales the variance and the width of the layer's output in the direction of `mode`."""
    mode = choice("mode", mode.lower() if isinstance(mode, str) else mode, scale.MODES)  # torch lowers it too
    if len(shape) < 2 or min(shape) < 1:
        raise ArgumentError(f"shape = {tuple(shape)}: need (n_out, n_in, *kernel) with every size at least 1")
    receptive_field = math.prod(shape[2:])
    n_out, n_in = shape[0], shape[1]
    return (n_in * receptive_field, n_out) if mode == "fan_in" else (n_out * receptive_field, n_in)
