"""What the initializers of one tensor share: its fans, the law behind torch's names, and empty tensors."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor

from fracrepro.arguments import choice, real
from fracrepro.errors import ArgumentError
from fracrepro.nn import scale
from fracrepro.theory import activations
from fracrepro.theory.activations import Activation, Linear

Function = TypeVar("Function", bound=Callable[..., Any])

# What torch calls layers without an activation.
LINEAR = tuple(f"conv{kind}{d}d" for kind in ("", "_transpose") for d in (1, 2, 3))
# What torch has a gain for and the theory no law.
LAWLESS = ("sigmoid", "tanh", "selu")


def constant_when_compiled(function: Function) -> Function:
    """Let `torch.compile` call a function of numbers where it meets it, and take the result as a constant.

    It would follow numpy line by line, into a hundred graphs for one standard deviation.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]  # the public way imports a compiler
    return function


def sizes(tensor: Tensor) -> tuple[int, ...]:
    """The shape as numbers, also where `torch.compile` would leave the sizes open: a range wants a number."""
    return tuple(len(range(size)) for size in tensor.shape)


def is_part(tensor: Tensor) -> bool:
    """Whether several processes share a tensor, each with a part or a copy of its own (torch's DTensor)."""
    mesh = getattr(tensor, "device_mesh", None)
    return mesh is not None and mesh.size() > 1


def is_empty(tensor: Tensor) -> bool:
    """Whether there is nothing to fill; then torch's initializers warn and return the tensor."""
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return True
    return False


def named_law(nonlinearity: str, a: float | None) -> Activation:
    """The law that torch's name stands for; the slope counts for leaky ReLU only, as in torch."""
    if nonlinearity in LAWLESS:
        raise ArgumentError(
            f"nonlinearity = {nonlinearity!r}: has no law here, because it is not positively homogeneous: "
            "what it does to a moment depends on the scale of its input"
        )
    if nonlinearity in LINEAR:
        return Linear()
    choice("nonlinearity", nonlinearity, (*activations.names(), *LINEAR))
    if nonlinearity == "leaky_relu" and a is not None:
        a = real("a", a, "(-inf, inf)")
    return activations.named(nonlinearity, a)


def fans(shape: tuple[int, ...], mode: str) -> tuple[int, int]:
    """The fan that scales the variance and the width of the layer's output in the direction of `mode`."""
    mode = choice("mode", mode.lower() if isinstance(mode, str) else mode, scale.MODES)  # torch lowers it too
    if len(shape) < 2 or min(shape) < 1:
        raise ArgumentError(f"shape = {tuple(shape)}: need (n_out, n_in, *kernel) with every size at least 1")
    receptive_field = math.prod(shape[2:])
    n_out, n_in = shape[0], shape[1]
    return (n_in * receptive_field, n_out) if mode == "fan_in" else (n_out * receptive_field, n_in)
