"""What an initialization does to the norm of a deep network's output, exactly."""

from fracrepro._version import __version__
from fracrepro.theory.activations import Activation, Dropout, LeakyReLU, Linear, ReLU, RReLU
from fracrepro.theory.depth import LogNormLaw, survival_probability
from fracrepro.theory.layer import (
    critical_variance,
    expansion_variance,
    log_moments,
    moment,
    preserved_order,
)
from fracrepro.theory.limit import lyapunov_exponent
from fracrepro.theory.simulate import (
    required_draws,
    simulate_log_norms,
    simulate_tilted_log_norms,
    stream_log_norms,
)

__all__ = [
    "Activation",
    "Dropout",
    "LeakyReLU",
    "Linear",
    "LogNormLaw",
    "RReLU",
    "ReLU",
    "__version__",
    "critical_variance",
    "expansion_variance",
    "log_moments",
    "lyapunov_exponent",
    "moment",
    "preserved_order",
    "required_draws",
    "simulate_log_norms",
    "simulate_tilted_log_norms",
    "stream_log_norms",
    "survival_probability",
]
