"""The largest curvature of a loss, over all parameters and over those of each layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from fracrepro.arguments import integer, real
from fracrepro.errors import ArgumentError
from fracrepro.nn.diagnosis.frame import check_generator, check_model, in_mode
from fracrepro.nn.diagnosis.watch import Loss, scalar_loss
from fracrepro.nn.tracing.record import checked_run

__all__ = ["hessian_norms"]

WHOLE = "all"
Block = tuple[str, list[Tensor], list[Tensor]]  # name, parameters, gradients


def hessian_norms(
    model: nn.Module,
    loss: Loss,
    batch: Any,
    *,
    generator: torch.Generator,
    training: bool | None = None,
    tolerance: float = 1e-4,
    max_steps: int = 100,
) -> pd.DataFrame:
    r"""Return the spectral norm of the Hessian of a loss, whole and block by block on its diagonal.

    With H a block over the parameters of one module, or over all of them, and a random unit vector v,

    .. math:: v \leftarrow H^2 v / \lVert H^2 v \rVert, \qquad
              \lVert H v \rVert \nearrow \lVert H \rVert = \max |\lambda|

    by products with H, two a step; :math:`H^2` converges also where :math:`\lambda` and :math:`-\lambda` are
    both eigenvalues.
    With :math:`\mu = \lVert Hv \rVert` an eigenvalue of :math:`H^2` lies within :math:`\mu^2` times the
    residual :math:`\lVert H^2 v - \mu^2 v \rVert / \mu^2` of :math:`\mu^2`; that it is the largest one is
    almost sure in the limit and cannot be read off the residual.

    Args:
        model: any module; it is left as it was.
        loss: a function of the model's output, to a scalar.
        batch: the model's only argument, a tuple of its arguments, or a dictionary of named ones.
        generator: source of the first vectors.
        training: True and False set the mode of all modules for the run; None takes them as they are.
        tolerance: of the residual, in (0, 1).
        max_steps: at most so many steps, at least 1.

    Returns:
        A data frame with one row for all parameters, ``layer`` then being ``"all"``, and one for each module
        with parameters of its own, in their order: ``layer, parameters`` (their number), ``norm``,
        ``rayleigh`` (vᵀHv, whose sign is that of the eigenvalue if one alone has this size), ``residual,
        steps, converged``. Frozen parameters are left out, and so are modules that the loss does not reach.

    Raises:
        ArgumentError: for an argument outside these ranges, a model that does not run on the batch, a loss
            without a gradient, a model without parameters that learn.

    Source:
        Ours; the norm of the Hessian as a diagnosis is due to Skorski, Temperoni and Theobald 2020. What a
        block is for one sample is derived on page 16, thm-diagnosis-block.

    >>> model = nn.Linear(2, 1, bias=False)
    >>> half_square = lambda output: 0.5 * output.square().sum()   # H = x xᵀ, of norm ‖x‖² = 25
    >>> x, generator = torch.tensor([[3.0, 4.0]]), torch.Generator()
    >>> table = hessian_norms(model, half_square, x, generator=generator)
    >>> table["layer"].tolist(), table["norm"].round(4).tolist()
    (['all', ''], [25.0, 25.0])
    """
    check_model(model)
    check_generator(generator)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ArgumentError(f"model = {type(model).__name__}: has no parameters that learn")
    if generator is None or not callable(loss):
        name, found = ("generator", generator) if generator is None else ("loss", loss)
        raise ArgumentError(f"{name} = {found!r}: need a torch.Generator, and a function of the output")
    tolerance = real("tolerance", tolerance, "(0, 1)")
    max_steps = integer("max_steps", max_steps, "[1, inf)")
    with in_mode(model, training):
        blocks = _blocks(model, scalar_loss(loss, checked_run(model, batch)))
        rows = [_row(block, generator, tolerance, max_steps) for block in blocks]
    return pd.DataFrame(rows)


def _blocks(model: nn.Module, value: Tensor) -> list[Block]:
    """The parameters that the loss reaches with their gradients: all of them, then by module."""
    named = {}
    for module_name, module in model.named_modules():
        for name, parameter in module._parameters.items():
            if parameter is not None and parameter.requires_grad and id(parameter) not in named:
                named[id(parameter)] = (module_name, name, parameter)
    parameters = [parameter for _, _, parameter in named.values()]
    found = torch.autograd.grad(value, parameters, create_graph=True, allow_unused=True)
    whole: Block = (WHOLE, [], [])
    by_module: dict[str, Block] = {}
    for (module_name, _, parameter), gradient in zip(named.values(), found, strict=True):
        if gradient is not None:
            for block in (whole, by_module.setdefault(module_name, (module_name, [], []))):
                block[1].append(parameter)
                block[2].append(gradient)
    return [whole, *by_module.values()]


def _row(block: Block, generator: torch.Generator, tolerance: float, max_steps: int) -> dict[str, Any]:
    """Power iteration on the square of one block."""
    name, parameters, gradients = block
    v = [
        torch.randn(p.shape, dtype=torch.float64, device=generator.device, generator=generator).to(p)
        for p in parameters
    ]
    v = _scaled(v, 1 / _norm(v))
    norm = rayleigh = residual = 0.0
    steps = 0
    while steps < max_steps:
        steps += 1
        w = _product(parameters, gradients, v)
        norm, rayleigh = _norm(w), _dot(v, w)
        if not norm or not math.isfinite(norm):
            residual = 0.0 if norm == 0 else math.nan
            break
        u = _product(parameters, gradients, w)
        residual = _norm([a - norm**2 * b for a, b in zip(u, v, strict=True)]) / norm**2
        if residual <= tolerance:
            break
        v = _scaled(u, 1 / _norm(u))
    return {
        "layer": name,
        "parameters": sum(p.numel() for p in parameters),
        "norm": norm,
        "rayleigh": rayleigh,
        "residual": residual,
        "steps": steps,
        "converged": residual <= tolerance,
    }


def _product(parameters: Sequence[Tensor], gradients: Sequence[Tensor], v: Sequence[Tensor]) -> list[Tensor]:
    """The block times a vector; zero where the gradient is constant."""
    live = [(g, each) for g, each in zip(gradients, v, strict=True) if g.requires_grad]
    if not live:
        return [torch.zeros_like(p) for p in parameters]
    outputs, given = zip(*live, strict=True)
    found = torch.autograd.grad(outputs, parameters, given, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(p) if h is None else h for h, p in zip(found, parameters, strict=True)]


def _dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    return sum(float((x.double() * y.double()).sum()) for x, y in zip(a, b, strict=True))


def _norm(v: Sequence[Tensor]) -> float:
    return math.sqrt(_dot(v, v))


def _scaled(v: Sequence[Tensor], factor: float) -> list[Tensor]:
    return [each * factor for each in v]
