"""What follows each layer, read off the recorded calls of a run.

The rules are those of book/initialize.md; the tables below name the functions of torch that they speak of.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch.nn import Parameter

from fracrepro.nn.activations import DROPOUTS, call_law, compose
from fracrepro.nn.schemes.plan import Reads, Step
from fracrepro.nn.tracing.between import alive, passage
from fracrepro.nn.tracing.record import Node
from fracrepro.theory.activations import Activation, Dropout, Linear

__all__ = ["FACTORS", "LAYERS", "SUMMED", "Following", "Place", "following", "is_layer"]

LAYERS = {"linear", *(f"conv{kind}{d}d" for kind in ("", "_transpose") for d in (1, 2, 3))}
# Layers that no scheme serves.
BLOCKS = {
    *("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"),
    *("bilinear", "multi_head_attention_forward"),
}
PRODUCTS = {
    *("matmul", "mm", "mv", "bmm", "baddbmm", "addmm", "einsum", "tensordot", "sparse_mm", "spmm"),
    "scaled_dot_product_attention",
}
# A function that leaves the law of what comes after it alone: it moves numbers, averages them, or rescales.
NORMALIZATIONS = {
    *("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm"),
    *("local_response_norm", "normalize"),
}
POOLS = {
    *(f"{kind}_pool{d}d" for kind in ("max", "avg", "lp", "adaptive_max", "adaptive_avg") for d in (1, 2, 3)),
    *("mean", "sum", "interpolate", "upsample"),
}
MOVES = {
    *("view", "view_as", "reshape", "reshape_as", "flatten", "unflatten", "ravel", "squeeze", "unsqueeze"),
    *("permute", "transpose", "t", "T", "mT", "swapaxes", "swapdims", "movedim", "moveaxis", "contiguous"),
    *("clone", "detach", "data", "to", "type", "type_as", "float", "double", "half", "bfloat16", "cpu"),
    *("cuda", "pin_memory", "expand", "expand_as", "repeat", "repeat_interleave", "tile", "roll", "flip"),
    *("pad", "constant_pad_nd", "chunk", "split", "tensor_split", "unbind", "select", "narrow", "getitem"),
    *("setitem", "index_select", "gather", "take_along_dim", "masked_fill", "cat", "concat", "concatenate"),
    *("stack", "hstack", "vstack", "dstack", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle"),
    *("unfold", "fold", "neg", "index_add", "index_copy", "index_put", "scatter", "scatter_add"),
    *("scatter_reduce",),
}
SUMS = {"add", "sub", "lerp"}
FACTORS = {"mul", "div", "multiply", "divide"}
STEPS: dict[str, Collection[str]] = {
    **{"normalization": NORMALIZATIONS, "pool": POOLS, "move": MOVES, "shift": SUMS, "factor": FACTORS},
    "matrix": PRODUCTS,
}


@dataclass(frozen=True)
class Following:
    """What happens to a tensor next: an activation, nothing, or something without a law.

    Attributes:
        law: the activation, None for none; with a reason, what stands before the function without a law.
        dropouts: probabilities of the dropouts before the next layer.
        name: of a function without a law.
        reason: why there is no law.
        attention: whether the tensor enters a product with another signal as a whole.
        notes: what stands between.
    """

    law: Activation | None = None
    dropouts: tuple[float, ...] = ()
    name: str = ""
    reason: str = ""
    attention: bool = False
    notes: tuple[str, ...] = ()

    @property
    def follows(self) -> Activation | None:
        """The law with its dropouts."""
        result = self.law
        for p in self.dropouts:
            result = Dropout(result or Linear(), p)
        return result

    def noting(self, note: str) -> Following:
        """The same with one more note."""
        return self if note in self.notes else replace(self, notes=(note, *self.notes))


NOTHING = Following()
DEAD = Following(reason="its output goes where a run cannot follow it")
SUMMED = "added to another signal"
WITHOUT = "goes on without the activation too"
FORK = Step("fork", "with and without its activation")
SOME_PATHS = "dropout on some of the paths only: not counted"


class Place(NamedTuple):
    """Where a layer stands: what follows, whether it is a first or a last one, what its output passes.

    `fed_by` holds what the layers are named by whose output it reads: calls, or modules.
    """

    following: Following
    first: bool
    last: bool
    through: tuple[Step, ...] = ()
    fed_by: tuple[Any, ...] = ()
    guessed: bool = False
    reads: Reads = Reads()


def following(nodes: Sequence[Node], complete: bool = True) -> dict[Node, Place]:
    """Return what follows each call of a layer, by the calls in their order.

    Args:
        nodes: the calls.
        complete: whether these are all calls of the run.
    """
    for node in nodes:
        node.layered = any(parent.layered or is_layer(parent) for parent in node.parents)
    after: dict[Node, Following] = {}
    feeds: set[Node] = set()  # whose result reaches another layer
    for node in reversed(nodes):
        if any(child in feeds or is_layer(child) for child in node.children):
            feeds.add(node)
        after[node] = _combine([_next(child, node, after) for child in node.children], node.output)
    layers = [node for node in nodes if is_layer(node)]
    living = alive(nodes, set(layers), complete)
    ways = {node: passage(node, set(layers), living, STEPS) for node in layers}
    fed_by: dict[Node, list[Node]] = {node: [] for node in layers}
    for node, (_, reached) in ways.items():
        for other in reached:
            fed_by[other].append(node)
    return {
        node: Place(
            _last(after[node], node in feeds, complete),
            first=not node.layered,
            last=node not in feeds,
            through=(*ways[node][0], *([FORK] if WITHOUT in after[node].notes else [])),
            fed_by=tuple(fed_by[node]),
        )
        for node in layers
    }


def is_layer(node: Node) -> bool:
    """Whether a call applies weights: what comes before it has been followed to its end."""
    if node.name in PRODUCTS:
        return node.signal and (
            any(parent.parametric for parent in node.parents)
            or any(isinstance(argument, Parameter) for argument in node.args)
        )
    return node.name in LAYERS or node.name in BLOCKS


def _next(child: Node, node: Node, after: dict[Node, Following]) -> Following:
    """What one use of a tensor does with it."""
    name, others = child.name, [parent for parent in child.parents if parent.signal and parent is not node]
    if is_layer(child):
        return NOTHING
    if after[child] == DEAD:  # a figure that is printed or stored
        return DEAD
    law = call_law(child.function, child.args, child.kwargs)
    if law is not None and not _passes(child):
        return _then(law, after[child])
    if name in PRODUCTS:
        with_itself = child.parents.count(node) > 1
        if with_itself or any(other.layered or is_layer(other) for other in others):
            return Following(attention=True)
        return after[child].noting(f"through {name}")
    if name in SUMS and others:
        return NOTHING.noting(SUMMED)
    if _passes(child):
        if _chooses_by_itself(child, node):
            reason = f"changed or chosen by its own values ({name}), for which there is no law"
            return Following(name=name, reason=reason)
        return _through(child, after[child])
    if name in SUMS:
        return after[child]
    if name in FACTORS:
        return _scaled(child, node, after[child])
    return Following(name=name, reason=f"followed by {name}, for which there is no law")


def _then(law: Activation, rest: Following) -> Following:
    """An activation, and what follows behind it up to the next layer."""
    if rest.attention:
        return rest
    notes = tuple("goes on through a second function too" if n == WITHOUT else n for n in rest.notes)
    if rest.reason:  # at the output the activation counts, and what refuses is an output function
        return replace(rest, law=law, notes=notes)
    both = law if rest.law is None else compose(law, rest.law)
    if both is None:
        name = repr(rest.law)
        reason = f"followed by {law!r} and then by {name}, for which there is no law"
        return Following(law, name=name, reason=reason, notes=notes)
    return Following(both, rest.dropouts, notes=notes)


def _chooses_by_itself(child: Node, node: Node) -> bool:
    """Whether a mask or an index of a call comes of the output of the same layer as the tensor it acts on."""
    if not child.choosers or child.name not in MOVES:
        return False
    same = {each for each in _back_to_layer(node) if each.layered or is_layer(each)}
    return any(each in same for chooser in child.choosers for each in _back_to_layer(chooser))


def _back_to_layer(node: Node) -> set[Node]:
    """A tensor and all that it is made of, back to the layers before it."""
    found, waiting = {node}, [node]
    while waiting:
        each = waiting.pop()
        for parent in () if is_layer(each) else each.parents:
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found


def _scaled(child: Node, node: Node, rest: Following) -> Following:
    """What follows a factor or a divisor: a constant one passes, the signal itself does not."""
    signals = [parent for parent in child.parents if parent.signal]
    if any(parent is not node for parent in signals):
        return Following(name=child.name, reason="multiplied by another signal, for which there is no law")
    if len(signals) > 1:
        return Following(name=child.name, reason="multiplied by itself, for which there is no law")
    if child.name in {"div", "divide"} and _divides(child):
        return Following(name=child.name, reason="a divisor, for which there is no law")
    return rest


def _divides(child: Node) -> bool:
    """Whether the signal is what is divided by."""
    reverse = getattr(child.function, "__name__", "") in {"__rdiv__", "__rtruediv__"}
    dividend = child.argument(1 if reverse else 0, "input")
    return not any(made is dividend for made in child.signals)


def _passes(child: Node) -> bool:
    """Whether a call lets the signal pass."""
    return child.name in MOVES or child.name in NORMALIZATIONS or child.name in POOLS or _drops_out(child)


def _drops_out(child: Node) -> bool:
    return child.name in DROPOUTS.values()


def _through(child: Node, rest: Following) -> Following:
    """What follows a call that lets the signal pass."""
    if child.name in NORMALIZATIONS or child.name in POOLS:
        return rest.noting(f"through {child.name}")
    p = _probability(child)
    return rest if p is None else _with_dropouts(rest, [(p, *rest.dropouts)])


def _probability(child: Node) -> float | None:
    """The probability of a dropout in training mode."""
    if not _drops_out(child) or not child.argument(2, "training", True):
        return None
    return float(child.argument(1, "p", 0.5)) or None


def _combine(uses: list[Following], output: bool) -> Following:
    """All uses of one tensor: attention first, then the signal that goes on as it is, then activations."""
    if output:
        uses = [*uses, NOTHING]
    uses = [use for use in uses if use != DEAD]
    if not uses:
        return DEAD
    attention = [use for use in uses if use.attention]
    plain = [use for use in uses if use.law is None and not use.reason]
    refused = [use for use in uses if use.reason]
    if attention:
        return attention[0]
    if plain:
        found = _with_dropouts(plain[0], [use.dropouts for use in plain])
        return found if len(plain) == len(uses) else found.noting(WITHOUT)
    if refused:
        return refused[0]
    laws = list(dict.fromkeys(use.law for use in uses))
    if len(laws) > 1:
        named = " and by ".join(map(repr, laws))
        return Following(name=named, reason=f"followed by {named}; a weight has one scale")
    return _with_dropouts(uses[0], [use.dropouts for use in uses])


def _with_dropouts(found: Following, paths: list[tuple[float, ...]]) -> Following:
    """The dropouts that all paths share; they count for nothing where paths differ."""
    dropouts = paths[0]
    if any(path != dropouts for path in paths):
        return replace(found, dropouts=()).noting(SOME_PATHS)
    if any(p >= 1.0 for p in dropouts):
        return Following(name="dropout", reason="followed by dropout with p = 1, which leaves nothing")
    return replace(found, dropouts=dropouts)


def _last(found: Following, feeds: bool, complete: bool) -> Following:
    """At the last layer a function without a law is an output function, and nothing follows."""
    if found == DEAD and complete:
        return NOTHING.noting("its output is not used")
    if feeds or not found.name:
        return found
    return Following(found.law, notes=(*found.notes, f"{found.name} at the output"))
