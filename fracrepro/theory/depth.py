"""Many layers: the law of the log-norm of a deep network."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation
from fracrepro.theory.layer import check_layer
from fracrepro.theory.numerics.factor import Factor, factor
from fracrepro.theory.numerics.inversion import SumLaw
from fracrepro.theory.numerics.quantiles import Quantiles
from fracrepro.theory.numerics.transforms import Group
from fracrepro.theory.simulate import check_rng
from fracrepro.theory.stack import DEPTHS, Layers, Variances, Widths
from fracrepro.theory.weights import WIDTHS, WeightLaw, Weights

# numerics.md: numerics-layer-cumulants
_POINTS = 4001
_SPREAD, _SLOW_DECAY = 12.0, 45.0

# Shevtsova (2011), the constant of the Berry-Esseen inequality for independent terms of one law.
_BERRY_ESSEEN = 0.4748
# Shevtsova (2010), for terms of different laws.
_BERRY_ESSEEN_DIFFERENT = 0.56


@overload
def survival_probability(
    depth: int, width: int, activation: Activation, *, weights: WeightLaw = "gaussian"
) -> float: ...


@overload
def survival_probability(
    depth: ArrayLike, width: ArrayLike, activation: Activation, *, weights: WeightLaw = "gaussian"
) -> np.ndarray: ...


def survival_probability(
    depth: ArrayLike, width: ArrayLike, activation: Activation, *, weights: WeightLaw = "gaussian"
) -> float | np.ndarray:
    """Return P(r_k > 0), the probability that no layer of `depth` has set its output to zero.

    (1 - P(C = 0)^d)^k: for ReLU (1 - 2^-d)^k, with dropout around it (1 - ((1 + p)/2)^d)^k.
    Of layers of several widths it is the product over them of the probability at depth 1.
    Deep narrow networks give 0 when the value is below the smallest float.

    Args:
        depth: number of layers k, an integer from 1, or an array of them.
        width: neurons a layer d, an integer from 1, or an array that broadcasts with `depth`.
        activation: an activation.
        weights: makes no difference and is accepted for the sake of one interface.

    Returns:
        A float, or an array of the broadcast shape.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        The abstract states that the outputs converge to zero; the formula is derived on page 03,
        thm-as-limit.

    >>> import fracrepro as fr
    >>> fr.survival_probability(2, 1, fr.ReLU())
    0.25
    """
    activation = check_layer(activation, weights)
    depths = arguments.integers("depth", depth, DEPTHS)
    widths = arguments.integers("width", width, WIDTHS)
    log_alive = np.vectorize(lambda d: factor(int(d), activation).log_alive, otypes=[float])(widths)
    value: np.ndarray = np.exp(depths * log_alive)
    return float(value) if value.ndim == 0 else value


class LogNormLaw:
    """The law of log(r_k/r_0) given survival, at finite depth and width.

    A sum of k independent copies of log σ + log R given R > 0, inverted from its exact transform.
    It speaks scipy's language: cdf, sf, pdf, ppf, mean, var, rvs.
    Layers may differ in width and variance; the transforms of all of them are then multiplied, and equal
    numbers give the same law, bit for bit, as one number.

    With ``weights="orthogonal"`` all amplitudes of a layer may agree, which is a point mass of the law; where
    width and depth are too small for it to be negligible, or for the density to be smooth, the law is
    refused.  Its tails then have absolute accuracy (1e-10) only.

    Args:
        depth: number of layers k, an integer from 1.
        width: neurons a layer d, an integer from 1, or a sequence with one for each layer.
        activation: an activation.
        variance: σ² > 0 of the weights, for orthogonal weights the squared gain; one number, or a sequence
            with one for each layer.
        weights: "gaussian" or "orthogonal".
        input_width: inputs of the network, an integer from 1; needed where orthogonal layers have several
            widths, for else None stands for as many as the first layer has neurons.

    Raises:
        ArgumentError: outside these ranges, and for linear orthogonal networks, whose norm is not random
            unless a layer has more inputs than neurons.

    Source:
        The abstract names the normal limit; the exact law is derived on page 05, thm-clt, and its evaluation
        on page :doc:`How the numbers are computed </book/numerics>`.

    >>> import fracrepro as fr
    >>> law = fr.LogNormLaw(1, 2, fr.Linear(), 1.0)   # R² is exponential with mean 2
    >>> bool(abs(law.cdf(0.0) - (1 - np.exp(-0.5))) < 1e-12)
    True
    >>> fr.LogNormLaw(3, [64, 32, 16], fr.ReLU(), [2 / 64, 2 / 32, 2 / 16]).depth
    3
    """

    def __init__(
        self,
        depth: int,
        width: Widths,
        activation: Activation,
        variance: Variances,
        *,
        weights: WeightLaw = "gaussian",
        input_width: int | None = None,
    ) -> None:
        """Check the arguments and compute mean and variance; the inversion waits for the first question."""
        self.activation = check_layer(activation, weights)
        layers = Layers(depth, width, variance, weights, input_width)
        self.depth, self.width, self.variance = layers.depth, layers.width, layers.variance
        self.weights, self.input_width = weights, layers.input_width
        kinds = [(factor(kind.width, activation), kind, count) for kind, count in layers.groups()]
        self._groups = _merged(Group(layer, kind.weights, count) for layer, kind, count in kinds)
        self._mean = self._shift = self._log_alive = variance_sum = 0.0
        for layer, kind, count in kinds:
            mean, var = layer.log_moments(kind.weights)
            log_mean_square = math.log(layer.mean) - layer.log_alive
            log_mean_square -= math.log(kind.weights.divisor_mean(kind.width))
            self._mean += count * (0.5 * math.log(kind.variance) + mean)
            self._shift += 0.5 * count * (math.log(kind.variance) + log_mean_square)
            self._log_alive += count * layer.log_alive
            variance_sum += count * var
        if variance_sum <= 0.0:
            raise ArgumentError(
                f"weights = {weights!r} with activation = {activation!r} at width = {width!r}: "
                "need a network whose norm is random"
            )
        self._sd = math.sqrt(variance_sum)
        # Layers whose factor is not random shift the law and have no transform worth sampling.
        random = [group for group in self._groups if group.layer.log_moments(group.weights)[1] > 0.0]
        self._law = SumLaw(random, self._sd)
        self._quantiles = Quantiles(self._law, self._mean - self._shift, self._shift)

    def __repr__(self) -> str:
        """The call that makes this law."""
        inputs = "" if self.input_width is None else f", input_width={self.input_width}"
        return (
            f"LogNormLaw({self.depth}, {self.width}, {self.activation!r}, {self.variance!r}, "
            f"weights={self.weights!r}{inputs})"
        )

    def mean(self) -> float:
        """Return the mean: k λ, or the sum of the layers' exponents."""
        return self._mean

    def var(self) -> float:
        """Return the variance, the sum of Var[log R | R > 0] over the layers."""
        return self._sd**2

    @overload
    def cdf(self, x: float) -> float: ...
    @overload
    def cdf(self, x: ArrayLike) -> np.ndarray: ...
    def cdf(self, x: ArrayLike) -> float | np.ndarray:
        """Return P(log(r_k/r_0) ≤ x | survival), exact to 1e-10.

        For Gaussian weights the lower tail has a relative accuracy of 1e-6 or better down to 1e-11, of 1e-5
        down to 1e-12, and of 1e-7 down to there from two to four layers; very far below, at 1e-100 and less,
        nothing is promised.  The middle of the law of two to four layers is exact to 1e-12.
        """
        return self._apply(x, lambda y: self._law.cdf_sf(y)[0])

    @overload
    def sf(self, x: float) -> float: ...
    @overload
    def sf(self, x: ArrayLike) -> np.ndarray: ...
    def sf(self, x: ArrayLike) -> float | np.ndarray:
        """Return P(log(r_k/r_0) > x | survival), exact to 1e-10.

        Relatively accurate in the upper tail for ReLU and dropout around it or around a linear layer.
        Otherwise the lines of integration end at the fourth moment of R: from two layers on the relative
        error stays below 1e-6 down to 1e-9, for a single layer the error is below 1e-11 absolute.
        """
        return self._apply(x, lambda y: self._law.cdf_sf(y)[1])

    @overload
    def pdf(self, x: float) -> float: ...
    @overload
    def pdf(self, x: ArrayLike) -> np.ndarray: ...
    def pdf(self, x: ArrayLike) -> float | np.ndarray:
        """Return the density of log(r_k/r_0) given survival, relatively exact to 1e-12 for 2 and 3 layers."""
        return self._apply(x, self._law.pdf)

    @overload
    def ppf(self, q: float) -> float: ...
    @overload
    def ppf(self, q: ArrayLike) -> np.ndarray: ...
    def ppf(self, q: ArrayLike) -> float | np.ndarray:
        """Return the quantile of order q in (0, 1), by Newton steps kept inside a bracket."""
        probability = arguments.reals("q", q, "(0, 1)")
        flat = probability.ravel()
        lower = flat < 0.5
        result = self._quantiles.solve(np.where(lower, flat, 1.0 - flat), lower).reshape(probability.shape)
        return float(result) if result.ndim == 0 else result

    def rvs(self, size: int | tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw from the law given survival: x(Z) for normal Z, with x interpolated between quantiles."""
        check_rng(rng)
        return self._of_normal(rng.standard_normal(size))

    def normal(self) -> Any:
        """Return the normal law of the paper's limit, a frozen ``scipy.stats.norm``."""
        from scipy import stats  # here, because it takes longer to import than the rest of the package

        return stats.norm(loc=self._mean, scale=self._sd)

    def cumulants(self) -> tuple[float, float, float, float]:
        """Return the first four cumulants; the third and fourth from the density of one layer.

        Raises:
            ArgumentError: where the law of one layer is refused, that is, for narrow orthogonal layers.
        """
        third, fourth = (
            math.fsum(count * moments[j] for count, moments in self._layer_moments) for j in range(2)
        )
        return self._mean, self._sd**2, third, fourth

    def berry_esseen_bound(self) -> float:
        r"""Return a bound of the largest difference between `cdf` and that of the normal limit.

        It is :math:`0.4748 \, E|\xi|^3 (\Var \xi)^{-3/2} / \sqrt{k}` with ξ = log R - E log R given survival,
        and for layers that differ :math:`0.56 \sum E|\xi_l|^3 (\sum \Var \xi_l)^{-3/2}`.

        Raises:
            ArgumentError: where the law of one layer is refused, that is, for narrow orthogonal layers.

        Source:
            The constants are Shevtsova's, 0.4748 (2011) and 0.56 (2010).
        """
        if len(self._layer_moments) == 1:
            absolute_third = self._layer_moments[0][1][2]
            return _BERRY_ESSEEN * absolute_third / (self._sd**3 / self.depth**1.5) / math.sqrt(self.depth)
        total = math.fsum(count * moments[2] for count, moments in self._layer_moments)
        return _BERRY_ESSEEN_DIFFERENT * total / self._sd**3

    @overload
    def small_output_probability(self, eps: float) -> float: ...
    @overload
    def small_output_probability(self, eps: ArrayLike) -> np.ndarray: ...
    def small_output_probability(self, eps: ArrayLike) -> float | np.ndarray:
        """Return P(r_k ≤ eps r_0), dead networks included; relative accuracy that of `cdf`.

        Args:
            eps: a positive number, or an array of them.

        Raises:
            ArgumentError: unless eps > 0.

        Source:
            The abstract speaks of small outputs; derived on page 06, thm-small-outputs.
        """
        log_eps = np.log(arguments.reals("eps", eps, "(0, inf)"))
        value = -math.expm1(self._log_alive) + math.exp(self._log_alive) * np.asarray(self.cdf(log_eps))
        return float(value) if value.ndim == 0 else value

    def edgeworth_cdf(self, x: ArrayLike) -> float | np.ndarray:
        """Return the normal approximation with Edgeworth's terms; leaves, because `cdf` is exact.

        Φ(z) - φ(z) [γ₁ He₂/6 + γ₂ He₃/24 + γ₁² He₅/72] at z = (x - mean)/sd, γ₁ skewness, γ₂ excess kurtosis.
        """
        warnings.warn("edgeworth_cdf leaves the package; use cdf, which is exact", DeprecationWarning, 2)
        _, var, third, fourth = self.cumulants()
        skewness, kurtosis = third / var**1.5, fourth / var**2

        def approximate(y: np.ndarray) -> np.ndarray:
            z = (y + self._shift - self._mean) / self._sd
            h2, h3, h5 = z**2 - 1.0, z**3 - 3.0 * z, z**5 - 10.0 * z**3 + 15.0 * z
            terms = skewness * h2 / 6.0 + kurtosis * h3 / 24.0 + skewness**2 * h5 / 72.0
            return special.ndtr(z) - np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) * terms

        return self._apply(x, approximate)

    def _apply(self, x: ArrayLike, function: Callable[[np.ndarray], np.ndarray]) -> float | np.ndarray:
        """The function at the points x, measured from where E Y = 1."""
        points = arguments.reals("x", x, "(-inf, inf)")
        result = function(points.ravel() - self._shift).reshape(points.shape)
        return float(result) if result.ndim == 0 else result

    @cached_property
    def _of_normal(self) -> Callable[[np.ndarray], np.ndarray]:
        """The smooth map x(z) with cdf(x(z)) = Φ(z)."""
        return self._quantiles.of_normal()

    @cached_property
    def _layer_moments(self) -> list[tuple[int, tuple[float, float, float]]]:
        """Of each kind of layer: their number, and what `_moments_of_one` finds."""
        if len(self._groups) == 1:
            group = self._groups[0]
            sd = self._sd / math.sqrt(self.depth)
            return [(self.depth, _moments_of_one(group, sd, (self._mean - self._shift) / self.depth))]
        return [(group.number, _moments_of_one(group, *_sd_and_mean(group))) for group in self._groups]


def _merged(groups: Iterable[Group]) -> list[Group]:
    """Groups of one law as one group, their variances aside."""
    counts: dict[tuple[Factor, Weights], int] = {}
    for layer, weights, count in groups:
        counts[layer, weights] = counts.get((layer, weights), 0) + count
    return [Group(layer, weights, count) for (layer, weights), count in counts.items()]


def _sd_and_mean(group: Group) -> tuple[float, float]:
    """Standard deviation of (1/2) log Y of a layer, and its mean."""
    mean, variance = group.layer.log_moments(group.weights)
    log_mean_square = math.log(group.layer.mean_square(group.weights)) - group.layer.log_alive
    return math.sqrt(variance), mean - 0.5 * log_mean_square


def _moments_of_one(group: Group, sd: float, mean: float) -> tuple[float, float, float]:
    """Third and fourth cumulant and third absolute moment of log R given survival, from its density."""
    if sd == 0.0:
        return 0.0, 0.0, 0.0
    law = SumLaw([group._replace(number=1)], sd)
    # Left of the mean the density decays at least like e^(order·x), right of it faster.
    x = np.linspace(mean - _SPREAD * sd - _SLOW_DECAY / group.layer.order, mean + _SPREAD * sd, _POINTS)
    mass = law.pdf(x) * (x[1] - x[0])
    centred = x - mean
    third, fourth, absolute = (
        float(mass @ value) for value in (centred**3, centred**4, np.abs(centred) ** 3)
    )
    return third, fourth - 3.0 * sd**4, absolute
