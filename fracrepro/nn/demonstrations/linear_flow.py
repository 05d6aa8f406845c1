"""Gradient flow of a linear network with one hidden layer, ``f(X) = X U Vᵀ``, on half the squared error.

``U' = Xᵀ E V`` and ``V' = Eᵀ X U`` with ``E = Y - X U Vᵀ``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fracrepro.arguments import generator, integer, real, reals
from fracrepro.errors import ArgumentError

__all__ = ["Flow", "Problem", "flow", "imbalance", "imbalance_speed", "problem", "speed", "start", "velocity"]


class Problem(NamedTuple):
    """Data with fewer points than inputs.

    Attributes:
        x: inputs, shape (n, d) with n < d and full rank.
        y: targets, shape (n, outputs).
    """

    x: np.ndarray
    y: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """An orthonormal basis of the space that the rows of x span, shape (d, n)."""
        return np.linalg.qr(self.x.T)[0]

    @property
    def least_norm(self) -> np.ndarray:
        """The matrix W of least norm with ``x W = y``."""
        return np.linalg.pinv(self.x) @ self.y


class Flow(NamedTuple):
    """What the integration left.

    Attributes:
        u: first layer at the end, shape (d, width).
        v: second layer at the end, shape (outputs, width).
        times: shape (steps + 1,).
        losses: half the squared error at these times.
    """

    u: np.ndarray
    v: np.ndarray
    times: np.ndarray
    losses: np.ndarray


def problem(points: int, inputs: int, outputs: int, rng: np.random.Generator) -> Problem:
    """Return normal inputs of mean square 1 / inputs and standard normal targets.

    Raises:
        ArgumentError: unless there are more inputs than points.
    """
    n = integer("points", points, "[1, inf)")
    d, m = integer("inputs", inputs, f"({n}, inf)"), integer("outputs", outputs, "[1, inf)")
    x = generator("rng", rng).standard_normal((n, d)) / np.sqrt(d)
    return Problem(x, rng.standard_normal((n, m)))


def start(data: Problem, width: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return both layers with entries N(0, 1 / width), shapes (d, width) and (outputs, width)."""
    h = integer("width", width, "[1, inf)")
    u = generator("rng", rng).standard_normal((data.x.shape[1], h)) / np.sqrt(h)
    return u, rng.standard_normal((data.y.shape[1], h)) / np.sqrt(h)


def imbalance(data: Problem, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return ``U₁ᵀU₁ - VᵀV``, which the flow keeps; U₁ is the part of U in the space of the rows of x.

    Source:
        derived on page 17, thm-related-imbalance.
    """
    inner = data.rows.T @ u
    return inner.T @ inner - v.T @ v


def speed(data: Problem, u: np.ndarray, v: np.ndarray) -> float:
    """Return a rate λ with loss(t) ≤ loss(0) e^(-2λt) along the flow, from the imbalance at the start.

    ``λ = σ_n(x)² (λ_n(D)⁺ + λ_m(-D)⁺)`` with D the imbalance, n points and m outputs, λ_k the k-th largest
    eigenvalue and σ_n the smallest singular value.

    Raises:
        ArgumentError: for a width below the number of points or outputs: such eigenvalues are missing.

    Source:
        derived on page 17, thm-related-imbalance.
    """
    n, m = data.y.shape
    integer("width", u.shape[1], f"[{max(n, m)}, inf)")
    ordered = np.linalg.eigvalsh(imbalance(data, u, v))
    least = np.linalg.svd(data.x, compute_uv=False)[-1]
    return float(least**2 * (max(ordered[-n], 0.0) + max(-ordered[m - 1], 0.0)))


def velocity(data: Problem, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the time derivatives of both layers."""
    error = data.y - data.x @ u @ v.T
    return data.x.T @ error @ v, error.T @ data.x @ u


def imbalance_speed(data: Problem, u: np.ndarray, v: np.ndarray, *, first: float = 1.0) -> np.ndarray:
    """Return the time derivative of the imbalance, 0 when both layers learn alike.

    Args:
        data: the problem.
        u: first layer.
        v: second layer.
        first: how many times as fast as the second layer the first one learns.
    """
    rows = data.rows.T
    du, dv = velocity(data, u, v)
    inner, outer = first * (rows @ du).T @ (rows @ u), dv.T @ v
    return inner + inner.T - outer - outer.T


def flow(data: Problem, u: np.ndarray, v: np.ndarray, *, step: float, end: float) -> Flow:
    """Integrate by the classical Runge-Kutta method of order 4.

    Args:
        data: the problem.
        u: first layer at the start.
        v: second layer at the start.
        step: of time, positive; `end` is reached in the nearest whole number of steps.
        end: time at which to stop.

    Raises:
        ArgumentError: outside these ranges, and when the step is too long for the flow to stay finite.
    """
    dt = real("step", step, "(0, inf)")
    count = max(1, round(real("end", end, "(0, inf)") / dt))
    losses = [_loss(data, u, v)]
    for _ in range(count):
        a = velocity(data, u, v)
        b = velocity(data, u + dt / 2 * a[0], v + dt / 2 * a[1])
        c = velocity(data, u + dt / 2 * b[0], v + dt / 2 * b[1])
        d = velocity(data, u + dt * c[0], v + dt * c[1])
        u, v = (at + dt / 6 * (a[i] + 2 * b[i] + 2 * c[i] + d[i]) for i, at in enumerate((u, v)))
        losses.append(_loss(data, u, v))
        if not losses[-1] < 1e6 * max(losses[0], 1.0):
            raise ArgumentError(f"step = {step!r}: need a shorter one, the loss grows without bound")
    reals("losses", losses, "[0, inf)")
    return Flow(u, v, dt * np.arange(count + 1), np.array(losses))


def _loss(data: Problem, u: np.ndarray, v: np.ndarray) -> float:
    return float(0.5 * np.sum((data.y - data.x @ u @ v.T) ** 2))
