"""What a start and one step of training cost, counted: the numbers that are trained, the arithmetic."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fracrepro.nn.initialize import initialize_
from fracrepro.nn.schemes.base import Scheme

__all__ = ["StartCost", "StepCost", "start_cost", "step_cost"]


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


@dataclass(frozen=True)
class StartCost:
    """The cost of a start; one without data costs a pass if a batch shows what follows a layer, else nothing.

    Attributes:
        passes: runs of the whole module.
        images: how many it was shown in these runs together.
        flops: floating-point operations of matrix products and convolutions, those of a scheme itself too.
    """

    passes: int
    images: int
    flops: int


def start_cost(module: nn.Module, scheme: str | Scheme, batch: Any = None, **options: Any) -> StartCost:
    """Count what it costs to initialize a copy of a module, to be set against the cost of training steps.

    Args:
        module: stays as it is.
        scheme: as are `batch` and `options`, an argument of :func:`fracrepro.nn.initialize_`.
        batch: arguments of the module; its first one has the images.
        **options: of the scheme, or of the call.

    Raises:
        ArgumentError: as there.

    >>> start_cost(nn.Linear(3, 2), "kaiming", torch.ones(5, 3))    # one run: 2·5·3·2 operations
    StartCost(passes=1, images=5, flops=60)
    """
    tried, seen = copy.deepcopy(module), []

    def count(_: nn.Module, given: tuple, named: dict[str, Any]) -> None:
        seen.append(len(next(iter([*given, *named.values()]))))

    tried.register_forward_pre_hook(count, with_kwargs=True)
    generator = options.pop("generator", None) or torch.Generator().manual_seed(0)
    with FlopCounterMode(display=False) as counter:
        initialize_(tried, scheme, batch=batch, generator=generator, **options)
    return StartCost(len(seen), sum(seen), int(counter.get_total_flops()))
