"""Arguments that are numbers or arrays of them, and results that follow: float in, float out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fracrepro import arguments
from fracrepro.theory.activations import Activation
from fracrepro.theory.numerics.factor import Factor, factor
from fracrepro.theory.weights import WIDTHS, Weights, law


def plain(value: np.ndarray) -> Any:
    """Return an array without axes as a float, any other as it is.

    >>> plain(np.array(0.5)), plain(np.array([0.5]))
    (0.5, array([0.5]))
    """
    return float(value) if np.ndim(value) == 0 else value


def by_layer(
    function: Callable[[np.ndarray, Factor, Weights], np.ndarray],
    values: np.ndarray,
    width: ArrayLike,
    activation: Activation,
    weights: str,
    input_width: ArrayLike | None,
) -> np.ndarray:
    """Apply `function` to all values that share a layer, over the broadcast of values and both widths."""
    widths = arguments.integers("width", width, WIDTHS)
    inputs = np.array(0) if input_width is None else arguments.integers("input_width", input_width, WIDTHS)
    values, widths, inputs = np.broadcast_arrays(values, widths, inputs)
    result = np.empty(values.shape)
    for d, m in sorted(set(zip(widths.ravel().tolist(), inputs.ravel().tolist(), strict=True))):
        chosen = (widths == d) & (inputs == m)
        result[chosen] = function(values[chosen], factor(d, activation), law(weights, m or None))
    return result
