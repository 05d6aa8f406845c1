"""One call that initializes a whole model by a scheme, and says what it did to every parameter."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from fracrepro.arguments import choice
from fracrepro.errors import ArgumentError
from fracrepro.nn import schemes
from fracrepro.nn.init._shared import is_part
from fracrepro.nn.schemes.base import Scheme
from fracrepro.nn.schemes.plan import Entry, Plan, Slot
from fracrepro.nn.tracing import Found, find
from fracrepro.nn.tracing.order import GUESSED, UNSEEN, is_layer
from fracrepro.theory.activations import Activation, Linear, activation, check_activation, names

__all__ = ["initialize_"]

NO_LAYER = "belongs to no layer that schemes know"
Include = Callable[[str, nn.Module], bool]


@dataclass(frozen=True, eq=False)
class _Parameter:
    """A parameter under its first name, with its other names."""

    layer: str
    name: str
    module: nn.Module
    tensor: Tensor
    aliases: tuple[str, ...] = ()


def initialize_(
    model: nn.Module,
    scheme: str | Scheme = "fractional",
    *,
    batch: Any = None,
    generator: torch.Generator | None = None,
    bias: Literal["zero", "keep"] = "zero",
    include: Include | None = None,
    last: str | Activation = "linear",
    untreatable: Literal["raise", "keep"] = "raise",
    **options: Any,
) -> pd.DataFrame:
    r"""Initialize a model in place by one scheme and return what was done, one row a tensor.

    The scheme sees each linear layer and convolution with its fans and the activation that follows it.
    With a batch, what follows is seen in one run of the model in training mode; without one, or where that
    run does not come by, it is read off the order of the modules.
    Where that order is a guess, because a model has a forward pass of its own, a warning names the layers.
    Where nothing follows, the layer counts as linear; after the last layer `last` may say otherwise.
    Everything is planned and checked before the first parameter changes, and all but the weights and biases
    that the report names stays as it was: modes, buffers, ``.grad``, hooks, and the global generators if
    `generator` is given.

    Args:
        model: any module.
        scheme: a name from ``schemes.names()``, or a scheme.
        batch: the model's argument, a tuple of its arguments, or a dictionary of named ones.
        generator: source of the draws; None takes torch's global one, as `torch.nn.init` does.
        bias: ``"zero"`` sets the biases of the layers that are initialized to zero, unless the scheme has a
            rule of its own for them; ``"keep"`` keeps them all.
        include: is called with the name and the module of each layer; False leaves it alone.
        last: the activation that counts as following the last layers where none does, or its name.
        untreatable: ``"raise"`` refuses a model with a layer that the scheme cannot serve, ``"keep"`` leaves
            that layer alone.
        **options: options of the scheme, where `scheme` is a name.

    Returns:
        A data frame with the columns ``layer, parameter, shape, follows, found, gain, std, scheme, note``.
        `found` is ``"traced"`` or ``"module order"``.
        `std` is the prescribed standard deviation, nothing is measured; `gain` is its product with
        :math:`\sqrt{\text{fan_in}}`.
        What was left alone has NaN there, no scheme, and a note that says why.

    Raises:
        ArgumentError: before anything changes, for an unknown scheme, option or activation, a model without
            parameters or with parameters that cannot be filled (on the meta device, shared by processes, made
            in inference mode, entries that share memory), a batch that the model does not accept, and a layer
            that the scheme cannot serve.

    Source:
        The schemes name theirs; the rules for what follows a layer are ours, page
        :doc:`Initialize a model </book/initialize>`.

    >>> model = nn.Sequential(nn.Linear(50, 64), nn.ReLU(), nn.Linear(64, 10))
    >>> report = initialize_(model, "kaiming", generator=torch.Generator().manual_seed(0))
    >>> report["follows"].tolist(), report["std"].tolist()
    (['ReLU()', '', '', ''], [0.2, 0.0, 0.125, 0.0])
    """
    chosen = _scheme(scheme, options)
    parameters = _parameters(model)
    _check(chosen, batch, generator, bias, include, untreatable)
    if isinstance(last, str):
        output = activation(choice("last", last, names()))
    else:
        output = check_activation("last", last)
    found = find(model, batch)
    if not isinstance(output, Linear):
        found.slots = {key: _ends_with(slot, output) for key, slot in found.slots.items()}
    used = {*found.slots, *(id(slot.bias) for slot in found.slots.values())}
    left = {key: why for key, each in parameters.items() if (why := _left_alone(each, found, used, include))}
    slots = {
        key: replace(found.slots[key], layer=each.layer, parameter=each.name, module=each.module)
        for key, each in parameters.items()
        if key in found.slots and key not in left
    }
    executed = tuple(slots[key] for key in found.slots if key in slots)
    kept = _kept(left, slots, bias)
    plan = Plan(model, tuple(slots.values()), executed, batch, kept)
    entries = [entry for entry in chosen.prepare(plan) if entry.refusal or id(entry.tensor) not in kept]
    refused = [entry for entry in entries if entry.refusal]
    if refused and untreatable == "raise":
        raise ArgumentError(_refusal(chosen, refused))
    filled = [entry for entry in entries if not entry.refusal]
    biases = [] if bias == "keep" else _biases(filled, left)
    _check_memory(parameters, [*(entry.tensor for entry in filled), *biases])
    _warn(filled, refused)
    _carry_out(chosen, plan, filled, biases, generator)
    left |= {id(entry.tensor): f"left alone: {entry.refusal}" for entry in refused}
    return _report(chosen, parameters, found, left, filled, biases)


def _scheme(scheme: str | Scheme, options: dict[str, Any]) -> Scheme:
    """The scheme, made where a name is given."""
    if not isinstance(scheme, Scheme):
        return schemes.make(scheme, **options)
    if options:
        raise ArgumentError(f"{next(iter(options))}: need no options beside a scheme that is made already")
    return scheme


def _parameters(model: nn.Module) -> dict[int, _Parameter]:
    """The parameters by their id, in the model's order; ArgumentError for a model that cannot be filled."""
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"model = {model!r}: need a torch.nn.Module")
    found: dict[int, _Parameter] = {}
    for layer, module in model.named_modules(remove_duplicate=False):
        for name, tensor in module._parameters.items():
            if tensor is None:
                continue
            full = f"{layer}.{name}" if layer else name
            if is_lazy(tensor):
                raise ArgumentError(f"model: {full} is lazy, without a shape: run the model on a batch first")
            if tensor.is_meta:
                raise ArgumentError(f"model: {full} is on the meta device: need memory, see Module.to_empty")
            if tensor.is_inference() and not torch.is_inference_mode_enabled():
                raise ArgumentError(f"model: {full} was made in inference mode: need one that may be changed")
            if is_part(tensor):
                raise ArgumentError(f"model: several processes share {full}: initialize first, then shard")
            there = found.get(id(tensor))
            found[id(tensor)] = (
                _Parameter(layer, name, module, tensor)
                if there is None
                else replace(there, aliases=(*there.aliases, full))
            )
    if not found:
        raise ArgumentError(f"model = {type(model).__name__}: has no parameters")
    return found


def _check(
    scheme: Scheme, batch: Any, generator: Any, bias: str, include: Include | None, untreatable: str
) -> None:
    """Check the arguments that need no model."""
    choice("bias", bias, ("zero", "keep"))
    choice("untreatable", untreatable, ("raise", "keep"))
    if generator is not None and not isinstance(generator, torch.Generator):
        raise ArgumentError(f"generator = {generator!r}: need a torch.Generator or None")
    if include is not None and not callable(include):
        raise ArgumentError(f"include = {include!r}: need a function of a layer's name and module")
    if scheme.needs_data and batch is None:
        raise ArgumentError(f"batch = None: the scheme {scheme.name!r} needs one")


def _ends_with(slot: Slot, output: Activation) -> Slot:
    """The slot with this activation behind it, if it is a last one without any."""
    bare = slot.last and slot.follows is None and not slot.reason
    return (
        replace(slot, follows=output, note="; ".join(filter(None, [slot.note, "by choice"])))
        if bare
        else slot
    )


def _left_alone(parameter: _Parameter, found: Found, used: set[int], include: Include | None) -> str:
    """Why no scheme may fill a parameter; empty if one may."""
    key, tensor = id(parameter.tensor), parameter.tensor
    if include is not None and not include(parameter.layer, parameter.module):
        return "not included"
    if key in found.aside:
        return found.aside[key]
    if not tensor.requires_grad:
        return "frozen"
    if not tensor.is_floating_point() or tensor.itemsize < 2:
        return f"{tensor.dtype}: no law"
    if tensor.numel() == 0:
        return "empty"
    if key in used:
        return ""
    if is_layer(parameter.module):
        return "its weight is left alone" if parameter.name == "bias" else "a weight is computed from it"
    return NO_LAYER


def _kept(left: dict[int, str], slots: dict[int, Slot], bias: str) -> dict[int, str]:
    """What no scheme may touch: what is left alone but for parameters of no layer, and biases by choice."""
    own = {id(slot.bias): "kept" for slot in slots.values() if slot.bias is not None and bias == "keep"}
    return own | {key: why for key, why in left.items() if why != NO_LAYER}


def _biases(filled: Iterable[Entry], left: dict[int, str]) -> list[Tensor]:
    """The biases of the filled layers, as far as the scheme has not filled them itself."""
    done = {id(entry.tensor) for entry in filled}
    biases = [entry.slot.bias for entry in filled if entry.slot is not None]
    return [each for each in biases if each is not None and id(each) not in done and id(each) not in left]


def _check_memory(parameters: dict[int, _Parameter], tensors: Iterable[Tensor | None]) -> None:
    """ArgumentError for a tensor with several entries in one place, which cannot be filled."""
    for tensor in tensors:
        if tensor is not None and _overlaps(tensor):
            each = parameters[id(tensor)]
            name = f"{each.layer}.{each.name}" if each.layer else each.name
            raise ArgumentError(
                f"model: entries of {name} share memory (strides {tensor.stride()}): need one that can be "
                "filled, such as its clone"
            )


def _overlaps(tensor: Tensor) -> bool:
    """Whether two entries of a strided tensor may share memory: a step falls short of what lies below it."""
    if tensor.layout != torch.strided:
        return False
    reach = 0
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1:
            if stride <= reach:
                return True
            reach += stride * (size - 1)
    return False


def _refusal(scheme: Scheme, refused: Sequence[Entry]) -> str:
    """One line for the layers that the scheme cannot serve."""
    first, more = refused[0], len(refused) - 1
    others = f" (and {more} more like it)" if more else ""
    return (
        f"layer {first.layer!r}, scheme {scheme.name!r}: {first.refusal}{others}; "
        "untreatable='keep' leaves such layers alone"
    )


def _warn(filled: Sequence[Entry], refused: Sequence[Entry]) -> None:
    """Warn where there is nothing to initialize, and where the order of modules is a guess."""
    if not filled and not refused:
        warnings.warn("nothing is initialized; the notes of the report say why", UserWarning, stacklevel=3)
    guessed = _named(filled, GUESSED)
    if guessed:
        unseen = _named(filled, UNSEEN)
        more = f"; {unseen}: {UNSEEN}; counted as linear" if unseen else ""
        message = f"{guessed}: {GUESSED}; the order in which they were registered is taken{more}"
        warnings.warn(message, UserWarning, stacklevel=3)


def _named(entries: Sequence[Entry], note: str) -> str:
    """The layers whose weights have this note, the first three by name."""
    layers = [entry.layer for entry in entries if entry.slot is not None and note in entry.slot.note]
    return ", ".join(map(repr, layers[:3])) + (", …" if len(layers) > 3 else "")


def _carry_out(
    scheme: Scheme,
    plan: Plan,
    filled: Sequence[Entry],
    biases: Sequence[Tensor],
    generator: torch.Generator | None,
) -> None:
    """Fill the tensors; a scheme that fails half-way leaves the model as it was."""
    tensors = [entry.tensor for entry in filled if entry.tensor is not None]
    with torch.no_grad():
        before = [tensor.clone() for tensor in tensors] if scheme.can_fail else []
        try:
            scheme.fill(plan, filled, generator)
        except BaseException:
            for tensor, values in zip(tensors, before, strict=False):
                tensor.copy_(values)
            raise
        for tensor in biases:
            tensor.zero_()


def _report(
    scheme: Scheme,
    parameters: dict[int, _Parameter],
    found: Found,
    left: dict[int, str],
    filled: Sequence[Entry],
    biases: Sequence[Tensor],
) -> pd.DataFrame:
    """One row a parameter."""
    entries = {id(entry.tensor): entry for entry in filled}
    zeroed = {id(tensor) for tensor in biases}
    owners = {id(slot.bias): key for key, slot in found.slots.items() if slot.bias is not None}
    rows = []
    for key, each in parameters.items():
        row: dict[str, Any] = {"layer": each.layer, "parameter": each.name, "shape": tuple(each.tensor.shape)}
        row |= {"follows": "", "found": "", "gain": math.nan, "std": math.nan, "scheme": "", "note": ""}
        slot = found.slots.get(key)
        notes = [left.get(key, "") if key not in entries else ""]
        if slot is not None:
            row["follows"] = repr(slot.follows) if slot.follows else slot.follower
            row["found"] = "traced" if slot.traced else "module order"
            notes.append(slot.note)
        prescription = entries[key].prescription if key in entries else None
        if prescription is not None:
            row |= {"gain": prescription.gain, "std": prescription.std, "scheme": scheme.name}
            notes.append(prescription.note)
        elif key in zeroed:
            row |= {"std": 0.0, "scheme": scheme.name}
        elif key in owners and key not in left:
            notes.append("kept" if owners[key] in entries else "its weight is left alone")
        if each.aliases:
            notes.append(f"also {', '.join(each.aliases)}")
        rows.append(row | {"note": "; ".join(filter(None, notes))})
    return pd.DataFrame(rows).astype({"gain": float, "std": float})
