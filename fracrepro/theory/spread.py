"""How a start spreads the singular values of a Jacobian: their second and fourth moments, layer by layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation, Linear, check_activation
from fracrepro.theory.weights import WIDTHS

__all__ = ["LAWS", "JacobianMoments"]

#: Fourth moment over squared variance of the entries of a law; orthogonal matrices have another formula.
LAWS: dict[str, float | None] = {"gaussian": 3.0, "uniform": 1.8, "orthogonal": None}


@dataclass(frozen=True)
class JacobianMoments:
    r"""Moments of a Jacobian J of a network with random weights, at any input, exact at every width.

    With :math:`M = J J^{\mathsf T}` they are those that one more layer needs to know.
    A layer with independent entries of variance v and fourth moment :math:`c\,v^2`, n outputs, and an
    amplitude A behind it (:math:`\mu_k = E A^{2k}`) makes

    .. math::
        P' &= n \mu_1 v P, \qquad X = 2T + Q + (c - 3) S, \qquad S' = n \mu_2 v^2 X, \\
        T' &= S' + n (n - 1) \mu_1^2 v^2\, T, \qquad
        Q' = S' + n (n - 1) \mu_1^2 v^2\, Q,

    since at the input of a layer the signs of its pre-activations are as good as independent of the rest.
    Entries need a law that is symmetric about 0, biases must be 0, and no pre-activation may be 0 with
    positive probability, as entries with a density see to.

    Args:
        size: number of outputs.
        trace: P = E tr M, the sum of the squared singular values.
        squared_trace: Q = E (tr M)².
        trace_of_square: T = E tr M², the sum of their fourth powers.
        diagonal: S, the mean of the sum of the squared diagonal entries of M.

    Source:
        Ours, derived on page 19, compared-prop-spread; independence of the signs is known for such products.

    >>> from fracrepro.theory.activations import ReLU
    >>> start = JacobianMoments.identity(64)
    >>> start.rank, start.layer(64, 2 / 64, ReLU()).trace
    (64.0, 64.0)
    """

    size: int
    trace: float
    squared_trace: float
    trace_of_square: float
    diagonal: float

    @classmethod
    def identity(cls, size: int) -> JacobianMoments:
        """Return those of no layer at all: the Jacobian of the input by itself.

        Args:
            size: number of inputs, an integer from 1.

        Raises:
            ArgumentError: outside this range.
        """
        size = arguments.integer("size", size, WIDTHS)
        return cls(size, float(size), float(size) ** 2, float(size), float(size))

    def layer(
        self, width: int, variance: float, activation: Activation | None = None, law: str = "gaussian"
    ) -> JacobianMoments:
        """Return the moments behind one more layer.

        Args:
            width: number of its outputs, an integer from 1.
            variance: of its entries, positive; an orthogonal matrix of m rows or columns, whichever are more,
                has 1/m times the square of its factor.
            activation: behind it; None for none.
            law: one of :data:`LAWS`; ``"orthogonal"`` is a Haar-distributed matrix with orthonormal rows or
                columns.

        Raises:
            ArgumentError: outside these ranges, and when a moment is no float.

        >>> start = JacobianMoments.identity(8)
        >>> start.layer(8, 1 / 8, law="orthogonal").rank    # a linear isometry
        8.0
        """
        n = arguments.integer("width", width, WIDTHS)
        variance = arguments.real("variance", variance, "(0, inf)")
        c = LAWS[arguments.choice("law", law, tuple(LAWS))]
        behind = Linear() if activation is None else check_activation("activation", activation)
        mean, square = behind.even_moment(1), behind.even_moment(2)
        same, trace, apart = self._independent(c) if c is not None else self._orthogonal(n)
        v2 = variance * variance  # overflows to infinity, where a power raises
        own = n * square * v2 * same
        others = n * (n - 1) * mean**2 * v2
        made = JacobianMoments(
            size=n,
            trace=n * mean * variance * self.trace,
            squared_trace=own + others * trace,
            trace_of_square=own + others * apart,
            diagonal=own,
        )
        values = (made.trace, made.squared_trace, made.trace_of_square, made.diagonal)
        if not all(math.isfinite(value) and value >= 2.0**-1000 for value in values):
            raise ArgumentError(f"variance = {variance}: the moments behind this layer are no floats")
        return made

    def _independent(self, c: float) -> tuple[float, float, float]:
        """E H_ii², E H_ii H_jj and E H_ij² over the squared variance, with H = W M Wᵀ."""
        wick = 2 * self.trace_of_square + self.squared_trace
        return wick + (c - 3.0) * self.diagonal, self.squared_trace, self.trace_of_square

    def _orthogonal(self, n: int) -> tuple[float, float, float]:
        """The same for a Haar matrix of the larger size, of which the layer has rows or columns."""
        m = max(n, self.size)
        if m == 1:
            return self.squared_trace, 0.0, 0.0
        same = (2 * self.trace_of_square + self.squared_trace) * m / (m + 2)
        rest = m / (m - 1)
        return same, (m * self.squared_trace - same) * rest / m, (m * self.trace_of_square - same) * rest / m

    @property
    def rank(self) -> float:
        """Q/T, how many directions carry the Jacobian: `size` for an isometry, 1 if a single one does."""
        return self.squared_trace / self.trace_of_square
