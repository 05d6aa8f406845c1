"""Where a run starts: the parameters that its scheme and its seed decide."""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor

from fracrepro.nn.schemes import Scheme
from fracrepro.nn.training.network import Network
from fracrepro.nn.training.streams import stream

__all__ = ["initial_parameters"]


def initial_parameters(network: Network, scheme: Scheme, seed: int) -> OrderedDict[str, Tensor]:
    r"""Return the starting weights and biases of a run, named as in :func:`.network.build_module`.

    A weight matrix is :math:`\sigma Z`: :math:`\sigma` from the scheme, Z, standard normal, from the seed.
    Biases and convolutions have PyTorch's default, uniform within :math:`\pm 1/\sqrt{\text{fan\_in}}`.
    Two schemes at one seed therefore differ by one factor per layer and in nothing else.

    Source: the authors' code for the laws, our choice for the pairing.
    """
    weights, biases, convolutions = (stream(seed, p) for p in ("weights", "biases", "convolutions"))
    parameters: OrderedDict[str, Tensor] = OrderedDict()
    for k, kernel in enumerate(network.conv_shapes):
        bound = 1 / math.sqrt(math.prod(kernel[1:]))
        parameters[f"conv{k}.weight"] = torch.empty(kernel).uniform_(-bound, bound, generator=convolutions)
        parameters[f"conv{k}.bias"] = torch.empty(kernel[0]).uniform_(-bound, bound, generator=convolutions)
    for k, shape in enumerate(network.layer_shapes):
        z = torch.empty(shape).normal_(generator=weights)
        bound = 1 / math.sqrt(shape[1])
        parameters[f"dense{k}.weight"] = z * scheme.std(shape, network.negative_slope)
        parameters[f"dense{k}.bias"] = torch.empty(shape[0]).uniform_(-bound, bound, generator=biases)
    return parameters
