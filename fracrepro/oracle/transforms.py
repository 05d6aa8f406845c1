"""One coordinate's squared amplitude: its pieces, its transform with derivatives, and moments of χ."""

from __future__ import annotations

from typing import Any, NamedTuple

import mpmath as mp
from mpmath import mpf

from fracrepro.errors import ArgumentError

__all__ = ["Piece", "chi_moment", "chi_moments", "death", "mean_square", "pieces", "transform", "transforms"]


class Piece(NamedTuple):
    """With probability `weight`, the slope is uniform on [low, high]."""

    weight: mpf
    low: mpf
    high: mpf


def pieces(activation: Any) -> list[Piece]:
    """Return the law of one coordinate's slope, as read from the activation's data.

    >>> [float(part.high) for part in pieces((1, 0))]   # ReLU: slope 1 above zero, 0 below
    [1.0, 0.0]
    """
    if hasattr(activation, "activation") and hasattr(activation, "p"):
        keep = 1 - mpf(activation.p)
        inner = [Piece(w * keep, a / keep, b / keep) for w, a, b in pieces(activation.activation)]
        return inner if keep == 1 else [Piece(1 - keep, mpf(0), mpf(0)), *inner]
    slopes = getattr(activation, "slopes", activation)
    sides = (slopes.positive, slopes.negative) if hasattr(slopes, "positive") else tuple(slopes)
    if len(sides) != 2:
        raise ArgumentError(f"activation = {activation!r}: need the slopes on two sides")
    bounds = [side if isinstance(side, tuple | list) else (side, side) for side in sides]
    kept = mpf(getattr(slopes, "kept", 1))
    return [Piece(1 - kept, mpf(0), mpf(0))] * (kept != 1) + [
        Piece(kept / 2, mpf(low), mpf(high)) for low, high in bounds
    ]


def transform(t: Any, activation: Any, derivative: int = 0) -> mpf:
    """Return ℓ(t) = E exp(-t C), the Laplace transform of one coordinate, or its first two derivatives.

    A slope a contributes (1 + 2a²t)^(-1/2), a uniform one on [a, b] (asinh(by) - asinh(ay))/((b - a)y),
    y = √(2t).  `t` is positive, or complex.

    >>> float(transform(1.5, (1, 0)))   # ReLU: (1/2 + 1)/2
    0.75
    """
    return transforms(t, pieces(activation), derivative + 1)[derivative]


def transforms(t: Any, parts: list[Piece], number: int) -> list[mpf]:
    """The first `number` of ℓ(t), ℓ'(t), ℓ''(t), which share their roots."""
    found = [mpf(0)] * number
    for part in parts:
        for j, value in enumerate(_one(t, part, number)):
            found[j] += (1, -1, 3)[j] * part.weight * value
    return found


def _one(t: Any, part: Piece, number: int) -> list[mpf]:
    """What one piece adds to ℓ, -ℓ' and ℓ''/3, without its weight."""
    if part.low == part.high:
        square = part.low * part.low
        values = [1 / mp.sqrt(1 + 2 * square * t)]
        ratio = square * values[0] ** 2
        while len(values) < number:
            values.append(values[-1] * ratio)
        return values
    y = mp.sqrt(2 * t)
    # The primitive starts with the power 2j + 1 of y, below which its terms cancel.
    with mp.extraprec(max(0, -(2 * number - 1) * mp.mag(y * max(map(abs, part[1:]))))):
        high, low = (_primitives(bound * y, number) for bound in (part.high, part.low))
        return [
            (above - below) / ((part.high - part.low) * y ** (2 * j + 1))
            for j, (above, below) in enumerate(zip(high, low, strict=True))
        ]


def _primitives(z: mpf, number: int) -> list[mpf]:
    """∫ z^(2j) (1 + z²)^(-j - 1/2) dz from 0, for j = 0, 1, … below `number`."""
    sine = z / mp.sqrt(1 + z * z)
    values = [mp.asinh(z)]
    for j in range(number - 1):
        values.append(values[-1] - sine ** (2 * j + 1) / (2 * j + 1))
    return values


def death(width: int, activation: Any) -> mpf:
    """Return P(R = 0), the chance that every coordinate meets the slope 0.

    >>> float(death(2, (1, 0)))
    0.25
    """
    return mp.fsum(w for w, low, high in pieces(activation) if low == high == 0) ** width


def mean_square(activation: Any) -> mpf:
    """E C = E A²."""
    return mp.fsum(w * (a * a + a * b + b * b) / 3 for w, a, b in pieces(activation))


def chi_moment(s: Any, n: int) -> mpf:
    """Return E χ_n^s = 2^(s/2) Γ((n + s)/2)/Γ(n/2), the moment of a linear layer.

    >>> float(chi_moment(2, 5))
    5.0
    """
    half = mpf(n) / 2
    return mpf(2) ** (mp.mpmathify(s) / 2) * mp.gammaprod([half + mp.mpmathify(s) / 2], [half])


def chi_moments(s: Any, numbers: set[int]) -> dict[int, mpf]:
    """E χ_n^s from the smallest n on: the next but one is (n + s)/n times as large."""
    first = max(1, min(numbers, default=1))
    found = {n: chi_moment(s, n) for n in (*numbers, first, first + 1) if n <= first + 1}
    with mp.extraprec(10):  # a product of up to `width` rounded factors
        for n in range(first, max(numbers, default=1) - 1):
            found[n + 2] = found[n] * (n + mp.mpmathify(s)) / n
    return found
