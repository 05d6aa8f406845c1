"""The exact mean cosine between two inputs after one layer of finite width, as a double integral.

With X = φ(u) φ(v), Y = φ(u)², Z = φ(v)² summed over the units, 1/√(Y Z) = (1/π) ∫∫ e^(-sY - tZ) ds dt/√(s t),
so that E X/√(Y Z) = (width/π) ∫∫ D F^(width - 1) ds dt/√(s t), where for one unit
F = E e^(-s φ(u)² - t φ(v)²) and D = E φ(u) φ(v) e^(-s φ(u)² - t φ(v)²).
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from fracrepro.errors import ArgumentError
from fracrepro.theory.kernels import angles, cone_integral
from fracrepro.theory.slopes import Slopes

# numerics.md: numerics-cosine
_STEP, _LEFT, _RIGHT, _NEGLIGIBLE = 0.25, -120.0, 350.0, 1e-17
#: The smallest ratio of two slopes that the grid resolves.
SMALLEST_RATIO = 1e-30


def mean_cosine(width: int, slopes: Slopes, cosine: float, shared: bool) -> float:
    """Return E[cos' | neither output is zero] for fixed slopes; the arguments are checked by the caller."""
    largest = max(abs(side[0]) for side in slopes.sides)
    p, q = (side[0] / largest for side in slopes.sides)
    s = np.exp(_grid(width, (p, q), slopes.kept))
    transform, products = _one_unit(s[:, None], s[None, :], (p, q), cosine)
    keep = slopes.kept
    if shared:
        transform, products = keep * transform + (1.0 - keep), keep * products
    else:
        margin = _margin(s, (p, q))
        some = keep * (1.0 - keep) * (margin[:, None] + margin[None, :])
        transform, products = keep**2 * transform + some + (1.0 - keep) ** 2, keep**2 * products
    root = np.sqrt(s)
    alive = _both_alive(width, (p, q), keep, cosine, shared)
    if not alive > 0.0:
        raise ArgumentError(f"cosine = {cosine!r}: need one for which both outputs can be alive")
    total = float(root @ (products * transform ** (width - 1)) @ root)
    return width / math.pi * _STEP**2 * total / alive


def _one_unit(
    s: np.ndarray, t: np.ndarray, slopes: tuple[float, float], c: float
) -> tuple[np.ndarray, np.ndarray]:
    """F and D without masks: on each cone a Gaussian integral with another covariance."""
    transform, products = np.zeros((2, *np.broadcast_shapes(s.shape, t.shape)))
    rest = (1.0 - c) * (1.0 + c)
    for (i, a), (j, b) in product(enumerate(slopes), repeat=2):
        x, y = 2.0 * s * a * a, 2.0 * t * b * b
        determinant = 1.0 + x + y + x * y * rest
        sine = np.sqrt(rest * determinant)
        opening = np.arctan2(sine, -c if i == j else c)  # π - θ or θ of the new covariance
        root = 1.0 / np.sqrt(determinant)
        transform += root * opening
        if a * b:
            spread = np.sqrt((1.0 + y * rest) * (1.0 + x * rest)) / determinant
            sign = 1.0 if i == j else -1.0
            products += sign * a * b * root * spread * cone_integral((1, 1), opening)
    return transform / (2.0 * math.pi), products / (2.0 * math.pi)


def _margin(s: np.ndarray, slopes: tuple[float, float]) -> np.ndarray:
    """E e^(-s φ(u)²) of one input, without a mask."""
    return np.asarray(sum(0.5 / np.sqrt(1.0 + 2.0 * s * a * a) for a in slopes))


def _grid(width: int, slopes: tuple[float, float], keep: float) -> np.ndarray:
    """The points log s where the integrand can matter, by Cauchy and Schwarz."""
    x = np.arange(_LEFT - math.log(width), _RIGHT, _STEP)
    s = np.exp(x)
    square = sum(0.5 * a * a / (1.0 + 2.0 * s * a * a) ** (3 / 2) for a in slopes)
    margin = keep * _margin(s, slopes) + (1.0 - keep)
    log_bound = 0.5 * (x + np.log(square) + (width - 1) * np.log(margin))
    return x[log_bound > log_bound.max() + math.log(_NEGLIGIBLE)]


def _both_alive(width: int, slopes: tuple[float, float], keep: float, cosine: float, shared: bool) -> float:
    """P(neither output is zero)."""
    theta, rest = (float(angle) / (2.0 * math.pi) for angle in angles(cosine))
    dead = [a == 0.0 for a in slopes]
    silent = sum(0.5 * one for one in dead)
    both = sum((rest if i == j else theta) * (dead[i] and dead[j]) for i, j in product(range(2), repeat=2))
    one = keep * silent + (1.0 - keep)
    if shared:
        two = keep * both + (1.0 - keep)
    else:
        two = keep**2 * both + 2.0 * keep * (1.0 - keep) * silent + (1.0 - keep) ** 2
    return 1.0 - 2.0 * one**width + two**width
