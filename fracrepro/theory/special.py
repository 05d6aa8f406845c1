"""Special functions that must keep their digits where the textbook formula cancels."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from scipy import special

# numerics.md: numerics-cancellation
_NEAR = 0.5
_TERMS = 18
# numerics.md: numerics-stirling
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
_STIRLING_FROM = 11.0
_FAR_FROM_ZERO = 40.0


def log1p_minus(y: np.ndarray) -> np.ndarray:
    """log(1 + y) - y, with relative accuracy near y = 0; real y > -1 or complex y.

    For |y| < 1/2 from log(1 + y) = 2 artanh(z), z = y/(2 + y), whose first term gives 2z - y = -y z exactly.
    """
    y = np.asarray(y)
    small = np.abs(y) < _NEAR
    inside = np.where(small, y, 0.0)
    z = inside / (2.0 + inside)
    square = z * z
    series = np.zeros_like(square)
    for k in range(_TERMS, 0, -1):
        series = (series + 1.0 / (2 * k + 1)) * square
    near = z * (2.0 * series - inside)
    return np.where(small, near, special.log1p(np.where(small, 1.0, y)) - y)


def expm1_minus(y: np.ndarray) -> np.ndarray:
    """exp(y) - 1 - y, with relative accuracy near y = 0; real or complex."""
    y = np.asarray(y)
    small = np.abs(y) < _NEAR
    inside = np.where(small, y, 0.0)
    series = np.zeros_like(inside)
    for k in range(_TERMS, 1, -1):
        series = (series + 1.0) * inside / k
    return np.where(small, series * inside, special.expm1(np.where(small, 0.0, y)) - y)


def log_gamma_ratio(b: np.ndarray | float, q: np.ndarray) -> np.ndarray:
    """(1/q)·log(Γ(b + q)/(Γ(b) b^q)), at q = 0 its limit ψ(b) - log b.

    The q-th moment of a gamma variable of shape b and mean 1 is exp(q·log_gamma_ratio(b, q)).
    The difference of two `gammaln` would lose log10(b log b/q) digits; Stirling's series by terms loses none.
    `b` > 0; `q` real or complex with real part above -b; they broadcast.
    """
    b, q = np.asarray(b, dtype=float), np.asarray(q)
    lowest = float(np.min(b)) + min(0.0, float(np.min(q.real, initial=0.0)))
    shifts = np.arange(max(0, math.ceil(_STIRLING_FROM - lowest)))
    top = b + len(shifts)
    # Γ(b+q)/Γ(b) = Γ(top+q)/Γ(top) · Π_j (b+j)/(b+j+q)
    step = sum((_log1p_over(q, b + j) for j in shifts.tolist()), np.zeros(()))
    y = q / top
    slope = _log1p_minus_over(y)
    mean_log = y - 1.0 / (2.0 * top) + slope * (1.0 + y - 1.0 / (2.0 * top))
    series = _stirling_difference(top, q)
    return mean_log + series - step + np.log(top / b)


def log_gamma_slope(b: np.ndarray | float, q: np.ndarray) -> np.ndarray:
    """d/dq of q·log_gamma_ratio(b, q): ψ(b + q) - log b, relatively accurate for large b."""
    b, q = np.asarray(b, dtype=float), np.asarray(q)
    result: np.ndarray = special.log1p(q / b) + log_gamma_ratio(b + q, np.zeros(()))
    return result


def log_gamma_difference(x: np.ndarray | complex, w: np.ndarray | complex) -> np.ndarray:
    """log Γ(x) - log Γ(x - w), of any complex x and w that broadcast; x far out loses no digits.

    At a pole of Γ(x) it is inf, at one of Γ(x - w) alone -inf.

    Where |x| is large against |w|, by Stirling's series: with y = -w/x the leading terms are
    w log(x (1 + y)) - x (log(1 + y) - y) + log(1 + y)/2.
    """
    x, w = np.broadcast_arrays(np.asarray(x, dtype=complex), np.asarray(w, dtype=complex))
    result = np.empty(x.shape, dtype=complex)
    # Stirling's series holds off the negative axis.
    far = (np.abs(x) > _FAR_FROM_ZERO + 2.0 * np.abs(w)) & (
        (x.real > 0.0) | (np.abs(x.imag) > _FAR_FROM_ZERO)
    )
    with np.errstate(invalid="ignore"):
        result[~far] = special.loggamma(x[~far]) - special.loggamma(x[~far] - w[~far])
    top, below, y = x[far], x[far] - w[far], -w[far] / x[far]
    log_ratio = special.log1p(y)
    value = w[far] * (np.log(top) + log_ratio) - top * log1p_minus(y) + 0.5 * log_ratio
    for j, c in enumerate(_STIRLING):
        value += c * (top ** (-2.0 * j - 1.0) - below ** (-2.0 * j - 1.0))
    result[far] = value
    result[_is_pole(x - w)] = -np.inf
    result[_is_pole(x)] = np.inf
    return result


def _is_pole(z: np.ndarray) -> np.ndarray:
    """Where the gamma function has a pole: at 0, -1, -2, …"""
    found: np.ndarray = (z.imag == 0.0) & (z.real <= 0.0) & (z.real == np.floor(z.real))
    return found


def _log1p_over(q: np.ndarray, b: np.ndarray) -> np.ndarray:
    """log(1 + q/b)/q, at q = 0 its limit 1/b."""
    zero = q == 0
    safe = np.where(zero, 1.0, q)
    return np.where(zero, 1.0 / b, special.log1p(safe / b) / safe)


def _log1p_minus_over(y: np.ndarray) -> np.ndarray:
    """(log(1 + y) - y)/y, at y = 0 its limit 0."""
    zero = y == 0
    safe = np.where(zero, 1.0, y)
    return np.where(zero, 0.0, log1p_minus(safe) / safe)


def _stirling_difference(b: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Σ_j c_j ((b + q)^(-n) - b^(-n))/q with n = 2j + 1 and the coefficients of Stirling's series.

    With w = b/(b + q) the n-th difference is -b^(-n) (1 + w + … + w^(n-1))/(b + q), free of cancellation.
    """
    w = b / (b + q)
    square = w * w
    sums, power, total = np.ones_like(w), w, _STIRLING[0] * np.ones_like(w)
    for j, c in enumerate(_STIRLING[1:], start=1):
        sums = sums + power + power * w
        power = power * square
        total = total + c * b ** (-2 * j) * sums
    return -total / (b * (b + q))


def log_product(a: float, b: float) -> float:
    """log(a b) with the rounding error of the product put back: near a b = 1 it is all that counts."""
    product = a * b
    if not 0.5 < product < 2.0:
        return math.log(a) + math.log(b)
    return math.log1p(float(Fraction(a) * Fraction(b) - 1))
