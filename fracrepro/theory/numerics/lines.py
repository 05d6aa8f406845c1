"""One vertical line of Fourier inversion: the transform sampled on it, and the sum that inverts it.

With M(s) the transform of a law and Re s = τ,

    (1/2πi) ∫ M(s) e^{-sx} s^{-power} ds

is the density for power 0 and the distribution function, or what it lacks to 1, for power 1.
The trapezoidal rule of step Δ returns it together with copies shifted by multiples of 2π/Δ.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# numerics.md: numerics-line-samples
MOST_POINTS = 1 << 15
_FIRST_REACH, _FIRST_POINTS = 9.0, 8
_LAST_POINTS = 4
GROWTH = 1.4
# numerics.md: numerics-line-sum
_ROWS = 1 << 12


@dataclass(frozen=True)
class Line:
    """M(s) e^{-K} on the points s = τ + iu of one line, with K = log M(τ), trapezoidal weights included."""

    tilt: float
    exponent: float
    points: np.ndarray
    values: np.ndarray

    def integrate(self, x: np.ndarray, power: int) -> np.ndarray:
        """(1/2πi) ∫ M(s) e^{-sx} s^{-power} ds; power 0 gives the density, 1 the distribution function."""
        values = self.values / self.points**power
        # On the points u = (J B + b) Δ the phase is a product, so that 2√n exponentials serve n points.
        size = math.isqrt(len(values) - 1) + 1
        step = self.points[-1].imag / max(len(values) - 1, 1)
        table = np.zeros((math.ceil(len(values) / size), size), dtype=complex)
        table.ravel()[: len(values)] = values
        result = np.empty(len(x))
        for start in range(0, len(x), _ROWS):
            part = x[start : start + _ROWS]
            fine = np.exp(np.multiply.outer(part, -1j * step * np.arange(size)))
            coarse = np.exp(np.multiply.outer(part, -1j * step * size * np.arange(len(table))))
            total = ((fine @ table.T) * coarse).sum(axis=1).real
            result[start : start + _ROWS] = total * np.exp(self.exponent - self.tilt * part)
        return result


def sample(
    tilt: float, log_transform: Callable[[np.ndarray], np.ndarray], period: float, scale: float, end: float
) -> Line:
    """Evaluate log M on the line through `tilt` with copies `period` apart, until M has fallen by e^-end.

    `scale` is about the distance from the real axis on which M falls, one over the standard deviation.
    """
    step = 2.0 * math.pi / period
    exponent = float(log_transform(np.array([tilt + 0j]))[0].real)
    count = math.ceil(_FIRST_REACH * scale / step) + _FIRST_POINTS
    logs = np.empty(0, dtype=complex)
    while True:
        u = step * np.arange(len(logs), count)
        logs = np.append(logs, log_transform(tilt + 1j * u) - exponent)
        if logs[-_LAST_POINTS:].real.max() < -end:
            break
        if count > MOST_POINTS:
            raise RuntimeError(f"the transform does not decay on the line through {tilt}")
        count = math.ceil(GROWTH * count)
    last = int(np.flatnonzero(logs.real >= -end)[-1]) + 1
    values = np.exp(logs[:last]) * (step / math.pi)
    values[0] /= 2.0
    return Line(tilt, exponent, tilt + 1j * step * np.arange(last), values)
