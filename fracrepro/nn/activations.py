"""The torch side of an activation: from its description to a module, and back from module or call to the law.

Names and fields come from :mod:`fracrepro.theory.activations`: an activation that is described there, and of
which torch has a class or a function, is known here by itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation, Dropout, LeakyReLU, Linear, ReLU, check_activation

__all__ = [
    "Homogeneous",
    "call_law",
    "compose",
    "draw_slopes",
    "function_name",
    "homogeneous",
    "law",
    "module",
]

# Classes of torch, and their functions, that zero whole coordinates or channels and scale up the rest.
DROPOUTS: dict[type[nn.Module], str] = {
    nn.Dropout: "dropout",
    nn.Dropout1d: "dropout1d",
    nn.Dropout2d: "dropout2d",
    nn.Dropout3d: "dropout3d",
}


def module(activation: Activation) -> nn.Module:
    """Return a module that applies `activation`: torch's own where it has one, else :class:`Homogeneous`.

    Random slopes and masks are drawn in training mode, from torch's global generator, as torch's modules do.

    Raises:
        ArgumentError: for anything but an activation.

    >>> from fracrepro.theory.activations import Abs
    >>> module(ReLU()), module(Abs())
    (ReLU(), Homogeneous(Abs()))
    """
    check_activation("activation", activation)
    if isinstance(activation, Dropout):
        return nn.Sequential(module(activation.activation), nn.Dropout(activation.p))
    if activation.torch_name:
        return getattr(nn, activation.torch_name)(**_values(activation))
    return Homogeneous(activation)


def law(thing: object) -> Activation | None:
    """Return what the theory knows about a module, in training mode, or a function of torch; None if nothing.

    Functions have their default arguments; :func:`call_law` knows a call. A parametric ReLU has a law as long
    as all its slopes are equal, a sequence as long as at most one of its modules is not linear.

    >>> law(nn.LeakyReLU(0.2)), law(torch.relu), law(nn.Tanh())
    (LeakyReLU(negative_slope=0.2), ReLU(), None)
    >>> law(nn.Sequential(nn.ReLU(), nn.Dropout(0.1)))
    Dropout(activation=ReLU(), p=0.1)
    """
    if not isinstance(thing, nn.Module):
        return call_law(thing, (), {}) if callable(thing) else None
    if isinstance(thing, Homogeneous):
        return thing.activation
    if _runs_as(thing, nn.PReLU):
        return _fixed(getattr(thing, "weight", None))
    if _runs_as(thing, nn.Threshold):
        return ReLU() if thing.threshold == thing.value == 0 else None
    if _runs_as(thing, nn.Sequential):
        return _chain([law(each) for each in thing.children()])
    for kind in DROPOUTS:
        if _runs_as(thing, kind):
            return _dropout(Linear(), vars(thing)["p"])
    for known in Activation.registry.values():
        if known.torch_name and _runs_as(thing, getattr(nn, known.torch_name)):
            return _make(known, {field: getattr(thing, field) for field in _fields(known)})
    return None


def call_law(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Activation | None:
    """Return what the theory knows about a call of a function of torch; None if nothing.

    The input is the first of `args` where there are any.
    The functions of an activation are those of torch with its name, followed by its fields in their order.

    >>> call_law(torch.nn.functional.leaky_relu, (torch.zeros(1), 0.2), {})
    LeakyReLU(negative_slope=0.2)
    """
    name, rest = function_name(function), args[1:]
    if function is homogeneous:
        return rest[0] if rest else kwargs.get("activation")
    if name == "prelu":
        return _fixed(rest[0] if rest else kwargs.get("weight"))
    if name in DROPOUTS.values():
        p, training = _bound(("p", "training"), (0.5, True), rest, kwargs)
        return _dropout(Linear(), p) if training else Linear()
    if name in {"clamp", "clip", "clamp_min", "threshold"}:
        return _rectifies(name, rest, kwargs)
    known = Activation.registry.get(name)
    if known is None or known is Linear:  # torch's function `linear` is a layer
        return None
    fields = _fields(known)
    values = _bound((*fields, "training"), (*(fields[key] for key in fields), False), rest, kwargs)
    made = _make(known, dict(zip(fields, values, strict=False)))
    if made is not None and made.slopes.random and not values[-1]:
        return _make(LeakyReLU, {"negative_slope": sum(made.slopes.negative) / 2})
    return made


def function_name(function: Any) -> str:
    """The name of a function of torch, without the marks of methods, operators and in-place versions."""
    name = getattr(function, "__name__", type(function).__name__)
    if name == "__get__":  # an attribute such as Tensor.T
        return getattr(getattr(function, "__self__", None), "__name__", name)
    plain = name.strip("_")
    if name.startswith("__") and plain[1:] in _OPERATORS and plain[0] in "ir":
        plain = plain[1:]
    return {"truediv": "div", "absolute": "abs"}.get(plain, plain)


_OPERATORS = {"add", "sub", "mul", "div", "truediv", "matmul"}


class Homogeneous(nn.Module):
    """A positively homogeneous activation of which torch has no module, applied through its slopes.

    In evaluation mode random slopes stand at their mean and no coordinate is dropped, as in torch's modules.
    """

    def __init__(self, activation: Activation) -> None:
        """Note the activation."""
        super().__init__()
        self.activation = check_activation("activation", activation)

    def forward(self, input: Tensor) -> Tensor:
        """Apply the activation."""
        return homogeneous(input, self.activation, training=self.training)

    def extra_repr(self) -> str:
        """The description of the activation."""
        return repr(self.activation)


def homogeneous(input: Tensor, activation: Activation, training: bool = False) -> Tensor:
    """Apply an activation to a tensor; a function of torch's kind, so that tracing sees it as one step."""
    if has_torch_function_unary(input):
        return handle_torch_function(homogeneous, (input,), input, activation, training=training)
    if training:
        return input * draw_slopes(input, activation)
    above, below = (sum(side) / 2 * activation.slopes.kept for side in activation.slopes.sides)
    return torch.where(input > 0, input * above, input * below)


def draw_slopes(z: Tensor, activation: Activation, generator: torch.Generator | None = None) -> Tensor:
    """Return the slope at every coordinate, which is also the derivative there, drawn where it is random.

    Masks come first, from the outside in; then the slopes above zero, then those below.
    """

    def uniform(low: float, high: float) -> Tensor:
        fixed = torch.full_like(z, low)
        return fixed.uniform_(low, high, generator=generator) if low < high else fixed

    def mask(kept: float) -> Tensor:
        return torch.empty_like(z).bernoulli_(kept, generator=generator)

    if isinstance(activation, Dropout):  # by itself: its slopes are those drawn without it, over 1 - p
        kept = mask(1 - activation.p)
        return draw_slopes(z, activation.activation, generator) * kept / (1 - activation.p)
    law = activation.slopes
    dropped = mask(law.kept) if law.kept < 1.0 else None
    above, below = (uniform(*side) for side in law.sides)
    slopes = torch.where(z > 0, above, below)
    return slopes if dropped is None else slopes * dropped


def _runs_as(thing: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module is of that kind and has not got a forward of its own."""
    return isinstance(thing, kind) and getattr(type(thing), "forward", None) is kind.forward


def _fields(known: type[Activation]) -> dict[str, Any]:
    """The fields of an activation with their defaults, in order."""
    return {field.name: field.default for field in dataclasses.fields(known)}  # type: ignore[arg-type]


def _values(activation: Activation) -> dict[str, Any]:
    return {field: getattr(activation, field) for field in _fields(type(activation))}


def _make(known: type[Activation], values: Mapping[str, Any]) -> Activation | None:
    """The activation with these values, None where the theory refuses them."""
    try:
        return known(**values)
    except ArgumentError:
        return None


def _bound(
    names: Sequence[str], defaults: Sequence[Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Any, ...]:
    """The values of named arguments that may come by position."""
    return tuple(
        args[k] if k < len(args) else kwargs.get(name, default)
        for k, (name, default) in enumerate(zip(names, defaults, strict=True))
    )


def _fixed(weight: Any) -> Activation | None:
    """A parametric ReLU whose slopes are all equal."""
    if not isinstance(weight, Tensor) or weight.is_meta or weight.numel() == 0:
        return None
    first = weight.detach().flatten()[0].item()
    return _make(LeakyReLU, {"negative_slope": first}) if bool((weight == first).all()) else None


def _rectifies(name: str, rest: Sequence[Any], kwargs: Mapping[str, Any]) -> Activation | None:
    """Clamping below at zero, and nothing else, is the ReLU."""
    names = ("threshold", "value") if name == "threshold" else ("min", "max")
    low, other = _bound(names, (None, None), rest, kwargs)
    if isinstance(low, Tensor) or isinstance(other, Tensor) or low is None:
        return None
    return ReLU() if low == 0 and other == (0 if name == "threshold" else None) else None


def _dropout(activation: Activation, p: float) -> Activation | None:
    """The activation with dropout after it."""
    return activation if p == 0 else _make(Dropout, {"activation": activation, "p": p})


def _chain(laws: Sequence[Activation | None]) -> Activation | None:
    """Laws one after the other: dropout commutes with what is positively homogeneous."""
    result: Activation | None = Linear()
    for each in laws:
        result = None if result is None or each is None else compose(result, each)
    return result


def compose(first: Activation, second: Activation) -> Activation | None:
    """Return the law of one activation after another; None where neither is linear.

    >>> compose(Dropout(Linear(), 0.5), ReLU())
    Dropout(activation=ReLU(), p=0.5)
    """
    if isinstance(second, Dropout):
        inner = compose(first, second.activation)
        return None if inner is None else _dropout(inner, second.p)
    if isinstance(first, Dropout):
        inner = compose(first.activation, second)
        return None if inner is None else _dropout(inner, first.p)
    if isinstance(second, Linear):
        return first
    return second if isinstance(first, Linear) else None
