"""Infinitely many layers: the Lyapunov exponent, the tail index and the stationary law with biases."""

from __future__ import annotations

from typing import Any

import numpy as np

from fracrepro.theory import arguments
from fracrepro.theory.activations import Activation
from fracrepro.theory.layer import check_layer, log_moments


def lyapunov_exponent(variance: Any, width: Any, activation: Activation, *, weights: str = "gaussian") -> Any:
    """Return λ = log σ + E[log R | R > 0], the almost sure limit of (1/k) log r_k given survival.

    Negative exactly when some moment of positive order decays; at critical_variance(s), s > 0, it is negative
    for every activation without an atom at zero, although E r_k^s is constant.

    Parameters: `variance` > 0 and `width` from 1, scalars or arrays that broadcast.
    Raises ValueError outside these ranges.
    Source: [abstract]: the almost sure limit exists; its value is derived here.

    >>> import fracrepro as fr
    >>> round(fr.lyapunov_exponent(1.0, 2, fr.Linear()), 6)   # (log 2 - γ)/2
    0.057966
    """
    activation = check_layer(activation, weights)
    sigma2 = arguments.reals("variance", variance, "(0, inf)")
    value = 0.5 * np.log(sigma2) + log_moments(width, activation, weights=weights)[0]
    return float(value) if np.ndim(value) == 0 else value
