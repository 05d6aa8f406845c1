"""Initializers with Haar-distributed matrices: orthogonal, or semi-orthogonal where they are no square."""

from __future__ import annotations

import torch
from torch import Tensor

from fracrepro.arguments import real
from fracrepro.errors import ArgumentError
from fracrepro.nn import scale
from fracrepro.nn.init._shared import constant_when_compiled, fans, is_empty, named_law, sizes
from fracrepro.nn.scale import Mode

__all__ = ["centre", "delta_orthogonal_", "fractional_orthogonal_", "orthogonal_"]


def fractional_orthogonal_(
    tensor: Tensor,
    s: float = 1.0,
    a: float | None = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill `tensor` with a semi-orthogonal matrix whose gain preserves the moment of order `s`.

    .. math:: W = \eta Q, \qquad \eta^2 = \frac{n_\text{out}}{\text{fan_in}} \, (E R^s)^{-2/s}, \qquad
              E R^s = \frac{E R_{n_\text{out}}^s}{E \chi_{\max(n_\text{out}, \text{fan_in})}^s}

    with Q Haar-distributed, with orthonormal rows or columns, R its one-layer factor and :math:`R_n` that of
    independent standard normal weights at width n.
    What is kept is the moment of the root mean square of the signal.
    A kernel is flattened to (n_out, fan_in) as in :func:`torch.nn.init.orthogonal_`, whose result this is
    bit for bit at that gain; such a convolution is no isometry, because its patches overlap.

    Args:
        tensor: weights of shape ``(n_out, n_in)`` or ``(n_out, n_in, *kernel)``, changed in place.
        s: preserved order in [0, 2]; 0 preserves the mean of the log-norm.
        a: negative slope, used with ``"leaky_relu"`` only; None is torch's 0.01.
        mode: ``"fan_in"`` keeps the forward moment, ``"fan_out"`` the backward one.
        nonlinearity: the name of an activation of the theory, or of torch's linear layers (``"conv2d"``, …).
        generator: source of the draws; None takes torch's global one.

    Returns:
        `tensor`.

    Raises:
        ArgumentError: for an argument outside the ranges above, before `tensor` is touched.

    Source:
        Saxe et al. 2014 for the matrix; the gain is ours, derived on page 13, isometry-thm-orthogonal.

    >>> weight = fractional_orthogonal_(torch.empty(64, 64, dtype=torch.float64), s=2.0)
    >>> bool(torch.allclose(weight @ weight.T, 2 * torch.eye(64, dtype=torch.float64)))   # ReLU: gain √2
    True
    """
    s = real("s", s, "[0, 2]")
    if is_empty(tensor):
        return tensor
    return orthogonal_(tensor, _gain(sizes(tensor), s, a, mode, nonlinearity), generator)


@constant_when_compiled
def _gain(shape: tuple[int, ...], s: float, a: float | None, mode: Mode, nonlinearity: str) -> float:
    """The factor of the matrix that preserves the moment of order `s`."""
    fan, width = fans(shape, mode)
    return scale.orthogonal_gain(s, fan, width, named_law(nonlinearity, a))


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Fill `tensor` as :func:`torch.nn.init.orthogonal_` does, drawn where the generator lives.

    Precisions that torch cannot factorize are drawn in single precision and rounded.

    Args:
        tensor: at least two dimensions; trailing ones are flattened.
        gain: factor.
        generator: source of the draws; None takes torch's global one.

    Returns:
        `tensor`.

    Raises:
        ArgumentError: for a tensor with fewer dimensions.

    Source:
        Saxe et al. 2014.
    """
    if tensor.ndim < 2:
        raise ArgumentError(f"tensor of shape {tuple(tensor.shape)}: need (n_out, n_in, *kernel)")
    if is_empty(tensor):
        return tensor
    device = tensor.device if generator is None else generator.device
    dtype = tensor.dtype if tensor.dtype in (torch.float32, torch.float64) else torch.float32
    drawn = torch.empty(tensor.shape, dtype=dtype, device=device)
    torch.nn.init.orthogonal_(drawn, gain, generator)
    with torch.no_grad():
        return tensor.copy_(drawn)


def delta_orthogonal_(tensor: Tensor, gain: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Fill a kernel with zeros but for its centre, which is `gain` times a matrix with orthonormal columns.

    With stride 1 and padding that keeps the size, the convolution multiplies every norm by `gain`, exactly.
    The centre stands at index ``size // 2``, as in :func:`torch.nn.init.dirac_`.

    Args:
        tensor: kernel of shape ``(n_out, n_in, *kernel)`` with n_in at most n_out, changed in place.
        gain: factor by which every norm is multiplied.
        generator: source of the draws; None takes torch's global one.

    Returns:
        `tensor`.

    Raises:
        ArgumentError: for a tensor that is no kernel, or with more input than output channels: no matrix
            with fewer rows than columns keeps every norm.

    Source:
        Xiao et al. 2018.

    >>> kernel = delta_orthogonal_(torch.empty(4, 2, 3, 3))
    >>> int((kernel != 0).sum()), bool((kernel[:, :, 1, 1] != 0).all())
    (8, True)
    """
    if tensor.ndim < 3:
        raise ArgumentError(f"tensor of shape {tuple(tensor.shape)}: need a kernel (n_out, n_in, *kernel)")
    gain = real("gain", gain, "(-inf, inf)")
    if is_empty(tensor):
        return tensor
    if tensor.shape[1] > tensor.shape[0]:
        raise ArgumentError(
            f"tensor of shape {tuple(tensor.shape)}: need at most as many input channels as output channels; "
            "no matrix with fewer rows than columns keeps every norm"
        )
    with torch.no_grad():
        orthogonal_(centre(tensor.zero_()), gain, generator)
    return tensor


def centre(tensor: Tensor) -> Tensor:
    """Return the matrix at the centre of a kernel, index ``size // 2``, as a view; of a matrix, itself.

    >>> tuple(centre(torch.empty(4, 2, 3, 3)).shape)
    (4, 2)
    """
    for size in reversed(tensor.shape[2:]):
        tensor = tensor[..., size // 2]
    return tensor
