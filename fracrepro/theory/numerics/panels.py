"""Fourier inversion of a transform that may decay slowly: panels, Legendre series and Bessel functions.

The law of a sum over residual blocks whose branch can be as small as one likes is not smooth at the sum of
their skips: its density has a logarithm there, and the transform M falls like a power.
With y measured from that point M(τ + iu) stops oscillating far out and is smooth in log u.
So the line is cut into panels that grow with u; on each M is a Legendre series, and

    ∫_{-1}^{1} P_n(t) e^{-iωt} dt = 2 (-i)^n j_n(ω)

integrates it against any frequency.  Derivation: book/numerics.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special

# numerics.md: numerics-block-panels
_NODES = 20
_RESOLVED, _DONE = 1e-14, 1e-13
_GROWTH, _SMALLEST_PANEL, _FURTHEST = 2.0, 1e-6, 1e14
_ROWS = 1 << 8

Transform = Callable[[np.ndarray], np.ndarray]


class Panel(NamedTuple):
    """An interval of frequencies and M/s^power on it, as Legendre coefficients by power."""

    middle: float
    half: float
    coefficients: tuple[np.ndarray, np.ndarray]


class PanelLine:
    """M(s) on the line s = τ + iu, u ≥ 0."""

    def __init__(self, tilt: float, transform: Transform, first: float) -> None:
        """Cut the line into panels, the first of the given length, until nothing of the integral is left."""
        self.tilt = tilt
        self.panels: list[Panel] = []
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        orders = np.arange(_NODES)
        project = (np.polynomial.legendre.legvander(nodes, _NODES - 1) * weights[:, None]).T
        project *= orders[:, None] + 0.5
        start, length = 0.0, first
        while start < _FURTHEST:
            half = length / 2.0
            s = tilt + 1j * (start + half + half * nodes)
            values = transform(s)
            plain, divided = project @ values, project @ (values / s)
            # The integral of the distribution function is what must be right.
            unresolved = float(np.abs(divided[-2:]).max()) * length > _RESOLVED
            if unresolved and length > _SMALLEST_PANEL * first:
                length /= _GROWTH
                continue
            self.panels.append(Panel(start + half, half, (plain, divided)))
            start += length
            if float(np.abs(values / s).max()) * start < _DONE:
                break
            length *= _GROWTH

    def integrate(self, y: np.ndarray, power: int) -> np.ndarray:
        """(1/2πi) ∫ M(s) e^{-sy} s^{-power} ds over the whole line."""
        middles = np.array([panel.middle for panel in self.panels])
        halves = np.array([panel.half for panel in self.panels])
        terms = np.array([panel.coefficients[power] for panel in self.panels])
        terms = terms * (-1j) ** np.arange(_NODES) * halves[:, None]
        result = np.empty(len(y))
        for row in range(0, len(y), _ROWS):
            part = y[row : row + _ROWS]
            omega = np.multiply.outer(part, halves)
            signs = np.sign(omega)[..., None] ** np.arange(_NODES)
            signs[..., 0] = 1.0
            bessel = special.spherical_jn(np.arange(_NODES), np.abs(omega)[..., None]) * signs
            total = (bessel * terms).sum(axis=-1) * np.exp(-1j * np.multiply.outer(part, middles))
            result[row : row + _ROWS] = 2.0 * total.sum(axis=1).real * np.exp(-self.tilt * part) / math.pi
        return result
