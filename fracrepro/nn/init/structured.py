"""Initializers that draw nothing."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fracrepro.arguments import choice
from fracrepro.errors import ArgumentError
from fracrepro.nn.init._shared import is_empty
from fracrepro.nn.init.orthogonal import centre
from fracrepro.nn.scale import CONSTANTS, Constant, hadamard_size

__all__ = ["hadamard_identity_"]


def hadamard_identity_(tensor: Tensor, *, constant: Constant = "code") -> Tensor:
    r"""Fill `tensor` with ZerO's matrix: a part of the identity, or of a Hadamard matrix where it is tall.

    .. math:: W_{ij} &= 1_{i = j} \quad (n_\text{out} \le n_\text{in}), \\
              W &= 2^{-q/2} \, H_{2^q}[{:}n_\text{out}, {:}n_\text{in}], \quad
              q = \lceil \log_2 n_\text{out} \rceil \quad (n_\text{out} > n_\text{in})

    with H Sylvester's Hadamard matrix.
    Where n_out is a power of two W has orthonormal columns; else it is no isometry, but has full rank.
    A kernel is zero but for its centre, index ``size // 2``.

    Args:
        tensor: weights of shape ``(n_out, n_in)`` or ``(n_out, n_in, *kernel)``, changed in place.
        constant: ``"code"`` is the factor above, that of the authors' code; ``"algorithm"`` is √2 times as
            large, as recalled from the paper's algorithm and found in ports by others.

    Returns:
        `tensor`.

    Raises:
        ArgumentError: for a tensor with fewer than two dimensions, or another constant.

    Source:
        Zhao, Schäfer and Anandkumar 2022, in the form of the authors' code.

    >>> hadamard_identity_(torch.empty(2, 3)).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    >>> hadamard_identity_(torch.empty(4, 2)).tolist()
    [[0.5, 0.5], [0.5, -0.5], [0.5, 0.5], [0.5, -0.5]]
    """
    choice("constant", constant, CONSTANTS)
    if tensor.ndim < 2:
        raise ArgumentError(f"tensor of shape {tuple(tensor.shape)}: need (n_out, n_in, *kernel)")
    if is_empty(tensor):
        return tensor
    with torch.no_grad():
        matrix = centre(tensor.zero_())
        rows, columns = matrix.shape
        if rows <= columns:
            matrix.fill_diagonal_(1.0)
        else:
            matrix.copy_(torch.from_numpy(_hadamard(rows, columns)))
            matrix.mul_(hadamard_size(rows, constant))
    return tensor


def _hadamard(rows: int, columns: int) -> np.ndarray:
    """The corner of Sylvester's matrix: -1 to the number of ones that both indices have in common.

    scipy.linalg.hadamard makes the whole square matrix, which for a tall one is too much.
    """
    common = np.bitwise_and.outer(np.arange(rows), np.arange(columns))
    return 1.0 - 2.0 * (np.bitwise_count(common) % 2)
