"""The Jacobian of a whole model at single inputs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from fracrepro.errors import ArgumentError
from fracrepro.nn.diagnosis.frame import check_model, in_mode
from fracrepro.nn.tracing.record import checked_run

__all__ = ["jacobian_singular_values"]


def jacobian_singular_values(model: nn.Module, x: Tensor, *, training: bool | None = None) -> np.ndarray:
    r"""Return the singular values of the Jacobian of a model at each of the given inputs.

    .. math:: J(x) = \partial f(x) / \partial x, \quad \text{output} \times \text{input, each flattened}

    Every input runs as a batch of one, and each row of J is one backward pass: there is no condition on how
    the model is written.

    Args:
        model: a module of one argument that returns one tensor; it is left as it was.
        x: inputs, the first dimension counts them.
        training: True and False set the mode of all modules for the run; None takes them as they are.

    Returns:
        float64 of shape (inputs, min(output, input)), each row in descending order.

    Raises:
        ArgumentError: for a model without values, inputs of another kind, and a model that does not run on
            them or does not return one real tensor.

    Source:
        Ours.

    >>> model = nn.Linear(2, 2, bias=False)
    >>> _ = model.weight.data.copy_(torch.tensor([[3.0, 0.0], [0.0, -2.0]]))
    >>> jacobian_singular_values(model, torch.ones(1, 2)).tolist()
    [[3.0, 2.0]]
    """
    check_model(model)
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim < 2 or not x.numel():
        found = f"{x.dtype} of shape {tuple(x.shape)}" if isinstance(x, Tensor) else repr(x)
        raise ArgumentError(f"x = {found}: need real inputs, counted by the first of at least two dimensions")
    with in_mode(model, training):
        values = [torch.linalg.svdvals(_jacobian(model, one)) for one in x.detach().split(1)]
    return torch.stack(values).cpu().double().numpy()


def _jacobian(model: nn.Module, one: Tensor) -> Tensor:
    """The Jacobian at one input."""
    given = one.clone().requires_grad_()
    output = checked_run(model, given + 0)  # not a leaf, which a function in place could not change
    if not isinstance(output, Tensor) or not output.is_floating_point():
        raise ArgumentError(f"model = {type(model).__name__}: need one that returns one real tensor")
    if not output.requires_grad:
        return one.new_zeros(output.numel(), one.numel())
    rows = []
    for value in output.flatten():
        (row,) = torch.autograd.grad(value, given, retain_graph=True, allow_unused=True)
        rows.append(torch.zeros_like(one) if row is None else row)
    jacobian = torch.stack(rows).flatten(1)
    return jacobian if jacobian.itemsize > 2 else jacobian.float()
