"""Rows about several inputs: kernels and the mean cosine at finite width."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fracrepro.oracle import pairs
from fracrepro.theory import activations as act
from fracrepro.theory.joint import GramChain
from fracrepro.theory.kernels import mean_product
from fracrepro.workflow.accuracy.rows import FIXED, RANDOM, Rows

ROWS = Rows()


@ROWS.enter(
    "kernels",
    "mean products of two inputs",
    "quadrature over one coordinate",
    r"of $(\E C)^{(m + n)/2}$",
    1e-12,
)
def _kernels() -> Iterable[Any]:
    """E φ(u)^m φ(v)^n, masks and slopes for each input or shared."""
    for phi in (*FIXED, *RANDOM):
        for powers in ((1, 1), (2, 2), (3, 1)):
            scale = phi.even_moment(1) ** (sum(powers) / 2)
            for cosine in (-1.0, -0.99, 0.25, 0.9):
                for shared in (False, True):
                    exact = pairs.mean_product(phi, cosine, *powers, shared=shared)
                    yield (mean_product(phi, cosine, powers, shared=shared) - exact) / scale


@ROWS.enter("cosine", "mean cosine of a linear layer", "hypergeometric function", "absolute", 1e-11)
def _mean_cosine() -> Iterable[Any]:
    """The mean correlation of normal samples."""
    for width in (1, 2, 64, 1000):
        chain = GramChain(width, act.Linear(), 1.0)
        for cosine in (-0.999, 0.5, 1.0):
            yield chain.mean_cosine(cosine) - pairs.mean_correlation(width, cosine)
