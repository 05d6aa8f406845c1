"""Rows about layers of several shapes and about residual blocks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mpmath as mp
import numpy as np

from fracrepro.oracle import blocks
from fracrepro.theory import activations as act
from fracrepro.theory.depth import LogNormLaw
from fracrepro.theory.numerics.panels import PanelLine
from fracrepro.theory.residual import ResidualBlock
from fracrepro.workflow.accuracy.rows import MEIJER, Rows

ROWS = Rows()
_BLOCKS = (
    (3, 2, act.ReLU(), 0.7, 1.0),
    (3, 2, act.ReLU(), 30.0, -0.5),
    (6, 3, act.LeakyReLU(0.3), 1e-3, 1.0),
)
_ORDERS = (-0.6, 0.5, 1.0, 1.9, 3.3, 7.5)


@ROWS.enter("inversion", "linear layers of several widths: cdf", MEIJER, "absolute", 1e-11)
def _several_widths() -> Iterable[Any]:
    """P(Π χ_n ≤ x) for one χ of each width."""
    for widths in ((3, 7), (2, 9, 4)):
        law = LogNormLaw(len(widths), widths, act.Linear(), 1.0)
        halves = [mp.mpf(n) / 2 for n in widths]
        for units in (-3.0, -1.0, 0.5, 2.0):
            x = law.mean() + units * law.var() ** 0.5
            with mp.workdps(30):
                z = mp.exp(2 * mp.mpf(x)) / 2 ** len(widths)
                exact = mp.meijerg([[1], []], [halves, [0]], z) / mp.fprod(map(mp.gamma, halves))
            yield law.cdf(x) - exact


@ROWS.enter("affordable", "rectangular orthogonal layer: cdf", "beta law", "absolute", 1e-10)
def _rectangular() -> Iterable[Any]:
    """R² of a linear layer of n neurons with m inputs is Beta(n/2, (m - n)/2)."""
    for n, m in ((20, 60), (40, 100)):
        law = LogNormLaw(1, n, act.Linear(), 1.0, weights="orthogonal", input_width=m)
        for units in (-3.0, -1.0, 0.5, 2.0):
            x = law.mean() + units * law.var() ** 0.5
            yield law.cdf(x) - mp.betainc(n / 2, (m - n) / 2, 0, mp.exp(2 * x), regularized=True)


@ROWS.enter("block-line", "residual block: moments", "Kummer's function", "relative", 1e-12)
def _block_moments() -> Iterable[Any]:
    """E R^s, the branch larger than the skip, much larger, and much smaller."""
    for d, h, phi, alpha, skip in _BLOCKS:
        block = ResidualBlock(d, h, phi, alpha, (2 / d, 1 / h), skip)
        for s in _ORDERS:
            yield float(block.moment(s)) / blocks.moment(s, d, h, phi, alpha, (2 / d, 1 / h), skip) - 1


@ROWS.enter("block-cumulants", "the same: mean and variance of the log", "differences", "relative", 1e-11)
def _block_logs() -> Iterable[Any]:
    """Mean and variance of log R."""
    d, h, phi, alpha, skip = _BLOCKS[0]
    found = ResidualBlock(d, h, phi, alpha, (2 / d, 1 / h), skip).log_moments()
    exact = blocks.log_moments(d, h, phi, alpha, (2 / d, 1 / h), skip)
    yield from (value / other - 1 for value, other in zip(found, exact, strict=True))


@ROWS.enter("block-panels", "panels: cdf of Laplace's law", "closed form", "absolute", 1e-12)
def _panels() -> Iterable[Any]:
    """A density that bends, so that the transform falls like a power."""
    y = np.array([-5.0, -0.1, -1e-8, 1e-8, 0.3, 4.0])
    exact = np.where(y < 0, 0.5 * np.exp(y), 1.0 - 0.5 * np.exp(-y))
    yield from -PanelLine(-0.5, lambda s: 1.0 / (1.0 - s * s), 1.0).integrate(y, 1) - exact


@ROWS.enter("block-lines", "residual blocks without a skip: cdf", "plain layers", "absolute", 1e-11)
def _two_kinds() -> Iterable[Any]:
    """A skip of 1e-9 of the branch, by panels, against layers of two widths, by points."""
    block = ResidualBlock(5, 30, act.Linear(), 1.0, (1 / 5, 1 / 30), 1e-9)
    law = block.log_norm_law(2)
    plain = LogNormLaw(4, [30, 5, 30, 5], act.Linear(), [1 / 5, 1 / 30] * 2)
    for units in (-2.0, 0.0, 1.0, 3.0):
        x = plain.mean() + units * plain.var() ** 0.5
        yield law.cdf(x) - plain.cdf(x)
