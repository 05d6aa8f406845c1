"""The law of the log-norm over residual blocks with a skip connection, by inversion on lines of panels."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from fracrepro.theory.numerics.panels import PanelLine
from fracrepro.theory.numerics.residual_moments import BlockMoments

# numerics.md: numerics-block-lines
_UNITS = (0.7, 2.0, 4.0, 6.0)
_EDGE = 0.8
# numerics.md: numerics-block-panels
_FIRST_PANEL = 2.0


class BlockSum:
    """The law of Σ log(R_l/β) over `depth` blocks, given that some branch is alive.

    Attributes:
        sd: standard deviation of the sum, of all networks.
        reach: no line stands right of 0.
        log_atom: log of the probability that all branches are dead and the sum is 0.
    """

    reach = 0.0

    def __init__(self, moments: BlockMoments, depth: int, sd: float) -> None:
        """Place the lines left of 0."""
        self.moments, self.depth, self.sd = moments, depth, sd
        self.log_atom = depth * math.log(moments.dead) if moments.dead else -math.inf
        tilts = np.array(_UNITS) / sd
        edge = 2.0 * _EDGE * moments.shape  # E R^s is finite down to s = -d
        tilts = tilts[tilts < edge] if np.any(tilts < edge) else np.array([edge])
        self.tilts = -tilts
        self._lines: dict[int, PanelLine] = {}

    @cached_property
    def exponents(self) -> np.ndarray:
        """log E[e^(τS); a branch is alive] where the lines cross the real axis."""
        logs = self.depth * np.array([self.moments.log_power(tilt / 2.0) for tilt in self.tilts.tolist()])
        result: np.ndarray = logs + np.log1p(-np.exp(self.log_atom - logs))
        return result

    def cdf_sf(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """P(S ≤ y) and P(S > y); the first with relative accuracy where it is small."""
        value = np.clip(-self._invert(y, 1), 0.0, 1.0)
        return value, 1.0 - value

    def pdf(self, y: np.ndarray) -> np.ndarray:
        """The density of S; rounding noise below 0 is cut."""
        return np.maximum(self._invert(y, 0), 0.0)

    def _invert(self, y: np.ndarray, power: int) -> np.ndarray:
        choice = (self.exponents - np.multiply.outer(y, self.tilts)).argmin(axis=1)
        result = np.empty(len(y))
        log_live = math.log(-math.expm1(self.log_atom)) if math.isfinite(self.log_atom) else 0.0
        for j in np.unique(choice).tolist():
            chosen = choice == j
            scale = math.exp(float(self.exponents[j]) - log_live)
            result[chosen] = scale * self._line(j).integrate(y[chosen], power)
        return result

    def _line(self, j: int) -> PanelLine:
        if j not in self._lines:
            exponent = float(self.exponents[j])
            first = _FIRST_PANEL / self.sd
            self._lines[j] = PanelLine(float(self.tilts[j]), lambda s: self._transform(s, exponent), first)
        return self._lines[j]

    def _transform(self, s: np.ndarray, exponent: float) -> np.ndarray:
        """E[e^(sS); a branch is alive] e^(-exponent): the k-th power of a block's less that of its atom."""
        live, dead = self.moments.on_line(s / 2.0), self.moments.dead
        if not dead:
            return np.exp(self.depth * np.log(live) - exponent)
        whole = np.exp(self.depth * np.log(dead + live) - exponent) - math.exp(self.log_atom - exponent)
        # Where the living part is small the difference would cancel.
        ratio = np.where(np.abs(live) < 0.5 * dead, live / dead, 0.0)
        rest = math.exp(self.log_atom - exponent) * np.expm1(self.depth * np.log1p(ratio))
        return np.where(ratio != 0.0, rest, whole)
