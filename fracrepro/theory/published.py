"""Formulas of the critical variance by name, and the expression of the authors' training scripts."""

from __future__ import annotations

from typing import Literal, TypeVar, get_args

import numpy as np

from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation
from fracrepro.theory.weights import GAUSSIAN, Weights

Formula = Literal["exact", "derived", "published"]
Expansion = Literal["derived", "published"]
# What each stands for; whoever lists formulas reads this.
MEANINGS: dict[Formula, str] = {
    "exact": "the variance that preserves the moment, σ²(s, n) = (E R^s)^(-2/s)",
    "derived": "its expansion to second order in 1/n, for any activation",
    "published": "the expansion in the authors' training scripts, for linear, ReLU and leaky ReLU networks",
}
#: The names of the formulas for the variance, exact and expanded.
FORMULAS: tuple[Formula, ...] = get_args(Formula)
#: The names of the expansions alone.
EXPANSIONS: tuple[Expansion, ...] = get_args(Expansion)
# The networks that the scripts initialize, by activation and weights.
_ACTIVATIONS = ("linear", "relu", "leaky_relu")
_WEIGHTS = (GAUSSIAN,)


# Numbers, or arrays that broadcast.
Numbers = TypeVar("Numbers", float, np.ndarray)


def published_variance(
    name: str, s: Numbers, width: Numbers, activation: Activation, weights: Weights = GAUSSIAN
) -> Numbers:
    """Return the authors' expression of the critical variance, for checked `s` and `width`.

    Linear networks have 1/d + (2 - s)/(2d²), and a leaky slope a (0 for ReLU) has
    2/((1 + a²)d) + (2 - s) ((5s - 24)a² + 10)/(2(s + 2)a² + 4)/d².

    Args:
        name: of the argument by which the caller chose the expression, for refusals.
        s: order in [0, 2].
        width: d, positive; their scripts put the fan here.
        activation: `Linear`, `ReLU` or `LeakyReLU`.
        weights: the Gaussian law.

    Raises:
        ArgumentError: for an activation or weights that the scripts do not treat, or where the expression is
            not positive.

    Source:
        The authors' code.

    >>> from fracrepro.theory.activations import ReLU
    >>> published_variance("formula", 1.0, 64.0, ReLU()) == 2 / 64 + 5 / (2 * 64**2)
    True
    """
    said = f"{name} = 'published' with activation = {activation!r}"
    if weights not in _WEIGHTS or activation.name not in _ACTIVATIONS:
        raise ArgumentError(
            f"{said}, weights = {weights.name!r}: need Linear, ReLU or LeakyReLU with Gaussian weights, the "
            "cases in the authors' scripts"
        )
    if activation.name == "linear":
        return 1.0 / width + (2.0 - s) / (2.0 * width * width)
    square = activation.slopes.negative[0] ** 2
    correction = ((5.0 * s - 24.0) * square + 10.0) / (2.0 * (s + 2.0) * square + 4.0)
    value = 2.0 / ((1.0 + square) * width) + (2.0 - s) * correction / width**2
    if np.any(value <= 0.0):
        raise ArgumentError(
            f"{said}: their expression is not positive; need a larger width, a smaller slope or "
            f"{name} = 'derived'"
        )
    return value
