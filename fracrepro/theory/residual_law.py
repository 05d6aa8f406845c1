"""Many residual blocks: the exact law of the log-norm."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.arrays import plain
from fracrepro.theory.numerics.block_law import BlockSum
from fracrepro.theory.numerics.inversion import SumLaw
from fracrepro.theory.numerics.quantiles import Quantiles
from fracrepro.theory.numerics.transforms import Group
from fracrepro.theory.simulate import check_rng
from fracrepro.theory.stack import DEPTHS
from fracrepro.theory.weights import GAUSSIAN

if TYPE_CHECKING:
    from fracrepro.theory.residual import ResidualBlock

__all__ = ["BlockLogNormLaw"]


class BlockLogNormLaw:
    """The law of log(r_k/r_0) over k independent residual blocks; `ResidualBlock.log_norm_law` makes it.

    Its transform is the k-th power of the block's moments of complex order, inverted numerically; no sample
    stands behind a value.
    With a skip every network survives; if all k branches are dead, which has the probability `atom`, the
    log-norm is ``k log|β|`` exactly, and that is a step of `cdf`.
    Without a skip the law is conditional on survival, as that of a plain network.

    Args:
        block: the blocks.
        depth: their number k, an integer from 1.

    Raises:
        ArgumentError: outside this range, and where α is 0, since then nothing is random.

    Source:
        Ours: the walk of `ResidualBlock`; the computation is on page
        :doc:`How the numbers are computed </book/numerics>`.

    >>> import fracrepro as fr
    >>> law = fr.ResidualBlock(1, 1, fr.ReLU(), 1.0, (1.0, 1.0)).log_norm_law(2)
    >>> law.atom   # the one neuron of either branch is dead
    0.25
    """

    def __init__(self, block: ResidualBlock, depth: int) -> None:
        """Check the arguments; the inversion waits for the first question."""
        if block.alpha == 0.0:
            raise ArgumentError("alpha = 0.0: need another value for a law, for the norm is not random")
        self.block = block
        self.depth = arguments.integer("depth", depth, DEPTHS)
        mean, variance = block.log_moments()
        self._mean, self._sd = self.depth * mean, math.sqrt(self.depth * variance)
        self.atom = block.dead_branch_probability**self.depth if block.skip else 0.0

    def __repr__(self) -> str:
        """The call that makes this law."""
        return f"{self.block!r}.log_norm_law({self.depth})"

    def mean(self) -> float:
        """Return the mean k E log R."""
        return self._mean

    def var(self) -> float:
        """Return the variance k Var log R."""
        return self._sd**2

    def normal(self) -> Any:
        """Return the normal law of many blocks, a frozen ``scipy.stats.norm``."""
        from scipy import stats  # here, because it takes longer to import than the rest of the package

        return stats.norm(loc=self._mean, scale=self._sd)

    def cdf(self, x: ArrayLike) -> Any:
        """Return P(log(r_k/r_0) ≤ x), exact to 1e-11, and relatively to 1e-6 in lower tails down to 1e-9."""
        return self._apply(x, lambda y: (1.0 - self.atom) * self._law.cdf_sf(y)[0] + self.atom * (y >= 0.0))

    def sf(self, x: ArrayLike) -> Any:
        """Return P(log(r_k/r_0) > x), exact to 1e-11."""
        return self._apply(x, lambda y: (1.0 - self.atom) * self._law.cdf_sf(y)[1] + self.atom * (y < 0.0))

    def pdf(self, x: ArrayLike) -> Any:
        """Return the density of log(r_k/r_0) beside the atom.

        Where branches can be as small as one likes, with few hidden neurons and few blocks, it is infinite or
        bends at ``k log|β|``; within 1e-6 of that point its accuracy falls to 1e-7.
        """
        return self._apply(x, lambda y: (1.0 - self.atom) * self._law.pdf(y))

    def ppf(self, q: ArrayLike) -> Any:
        """Return the smallest x with cdf(x) ≥ q, q in (0, 1); that of the atom where its step covers q."""
        probability = arguments.reals("q", q, "(0, 1)")
        flat = probability.ravel()
        below = float(self.cdf(self._shift)) - self.atom if self.atom else 0.0
        on_atom = (flat > below) & (flat <= below + self.atom)
        rest = np.where(flat <= below, flat, flat - self.atom) / (1.0 - self.atom)
        rest = np.where(on_atom, 0.5, rest)
        lower = rest < 0.5
        x = self._quantiles.solve(np.where(lower, rest, 1.0 - rest), lower)
        return plain(np.where(on_atom, self._shift, x).reshape(probability.shape))

    def rvs(self, size: int | tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw from the law, block by block; without a skip dead networks are drawn again."""
        check_rng(rng)
        shape = tuple(arguments.integers("size", size, "[0, inf)").ravel().tolist())
        count = math.prod(shape)
        kept: list[np.ndarray] = [np.empty(0)]
        while missing := count - sum(map(len, kept)):
            draws = self.block.simulate_log_norms(missing, self.depth, rng=rng)[:, -1]
            kept.append(draws[np.isfinite(draws)])
        return np.concatenate(kept).reshape(shape)

    def small_output_probability(self, eps: ArrayLike) -> Any:
        """Return P(r_k ≤ eps r_0) for eps > 0, dead networks included."""
        log_eps = np.log(arguments.reals("eps", eps, "(0, inf)"))
        log_alive = 0.0
        if self.block.skip == 0.0:
            log_alive = self.depth * math.log1p(-self.block.dead_branch_probability)
        return plain(-math.expm1(log_alive) + math.exp(log_alive) * np.asarray(self.cdf(log_eps)))

    def _apply(self, x: ArrayLike, function: Any) -> Any:
        """The function of the distance from `_shift`."""
        points = arguments.reals("x", x, "(-inf, inf)")
        return plain(function(points.ravel() - self._shift).reshape(points.shape))

    @cached_property
    def _shift(self) -> float:
        """Where the computed law has its origin: ``k log|β|``, or the logarithm of the root mean square."""
        if self.block.skip:
            return self.depth * math.log(abs(self.block.skip))
        log_alive = math.log1p(-self.block.dead_branch_probability)
        return 0.5 * self.depth * (self.block.log_moment(2.0) - log_alive)

    @cached_property
    def _law(self) -> BlockSum | SumLaw:
        if self.block.skip:
            return BlockSum(self.block.moments, self.depth, self._mean - self._shift, self._sd)
        groups = [Group(layer, GAUSSIAN, self.depth) for layer in self.block.layers]
        return SumLaw(groups, self._sd)

    @cached_property
    def _quantiles(self) -> Quantiles:
        return Quantiles(self._law, self._mean - self._shift, self._shift)
