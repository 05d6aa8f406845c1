"""The layers of a model with what follows them, found in a run or from its modules."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from fracrepro.nn.schemes.plan import Slot
from fracrepro.nn.tracing import order
from fracrepro.nn.tracing.follow import FACTORS, LAYERS, Place, following, is_layer
from fracrepro.nn.tracing.reads import agree, call_reads
from fracrepro.nn.tracing.record import Node, record

__all__ = ["Found", "find"]

ATTENTION, EMBEDDING = "attention: no law", "embedding: no law"
ELSEWHERE = "the run uses it in another way than as the weight of a layer: no law"
# Of modules; what is inside them belongs to them.
KINDS: dict[tuple[type[nn.Module], ...], str] = {
    (nn.MultiheadAttention,): ATTENTION,
    (nn.Embedding, nn.EmbeddingBag): EMBEDDING,
    (nn.RNNBase, nn.RNNCellBase): "recurrent: no law",
    order.NORMALIZATIONS: "normalization: no law",
    (ParametrizationList,): "a weight is computed from it",
    (torch.jit.ScriptModule,): "compiled by TorchScript: its layers cannot be seen",
}


@dataclass
class Found:
    """Weights of layers by the id of the tensor, and what the other parameters are.

    Attributes:
        slots: the weights that layers apply, in the order in which they are applied as far as that is known.
        aside: parameters that no scheme fills, with the reason.
        reached: the parameters among the arguments of any call of a run.
        elsewhere: those of them that enter a product in another way than as the weight of a layer.
    """

    slots: dict[int, Slot] = field(default_factory=dict)
    aside: dict[int, str] = field(default_factory=dict)
    reached: set[int] = field(default_factory=set)
    elsewhere: set[int] = field(default_factory=set)

    def add(self, slot: Slot) -> None:
        """Add one use of a weight."""
        key = id(slot.tensor)
        self.slots[key] = _shared(self.slots[key], slot) if key in self.slots else slot


def find(model: nn.Module, batch: Any = None) -> Found:
    """Return the layers of a model and what follows each, in a run on `batch` where one is given.

    Layers that the run does not reach are taken from the order of the modules.
    The model and all global generators are left as they were.

    Raises:
        ArgumentError: when the model does not accept the batch.
    """
    result = from_modules(model)
    if batch is not None:
        seen = from_run(model, batch)
        missed = {
            key: replace(
                slot, guessed=True, note="; ".join(filter(None, ["not reached by the batch", slot.note]))
            )
            for key, slot in result.slots.items()
            if key not in seen.slots
        }
        slots = seen.slots | missed
        elsewhere = dict.fromkeys(seen.reached & set(missed) | seen.elsewhere & set(slots), ELSEWHERE)
        result = Found(slots, elsewhere | result.aside | seen.aside)
    result.slots = {key: slot for key, slot in result.slots.items() if key not in result.aside}
    return result


def from_run(model: nn.Module, batch: Any) -> Found:
    """Return what a run of the model on a batch shows."""
    nodes, complete = record(model, batch)
    found = Found()
    for node in nodes:
        given = {id(parameter) for parameter in _parameters(node)}
        found.reached |= given
        found.elsewhere |= {key for key in given if _enters_a_product(node, key)}
        if node.name in {"embedding", "embedding_bag"}:
            found.aside |= {id(parameter): EMBEDDING for parameter in _parameters(node)}
    for node, place in following(nodes, complete).items():
        weight = node.argument(1, "weight")
        if node.name not in LAYERS or not isinstance(weight, nn.Parameter):
            continue
        if place.following.attention:
            found.aside[id(weight)] = ATTENTION
            continue
        slot = _slot(weight, node.argument(2, "bias"), place, **_geometry(node, weight))
        sources = [_weight_of(each) for each in place.fed_by]
        fed_by = tuple({id(each): each for each in sources}.values())
        found.add(replace(slot, traced=True, fed_by=fed_by, reads=call_reads(node)))
    return found


def from_modules(model: nn.Module) -> Found:
    """Return what the modules and their order say."""
    found = Found()
    for module, place in order.module_order(model):
        weight = module._parameters.get("weight")
        if weight is not None:  # else it is computed from other parameters
            transposed = bool(getattr(module, "transposed", False))
            stride = getattr(module, "stride", ()) if transposed else ()
            groups = int(getattr(module, "groups", 1))
            slot = _slot(weight, module._parameters.get("bias"), place, transposed, groups, stride)
            fed_by = tuple(
                each._parameters.get("weight") if order.is_layer(each) else None for each in place.fed_by
            )
            found.add(replace(slot, fed_by=fed_by))
    for kinds, reason in KINDS.items():
        for module in model.modules():
            if isinstance(module, kinds):
                found.aside |= {id(parameter): reason for parameter in module.parameters()}
    return found


def _slot(
    weight: Tensor,
    bias: Any,
    place: Place,
    transposed: bool = False,
    groups: int = 1,
    stride: tuple[int, ...] = (),
) -> Slot:
    """The slot of one use of a weight."""
    rows, columns, *kernel = weight.shape
    n_out, n_in = (columns, rows // groups) if transposed else (rows // groups, columns)
    found = place.following
    return Slot(
        (n_out, n_in, *kernel),
        follows=None if found.reason else found.follows,
        groups=groups,
        stride=tuple(stride),
        transposed=transposed,
        tensor=weight,
        bias=bias if isinstance(bias, nn.Parameter) else None,
        follower=found.name,
        reason=found.reason,
        note="; ".join(found.notes),
        guessed=place.guessed,
        first=place.first,
        last=place.last,
        through=place.through,
        reads=place.reads,
    )


def _weight_of(node: Node) -> Tensor | None:
    """The weight that a call of a layer applies, None where it is none of a layer that schemes know."""
    weight = node.argument(1, "weight")
    return weight if node.name in LAYERS and isinstance(weight, nn.Parameter) else None


def _geometry(node: Node, weight: Tensor) -> dict[str, Any]:
    """Groups and stride of a convolution, from the arguments of its call."""
    if node.name == "linear":
        return {}
    transposed = "transpose" in node.name
    stride = node.argument(3, "stride", 1) if transposed else ()
    if isinstance(stride, int):
        stride = (stride,) * (weight.ndim - 2)
    return {
        "transposed": transposed,
        "groups": node.argument(6, "groups", 1),
        "stride": stride,
    }


def _shared(first: Slot, second: Slot) -> Slot:
    """One weight that is used twice: the law must be the same, or there is none."""
    note = "; ".join(dict.fromkeys(filter(None, [first.note, second.note])))
    merged = replace(
        first,
        note=note,
        guessed=first.guessed or second.guessed,
        first=first.first or second.first,
        last=first.last and second.last,
        mixed=first.mixed or second.mixed or (first.first, first.last) != (second.first, second.last),
        through=tuple(dict.fromkeys([*first.through, *second.through])),
        fed_by=tuple({id(each): each for each in [*first.fed_by, *second.fed_by]}.values()),
        reads=agree(first.reads, second.reads),
    )
    same = (first.follows, first.reason, first.shape) == (second.follows, second.reason, second.shape)
    if same or first.reason:
        return merged
    ways = [repr(each.follows) if each.follows else "nothing" for each in (first, second)]
    reason = second.reason or f"used twice, followed by {' and by '.join(ways)}; a weight has one scale"
    return replace(merged, follows=None, follower=second.follower, reason=reason)


def _enters_a_product(node: Node, key: int) -> bool:
    """Whether a parameter that a call is given multiplies a signal, other than as the weight of a layer."""
    waiting, done = [node], {node}
    while waiting:
        each = waiting.pop()
        if each.signal:
            layer = each.name in LAYERS
            own = [each.argument(1, "weight"), each.argument(2, "bias")] if layer else []
            if (is_layer(each) or each.name in FACTORS) and not any(id(tensor) == key for tensor in own):
                return True
        else:
            waiting += [child for child in each.children if child not in done]
            done |= set(each.children)
    return False


def _parameters(node: Node) -> list[nn.Parameter]:
    """The parameters among the arguments of a call, lists of them included."""
    values = [*node.args, *node.kwargs.values()]
    flat = [item for value in values for item in (value if isinstance(value, (list, tuple)) else [value])]
    return [value for value in flat if isinstance(value, nn.Parameter)]
