"""Standard deviations in plain arithmetic: what the initializers and the schemes share, without torch."""

from __future__ import annotations

import math
from typing import Literal, get_args

from fracrepro.arguments import choice, real
from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation, Dropout, LeakyReLU, Linear, ReLU
from fracrepro.theory.expansion import expansion_variance
from fracrepro.theory.layer import critical_variance
from fracrepro.theory.published import FORMULAS, Formula, published_variance

__all__ = [
    "BASES",
    "CONSTANTS",
    "FORMULAS",
    "MODES",
    "Base",
    "Constant",
    "Formula",
    "Mode",
    "fractional_std",
    "gain",
    "hadamard_size",
    "orthogonal_gain",
    "random_walk_std",
    "with_slope",
    "without_dropout",
]

#: What a mirrored submatrix is made of.
Base = Literal["gaussian", "orthogonal"]
#: The bases by name.
BASES: tuple[Base, ...] = get_args(Base)
#: Which factor stands before ZerO's Hadamard matrix: that of the authors' code, or one √2 times as large.
Constant = Literal["code", "algorithm"]
#: The constants by name.
CONSTANTS: tuple[Constant, ...] = get_args(Constant)
#: Which fan scales the variance, as in ``torch.nn.init``.
Mode = Literal["fan_in", "fan_out"]
#: The modes by name.
MODES: tuple[Mode, ...] = get_args(Mode)


def gain(activation: Activation) -> float:
    r"""Return Kaiming's gain, :math:`(E A^2)^{-1/2}` with A the amplitude of the activation.

    For the activations that torch knows it equals `torch.nn.init.calculate_gain` to the last bit.

    Source:
        Derived on page 01, variance-thm-recursion.

    >>> from fracrepro.theory.activations import Linear
    >>> gain(Linear())
    1.0
    """
    return math.sqrt(1.0 / activation.even_moment(1))


def fractional_std(
    s: float, fan: float, width: int, activation: Activation, formula: Formula = "exact"
) -> float:
    r"""Return the standard deviation that preserves the moment of order `s`.

    With :math:`\sigma_c^2` the critical variance at `width`:

    * ``"exact"``: :math:`\sigma^2 = \text{width} \, \sigma_c^2(s, \text{width}) / \text{fan}`;
    * ``"derived"``: the same with the second-order expansion of :math:`\sigma_c^2` in 1/width;
    * ``"published"``: the authors' expansion, with the fan in every place.

    Args:
        s: order in [0, 2].
        fan: products summed into one output, positive.
        width: units whose norm is preserved, at least 1.
        activation: the law that follows.
        formula: one of :data:`FORMULAS`.

    Raises:
        ArgumentError: for an argument outside these ranges, or where the authors' expansion is not positive.

    Source:
        The abstract for square layers, the authors' code for ``"published"``; derived on page 08,
        backward-thm-rectangular, for the rest.
    """
    s = real("s", s, "[0, 2]")
    choice("formula", formula, FORMULAS)
    if s == 2.0:  # torch's own arithmetic, so that Kaiming is met to the last bit
        return gain(activation) / math.sqrt(fan)
    if formula == "published":
        variance = published_variance("formula", s, float(fan), activation)
    elif formula == "derived":
        variance = expansion_variance(s, width, activation, formula="derived") * width / fan
    else:
        variance = critical_variance(s, width, activation) * width / fan
    return math.sqrt(variance)


def orthogonal_gain(s: float, fan: float, width: int, activation: Activation) -> float:
    r"""Return the gain of a Haar semi-orthogonal matrix that preserves the moment of order `s`.

    .. math:: \eta^2 = \frac{\text{width}}{\text{fan}} \, (E R^s)^{-2/s}, \qquad
              E R^s = \frac{E R_\text{width}^s}{E \chi_{\max(\text{width}, \text{fan})}^s}

    With orthonormal rows the image of a direction has the law of some of its coordinates, with orthonormal
    columns that of a direction among the outputs; either is a Gaussian vector over its norm.
    At the order 2 the entries have the variance 1/fan times Kaiming's gain squared.

    Args:
        s: order in [0, 2].
        fan: columns of the matrix, positive.
        width: rows of the matrix, at least 1.
        activation: the law that follows.

    Raises:
        ArgumentError: for an argument outside these ranges.

    Source:
        Ours, derived on page 13, isometry-thm-orthogonal.

    >>> from fracrepro.theory.activations import Linear
    >>> orthogonal_gain(0.5, 64, 64, Linear())
    1.0
    """
    s = real("s", s, "[0, 2]")
    if s == 2.0:  # torch's own arithmetic before the rectifier's gain
        return gain(activation) * math.sqrt(max(width / fan, 1.0))
    squared = critical_variance(s, width, activation, weights="orthogonal", input_width=math.ceil(fan))
    return math.sqrt(squared * width / fan)


def hadamard_size(rows: int, constant: Constant = "code") -> float:
    """Return the size of every entry of ZerO's matrix with so many rows and fewer columns.

    Source:
        Zhao, Schäfer and Anandkumar 2022, the authors' code.

    >>> hadamard_size(4), hadamard_size(5) == 8**-0.5
    (0.5, True)
    """
    return math.sqrt(2.0 ** -((rows - 1).bit_length() - (constant == "algorithm")))


def random_walk_std(fan: float, activation: Activation, mode: Mode = "fan_in") -> float:
    r"""Return Sussillo and Abbott's standard deviation.

    .. math:: &\text{gain} \cdot e^{1.2/(\text{fan} - 2.4)} / \sqrt{\text{fan}}
              \quad\text{(rectifiers)}, \\
              &e^{1/(2\,\text{fan})} / \sqrt{\text{fan}} \quad\text{(linear)}

    Args:
        fan: products summed into one output; at least 3 before a rectifier, whose fit has its pole at 2.4.
        activation: linear, ReLU or leaky ReLU.
        mode: the name of the fan, for the message.

    Raises:
        ArgumentError: for a smaller fan, and for an activation that the fit does not cover.

    Source:
        The authors' code.
    """
    if isinstance(activation, Linear):
        return math.exp(1 / (2 * fan)) / math.sqrt(fan)
    if not isinstance(activation, (ReLU, LeakyReLU)):
        raise ArgumentError(f"activation = {activation!r}: the fit covers Linear, ReLU and LeakyReLU")
    if fan < 3:
        raise ArgumentError(f"{mode} = {fan}: need at least 3, the fit for rectifiers has a pole at 2.4")
    return gain(activation) * math.exp(1.2 / (fan - 2.4)) / math.sqrt(fan)


def with_slope(activation: Activation, a: float | None) -> Activation:
    """Return the activation with the negative slope `a` where it has one; None leaves it."""
    if a is None:
        return activation
    if isinstance(activation, Dropout):
        return Dropout(with_slope(activation.activation, a), activation.p)
    return LeakyReLU(a) if isinstance(activation, LeakyReLU) else activation


def without_dropout(activation: Activation) -> Activation:
    """Return the activation that stands before the dropout."""
    return without_dropout(activation.activation) if isinstance(activation, Dropout) else activation
