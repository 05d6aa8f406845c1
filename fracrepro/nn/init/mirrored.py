"""Weights in mirrored pairs, with which a network of rectifiers looks linear at its start."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from fracrepro.arguments import choice, real
from fracrepro.errors import ArgumentError
from fracrepro.nn.init._shared import is_empty
from fracrepro.nn.init.normal import normal_
from fracrepro.nn.init.orthogonal import centre, orthogonal_
from fracrepro.nn.scale import BASES, Base

__all__ = ["PLACES", "Place", "looks_linear_", "mirror_"]

#: Where a layer stands.
Place = Literal["hidden", "first", "last"]
#: The places by name.
PLACES: tuple[Place, ...] = get_args(Place)


def looks_linear_(
    tensor: Tensor,
    base: Base = "gaussian",
    gain: float = 1.0,
    generator: torch.Generator | None = None,
    *,
    place: Place = "hidden",
) -> Tensor:
    r"""Fill `tensor` with a mirrored matrix.

    .. math:: W = \begin{pmatrix} W_0 & -W_0 \\ -W_0 & W_0 \end{pmatrix} \text{ (hidden)}, \qquad
              \begin{pmatrix} W_0 \\ -W_0 \end{pmatrix} \text{ (first)}, \qquad
              \begin{pmatrix} V & -V \end{pmatrix} \text{ (last)}

    With a first layer [U; -U] the signal is :math:`(\varphi(u), \varphi(-u))`, the hidden layer turns u into
    :math:`W_0 u` times the sum of both slopes of φ, and the last layer reads off a linear function.
    Divide `gain` by that sum; for ReLU it is 1.
    A hidden block at the place of the first layer reads the difference of the two halves of the raw input and
    loses half of it.

    Args:
        tensor: weights of shape ``(n_out, n_in)``, or a kernel ``(n_out, n_in, *kernel)``, mirrored in its
            channels and zero but for its centre; changed in place.
        base: ``"gaussian"``: W₀ has independent normal entries with variance gain² over its number of
            columns; ``"orthogonal"``: W₀ is gain times a Haar semi-orthogonal matrix.
        gain: factor of W₀.
        generator: source of the draws; None takes torch's global one.
        place: ``"hidden"``, ``"first"`` or ``"last"``.

    Returns:
        `tensor`.

    Raises:
        ArgumentError: for an argument outside the ranges above, or an odd number of units where they
            stand in pairs.

    Source:
        Balduzzi et al. 2017; Burkholz and Dubatovka 2019; the factor of a leaky rectifier is ours, derived on
        page 13, isometry-thm-mirror.

    >>> weight = looks_linear_(torch.empty(4, 6))
    >>> half = weight[:2, :3]
    >>> bool((weight[2:, 3:] == half).all() and (weight[2:, :3] == -half).all())
    True
    """
    choice("base", base, BASES)
    choice("place", place, PLACES)
    gain = real("gain", gain, "(-inf, inf)")
    if tensor.ndim < 2:
        raise ArgumentError(f"tensor of shape {tuple(tensor.shape)}: need (n_out, n_in, *kernel)")
    if is_empty(tensor):
        return tensor
    rows, columns = place != "last", place != "first"
    for paired, units, word in ((rows, tensor.shape[0], "n_out"), (columns, tensor.shape[1], "n_in")):
        if paired and units % 2:
            raise ArgumentError(
                f"{word} = {units}: need an even number, {place} units stand in mirrored pairs"
            )
    n_in = tensor.shape[1] // (2 if columns else 1)
    size = gain / math.sqrt(n_in) if base == "gaussian" else gain
    with torch.no_grad():
        if tensor.ndim > 2:
            tensor.zero_()
        mirror_(centre(tensor), base, size, generator, rows=rows, columns=columns)
    return tensor


def mirror_(
    matrix: Tensor,
    base: Base,
    size: float,
    generator: torch.Generator | None = None,
    *,
    rows: bool = True,
    columns: bool = True,
) -> Tensor:
    """Fill `matrix` with ±W₀ in the pattern that mirrors its rows, its columns, or both.

    Args:
        matrix: of shape (n_out, n_in), even where it is mirrored; may be a view.
        base: of W₀.
        size: standard deviation of a Gaussian W₀, or factor of an orthogonal one.
        generator: source of the draws.
        rows: whether the second half of the rows is minus the first.
        columns: whether the second half of the columns is minus the first.

    Source:
        As :func:`looks_linear_`.
    """
    n_out, n_in = matrix.shape[0] // (2 if rows else 1), matrix.shape[1] // (2 if columns else 1)
    half = torch.empty((n_out, n_in), dtype=matrix.dtype, device=matrix.device)
    fill = normal_ if base == "gaussian" else orthogonal_
    fill(half, size, generator)
    with torch.no_grad():
        for row in (0, 1) if rows else (0,):
            for column in (0, 1) if columns else (0,):
                part = matrix.narrow(0, row * n_out, n_out).narrow(1, column * n_in, n_in)
                part.copy_(half)
                if row != column:
                    part.neg_()
    return matrix
