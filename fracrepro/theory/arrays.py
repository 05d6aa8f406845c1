"""Arguments that are numbers or arrays of them, and results that follow: float in, float out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fracrepro import arguments
from fracrepro.theory.activations import Activation
from fracrepro.theory.numerics.factor import Factor, factor

WIDTHS = "[1, 1000000000]"


def plain(value: np.ndarray) -> Any:
    """Return an array without axes as a float, any other as it is.

    >>> plain(np.array(0.5)), plain(np.array([0.5]))
    (0.5, array([0.5]))
    """
    return float(value) if np.ndim(value) == 0 else value


def by_width(
    function: Callable[[np.ndarray, Factor], np.ndarray],
    values: np.ndarray,
    width: ArrayLike,
    activation: Activation,
) -> np.ndarray:
    """Apply `function` to all values that share a width, over the broadcast of `values` and `width`."""
    widths = arguments.integers("width", width, WIDTHS)
    values, widths = np.broadcast_arrays(values, widths)
    result = np.empty(values.shape)
    for d in np.unique(widths).tolist():
        chosen = widths == d
        result[chosen] = function(values[chosen], factor(d, activation))
    return result
