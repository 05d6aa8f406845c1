"""What an initialization does to the norm of a deep network's output, exactly."""

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from fracrepro import _moved
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
from fracrepro.theory.activations import (
    Abs,
    Activation,
    Dropout,
    LeakyReLU,
    Linear,
    ReLU,
    RReLU,
    activation,
)
from fracrepro.theory.depth import LogNormLaw, survival_probability
from fracrepro.theory.expansion import expansion_variance
from fracrepro.theory.finite_width import fourth_moment_ratio
from fracrepro.theory.joint import GramChain
from fracrepro.theory.layer import critical_variance, log_moments, moment, preserved_order
from fracrepro.theory.limit import lyapunov_exponent, tail_index, tilted_log_mean
from fracrepro.theory.residual import ResidualBlock
from fracrepro.theory.simulate import required_draws, simulate_log_norms, simulate_tilted_log_norms
from fracrepro.theory.spiking import SpikingChain
from fracrepro.theory.stationary import StationaryLaw, square_moments

_moved.install()

__all__ = [
    "Abs",
    "Activation",
    "Dropout",
    "GramChain",
    "LeakyReLU",
    "Linear",
    "LogNormLaw",
    "RReLU",
    "ReLU",
    "ResidualBlock",
    "SpikingChain",
    "StabilityPlot",
    "StationaryLaw",
    "TailEstimate",
    "__version__",
    "activation",
    "critical_variance",
    "expansion_variance",
    "extreme_value_index",
    "fourth_moment_ratio",
    "hill",
    "log_log_regression",
    "log_moments",
    "lyapunov_exponent",
    "moment",
    "moment_estimator",
    "preserved_order",
    "required_draws",
    "simulate_log_norms",
    "simulate_tilted_log_norms",
    "square_moments",
    "stability_plot",
    "stable_index",
    "survival_probability",
    "tail_index",
    "tilted_log_mean",
]

# Public names that go with the next version: the module that still has them, and the public name to use.
_RETIRED = {
    "goldie_constant": ("fracrepro.theory.limit", "StationaryLaw"),
    "simulate_stationary": ("fracrepro.theory.limit", "StationaryLaw"),
    "stream_log_norms": ("fracrepro.theory.simulate", "simulate_log_norms"),
}

if not TYPE_CHECKING:  # a type checker that saw this would accept every name

    def __getattr__(name: str) -> Any:
        """Find a name that is about to go, and say what takes its place."""
        if name not in _RETIRED:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, instead = _RETIRED[name]
        warnings.warn(
            f"fracrepro.{name} goes with the next version: use fracrepro.{instead}",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(importlib.import_module(module), name)
