"""Expansions of the critical variance in one over the width: ours, and that of the authors' scripts."""

from __future__ import annotations

from typing import overload

import numpy as np
from numpy.typing import ArrayLike

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation
from fracrepro.theory.arrays import by_layer, plain
from fracrepro.theory.layer import check_layer
from fracrepro.theory.numerics.factor import Factor
from fracrepro.theory.published import EXPANSIONS, Expansion, published_variance
from fracrepro.theory.weights import WeightLaw, Weights

__all__ = ["expansion_variance"]


@overload
def expansion_variance(
    s: float,
    width: int,
    activation: Activation,
    formula: Expansion | None = ...,
    *,
    source: Expansion | None = ...,
    weights: WeightLaw = ...,
    input_width: int | None = ...,
) -> float: ...
@overload
def expansion_variance(
    s: ArrayLike,
    width: ArrayLike,
    activation: Activation,
    formula: Expansion | None = ...,
    *,
    source: Expansion | None = ...,
    weights: WeightLaw = ...,
    input_width: ArrayLike | None = ...,
) -> np.ndarray: ...
def expansion_variance(
    s: ArrayLike,
    width: ArrayLike,
    activation: Activation,
    formula: Expansion | None = None,
    *,
    source: Expansion | None = None,
    weights: WeightLaw = "gaussian",
    input_width: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return an expansion of the critical variance to second order in 1/width.

    ``"derived"``: (1/(d E C)) [1 + (2 - s) κ/(4d)] with κ = Var C/(E C)², for any activation;
    leaky slope a: κ = (5 - 2a² + 5a⁴)/(1 + a²)²; orthogonal weights: (1/E C) [1 + (2 - s)(κ - 2)/(4d)]
    in a square layer, and with n > d inputs (n/(d E C)) [1 + (2 - s)(κ - 2d/n)/(4d)].
    ``"published"``: the expression of the authors' training scripts, where linear and ReLU networks agree
    with the above and leaky ones do not, see :func:`fracrepro.theory.published.published_variance`.

    Args:
        s: order in [0, 2], a number or an array.
        width: d, an integer from 1, or an array that broadcasts with `s`.
        activation: of the layer.
        formula: ``"derived"``, which is the default, or ``"published"``.
        source: the older public name of `formula`; both stay, so that calls written with either work, but
            only one of the two may be given.
        weights: ``"gaussian"`` or ``"orthogonal"``.
        input_width: as in `moment`.

    Returns:
        A float, or an array of the broadcast shape.

    Raises:
        ArgumentError: outside these ranges, and for ``"published"`` with an activation or weights that the
            scripts do not treat, or where their expression is not positive.

    Source:
        The authors' code for ``"published"``; the other is derived on page 02, thm-moment.

    >>> import fracrepro as fr
    >>> fr.expansion_variance(1, 64, fr.ReLU()) == 2 / 64 + 5 / (2 * 64**2)
    True
    """
    activation = check_layer(activation, weights)
    if source is not None and formula is not None:
        raise ArgumentError(f"source = {source!r} with formula = {formula!r}: need one of the two names only")
    name, value = ("formula", formula) if source is None else ("source", source)
    expansion = arguments.choice(name, "derived" if value is None else value, EXPANSIONS)
    orders = arguments.reals("s", s, "[0, 2]")
    mean = activation.even_moment(1)

    def one_layer(values: np.ndarray, layer: Factor, law: Weights) -> np.ndarray:
        d = np.full_like(values, layer.width)
        if expansion == "published":
            return published_variance(name, values, d, activation, law)
        excess = activation.kappa - law.divisor_variance(d)
        return np.asarray((1.0 + (2.0 - values) * excess / (4.0 * d)) / law.mean_square(d, mean))

    return plain(by_layer(one_layer, orders, width, activation, weights, input_width))
