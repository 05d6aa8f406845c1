"""What layers put out in one run of a model, measured while it runs, and the gradients that come back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fracrepro.errors import ArgumentError
from fracrepro.nn.activations import DROPOUTS, call_law
from fracrepro.nn.tracing import follow
from fracrepro.nn.tracing.record import Node, Recorder, observe, tensors

__all__ = ["Loss", "Measure", "Watcher", "is_row", "named", "scalar_loss", "send_back"]

Loss = Callable[[Any], Tensor]

# Activations of torch without a law; what such a function returns is the signal of the layer before it.
NONLINEAR = {
    *(
        "tanh",
        "sigmoid",
        "gelu",
        "silu",
        "elu",
        "selu",
        "celu",
        "softplus",
        "mish",
        "relu6",
        "prelu",
        "rrelu",
    ),
    *("hardtanh", "hardsigmoid", "hardswish", "softsign", "logsigmoid", "hardshrink", "softshrink"),
    *("tanhshrink", "threshold", "sin", "cos", "spike", "integrate_and_fire"),
}
EMBEDDINGS = {"embedding", "embedding_bag"}


@dataclass
class Measure:
    """One tensor of a run: a row of each array is one input.

    Attributes:
        norms: of the signal, one for each input.
        gradients: norms of the gradient there; empty until it has come back.
        shape: without the inputs.
        dead: share of the units that are zero for all inputs, where a unit is an index of the second
            dimension, as the channels of a convolution are, and where it is one of the last.
        cosine: mean over pairs of inputs; NaN for less than two.
        entering: norms of what the layer was given.
    """

    norms: np.ndarray
    shape: tuple[int, ...]
    dead: tuple[float, float]
    cosine: float
    gradients: np.ndarray = field(default_factory=lambda: np.empty(0))
    entering: np.ndarray = field(default_factory=lambda: np.empty(0))


class Watcher(Recorder):
    """Measures what layers, activations and dropouts make, at the moment when they have made it.

    Later changes in place therefore do not matter, and a gradient is that at what was measured.
    """

    def __init__(self, model: nn.Module, batch: Any) -> None:
        """Start without measurements."""
        super().__init__(model, batch)
        self.measured: dict[Node, Measure] = {}
        self.sources: list[Tensor] = [tensor for tensor in model.parameters() if tensor.requires_grad]

    def apply(self, name: str, function: Any, args: Any, kwargs: Any) -> Any:
        """Return the result; where only frozen layers have been, a zero is added at which gradients end."""
        result = function(*args, **kwargs)
        if not isinstance(result, Tensor) or result.requires_grad or not torch.is_grad_enabled():
            return result
        if name not in follow.LAYERS | EMBEDDINGS or not result.is_floating_point():
            return result
        zero = torch.zeros((), dtype=result.dtype, device=result.device, requires_grad=True)
        self.sources.append(zero)
        return result + zero

    def seen(self, node: Node, made: Sequence[Tensor]) -> None:
        """Measure the first tensor of a call that is of one of the three kinds."""
        if not made or not _numeric(made[0]) or not (is_row(node) or bends(node) or drops_out(node)):
            return
        measure = self.measured[node] = _measure(made[0])
        entered = node.argument(0, "input")
        if node.name == "linear" and _numeric(entered):
            measure.entering = _norms(entered)
        if made[0].requires_grad:
            made[0].register_hook(lambda gradient: setattr(measure, "gradients", _norms(gradient)))


def is_row(node: Node) -> bool:
    """Whether a call applies weights to a signal: a row of the diagnosis."""
    return follow.is_layer(node) or node.name in EMBEDDINGS


def bends(node: Node) -> bool:
    """Whether a call is an activation, with or without a law."""
    if not node.signal or drops_out(node):
        return False
    return node.name in NONLINEAR or call_law(node.function, node.args, node.kwargs) is not None


def drops_out(node: Node) -> bool:
    """Whether a call is a dropout that is active."""
    return node.name in DROPOUTS.values() and bool(node.argument(2, "training", True))


def send_back(model: nn.Module, batch: Any, loss: Loss | None, generator: torch.Generator | None) -> Watcher:
    """Run a model while watching, then send one gradient back; the gradients of parameters are dropped.

    Raises:
        ArgumentError: when the model does not run, or its output has no gradient and a loss is given.
    """
    watcher = Watcher(model, batch)
    result = observe(model, batch, watcher)
    value = _contracted(result, generator) if loss is None else scalar_loss(loss, result)
    if value is not None and value.requires_grad:
        try:
            torch.autograd.grad(value, watcher.sources, allow_unused=True)
        except RuntimeError as error:
            first = str(error).splitlines()[0]
            raise ArgumentError(f"model = {type(model).__name__}: its gradient fails: {first}") from error
    return watcher


def scalar_loss(loss: Loss, result: Any) -> Tensor:
    """Return the loss of an output.

    Raises:
        ArgumentError: where it is no scalar with a gradient.
    """
    value = loss(result)
    if not isinstance(value, Tensor) or value.ndim or not value.requires_grad:
        found = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
        raise ArgumentError(f"loss = {found}: need a function of the output whose result has a gradient")
    return value


def _contracted(result: Any, generator: torch.Generator | None) -> Tensor | None:
    """The sum of all outputs times fixed standard normal numbers."""
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    total = None
    for tensor in tensors(result, deep=True):
        if tensor.requires_grad:
            real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
            drawn = torch.randn(real.shape, dtype=torch.float64, device=generator.device, generator=generator)
            part = (real * drawn.to(real.device, real.dtype)).sum()
            total = part if total is None else total + part
    return total


def _numeric(value: Any) -> bool:
    return isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())


def _rows(tensor: Tensor) -> Tensor:
    """One row an input, complex numbers as pairs."""
    tensor = tensor.detach()
    tensor = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return tensor.reshape(1, -1) if tensor.ndim < 2 else tensor.flatten(1)


def _norms(tensor: Tensor) -> np.ndarray:
    return torch.linalg.vector_norm(_rows(tensor), dim=1, dtype=torch.float64).cpu().numpy()


def _measure(tensor: Tensor) -> Measure:
    rows = _rows(tensor).double()
    norms = torch.linalg.vector_norm(rows, dim=1)
    shape = tuple(tensor.shape[1:] if tensor.ndim > 1 else tensor.shape)
    silent = tensor.detach() == 0
    batched = silent if silent.ndim > 1 else silent[None]
    dead = (_share(batched, 1), _share(batched, -1))
    return Measure(norms.cpu().numpy(), shape, dead, _cosine(rows, norms))


def _share(silent: Tensor, unit: int) -> float:
    """Share of the indices of one dimension at which everything is silent."""
    whole = silent.movedim(unit, 0).flatten(1).all(1)
    return float(whole.double().mean()) if silent.numel() else math.nan


def _cosine(rows: Tensor, norms: Tensor) -> float:
    """Mean over pairs of different inputs whose signals are not zero."""
    alive = norms > 0
    n = int(alive.sum())
    if n < 2:
        return math.nan
    directions = rows[alive] / norms[alive, None]
    total = float(directions.sum(0).square().sum())
    return (total - n) / (n * (n - 1))


def named(model: nn.Module) -> Callable[[Node], str]:
    """Return what names a call: the module that holds its weight, or from which that is computed."""
    owners: dict[int, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        module = name.rpartition(".")[0]
        owners.setdefault(id(parameter), module.partition(".parametrizations")[0])

    def name_of(node: Node) -> str:
        waiting, done = [node], {node}
        while waiting:
            each = waiting.pop(0)
            for tensor in tensors((each.args, each.kwargs)):
                if id(tensor) in owners:
                    return owners[id(tensor)]
            before = [parent for parent in each.parents if not parent.signal and parent not in done]
            waiting += before
            done |= set(before)
        return ""

    return name_of
