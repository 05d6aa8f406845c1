"""Checks of Gram matrices and of the matrices that mix their inputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fracrepro import arguments
from fracrepro.errors import ArgumentError

# numerics.md: numerics-gram-argument
_TOLERANCE = 1e-10


def check_gram(name: str, value: ArrayLike) -> np.ndarray:
    """Return a Gram matrix, or a stack of them, exactly symmetric; ArgumentError if it is none."""
    matrix = arguments.reals(name, value, "(-inf, inf)")
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2] or not matrix.size:
        raise ArgumentError(f"{name} has shape {matrix.shape}: need (..., m, m)")
    size = np.abs(matrix).max(axis=(-2, -1))
    unit = matrix / np.where(size > 0.0, size, 1.0)[..., None, None]
    if np.any(np.abs(unit - unit.mT) > _TOLERANCE):
        raise ArgumentError(f"{name} = {value!r}: need a symmetric matrix")
    least = float(np.linalg.eigvalsh(unit).min())
    if least < -_TOLERANCE or np.any(np.diagonal(unit, axis1=-2, axis2=-1) < 0.0):
        need = f"no eigenvalue below 0; there is one of {least:.3g} times the largest entry"
        raise ArgumentError(f"{name} = {value!r}: need {need}")
    return 0.5 * matrix + 0.5 * matrix.mT


def check_square(name: str, value: ArrayLike) -> np.ndarray:
    """Return a copy of a square matrix that nobody can change; ArgumentError if it is none."""
    matrix = arguments.reals(name, value, "(-inf, inf)").copy()
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ArgumentError(f"{name} has shape {matrix.shape}: need (m, m)")
    matrix.setflags(write=False)
    return matrix
