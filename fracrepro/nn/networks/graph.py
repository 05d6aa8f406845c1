"""Networks on a fixed graph: every layer mixes the rows of its input by one matrix that is never trained."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from fracrepro.arguments import integers
from fracrepro.errors import ArgumentError
from fracrepro.nn.activations import module
from fracrepro.nn.networks.residual import Block
from fracrepro.theory.activations import Activation, ReLU, check_activation
from fracrepro.theory.aggregation import check_aggregation

__all__ = ["Aggregate", "graph"]


class Aggregate(nn.Module):
    """A fixed matrix times the features: row i of the result is Σ_j A_ij times row j of the input.

    Args:
        aggregation: A, (N, N), an array or a tensor; a buffer of the module, in torch's default dtype.

    Raises:
        ArgumentError: for another shape, and for entries that are not finite.

    Shape:
        From (…, N, features) to the same.

    >>> Aggregate([[0.5, 0.5], [0.5, 0.5]])(torch.tensor([[1.0], [3.0]])).tolist()
    [[2.0], [2.0]]
    """

    aggregation: Tensor

    def __init__(self, aggregation: ArrayLike | Tensor) -> None:
        """Note the matrix."""
        super().__init__()
        values = aggregation.detach().cpu().numpy() if isinstance(aggregation, Tensor) else aggregation
        matrix = torch.from_numpy(check_aggregation("aggregation", values))
        self.register_buffer("aggregation", matrix.to(torch.get_default_dtype()))

    def forward(self, input: Tensor) -> Tensor:
        """Mix the rows."""
        return torch.matmul(self.aggregation, input)

    def extra_repr(self) -> str:
        """The number of nodes."""
        return f"{len(self.aggregation)} nodes"


def graph(
    sizes: Sequence[int],
    aggregation: ArrayLike | Tensor,
    activation: Activation | None = None,
    *,
    skip: bool = False,
    scale: float | None = None,
    bias: bool = True,
    last: bool = False,
) -> nn.Sequential:
    r"""Return a network of layers X′ = φ(A X Wᵀ) on a fixed graph, with torch's default parameters.

    Layers are called ``aggregate0, dense0, …``; an activation bears its own name and the number of its layer.
    With `skip` every layer between two equal sizes, but the first and the last, is a residual block

    .. math:: X \mapsto X + \text{scale} \cdot \varphi(A X W^\top) V^\top,

    which is called ``block1, block2, …`` and keeps the contract of :mod:`fracrepro.nn.blocks`.
    All layers have one matrix, in memory too until the model is moved or converted.
    Residual aggregation is a matrix of its own, :func:`fracrepro.theory.aggregation.residual_aggregation`.

    Args:
        sizes: features of a node at the input and behind every layer, at least two numbers from 1.
        aggregation: A, (N, N); it does not change in training.
        activation: after every layer but the last; None takes ReLU.
        skip: whether there are residual connections.
        scale: start of the learnable factor of each block; None for none.
        bias: whether layers have biases.
        last: whether the activation follows the last layer too.

    Raises:
        ArgumentError: outside these ranges, and for `skip` without a layer that can be a block.

    Source:
        The model of DeZoort and Hanin 2023; page 15, graph-def-network.

    >>> network = graph([5, 8, 2], [[0.5, 0.5], [0.5, 0.5]])
    >>> [name for name, _ in network.named_children()], network(torch.ones(2, 5)).shape
    (['aggregate0', 'dense0', 'relu0', 'aggregate1', 'dense1'], torch.Size([2, 2]))
    """
    counts = integers("sizes", sizes, "[1, inf)").tolist()
    if not isinstance(counts, list) or len(counts) < 2:
        raise ArgumentError(f"sizes = {sizes!r}: need the features of the input and of at least one layer")
    phi = check_activation("activation", ReLU() if activation is None else activation)
    kind = (phi.name or type(phi).__name__.lower()).partition("_")[0]
    shared = Aggregate(aggregation)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for k, (n_in, n_out) in enumerate(pairwise(counts)):
        mixes = Aggregate(shared.aggregation)
        mixes.aggregation = shared.aggregation
        end = k == len(counts) - 2
        if skip and k and not end and n_in == n_out:
            layers[f"block{k}"] = Block(_branch(mixes, n_in, phi, kind, bias), scale=scale)
            continue
        layers[f"aggregate{k}"], layers[f"dense{k}"] = mixes, nn.Linear(n_in, n_out, bias=bias)
        if last or not end:
            layers[f"{kind}{k}"] = module(phi)
    if skip and not any(name.startswith("block") for name in layers):
        raise ArgumentError(f"sizes = {sizes!r}: need a layer between two equal sizes with skip=True")
    return nn.Sequential(layers)


def _branch(mixes: Aggregate, width: int, phi: Activation, kind: str, bias: bool) -> nn.Sequential:
    """The layers beside a residual connection."""
    parts = [("aggregate", mixes), ("dense0", nn.Linear(width, width, bias=bias))]
    parts += [(kind, module(phi)), ("dense1", nn.Linear(width, width, bias=bias))]
    return nn.Sequential(OrderedDict(parts))
