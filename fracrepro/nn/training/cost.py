"""What one step of training costs, counted: the modules, the numbers that are trained, the arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["StepCost", "step_cost"]


@dataclass(frozen=True)
class StepCost:
    """The cost of a step of gradient descent; two networks that train alike have equal ones.

    Attributes:
        modules: class of every module, by its name.
        parameters: shape, number type and whether it is trained, of every parameter and buffer.
        hooks: functions called in every pass besides the modules' own.
        flops: floating-point operations of matrix products and convolutions, forward and backward.
    """

    modules: tuple[tuple[str, str], ...]
    parameters: tuple[tuple[str, tuple[int, ...], str, bool], ...]
    hooks: int
    flops: int


def step_cost(module: nn.Module, images: Tensor, labels: Tensor) -> StepCost:
    """Count what a step on one batch costs, forward and backward; the gradients are thrown away.

    Args:
        module: a classifier.
        images: what it takes, B of them.
        labels: int64 of shape (B,).

    Source:
        Derived on page 09, section "The cost".

    >>> import torch
    >>> cost = step_cost(nn.Linear(3, 2), torch.ones(5, 3), torch.zeros(5, dtype=torch.int64))
    >>> cost.flops    # 2·5·3·2 forward, and as much for the gradient of the weights
    120
    """
    hooks = sum(
        len(part._forward_hooks) + len(part._forward_pre_hooks) + len(part._backward_hooks)
        for part in module.modules()
    )
    with FlopCounterMode(display=False) as counter:
        F.cross_entropy(module(images), labels).backward()
    module.zero_grad(set_to_none=True)
    named = [*module.named_parameters(), *module.named_buffers()]
    return StepCost(
        modules=tuple((name, type(part).__name__) for name, part in module.named_modules()),
        parameters=tuple((name, tuple(x.shape), str(x.dtype), x.requires_grad) for name, x in named),
        hooks=hooks,
        flops=int(counter.get_total_flops()),
    )
