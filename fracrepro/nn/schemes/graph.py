"""The scheme for networks on a fixed graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any, ClassVar

import numpy as np

from fracrepro.errors import ArgumentError
from fracrepro.nn.schemes.base import NormalScheme, option
from fracrepro.nn.schemes.plan import Entry, Plan, Slot
from fracrepro.theory.aggregation import spectral_radius

__all__ = ["Graph"]


@dataclass(frozen=True)
class Graph(NormalScheme):
    r"""Kaiming's for graph networks φ(A X W): √(C/fan_in), C = 1/(E φ(g)²·λ_max(A)²), 2/λ_max² for the ReLU.

    The aggregation A is read off the model: a fixed square matrix that multiplies the features from the left,
    on the same side of all activations as the layer.
    λ_max is the largest absolute value of its eigenvalues; for symmetric normalized and for row-stochastic A
    it is 1 and C is He's 2.
    The fan is that of the features; the degree of a node enters through A only.
    A layer without aggregation counts as one with λ_max = 1.

    Source:
        DeZoort and Hanin 2023, whose abstract says that an essentially unique generalization of He's scheme
        exists and gives no constant; C is derived on page 15, graph-thm-energy, for the ReLU too.

    >>> from fracrepro.theory.activations import ReLU
    >>> Graph().std(Slot((64, 50), ReLU()))
    0.2
    """

    name = "graph"
    label = "Graph"
    colour = "#35608d"
    source = "DeZoort and Hanin 2023"
    families: ClassVar[tuple[str, ...]] = ("graph",)

    constant: float | None = option(None, "(0, inf)", "C; None takes what preserves the size of the features")

    def prepare(self, plan: Plan) -> list[Entry]:
        """Refuse a model without an aggregation."""
        if not any(slot.reads.matrices or slot.reads.reason for slot in plan.slots):
            hint = "" if plan.batch is not None else "; with a batch it is seen in functions too"
            name = type(plan.model).__name__
            raise ArgumentError(f"model = {name}, scheme 'graph': no layer with a fixed aggregation{hint}")
        return super().prepare(plan)

    def std(self, slot: Slot) -> float:
        """Return the standard deviation for one weight."""
        if slot.reads.reason:
            raise ArgumentError(slot.reads.reason)
        constant = self.constant
        if constant is None:
            radius = _radius_of(slot.reads.matrices)
            if not radius > 0.0:
                raise ArgumentError("the spectral radius of its aggregation is 0, so that every signal ends")
            constant = 1.0 / (slot.activation.even_moment(1) * radius**2)
        return math.sqrt(constant / slot.fan_in)


def _radius_of(matrices: Sequence[Any]) -> float:
    """The spectral radius of a product of tensors, 1 where there are none."""
    arrays = [_array(matrix) for matrix in matrices]
    if not arrays:
        return 1.0
    product = reduce(np.matmul, reversed(arrays)) if len(arrays) > 1 else arrays[0]
    return _radius(product.tobytes(), len(product))


def _array(matrix: Any) -> np.ndarray:
    """A tensor, sparse or not, as a float64 array."""
    dense = matrix.detach().to_dense() if matrix.layout.__str__() != "torch.strided" else matrix.detach()
    array: np.ndarray = dense.cpu().double().numpy()
    return array


@lru_cache(maxsize=8)
def _radius(entries: bytes, size: int) -> float:
    """The spectral radius of a matrix, once for all layers that share it."""
    return spectral_radius(np.frombuffer(entries).reshape(size, size))
