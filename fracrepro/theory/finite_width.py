"""What finite widths do to the second moment of the squared norm: a product over the layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation
from fracrepro.theory.layer import check_layer
from fracrepro.theory.stack import Layers
from fracrepro.theory.weights import WeightLaw, Weights

__all__ = ["fourth_moment_ratio"]

_LOG_MAX = math.log(np.finfo(float).max)


def fourth_moment_ratio(
    widths: Sequence[int] | np.ndarray,
    activation: Activation,
    *,
    weights: WeightLaw = "gaussian",
    input_width: int | None = None,
) -> float:
    """Return E r_k⁴/(E r_k²)² of a network with these layers, dead networks included.

    Gaussian weights: ``Π (1 + κ/n_l)`` with κ = Var φ(z)²/(E φ(z)²)², `Activation.kappa`, whatever their
    variances: 2 for linear layers, 5 for ReLU.
    An orthogonal layer divides its factor by ``1 + 2/max(n_l, n_{l-1})``.
    So the sum of 1/n_l, and not depth, decides how far norms spread: the ratio is 1 plus the variance of r_k²
    over its squared mean.

    Args:
        widths: neurons of each layer, integers from 1.
        activation: of every layer.
        weights: ``"gaussian"`` or ``"orthogonal"``.
        input_width: inputs of the network, as in `LogNormLaw`.

    Returns:
        A float.

    Raises:
        ArgumentError: outside these ranges, and where the value exceeds the largest float.

    Source:
        Ours, from E R² = n E C and E R⁴ = n E C² + n (n - 1) (E C)² of independent layers.

    >>> import fracrepro as fr
    >>> round(fr.fourth_moment_ratio([10, 20, 7, 30], fr.ReLU()), 12)   # 3/2 · 5/4 · 12/7 · 7/6
    3.75
    """
    activation = check_layer(activation, weights)
    count = len(widths) if np.ndim(widths) == 1 else 0
    if not count:
        raise ArgumentError(f"widths = {widths!r}: need one number for each layer")
    layers = Layers(count, widths, 1.0, weights, input_width)

    def log_ratio_of(width: int, law: Weights) -> float:
        spread, divided = activation.kappa / width, law.divisor_variance(width) / width
        return math.log1p(spread) - math.log1p(divided)

    log_ratio = math.fsum(
        number * log_ratio_of(layer.width, layer.weights) for layer, number in layers.groups()
    )
    if log_ratio >= _LOG_MAX:
        raise ArgumentError(f"widths: need fewer or wider layers; the log of the ratio is {log_ratio:.6g}")
    return math.exp(log_ratio)
