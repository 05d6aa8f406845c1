"""What a start makes of a fully connected network before any training: exact moments of its Jacobian."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from fracrepro.arguments import integer
from fracrepro.errors import ArgumentError
from fracrepro.nn.schemes.base import DrawnScheme, NormalScheme, Scheme
from fracrepro.nn.schemes.looks_linear import LooksLinear
from fracrepro.nn.schemes.lsuv import LSUV
from fracrepro.nn.schemes.orthogonal import DeltaOrthogonal, Orthogonal
from fracrepro.nn.schemes.plan import Slot
from fracrepro.nn.schemes.variance import Kaiming
from fracrepro.nn.schemes.zero import Zero
from fracrepro.nn.training.network import Network
from fracrepro.theory.activations import LeakyReLU
from fracrepro.theory.homogeneous import Activation
from fracrepro.theory.spread import JacobianMoments

__all__ = ["drawn_jacobians", "hidden_moments"]

_Layer = tuple[int, float, Activation | None, str]


def hidden_moments(network: Network, scheme: Scheme) -> JacobianMoments:
    """Return the moments of the Jacobian from the image to the last hidden layer, at any image but 0.

    Biases are taken as 0, which they are at the start of the trainings that compare schemes.

    Args:
        network: without convolutions.
        scheme: fills the layers that the network's frame leaves to it.

    Raises:
        ArgumentError: for a network with convolutions or without a hidden layer, and for a scheme whose
            Jacobian has no such law: one that looks at data, and ZerO where it fills the first layer too.

    Source:
        Derived on page 19, compared-prop-spread; looks-linear networks by isometry-thm-mirror on page 13.

    >>> from fracrepro.nn import schemes
    >>> net = Network((1, 8, 8), depth=2, width=32, negative_slope=0.0)
    >>> round(hidden_moments(net, schemes.make("kaiming")).trace, 12)    # mean square 1 in 32 neurons
    32.0
    """
    if network.channels or network.depth < 2:
        raise ArgumentError(f"network = {network!r}: need a hidden layer, and no convolutions")
    moments = JacobianMoments.identity(network.features)
    if isinstance(scheme, LooksLinear):
        return _mirrored(network, scheme, moments)
    for layer in _layers(network, scheme):
        moments = moments.layer(*layer)
    return moments


def _layers(network: Network, scheme: Scheme) -> list[_Layer]:
    """What each hidden layer is: width, variance, activation, law."""
    shapes, phi = network.layer_shapes[:-1], LeakyReLU(network.negative_slope)
    filled = [_law(Slot(shape, phi), scheme) for shape in shapes[1:]]
    framed = network.frame == "kaiming"
    first = _law(Slot(shapes[0], phi), Kaiming(a=None) if framed else scheme, first=True)
    if isinstance(scheme, Zero):  # square layers are the identity: an image meets the slope below 0 each time
        slope = network.negative_slope ** len(shapes)
        return [(*first[:2], LeakyReLU(slope if slope >= 1e-100 else 0.0), first[3])]
    return [first, *filled]


def _law(slot: Slot, scheme: Scheme, *, first: bool = False) -> _Layer:
    width, phi = slot.width, slot.activation
    if isinstance(scheme, DrawnScheme):
        law = "gaussian" if isinstance(scheme, NormalScheme) else "uniform"
        return width, scheme.std(slot) ** 2, phi, law
    if isinstance(scheme, (Orthogonal, DeltaOrthogonal)):
        return width, (scheme.gain(slot) ** 2) / max(slot.shape), phi, "orthogonal"
    if isinstance(scheme, Zero) and not first:
        return width, 1.0 / width, phi, "identity"
    reason = "looks at data" if isinstance(scheme, LSUV) else "has no law of its first layer"
    raise ArgumentError(f"scheme = {scheme.name!r}: {reason}")


def _mirrored(network: Network, scheme: LooksLinear, moments: JacobianMoments) -> JacobianMoments:
    """Those of the linear network that a mirrored one is, whose outputs come with both signs."""
    if network.frame != "scheme":
        raise ArgumentError("scheme = 'looks_linear': need a network that leaves first and last layer to it")
    for k, shape in enumerate(network.layer_shapes[:-1]):
        law = "gaussian" if scheme.base == "gaussian" else "orthogonal"
        variance = scheme.std(Slot(shape, first=k == 0)) ** 2
        moments = moments.layer(shape[0] // 2, variance, None, law)
    both = 1 + network.negative_slope**2
    return dataclasses.replace(
        moments,
        trace=both * moments.trace,
        **{
            name: both**2 * getattr(moments, name)
            for name in ("squared_trace", "trace_of_square", "diagonal")
        },
    )


def drawn_jacobians(
    network: Network, scheme: Scheme, networks: int, generator: torch.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw networks with all their weights and return tr M and tr M² of each, M = J Jᵀ at one random image.

    J leads from the image to the last hidden layer, and its slopes are those that the image meets.

    Args:
        network: as in :func:`hidden_moments`.
        scheme: one whose weights are drawn independently, or orthogonal.
        networks: how many, an integer from 1.
        generator: of the draws.

    Raises:
        ArgumentError: as there, and for another scheme.
    """
    networks = integer("networks", networks, "[1, 10000000]")
    layers = _layers(network, scheme)
    x = torch.randn(network.features, dtype=torch.float64, generator=generator).expand(networks, -1)
    jacobian = torch.eye(network.features, dtype=torch.float64).expand(networks, -1, -1)
    for width, variance, _, law in layers:
        if law not in _DRAWS:
            raise ArgumentError(f"law = {law!r}: need one that is drawn")
        weights = math.sqrt(variance) * _DRAWS[law]((networks, width, x.shape[1]), generator)
        z = torch.einsum("nij,nj->ni", weights, x)
        slopes = torch.where(z > 0, 1.0, network.negative_slope).double()
        x, jacobian = slopes * z, slopes[:, :, None] * (weights @ jacobian)
    squares = torch.linalg.matrix_norm(jacobian).square()
    fourths = torch.linalg.matrix_norm(jacobian @ jacobian.mT).square()
    return squares.numpy(), fourths.numpy()


def _uniform(shape: tuple[int, int, int], generator: torch.Generator) -> torch.Tensor:
    return math.sqrt(3) * (2 * torch.rand(shape, dtype=torch.float64, generator=generator) - 1)


def _gaussian(shape: tuple[int, int, int], generator: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=generator)


def _orthogonal(shape: tuple[int, int, int], generator: torch.Generator) -> torch.Tensor:
    drawn, tall = _gaussian(shape, generator), shape[1] >= shape[2]
    q, r = torch.linalg.qr(drawn if tall else drawn.mT)
    q = q * r.diagonal(dim1=1, dim2=2).sign()[:, None, :]  # without it QR prefers some matrices
    return math.sqrt(max(shape[1:])) * (q if tall else q.mT)


# Matrices whose entries have variance 1.
_DRAWS = {"uniform": _uniform, "gaussian": _gaussian, "orthogonal": _orthogonal}
