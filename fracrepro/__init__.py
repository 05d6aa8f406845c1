"""What an initialization does to the norm of a deep network's output, exactly."""

from fracrepro._version import __version__
from fracrepro.stats.tails import (
    StabilityPlot,
    TailEstimate,
    extreme_value_index,
    hill,
    log_log_regression,
    moment_estimator,
    stability_plot,
    stable_index,
)
from fracrepro.theory.activations import Activation, Dropout, LeakyReLU, Linear, ReLU, RReLU
from fracrepro.theory.depth import LogNormLaw, survival_probability
from fracrepro.theory.layer import (
    critical_variance,
    expansion_variance,
    log_moments,
    moment,
    preserved_order,
)
from fracrepro.theory.limit import (
    goldie_constant,
    lyapunov_exponent,
    simulate_stationary,
    tail_index,
    tilted_log_mean,
)
from fracrepro.theory.simulate import (
    required_draws,
    simulate_log_norms,
    simulate_tilted_log_norms,
    stream_log_norms,
)
from fracrepro.theory.stationary import StationaryLaw, square_moments

__all__ = [
    "Activation",
    "Dropout",
    "LeakyReLU",
    "Linear",
    "LogNormLaw",
    "RReLU",
    "ReLU",
    "StabilityPlot",
    "StationaryLaw",
    "TailEstimate",
    "__version__",
    "critical_variance",
    "expansion_variance",
    "extreme_value_index",
    "goldie_constant",
    "hill",
    "log_log_regression",
    "log_moments",
    "lyapunov_exponent",
    "moment",
    "moment_estimator",
    "preserved_order",
    "required_draws",
    "simulate_log_norms",
    "simulate_stationary",
    "simulate_tilted_log_norms",
    "square_moments",
    "stability_plot",
    "stable_index",
    "stream_log_norms",
    "survival_probability",
    "tail_index",
    "tilted_log_mean",
]
