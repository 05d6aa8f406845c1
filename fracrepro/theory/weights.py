"""The two laws of a layer's weights, and what each makes of the one-layer factor R.

Give the n neurons of a layer independent standard normal inputs z and amplitudes A, and set

    V = Σ A_i² z_i² / Σ z_i²,

independent of the radius Σ z_i² ~ χ²_n.
Independent N(0, σ²) weights multiply the squared norm by σ² χ²_n V, so that R² = χ²_n V.
A Haar-orthogonal matrix keeps the norm of its input, so that σ times it gives R² = V.
Every quantity of an orthogonal layer is therefore that of the Gaussian layer divided by that of χ²_n.
This module is the only place that knows which of the two it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast, get_args

import numpy as np
from scipy import special

from fracrepro import arguments
from fracrepro.theory.special import log_gamma_ratio, log_gamma_slope

WeightLaw = Literal["gaussian", "orthogonal"]
NAMES: tuple[str, ...] = get_args(WeightLaw)


class Weights(ABC):
    """What the law of the weights says about R²; `shape` is half the width, as in a gamma law."""

    name: ClassVar[WeightLaw]
    bounded: ClassVar[bool]  # whether R is bounded, by the largest amplitude
    divisor_variance: ClassVar[float]  # width times the relative variance of what divides χ²_n V

    @abstractmethod
    def mean_square(self, width: Any, coordinate: float) -> Any:
        """E R² from E C, the mean of one squared coordinate; an array of the shape of `width`."""

    @abstractmethod
    def divisor_mean(self, width: int) -> float:
        """Mean of what divides χ²_n V."""

    @abstractmethod
    def divisor_rate(self, shape: float, q: np.ndarray) -> Any:
        """(1/q) log E D^q of the divisor D scaled to mean 1: 0 where nothing divides."""

    @abstractmethod
    def radius_rate(self, shape: float, q: np.ndarray) -> Any:
        """(1/q) log E G^q of the radius G that is left beside V, scaled to mean 1: 0 where none is left."""

    @abstractmethod
    def radius_slope(self, shape: float, q: float) -> float:
        """d/dq log E G^q."""

    @abstractmethod
    def radius_cumulants(self, shape: float) -> tuple[float, float]:
        """Mean and variance of log G."""

    @abstractmethod
    def saddle_shape(self, shape: float) -> float:
        """Shape of the gamma law whose moments bound the accuracy needed of E (χ²_n V)^q; inf: no bound."""

    @abstractmethod
    def log_square(self, live: np.ndarray, total: np.ndarray | float) -> np.ndarray:
        """Log R² from a draw of Σ A_i² z_i² and of Σ z_i²."""

    @abstractmethod
    def log_tilted_radius(self, shape: float, size: Any, rng: np.random.Generator) -> np.ndarray | float:
        """Draws of log G (not scaled) for a gamma law of the given, tilted shape."""

    @abstractmethod
    def add_bias(
        self, log_signal: np.ndarray, log_bias: float, width: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Log of T with r'² = T R² for squared signal σ² r² and squared bias scale σ_b², given in logs."""


@dataclass(frozen=True)
class Gaussian(Weights):
    """Independent N(0, σ²) weights: R² = χ²_n V.

    Source:
        The abstract; derived on page 02, thm-moment.
    """

    name = "gaussian"
    bounded = False
    divisor_variance = 0.0

    def mean_square(self, width: Any, coordinate: float) -> Any:
        """Width times E C."""
        return width * coordinate

    def divisor_mean(self, width: int) -> float:
        """Nothing divides."""
        return 1.0

    def divisor_rate(self, shape: float, q: np.ndarray) -> Any:
        """Nothing divides."""
        return 0.0

    def radius_rate(self, shape: float, q: np.ndarray) -> Any:
        """The whole of χ²_n is left."""
        return log_gamma_ratio(shape, q)

    def radius_slope(self, shape: float, q: float) -> float:
        """ψ(b + q) - log b."""
        return float(log_gamma_slope(shape, np.array(q)))

    def radius_cumulants(self, shape: float) -> tuple[float, float]:
        """ψ(b) - log b and ψ'(b)."""
        return float(log_gamma_ratio(shape, np.array(0.0))), float(special.polygamma(1, shape))

    def saddle_shape(self, shape: float) -> float:
        """No bound."""
        return np.inf

    def log_square(self, live: np.ndarray, total: np.ndarray | float) -> np.ndarray:
        """Log Σ A_i² z_i²."""
        return np.log(live)

    def log_tilted_radius(self, shape: float, size: Any, rng: np.random.Generator) -> np.ndarray | float:
        """Log of twice a gamma variable."""
        return np.log(2.0 * rng.standard_gamma(shape, size))

    def add_bias(
        self, log_signal: np.ndarray, log_bias: float, width: int, rng: np.random.Generator
    ) -> np.ndarray:
        """T = σ² r² + σ_b²: the bias is one more normal weight."""
        return np.logaddexp(log_signal, log_bias)


@dataclass(frozen=True)
class Orthogonal(Weights):
    """σ times a Haar-orthogonal matrix: R² = V.

    Source:
        Derived on page 02, thm-moment: the image of a vector has the same direction in law.
    """

    name = "orthogonal"
    bounded = True
    divisor_variance = 2.0

    def mean_square(self, width: Any, coordinate: float) -> Any:
        """E C."""
        return np.full(np.shape(width), coordinate)

    def divisor_mean(self, width: int) -> float:
        """E χ²_n."""
        return float(width)

    def divisor_rate(self, shape: float, q: np.ndarray) -> Any:
        """The whole of χ²_n divides."""
        return log_gamma_ratio(shape, q)

    def radius_rate(self, shape: float, q: np.ndarray) -> Any:
        """No radius is left."""
        return 0.0

    def radius_slope(self, shape: float, q: float) -> float:
        """No radius is left."""
        return 0.0

    def radius_cumulants(self, shape: float) -> tuple[float, float]:
        """No radius is left."""
        return 0.0, 0.0

    def saddle_shape(self, shape: float) -> float:
        """E V^q is found relative to the small E G^q."""
        return shape

    def log_square(self, live: np.ndarray, total: np.ndarray | float) -> np.ndarray:
        """Log V."""
        return np.log(live) - np.log(total)

    def log_tilted_radius(self, shape: float, size: Any, rng: np.random.Generator) -> np.ndarray | float:
        """No radius is left, and nothing is drawn."""
        return 0.0

    def add_bias(
        self, log_signal: np.ndarray, log_bias: float, width: int, rng: np.random.Generator
    ) -> np.ndarray:
        """T = (σ r + σ_b g)² + σ_b² χ²_{n-1}: the part of the bias along the signal adds to it."""
        size = log_signal.shape
        along = np.exp((log_signal - log_bias) / 2.0) + rng.standard_normal(size)
        across = 2.0 * rng.standard_gamma((width - 1) / 2.0, size)
        return cast(np.ndarray, log_bias + np.log(along**2 + across))


GAUSSIAN = Gaussian()
ORTHOGONAL = Orthogonal()
_LAWS: dict[str, Weights] = {weights.name: weights for weights in (GAUSSIAN, ORTHOGONAL)}


def law(weights: str) -> Weights:
    """Return the law called `weights`.

    Args:
        weights: ``"gaussian"`` or ``"orthogonal"``.

    Raises:
        ArgumentError: for another name.

    >>> law("orthogonal").mean_square(64, 0.5)   # E V = E C, whatever the width
    array(0.5)
    """
    return _LAWS[arguments.choice("weights", weights, NAMES)]
