r"""The two laws of a layer's weights, and what each makes of the one-layer factor R.

Give the n neurons of a layer independent standard normal inputs z and amplitudes A, and set

.. math:: V = \frac{\sum_i A_i^2 z_i^2}{\sum_i z_i^2},

independent of the radius Σ z_i² ~ χ²_n.
Independent N(0, σ²) weights multiply the squared norm by σ² χ²_n V, so that R² = χ²_n V.
A Haar-orthogonal matrix keeps the norm of its input, so that σ times it gives R² = V.
A semi-orthogonal one, n rows by m columns, keeps it too where n ≥ m; where n < m it is n rows of an
orthogonal matrix, so that a vector keeps the share χ²_n/χ²_m of its squared norm and R² = χ²_n V/χ²_m, with
χ²_m = χ²_n + χ²_{m-n} the squared length of a normal vector of which χ²_n is a part.
Every quantity of an orthogonal layer is therefore that of the Gaussian layer divided by that of χ²_max(n, m).
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
#: The widths that the laws are made for, as an interval.
WIDTHS = "[1, 1000000000]"


class Weights(ABC):
    """What the law of the weights says about R²; `shape` is half the width, as in a gamma law."""

    name: ClassVar[WeightLaw]
    bounded: ClassVar[bool]  # whether R is bounded, by the largest amplitude

    @abstractmethod
    def of_inputs(self, inputs: int) -> Weights:
        """The law for a layer that has so many inputs; 0 stands for as many as it has neurons."""

    @property
    @abstractmethod
    def after_bias(self) -> Weights:
        """The law whose R² multiplies the T of `add_bias`."""

    @abstractmethod
    def mean_square(self, width: Any, coordinate: float) -> Any:
        """E R² from E C, the mean of one squared coordinate; an array of the shape of `width`."""

    @abstractmethod
    def divisor_mean(self, width: int) -> float:
        """Mean of what divides χ²_n V."""

    @abstractmethod
    def divisor_variance(self, width: Any) -> Any:
        """Width times the relative variance of what divides χ²_n V."""

    @abstractmethod
    def beyond(self, width: int) -> int:
        """The degrees of freedom of what divides that are not those of the neurons."""

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
    def log_tilted_radius(
        self, shape: float, tilt: float, size: Any, rng: np.random.Generator
    ) -> np.ndarray | float:
        """Draws of log G (not scaled) from the law tilted by G^tilt."""

    @abstractmethod
    def add_bias(
        self, log_signal: np.ndarray, log_bias: float, width: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Log of T with r′² = T R² for squared signal σ² r² and squared bias scale σ_b², given in logs."""


@dataclass(frozen=True)
class Gaussian(Weights):
    """Independent N(0, σ²) weights: R² = χ²_n V.

    Source:
        The abstract; derived on page 02, thm-moment.
    """

    name = "gaussian"
    bounded = False

    def of_inputs(self, inputs: int) -> Gaussian:
        """The inputs do not matter: a row times a vector has variance σ² r² however long they are."""
        return self

    @property
    def after_bias(self) -> Gaussian:
        """The same law."""
        return self

    def mean_square(self, width: Any, coordinate: float) -> Any:
        """Width times E C."""
        return width * coordinate

    def divisor_mean(self, width: int) -> float:
        """Nothing divides."""
        return 1.0

    def divisor_variance(self, width: Any) -> Any:
        """Nothing divides."""
        return 0.0

    def beyond(self, width: int) -> int:
        """Nothing divides."""
        return 0

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

    def log_tilted_radius(
        self, shape: float, tilt: float, size: Any, rng: np.random.Generator
    ) -> np.ndarray | float:
        """Log of twice a gamma variable, whose shape the tilt raises."""
        return np.log(2.0 * rng.standard_gamma(shape + tilt, size))

    def add_bias(
        self, log_signal: np.ndarray, log_bias: float, width: int, rng: np.random.Generator
    ) -> np.ndarray:
        """T = σ² r² + σ_b²: the bias is one more normal weight."""
        return np.logaddexp(log_signal, log_bias)


@dataclass(frozen=True)
class Orthogonal(Weights):
    """σ times a Haar-orthogonal matrix: R² = V, or χ²_n V/χ²_m with more inputs m than neurons n.

    Attributes:
        inputs: m; at most as many as neurons, 0 among them, is a square layer in law.

    Source:
        Derived on page 02, thm-moment: the image of a vector has the same direction in law.
    """

    name = "orthogonal"
    bounded = True
    inputs: int = 0

    def of_inputs(self, inputs: int) -> Orthogonal:
        """The law of a semi-orthogonal matrix."""
        return Orthogonal(inputs)

    @property
    def after_bias(self) -> Orthogonal:
        """R² = V: `add_bias` has drawn the share of the norm that is kept."""
        return Orthogonal()

    def mean_square(self, width: Any, coordinate: float) -> Any:
        """E C times the share of the inputs that is kept."""
        return np.full(np.shape(width), coordinate) * (width / np.maximum(width, self.inputs))

    def divisor_mean(self, width: int) -> float:
        """E χ²_max(n, m)."""
        return float(max(width, self.inputs))

    def divisor_variance(self, width: Any) -> Any:
        """2 n/max(n, m)."""
        return 2.0 * (width / np.maximum(width, self.inputs))

    def beyond(self, width: int) -> int:
        """Those of the inputs that are more than the neurons."""
        return max(0, self.inputs - width)

    def divisor_rate(self, shape: float, q: np.ndarray) -> Any:
        """The whole of χ²_max(n, m) divides."""
        return log_gamma_ratio(self._divisor(shape), q)

    def radius_rate(self, shape: float, q: np.ndarray) -> Any:
        """The share χ²_n/χ²_m is left, of mean 1 after scaling."""
        if self._divisor(shape) == shape:
            return 0.0
        return log_gamma_ratio(shape, q) - log_gamma_ratio(self._divisor(shape), q)

    def radius_slope(self, shape: float, q: float) -> float:
        """The difference of the slopes of both."""
        if self._divisor(shape) == shape:
            return 0.0
        here, there = (float(log_gamma_slope(b, np.array(q))) for b in (shape, self._divisor(shape)))
        return here - there

    def radius_cumulants(self, shape: float) -> tuple[float, float]:
        """Differences of those of both."""
        if self._divisor(shape) == shape:
            return 0.0, 0.0
        pairs = (GAUSSIAN.radius_cumulants(b) for b in (shape, self._divisor(shape)))
        (mean, variance), (less, smaller) = pairs
        return mean - less, variance - smaller

    def saddle_shape(self, shape: float) -> float:
        """E V^q is found relative to the small E G^q."""
        return shape

    def log_square(self, live: np.ndarray, total: np.ndarray | float) -> np.ndarray:
        """Log of the quotient."""
        return np.log(live) - np.log(total)

    def log_tilted_radius(
        self, shape: float, tilt: float, size: Any, rng: np.random.Generator
    ) -> np.ndarray | float:
        """Log of a beta variable, its first parameter raised by the tilt; a square layer draws nothing."""
        rest = self._divisor(shape) - shape
        if rest == 0.0:
            return 0.0
        kept = rng.standard_gamma(shape + tilt, size)
        return np.log(kept) - np.log(kept + rng.standard_gamma(rest, size))

    def add_bias(
        self, log_signal: np.ndarray, log_bias: float, width: int, rng: np.random.Generator
    ) -> np.ndarray:
        """T = (σ r B + σ_b g)² + σ_b² χ²_{n-1}: the part of the bias along the signal adds to it.

        B² = χ²_n/χ²_m is the share of the signal that the layer keeps, 1 unless it has more inputs.
        """
        size = log_signal.shape
        log_kept = self.log_tilted_radius(width / 2.0, 0.0, size, rng)
        along = np.exp((log_signal + log_kept - log_bias) / 2.0) + rng.standard_normal(size)
        across = 2.0 * rng.standard_gamma((width - 1) / 2.0, size)
        return cast(np.ndarray, log_bias + np.log(along**2 + across))

    def _divisor(self, shape: float) -> float:
        """Shape of what divides."""
        return max(shape, self.inputs / 2.0)


GAUSSIAN = Gaussian()
ORTHOGONAL = Orthogonal()
_LAWS: dict[str, Weights] = {weights.name: weights for weights in (GAUSSIAN, ORTHOGONAL)}


def law(weights: str, input_width: int | None = None) -> Weights:
    """Return the law called `weights` in a layer with so many inputs.

    Args:
        weights: ``"gaussian"`` or ``"orthogonal"``.
        input_width: number of inputs, an integer from 1; None for as many as there are neurons.

    Raises:
        ArgumentError: for another name, or outside this range.

    >>> float(law("orthogonal").mean_square(64, 0.5))   # E V = E C, whatever the width
    0.5
    >>> float(law("orthogonal", 128).mean_square(64, 0.5))   # half of the inputs' directions are kept
    0.25
    """
    found = _LAWS[arguments.choice("weights", weights, NAMES)]
    if input_width is None:
        return found
    return found.of_inputs(arguments.integer("input_width", input_width, WIDTHS))
