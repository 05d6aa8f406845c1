r"""A residual block with a live branch: its norm is an exact random walk too.

A block x′ = βx + α W₂ φ(W₁ x) with independent Gaussian weights adds to βx a vector that is Gaussian and
isotropic once the hidden layer is known: W₁x has the law of a plain layer whatever the direction of x, its
norm is σ₁ ‖x‖ R_h, and W₂ makes of that N(0, s² ‖x‖² I) with s = σ₁ σ₂ R_h.
So ‖x′‖ = ‖x‖ R with

.. math:: R^2 = (\beta + \alpha s g)^2 + \alpha^2 s^2 \chi^2_{d-1},

g standard normal and all variables independent: the factors of different blocks are independent and of one
law, as those of plain layers are.
This law of a live branch is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation, Linear, check_activation
from fracrepro.theory.arrays import plain
from fracrepro.theory.layer import log_moment_of
from fracrepro.theory.numerics.factor import Factor, factor
from fracrepro.theory.numerics.order import rising_root
from fracrepro.theory.numerics.residual_moments import BlockMoments
from fracrepro.theory.numerics.sampling import FactorSampler, log_distance
from fracrepro.theory.residual_law import BlockLogNormLaw
from fracrepro.theory.simulate import block_sizes, check_draws
from fracrepro.theory.weights import GAUSSIAN, WIDTHS

__all__ = ["ResidualBlock"]

_LOG_MAX = math.log(np.finfo(float).max)
_HIGHEST = 100.0  # order of the highest moment offered


@dataclass(frozen=True)
class ResidualBlock:
    """The law of the factor R of one residual block x′ = βx + α W₂ φ(W₁ x), ‖x′‖ = ‖x‖ R.

    R² = (β + α s g)² + α² s² χ²_{d-1} with s² = σ₁² σ₂² R_h², R_h the factor of a plain layer of h neurons.
    Where all h neurons are dead, which a rectifier allows, the branch is 0 and ``R = |β|``.
    Blocks are independent, so that the log-norm over depth is a random walk with this step.

    Args:
        width: d of the input and of the output, an integer from 1.
        hidden: h, neurons of the hidden layer, an integer from 1.
        activation: φ.
        alpha: α, any number; the law depends on its absolute value.
        variances: (σ₁², σ₂²), variances of the entries of W₁ and of W₂, positive.
        skip: β, any number; the law depends on its absolute value.

    Raises:
        ArgumentError: outside these ranges, and where alpha and skip are both 0.

    Source:
        Ours, as the head of this module says; the computation is on page
        :doc:`How the numbers are computed </book/numerics>`.

    >>> import fracrepro as fr
    >>> block = fr.ResidualBlock(12, 20, fr.ReLU(), 0.5, (2 / 12, 1 / 20))
    >>> round(block.moment(2), 12)   # 1 + α² d σ₁² σ₂² h/2
    1.25
    """

    width: int
    hidden: int
    activation: Activation
    alpha: float
    variances: tuple[float, float]
    skip: float = 1.0

    def __post_init__(self) -> None:
        """Check the fields and make plain numbers of them."""
        put = object.__setattr__
        put(self, "width", arguments.integer("width", self.width, WIDTHS))
        put(self, "hidden", arguments.integer("hidden", self.hidden, WIDTHS))
        check_activation("activation", self.activation)
        put(self, "alpha", arguments.real("alpha", self.alpha, "(-inf, inf)"))
        put(self, "skip", arguments.real("skip", self.skip, "(-inf, inf)"))
        pair = arguments.reals("variances", self.variances, "(0, inf)")
        if pair.shape != (2,):
            raise ArgumentError(f"variances = {self.variances!r}: need two numbers, those of W₁ and of W₂")
        put(self, "variances", tuple(pair.tolist()))
        if self.alpha == 0.0 and self.skip == 0.0:
            raise ArgumentError("skip = 0.0: need another value where alpha = 0, for else every output is 0")

    @property
    def dead_branch_probability(self) -> float:
        """P(s = 0): no neuron of the hidden layer is alive, and ``R = |β|``."""
        return math.exp(self._layer.log_dead)

    def moment(self, s: ArrayLike) -> float | np.ndarray:
        """Return the moment E[R^s; R > 0] of one block.

        At s = 2 it is ``β² + α² K`` with K = d h σ₁² σ₂² E φ(g)², at s = 4
        ``β⁴ + (2 + 4/d) β² α² K + α⁴ K² (1 + κ/h)(1 + 2/d)``, κ = Var φ(g)²/(E φ(g)²)².

        Args:
            s: order, a number or an array, in (-d, 100].  Where the skip is 0 the moment of the branch must
                exist too: above minus the order at which that of the hidden layer diverges, see `fr.moment`.

        Returns:
            A float, or an array of the shape of `s`.

        Raises:
            ArgumentError: outside this range, or when the value exceeds the largest float.

        Source:
            Ours, as the head of this module says; the computation is on page
            :doc:`How the numbers are computed </book/numerics>`.

        >>> import fracrepro as fr
        >>> fr.ResidualBlock(1, 1, fr.Linear(), 1.0, (1.0, 1.0)).moment(4)   # 1 + 6·1 + 3·3
        16.0
        """
        orders = arguments.reals("s", s, f"(-{self.width}, {_HIGHEST:g}]")

        def one(order: float) -> float:
            if order in (2.0, 4.0):
                return self._even_moment(order == 4.0)
            log_value = self.log_moment(order)
            if abs(log_value) >= _LOG_MAX:
                raise ArgumentError(
                    f"s = {order!r}: need an order for which the moment is a floating-point number; its "
                    f"|log| is {abs(log_value):.6g}"
                )
            return math.exp(log_value)

        return plain(np.vectorize(one, otypes=[float])(orders))

    def log_moment(self, s: float) -> float:
        """Return log E[R^s; R > 0] for one order in (-d, 100], of any size."""
        order = arguments.real("s", s, f"(-{self.width}, {_HIGHEST:g}]")
        if self.alpha == 0.0:
            return order * math.log(abs(self.skip))
        if self.skip == 0.0:
            parts = math.fsum(log_moment_of(order, layer, GAUSSIAN) for layer in self.layers)
            return 0.5 * order * self._log_kappa + parts
        return order * math.log(abs(self.skip)) + self.moments.log_power(order / 2.0)

    def log_moments(self) -> tuple[float, float]:
        """Return mean and variance of log R given R > 0.

        Source:
            Ours, as the head of this module says; the computation is on page
            :doc:`How the numbers are computed </book/numerics>`.

        >>> import fracrepro as fr
        >>> block = fr.ResidualBlock(2, 1, fr.Linear(), 1e-3, (1.0, 1.0))
        >>> abs(block.log_moments()[0]) < 1e-12   # log ‖x‖ is harmonic in two dimensions
        True
        """
        if self.alpha == 0.0:
            return math.log(abs(self.skip)), 0.0
        if self.skip == 0.0:
            parts = [layer.log_moments(GAUSSIAN) for layer in self.layers]
            mean, variance = (math.fsum(part) for part in zip(*parts, strict=True))
            return 0.5 * self._log_kappa + mean, variance
        mean, variance = self.moments.log_cumulants()
        return math.log(abs(self.skip)) + mean / 2.0, variance / 4.0

    def lyapunov_exponent(self) -> float:
        """Return E log R given R > 0, the almost sure limit of (1/k) log(r_k/r_0) over k blocks."""
        return self.log_moments()[0]

    def log_norm_law(self, depth: int) -> BlockLogNormLaw:
        """Return the law of log(r_k/r_0) over `depth` such blocks, an integer from 1.

        Raises:
            ArgumentError: outside this range, and where α is 0.

        >>> import fracrepro as fr
        >>> law = fr.ResidualBlock(12, 20, fr.ReLU(), 0.5, (2 / 12, 1 / 20)).log_norm_law(30)
        >>> bool(abs(law.cdf(law.ppf(0.25)) - 0.25) < 1e-12)
        True
        """
        return BlockLogNormLaw(self, depth)

    def critical_skip(self, s: float, alpha: ArrayLike | None = None) -> float | np.ndarray:
        """Return the β ≥ 0 for which E R^s = 1, for the given α or for several: the curve that preserves s.

        For s = 0 it is E log R that is 0.
        E R^s increases with β, because a normal vector about a point further out has a longer norm in law; so
        there is one solution or none.  At s = 2 it is √(1 - α² K) as in `moment`.

        Args:
            s: order in [0, 2].
            alpha: values of α; by default that of the block.

        Returns:
            A float, or an array of the shape of `alpha`.

        Raises:
            ArgumentError: outside these ranges, and where the branch alone has E R^s > 1.

        Source:
            Ours: E R^s as a function of the two scales.

        >>> import fracrepro as fr
        >>> block = fr.ResidualBlock(4, 8, fr.ReLU(), 0.6, (2 / 4, 1 / 8))
        >>> round(block.critical_skip(2), 12)   # √(1 - 0.36)
        0.8
        """
        order = arguments.real("s", s, "[0, 2]")
        values = arguments.reals("alpha", self.alpha if alpha is None else alpha, "(-inf, inf)")
        return plain(
            np.vectorize(lambda value: self._critical_skip(order, abs(value)), otypes=[float])(values)
        )

    def critical_alpha(self, s: float, skip: ArrayLike | None = None) -> float | np.ndarray:
        """Return the largest α ≥ 0 for which E R^s = 1, for the given β or for several.

        The same curve as that of `critical_skip`, read the other way.
        At β = 1 it is 0, because E R^s increases with α, unless d = 1 and s < 1, where a small branch makes
        R^s smaller on average.

        Args:
            s: order in [0, 2]; for 0 it is E log R that is 0, at β = 0 given survival.
            skip: values of β, in [-1, 1]; by default that of the block.

        Returns:
            A float, or an array of the shape of `skip`.

        Raises:
            ArgumentError: outside these ranges.

        Source:
            Ours: E R^s as a function of the two scales.

        >>> import fracrepro as fr
        >>> block = fr.ResidualBlock(4, 8, fr.ReLU(), 1.0, (2 / 4, 1 / 8))
        >>> round(block.critical_alpha(2, skip=0.8), 12)
        0.6
        """
        order = arguments.real("s", s, "[0, 2]")
        values = arguments.reals("skip", self.skip if skip is None else skip, "[-1, 1]")
        curve = np.vectorize(lambda value: self._critical_alpha(order, abs(value)), otypes=[float])
        return plain(curve(values))

    def simulate_log_norms(self, n: int, depth: int, *, rng: np.random.Generator) -> np.ndarray:
        """Draw log(r_k/r_0) for `n` independent networks of such blocks and every depth k up to `depth`.

        One draw of R_h, g and χ²_{d-1} a block, whatever the widths.

        Args:
            n: number of networks, from 1.
            depth: number of blocks, from 1.
            rng: a numpy Generator.

        Returns:
            An array of shape (n, depth + 1); column 0 is 0, and where the skip is 0 a dead network is -inf.

        Raises:
            ArgumentError: outside these ranges.

        >>> import fracrepro as fr
        >>> block = fr.ResidualBlock(12, 20, fr.ReLU(), 0.5, (2 / 12, 1 / 20))
        >>> block.simulate_log_norms(2, 3, rng=np.random.default_rng(0)).shape
        (2, 4)
        """
        n, depth = check_draws(n, depth, rng)
        sampler = FactorSampler(self.hidden, self.activation, GAUSSIAN)
        result = np.zeros((n, depth + 1))
        start = 0
        for size in block_sizes(n, depth):
            shape = (size, depth)
            if self.alpha == 0.0:
                steps = np.full(shape, math.log(abs(self.skip)))
            else:
                log_branch = 0.5 * (self._log_kappa + sampler.log_square(shape, rng))
                steps = log_distance(log_branch, abs(self.skip), self.width, rng)
            np.cumsum(steps, axis=1, out=result[start : start + size, 1:])
            start += size
        return result

    def _critical_skip(self, s: float, alpha: float) -> float:
        """One point of the curve."""
        if alpha == 0.0:
            return 1.0
        # A branch that can die has E log R → -∞ as β → 0, and then there is always a solution.
        branch = self._rate(s, alpha, 0.0) if s > 0.0 or not self._layer.has_atom else -math.inf
        if branch > 0.0:
            largest = self._critical_alpha(s, 0.0)
            raise ArgumentError(
                f"alpha = {alpha!r}: need a value in [-{largest!r}, {largest!r}] for s = {s!r}"
            )
        if s == 2.0:
            return math.sqrt(max(0.0, 1.0 - alpha * alpha * self._gain))
        if branch == 0.0:
            return 0.0
        return math.exp(rising_root(lambda log_skip: self._rate(s, alpha, math.exp(log_skip)), 0.0))

    def _critical_alpha(self, s: float, skip: float) -> float:
        """One point of the curve, from the side of large α."""
        if skip == 1.0 and self.width + s >= 2.0:
            return 0.0
        if s == 2.0:
            return math.sqrt((1.0 - skip * skip) / self._gain)
        log_alone = -self._rate(s, 1.0, 0.0)
        if skip == 0.0:
            return math.exp(log_alone)
        return math.exp(rising_root(lambda log_alpha: self._rate(s, math.exp(log_alpha), skip), log_alone))

    def _rate(self, s: float, alpha: float, skip: float) -> float:
        """(1/s) log E R^s, for s = 0 E log R, of a block with these numbers."""
        block = ResidualBlock(self.width, self.hidden, self.activation, alpha, self.variances, skip)
        return block.log_moments()[0] if s == 0.0 else block.log_moment(s) / s

    def _even_moment(self, fourth: bool) -> float:
        """E R² or E R⁴ in closed form."""
        beta2, branch = self.skip**2, self.alpha**2 * self._gain
        if not fourth:
            return beta2 + branch
        spread = (1.0 + self.activation.kappa / self.hidden) * (1.0 + 2.0 / self.width)
        return beta2**2 + (2.0 + 4.0 / self.width) * beta2 * branch + branch**2 * spread

    @property
    def _gain(self) -> float:
        """K = d h σ₁² σ₂² E φ(g)²."""
        return self.width * self.hidden * math.prod(self.variances) * self.activation.even_moment(1)

    @property
    def _log_kappa(self) -> float:
        """log α² σ₁² σ₂²."""
        return 2.0 * math.log(abs(self.alpha)) + math.fsum(map(math.log, self.variances))

    @property
    def _layer(self) -> Factor:
        """The law of R_h."""
        return factor(self.hidden, self.activation)

    @property
    def layers(self) -> tuple[Factor, Factor]:
        """The laws of R_h and of χ_d, whose product is the factor where the skip is 0."""
        return self._layer, factor(self.width, Linear())

    @cached_property
    def moments(self) -> BlockMoments:
        """The moments of R/β, real and complex, for α and β other than 0."""
        log_scale = math.log(2.0) + self._log_kappa - 2.0 * math.log(abs(self.skip))
        return BlockMoments(self._layer, self.width, log_scale)
