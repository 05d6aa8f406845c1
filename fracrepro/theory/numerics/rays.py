"""Rays t = e^{x - iθ} for integrals over the Laplace transform, and the Fourier sums on them.

Neighbouring orders q = p + iv share a ray, and what then remains is a sum over the phases e^{-ivx}.
"""

from __future__ import annotations

import math

import numpy as np

# numerics.md: numerics-rays
_LOSS = 2.0
_SPREAD = 1.5
_SMALLEST = 1e-9


def rays_of_gamma(v: np.ndarray) -> list[tuple[slice, float]]:
    """Groups of neighbouring frequencies and the angle of the ray that serves each.

    The best angle for one v leaves a factor e^_LOSS of accuracy; over a group it is e^_LOSS at most.
    """
    rays = []
    start = 0
    while start < len(v):
        largest = max(_SPREAD * v[start], 2.0 * _LOSS / math.pi)
        stop = int(np.searchsorted(v, largest, side="right"))
        rays.append((slice(start, stop), max(0.0, math.pi / 2 - _LOSS / max(v[stop - 1], _SMALLEST))))
        start = stop
    return rays


def rays_of_saddles(q: np.ndarray, shape: float) -> list[tuple[slice, float]]:
    """The same for rays through the saddle points of (1 + t/b)^(-b) t^(-q), b = `shape`, or of e^-t t^(-q).

    With c = |q (1 + q/b)| a ray off by δ loses at most about e^(δ² c/2), so that δ ≤ √(2/c) costs a factor e.
    """
    angle = np.arctan2(q.imag, -q.real) + np.arctan2(q.imag / shape, 1.0 + q.real / shape)
    curvature = np.abs(q * (1.0 + q / shape))
    if math.isinf(shape):
        curvature = np.abs(q * q / q.real)
    rays = []
    start = 0
    while start < len(q):
        reach = 2.0 * np.sqrt(2.0 / curvature[start:])
        outside = np.flatnonzero(angle[start:] - angle[start] > reach)
        stop = start + int(outside[0]) if outside.size else len(q)
        rays.append((slice(start, stop), float(angle[start] + angle[stop - 1]) / 2.0))
        start = stop
    return rays


def fourier(v: np.ndarray, x: np.ndarray, f: np.ndarray) -> np.ndarray:
    """Σ_m f_m exp(-i v_j x_m) for equally spaced v_j.

    With v_j = v₀ + (J B + b) h the exponential is a product, and √n columns of each kind replace n.
    """
    count = len(v)
    size = math.isqrt(count - 1) + 1
    step = (v[-1] - v[0]) / max(count - 1, 1)
    fine = np.exp(np.multiply.outer(-1j * x, step * np.arange(size)))
    starts = v[0] + step * np.arange(0, count, size)
    coarse = np.exp(np.multiply.outer(-1j * starts, x)) * f
    return (coarse @ fine).ravel()[:count]
