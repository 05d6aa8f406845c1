"""The contract of residual blocks: what a module must have so that the residual schemes can act on it.

A block is any module with three attributes, whoever has written it:

* ``branch``, a :class:`torch.nn.Sequential` whose layers are those of the residual branch in their order;
* ``skip``, a module, :class:`torch.nn.Identity` where the signal is passed on as it is;
* ``scale``, a parameter with one element, or None for a branch that is added as it is;

and with the forward pass ``skip(x) + scale * branch(x)``, with an activation applied to this sum or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from fracrepro.errors import ArgumentError

__all__ = ["ScalarBias", "blocks", "is_block", "scalar_biases", "slope_behind_sum"]


class ScalarBias(nn.Module):
    """One learnable number that is added to every coordinate, 0 at the start.

    Source:
        Zhang, Dauphin and Ma 2019 give such numbers to every branch.

    >>> ScalarBias()(torch.ones(2)).tolist()
    [1.0, 1.0]
    """

    def __init__(self) -> None:
        """Make the number."""
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, input: Tensor) -> Tensor:
        """Add the number."""
        return input + self.bias


def is_block(module: nn.Module) -> bool:
    """Whether a module has the attributes of the contract.

    >>> from fracrepro.nn.networks import residual
    >>> [is_block(each) for each in residual(4, 2, 8)]
    [True, True]
    """
    return not _missing(module)


def blocks(model: nn.Module) -> dict[str, nn.Module]:
    """Return the residual blocks of a model by their names, in the order in which they were registered.

    Raises:
        ArgumentError: where there is none, for a module that keeps only a part of the contract, and for a
            block inside of another one.

    >>> from fracrepro.nn.networks import residual
    >>> list(blocks(residual(4, 2, 8)))
    ['block0', 'block1']
    """
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        if _looks_like_one(module) and (reason := _missing(module)):
            raise ArgumentError(f"block {name!r}: {reason}")
        if is_block(module):
            outer = next((each for each in found if not each or name.startswith(f"{each}.")), None)
            if outer is not None:
                raise ArgumentError(f"block {name!r}: need none inside of another one, {outer!r}")
            found[name] = module
    if not found:
        raise ArgumentError(
            f"model = {type(model).__name__}: need residual blocks, modules with the attributes branch "
            "(nn.Sequential), skip (a module) and scale (a parameter with one element, or None)"
        )
    return found


def scalar_biases(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the numbers that :class:`ScalarBias`, and modules like it, add, by the name of the module.

    Like it is any module whose only parameter is called ``bias`` and has one element.
    """
    for name, module in model.named_modules():
        own = {key: each for key, each in module._parameters.items() if each is not None}
        if list(own) == ["bias"] and own["bias"].numel() == 1:
            yield name, own["bias"]


def slope_behind_sum(name: str, block: Any, input: Tensor) -> float:
    """Return the slope below zero of the activation behind the sum of a block; 1 where there is none.

    The contract leaves that open, so the block runs on the input, in the mode in which it is.

    Args:
        name: of the block.
        block: one of its modules.
        input: what the block takes; its values do not matter.

    Raises:
        ArgumentError: where the block does not run, and where it does something else to the sum.
    """
    try:
        with torch.no_grad():
            branch = block.branch(input)
            total = block.skip(input) + (branch if block.scale is None else block.scale * branch)
            result = block(input)
    except Exception as error:  # whatever a block raises
        shape = tuple(input.shape)
        raise ArgumentError(f"block {name!r}: does not run on an input of shape {shape}: {error}") from error
    below = total < 0
    if result.shape == total.shape and bool(below.any()):
        slope = float(result[below].sum() / total[below].sum())
        if torch.allclose(result, torch.where(below, slope * total, total), rtol=1e-3, atol=1e-6):
            return round(slope, 6)
    raise ArgumentError(
        f"block {name!r}: need the forward pass [activation](skip(x) + scale * branch(x)), with a ReLU or a "
        "leaky one"
    )


def _looks_like_one(module: nn.Module) -> bool:
    """Whether somebody meant it to be a block."""
    return hasattr(module, "branch") and hasattr(module, "skip")


def _missing(module: nn.Module) -> str:
    """What is missing for the contract; empty if nothing is."""
    if not isinstance(getattr(module, "branch", None), nn.Sequential):
        return "branch: need an nn.Sequential with the layers of the branch in their order"
    if not isinstance(getattr(module, "skip", None), nn.Module):
        return "skip: need a module, nn.Identity() for a skip connection without weights"
    scale = getattr(module, "scale", "")
    if scale is not None and not (isinstance(scale, nn.Parameter) and scale.numel() == 1):
        return "scale: need a parameter with one element, or None"
    return ""
