"""The first steps of gradient descent, followed by hand: what moves, and how far the outputs go."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fracrepro.arguments import integer, real

__all__ = ["descend", "moved_by_step", "output_change"]


def descend(model: nn.Module, inputs: Tensor, labels: Tensor, steps: int, *, rate: float) -> list[float]:
    """Return the mean cross-entropy before each of so many steps of gradient descent, and behind the last.

    The whole batch takes part in each step, so nothing is random. The model stays as it is.

    Args:
        model: from inputs to logits.
        inputs: a batch, of shape ``(n, …)``.
        labels: of shape ``(n,)``.
        steps: how many, from 1.
        rate: of learning, positive.

    Returns:
        `steps` + 1 numbers, infinite or NaN where the descent diverges.

    Raises:
        ArgumentError: outside these ranges.

    >>> losses = descend(nn.Linear(1, 1), torch.ones(1, 1), torch.tensor([0]), 1, rate=1.0)
    >>> [round(loss, 3) for loss in losses]
    [0.0, 0.0]
    """
    steps, rate = integer("steps", steps, "[1, inf)"), real("rate", rate, "(0, inf)")
    values = {name: each.detach().clone() for name, each in model.named_parameters()}
    descent = _descent(model, values, inputs, labels, rate, lambda name: True)
    return [next(descent)[1] for _ in range(steps + 1)]


def output_change(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    rate: float = 1e-4,
    moves: Callable[[str], bool] = lambda name: True,
) -> float:
    r"""Return how far one step of gradient descent moves the outputs, for a unit of the learning rate.

    .. math:: \|f(\theta - \eta \nabla L) - f(\theta)\| / \eta

    with L the mean cross-entropy. The model stays as it is.

    Args:
        model: from inputs to logits.
        inputs: a batch, of shape ``(n, …)``.
        labels: of shape ``(n,)``.
        rate: η, positive; small, so that the quotient is near its limit.
        moves: which parameters take part, by their names.

    Raises:
        ArgumentError: for a rate that is not positive.

    >>> model = nn.Linear(1, 2, bias=False).double()
    >>> _ = nn.init.zeros_(model.weight)
    >>> x, y = torch.ones(1, 1, dtype=torch.float64), torch.tensor([0])
    >>> round(output_change(model, x, y), 12) == round(0.5**0.5, 12)
    True
    """
    rate = real("rate", rate, "(0, inf)")
    values = {name: each.detach().clone() for name, each in model.named_parameters()}
    before, (after, _) = values, next(_descent(model, values, inputs, labels, rate, moves))
    with torch.no_grad():
        moved = functional_call(model, after, (inputs,)) - functional_call(model, before, (inputs,))
    return float(moved.norm()) / rate


def moved_by_step(
    model: nn.Module, inputs: Tensor, labels: Tensor, steps: int, *, rate: float = 0.1
) -> list[set[str]]:
    """Return the names of the parameters that change in each of the first steps of gradient descent.

    A parameter counts as moved if one of its entries is another number. The model stays as it is.

    Args:
        model: from inputs to logits.
        inputs: a batch, of shape ``(n, …)``.
        labels: of shape ``(n,)``.
        steps: how many, from 1.
        rate: of learning, positive.

    Raises:
        ArgumentError: outside these ranges.

    >>> moved_by_step(nn.Linear(1, 2, bias=False), torch.ones(1, 1), torch.tensor([0]), 1)
    [{'weight'}]
    """
    steps, rate = integer("steps", steps, "[1, inf)"), real("rate", rate, "(0, inf)")
    values = {name: each.detach().clone() for name, each in model.named_parameters()}
    descent, found = _descent(model, values, inputs, labels, rate, lambda name: True), []
    for _ in range(steps):
        after, _ = next(descent)
        found.append({name for name in values if not torch.equal(values[name], after[name])})
        values = after
    return found


def _descent(
    model: nn.Module,
    values: dict[str, Tensor],
    inputs: Tensor,
    labels: Tensor,
    rate: float,
    moves: Callable[[str], bool],
) -> Iterator[tuple[dict[str, Tensor], float]]:
    """The parameters after each step, and the loss before it."""
    while True:
        given = {name: each.requires_grad_() for name, each in values.items()}
        loss = nn.functional.cross_entropy(functional_call(model, given, (inputs,)), labels)
        slopes = torch.autograd.grad(loss, list(given.values()), allow_unused=True)
        values = {
            name: (each if slope is None or not moves(name) else each - rate * slope).detach().clone()
            for (name, each), slope in zip(given.items(), slopes, strict=True)
        }
        yield values, loss.item()
