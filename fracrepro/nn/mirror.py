r"""Matrices between mirrored signals: what rectifiers do cancels, and one half of the signal is linear.

A mirrored signal is [φ(u); φ(−u)] with a leaky ReLU φ of slope a; since φ(u) − φ(−u) = (1 + a)u, the matrix
LL(U) = [[U, −U], [−U, U]] takes it to (1 + a)[Uu; −Uu], which the next φ makes mirrored again.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fracrepro.nn.init.orthogonal import centre, orthogonal_

__all__ = ["branch_beside_identity", "centre_", "isometry", "looks_linear"]


def looks_linear(u: Tensor) -> Tensor:
    """Return LL(U) = [[U, −U], [−U, U]].

    >>> looks_linear(torch.ones(1, 1)).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    return torch.cat([torch.cat([u, -u], 1), torch.cat([-u, u], 1)])


def isometry(rows: int, columns: int, generator: torch.Generator | None = None) -> Tensor:
    """Return a matrix from Haar measure: orthogonal, or with orthonormal columns or rows if not square.

    In double precision, so that sums of such matrices cancel.

    >>> q = isometry(3, 2, torch.Generator().manual_seed(0))
    >>> bool(torch.allclose(q.T @ q, torch.eye(2, dtype=q.dtype)))
    True
    """
    device = None if generator is None else generator.device
    return orthogonal_(torch.empty(rows, columns, dtype=torch.float64, device=device), 1.0, generator)


def branch_beside_identity(m: Tensor, slope: float, layers: int) -> Tensor:
    r"""Return the last matrix of a branch whose sum with its mirrored input [φ(u); φ(−u)] is [Mu; −Mu].

    The layers before it pass the input on, each with φ behind it. Such an input is z = βu + γ|u| in one half
    and −βu + γ|u| in the other, with β = (1 + a)/2 and γ = (1 − a)/2; what m − 1 times φ leave of it has the
    same form with the slope :math:`a^m` in place of a, or a itself if a < 0, since the input is not negative
    then. The odd part must become Mu − βu, the even one −γ|u|.
    For the ReLU, a = 0, the result is LL(M) − I.

    Args:
        m: square.
        slope: a in (-1, inf).
        layers: of the branch, m in the formula, from 1.

    Source:
        Derived on page 14, residual-thm-risotto; for a = 0 Gadhikar and Burkholz 2022, as we recall it.

    >>> branch_beside_identity(torch.ones(1, 1), 0.0, 2).tolist()
    [[0.0, -1.0], [-1.0, 0.0]]
    """
    left = slope**layers if slope >= 0 else slope
    # γ/(1 − left), which is a geometric sum, also where both are 0.
    even = 0.5 / sum(slope**k for k in range(layers)) if slope >= 0 else 0.5
    one = torch.eye(len(m), dtype=m.dtype, device=m.device)
    odd = (m - 0.5 * (1 + slope) * one) / (1 + left)
    return looks_linear(odd) - even * one.repeat(2, 2)


def centre_(tensor: Tensor, matrix: Tensor) -> Tensor:
    """Fill a weight with a matrix: at the centre of the kernel of a convolution, zeros elsewhere.

    >>> centre_(torch.ones(1, 1, 3), torch.tensor([[2.0]])).tolist()
    [[[0.0, 2.0, 0.0]]]
    """
    with torch.no_grad():
        centre(tensor.zero_()).copy_(matrix)
    return tensor
