"""Gaussian biases: the law of the norm at finite depth and, where it exists, at infinite depth.

With biases of standard deviation σ_b one layer takes the norm r to r′, r′² = (σ² r² + σ_b²) R².
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation
from fracrepro.theory.arrays import WIDTHS
from fracrepro.theory.depth import LogNormLaw
from fracrepro.theory.layer import check_layer, critical_variance, log_moment, log_moments
from fracrepro.theory.limit import goldie_terms, simulate_stationary, tail_index, tilted_log_mean
from fracrepro.theory.norm_law import NormLaw
from fracrepro.theory.numerics.factor import factor
from fracrepro.theory.numerics.linear_grid import LinearGrid, LinearTable
from fracrepro.theory.numerics.stationary import Grid, step_for, tilt_of
from fracrepro.theory.numerics.survival_table import SurvivalTable
from fracrepro.theory.simulate import DEPTHS, simulate_log_norms

Method = Literal["nystrom", "linear"]
Size = int | tuple[int, ...]
_LARGEST_INDEX = 10.0  # numerics.md: numerics-stationary-weight


class StationaryLaw(NormLaw):
    """The stationary law of the norm r in a network with Gaussian weights and Gaussian biases.

    The law that r′² = (σ² r² + σ_b²) R² leaves unchanged, R independent of r; from every input the law of r_k
    tends to it.
    It exists if and only if the Lyapunov exponent is negative (-∞ where layers can die), and
    P(r > t) ~ c t^(-α) with α the `tail_index` and c the `tail_constant`.
    Nothing is computed before it is asked for, and no sample stands behind a probability.
    P(r > x) has an absolute error below 1e-9 and log P(r > x) one below 1e-8, also far out, as long as α ≤ 4.
    Measured against another discretization, whose own error is 1e-14, over widths from 1 to 64 and tail
    indices from 0.1 to 3.9: at most 2e-10 and 4e-9; P(r ≤ x) near 0 is on page
    :doc:`How the numbers are computed </book/numerics>`.

    Args:
        width: an integer from 1; up to 10⁵ or so.
        activation: what follows each layer.
        variance: σ² > 0 of the weights.
        bias_std: σ_b > 0 of the biases; r is proportional to it.
        method: ``"nystrom"``, whose error falls geometrically with the step, or ``"linear"``, a convolution
            with linear interpolation and an error of 1e-3, on which page 04 reads the tail index.
        step: of the grid in log r, in [1e-5, 0.5]; the default suits the width.

    Raises:
        ArgumentError: outside these ranges, where there is no stationary law, and where α is below 0.001 or
            above 10⁶; with the first question also where the linear system would be too large.

    Source:
        the abstract ("heavy-tailed in some settings"); derived on page 04, thm-tail-index.

    >>> import fracrepro as fr
    >>> law = fr.StationaryLaw(1, fr.ReLU(), 0.5, 1.0)
    >>> law.cdf(0.0)   # the one neuron of the last layer is dead
    0.5
    """

    def __init__(
        self,
        width: int,
        activation: Activation,
        variance: float,
        bias_std: float,
        *,
        method: Method = "nystrom",
        step: float | None = None,
    ) -> None:
        """Check the arguments and compute the tail index."""
        self.activation = check_layer(activation, "gaussian")
        self.width = arguments.integer("width", width, WIDTHS)
        self.variance = arguments.real("variance", variance, "(0, inf)")
        self.bias_std = arguments.real("bias_std", bias_std, "(0, inf)")
        self.method = arguments.choice("method", method, ("nystrom", "linear"))
        self._step = None if step is None else arguments.real("step", step, "[1e-5, 0.5]")
        self._scale = self.bias_std / math.sqrt(self.variance)  # ε
        self._layer = factor(self.width, self.activation)
        self.tail_index = self._existing_index()

    def __repr__(self) -> str:
        """The call that makes this law."""
        return f"StationaryLaw({self.width}, {self.activation!r}, {self.variance!r}, {self.bias_std!r})"

    @cached_property
    def tail_constant(self) -> float:
        """The c of P(r > t) ~ c t^(-α), by Goldie's formula over the computed law.

        c = E[(r² + ε²)^(α/2) - r^α]/(α E[M^α log M]) with M = σ R and ε = σ_b/σ (Goldie 1991).

        Raises:
            ArgumentError: when α exceeds 10, where the tail has no practical meaning and is not resolved.
        """
        if self.tail_index > _LARGEST_INDEX:
            raise ArgumentError(
                f"variance = {self.variance!r}: need a larger one for a tail constant; the tail index "
                f"{self.tail_index:.6g} exceeds {_LARGEST_INDEX:g}"
            )
        mean = self._grid.goldie_mean(self._grid_survival)
        return self._scale**self.tail_index * mean / (self.tail_index * self._drift)

    def goldie_terms(self, log_r: ArrayLike) -> np.ndarray:
        """Return numbers whose mean is the tail constant, from draws of log r of the stationary law.

        Goldie's formula with an average in place of the expectation; -inf, a dead network, is allowed.
        """
        values = np.asarray(log_r, dtype=float)
        terms = goldie_terms(values, self.tail_index, math.log(self._scale))
        return terms / (self.tail_index * self._drift)

    def at_depth(self, depth: int, norm: float = 1.0) -> DepthLaw:
        """Return the law of r at a finite depth, an integer from 1, from an input of the given norm > 0.

        It costs one product of matrix and vector a layer.
        """
        return DepthLaw(self, depth, norm)

    def log_rvs(self, size: Size, rng: np.random.Generator, *, depth: int | None = None) -> np.ndarray:
        """Draw log r, -inf where the last layer is dead, by running networks from r_0 = 1 for `depth` layers.

        The default depth makes the influence of r_0, of order exp(depth·m) with m = min_h log E M^h, < 1e-9.

        Raises:
            ArgumentError: when that depth would exceed 100000 layers.
        """
        shape = tuple(arguments.integers("size", size, "[0, inf)").ravel().tolist())
        if 0 in shape:
            return np.empty(shape)
        draws = simulate_stationary(
            math.prod(shape), self.width, self.activation, self.variance, self.bias_std, rng=rng, depth=depth
        )
        return draws.reshape(shape)

    def rvs(self, size: Size, rng: np.random.Generator, *, depth: int | None = None) -> np.ndarray:
        """Draw r, 0 where the last layer is dead; as `log_rvs`."""
        return np.exp(self.log_rvs(size, rng, depth=depth))

    def wide_limit(self) -> Any:
        """Return the limit law of wide layers, a frozen ``scipy.stats.gengamma``.

        With v half the variance of log R, 4v r²/ε² tends in law to 1/Γ_{α/2}, Γ_{α/2} gamma, as
        the width grows at a fixed tail index α (Dufresne 1990).
        """
        from scipy import stats  # here, because it takes longer to import than the rest of the package

        return stats.gengamma(self.tail_index / 2.0, -2.0, scale=self._wide_scale)

    @property
    def wide_tail_constant(self) -> float:
        """The tail constant of `wide_limit`: (ε²/4v)^(α/2)/Γ(1 + α/2)."""
        return self._wide_scale**self.tail_index / math.gamma(1.0 + self.tail_index / 2.0)

    @property
    def _wide_scale(self) -> float:
        return self._scale / math.sqrt(2.0 * log_moments(self.width, self.activation)[1])

    @cached_property
    def _drift(self) -> float:
        return tilted_log_mean(self.tail_index, self.variance, self.width, self.activation)

    @cached_property
    def _grid(self) -> Grid | LinearGrid:
        layer, alpha = self._layer, self.tail_index
        if self.method == "linear":
            return LinearGrid(self._one_layer(), layer.alive, alpha, self._step)
        step, tilt = step_for(self.width, self._step), tilt_of(alpha)
        log_mean_power = 0.5 * tilt * math.log(self.variance)
        log_mean_power += log_moment(tilt, self.width, self.activation, "gaussian")
        return Grid(self._one_layer(), layer, alpha, math.exp(log_mean_power), step)

    def _one_layer(self) -> LogNormLaw:
        return LogNormLaw(1, self.width, self.activation, self.variance)

    @cached_property
    def _grid_survival(self) -> np.ndarray:
        return self._grid.stationary()

    def _tabulate(self) -> SurvivalTable | LinearTable:
        return self._table_of(self._grid_survival, self.tail_index)

    def _table_of(self, survival: np.ndarray, index: float | None) -> SurvivalTable | LinearTable:
        if isinstance(self._grid, LinearGrid):
            return LinearTable(self._grid.y, survival, index)
        return SurvivalTable(self._grid.y, survival, self._layer.alive, self._layer.order, index)

    def _existing_index(self) -> float:
        """The tail index, or ArgumentError where no stationary law exists or its tail is out of reach."""
        if not self._layer.has_atom:
            border = critical_variance(0, self.width, self.activation)
            if self.variance >= border:
                raise ArgumentError(
                    f"variance = {self.variance!r}: need a value below critical_variance(0) = {border!r}; "
                    "above it the Lyapunov exponent is not negative and no stationary law exists"
                )
        index: float = tail_index(self.variance, self.width, self.activation)
        if index < 0.001:
            raise ArgumentError(
                f"variance = {self.variance!r}: need a smaller one; the tail index {index:.1e} is below 0.001"
            )
        return index


class DepthLaw(NormLaw):
    """The law of the norm r_k at finite depth in a network with Gaussian biases; `StationaryLaw.at_depth`."""

    def __init__(self, limit: StationaryLaw, depth: int, norm: float) -> None:
        """Check the arguments."""
        self.depth = arguments.integer("depth", depth, DEPTHS)
        self.norm = arguments.real("norm", norm, "(0, inf)")
        self._limit = limit
        self._scale = limit._scale

    def __repr__(self) -> str:
        """The call that makes this law."""
        return f"{self._limit!r}.at_depth({self.depth}, {self.norm!r})"

    def rvs(self, size: Size, rng: np.random.Generator) -> np.ndarray:
        """Draw r_k, 0 where the last layer is dead."""
        shape = tuple(arguments.integers("size", size, "[0, inf)").ravel().tolist())
        if 0 in shape:
            return np.empty(shape)
        law = self._limit
        draws = simulate_log_norms(
            math.prod(shape),
            self.depth,
            law.width,
            law.activation,
            law.variance,
            bias_std=law.bias_std / self.norm,
            rng=rng,
        )
        return self.norm * np.exp(draws[:, -1].reshape(shape))

    def _tabulate(self) -> SurvivalTable | LinearTable:
        start = math.log(self.norm / self._scale)
        return self._limit._table_of(self._limit._grid.at_depth(self.depth, start), None)


def square_moments(
    depth: int,
    width: int,
    activation: Activation,
    variance: float,
    bias_std: float,
    *,
    norm: float = 1.0,
) -> np.ndarray:
    """Return E r_k² and E r_k⁴ at every depth k in a network with Gaussian weights and biases.

    E r′² = E R² (σ² E r² + σ_b²) and E r′⁴ = E R⁴ (σ⁴ E r⁴ + 2 σ² σ_b² E r² + σ_b⁴), exactly.

    Args:
        depth: the largest k, an integer from 1.
        width: an integer from 1.
        activation: what follows each layer.
        variance: σ² > 0 of the weights.
        bias_std: σ_b ≥ 0 of the biases.
        norm: r_0 > 0, the norm of the input.

    Returns:
        An array of shape (depth + 1, 2); a value beyond the largest float is inf.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        derived on page 04, section "Infinite variance, but not at any finite depth".

    >>> import fracrepro as fr
    >>> fr.square_moments(3, 8, fr.ReLU(), 2 / 8, 0.5)[:, 0].tolist()   # Kaiming's variance: 1 + k σ_b²/σ²
    [1.0, 2.0, 3.0, 4.0]
    """
    activation = check_layer(activation, "gaussian")
    depth = arguments.integer("depth", depth, DEPTHS)
    width = arguments.integer("width", width, WIDTHS)
    sigma2 = arguments.real("variance", variance, "(0, inf)")
    ratio2 = arguments.real("bias_std", bias_std, "[0, inf)") ** 2 / sigma2
    norm = arguments.real("norm", norm, "(0, inf)")
    mean = activation.even_moment(1)
    second = sigma2 * mean * width
    fourth = sigma2**2 * width * (3.0 * activation.even_moment(2) + (width - 1) * mean**2)
    rows = np.empty((depth + 1, 2))
    rows[0] = norm**2, norm**4
    with np.errstate(over="ignore"):
        for k in range(depth):
            m2, m4 = rows[k]
            rows[k + 1] = second * (m2 + ratio2), fourth * (m4 + 2.0 * ratio2 * m2 + ratio2**2)
    return rows
