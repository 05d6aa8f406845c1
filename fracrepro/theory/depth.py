"""Many layers: the law of the log-norm of a deep network."""

from __future__ import annotations

from typing import Any

import numpy as np

from fracrepro.theory import arguments
from fracrepro.theory._factor import factor
from fracrepro.theory.activations import Activation
from fracrepro.theory.layer import WIDTHS, check_layer
from fracrepro.theory.simulate import DEPTHS


def survival_probability(depth: Any, width: Any, activation: Activation, *, weights: str = "gaussian") -> Any:
    """Return P(r_k > 0), the probability that no layer of `depth` has set its output to zero.

    (1 - P(C = 0)^d)^k: for ReLU (1 - 2^-d)^k, with dropout around it (1 - ((1 + p)/2)^d)^k.
    Deep narrow networks give 0 when the value is below the smallest float.

    Parameters: `depth` k and `width` d, integers from 1, scalars or arrays that broadcast.
    `weights` makes no difference and is accepted for the sake of one interface.
    Raises ValueError outside these ranges.
    Source: [abstract] states that the outputs converge to zero; the formula is derived here.

    >>> import fracrepro as fr
    >>> fr.survival_probability(2, 1, fr.ReLU())
    0.25
    """
    activation = check_layer(activation, weights)
    depths = arguments.integers("depth", depth, DEPTHS)
    widths = arguments.integers("width", width, WIDTHS)
    log_alive = np.vectorize(lambda d: factor(int(d), activation).log_alive, otypes=[float])(widths)
    value = np.exp(depths * log_alive)
    return float(value) if value.ndim == 0 else value
