"""What a whole network does to every direction: spectra of products, and gradients at two inputs."""

from __future__ import annotations

import math

import numpy as np

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation, check_activation
from fracrepro.theory.arrays import WIDTHS
from fracrepro.theory.joint import GramChain

__all__ = ["fuss_catalan_edge", "fuss_catalan_moment", "ginibre_second_moments", "gradient_correlations"]

_DEPTHS = "[0, 100000]"


def fuss_catalan_moment(depth: int, order: int) -> float:
    r"""Return a moment of the squared singular values of a product of wide Gaussian matrices.

    .. math:: \lim_{m \to \infty} \frac{1}{m} E \operatorname{tr} (J^T J)^k
              = \frac{1}{Lk + 1} \binom{(L + 1) k}{k}, \qquad J = G_L \cdots G_1

    with square factors whose independent entries have the variance 1/m.

    Args:
        depth: L, the number of factors, an integer from 0.
        order: k, an integer from 0.

    Raises:
        ArgumentError: outside these ranges, or when the moment is no float.

    Source:
        The Fuss-Catalan numbers, known as these moments; that of order 2 is checked against
        :func:`ginibre_second_moments`.

    >>> [fuss_catalan_moment(5, k) for k in range(4)]   # L + 1 at the order 2
    [1.0, 1.0, 6.0, 51.0]
    """
    depth = arguments.integer("depth", depth, _DEPTHS)
    order = arguments.integer("order", order, "[0, 1000]")
    try:
        return math.comb((depth + 1) * order, order) / (depth * order + 1)
    except OverflowError:
        raise ArgumentError(f"order = {order}: the moment at depth {depth} is no float") from None


def fuss_catalan_edge(depth: int) -> float:
    """Return the largest squared singular value of a product of wide Gaussian matrices, (L + 1)^(L+1)/L^L.

    Args:
        depth: L, an integer from 0.

    Raises:
        ArgumentError: outside this range.

    Source:
        The growth rate of the Fuss-Catalan numbers, by Stirling's formula.

    >>> fuss_catalan_edge(1)   # Marchenko and Pastur's for square matrices
    4.0
    """
    depth = arguments.integer("depth", depth, _DEPTHS)
    return (depth + 1) * (1.0 + 1.0 / depth) ** depth if depth else 1.0


def ginibre_second_moments(depth: int, width: int) -> np.ndarray:
    r"""Return :math:`\frac{1}{m} E \operatorname{tr} (J^T J)^2` of a product, for 0 to `depth` factors.

    The factors are square of size m, with independent entries of variance 1/m.
    With M the matrix before a factor, T = E tr M² and Q = E (tr M)², one factor makes

    .. math:: T' = (1 + 1/m)\, T + Q/m, \qquad Q' = Q + 2T/m,

    exactly, at every m; the limit of large m is L + 1.

    Args:
        depth: L, an integer from 0.
        width: m, an integer from 1.

    Returns:
        An array of L + 1 values.

    Raises:
        ArgumentError: outside these ranges, or when a moment is no float.

    Source:
        Ours, derived on page 13, isometry-prop-gaussian.

    >>> ginibre_second_moments(2, 1).tolist()   # one normal variable: E z⁴ = 3, a product of two: 9
    [1.0, 3.0, 9.0]
    """
    depth = arguments.integer("depth", depth, _DEPTHS)
    m = arguments.integer("width", width, WIDTHS)
    step = np.array([[1.0 + 1.0 / m, 1.0 / m], [2.0 / m, 1.0]])
    state, found = np.array([1.0, float(m)]), [1.0]  # T/m and Q/m
    with np.errstate(over="ignore"):
        for _ in range(depth):
            state = step @ state
            found.append(float(state[0]))
    if not math.isfinite(found[-1]):
        raise ArgumentError(f"depth = {depth}: the moment at width {m} is no float")
    return np.array(found)


def gradient_correlations(depth: int, activation: Activation, cosine: float = 0.0) -> np.ndarray:
    r"""Return the correlation between the gradients of a wide network at two inputs, for 0 to `depth` layers.

    .. math:: \prod_{l=1}^{L} \Bigl(1 - \kappa \frac{\theta_l}{\pi}\Bigr), \qquad
              \kappa = \frac{(p - n)^2}{p^2 + n^2}

    with :math:`\theta_l` the angle between both pre-activations of layer l, and p and n the slopes above and
    below zero.
    It holds in the limit of large width, for Gaussian weights of any variance without biases.
    Unless p = n, the inputs are parallel or a factor is 0, it falls like :math:`L^{-3}`,
    as :math:`\theta_l \approx 3\pi/(\kappa l)`.

    Args:
        depth: L, an integer from 0.
        activation: with fixed slopes.
        cosine: between the two inputs, in [-1, 1].

    Returns:
        An array of L + 1 values.

    Raises:
        ArgumentError: outside these ranges, or for random slopes.

    Source:
        Ours, derived on page 13, isometry-prop-shattered; the map of the angle is Cho and Saul's.

    >>> from fracrepro.theory.activations import ReLU
    >>> gradient_correlations(1, ReLU()).tolist()
    [1.0, 0.5]
    """
    depth = arguments.integer("depth", depth, _DEPTHS)
    cosine = arguments.real("cosine", cosine, "[-1, 1]")
    slopes = check_activation("activation", activation).slopes
    if slopes.random:
        raise ArgumentError(f"activation = {activation!r}: need fixed slopes")
    p, n = slopes.positive[0], slopes.negative[0]
    kappa = (p - n) ** 2 / (p**2 + n**2)
    chain = GramChain(1, activation, 1.0)  # the limit of its map depends on neither width nor variance
    found = [1.0]
    for _ in range(depth):
        found.append(found[-1] * (1.0 - kappa * math.acos(cosine) / math.pi))
        cosine = min(float(chain.cosine_map(cosine)), 1.0)
    return np.array(found)
