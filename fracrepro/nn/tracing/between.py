"""What a signal passes between one layer and the next, for schemes that need to know more than the law."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from torch import nn

from fracrepro.nn.activations import DROPOUTS, call_law, law
from fracrepro.nn.schemes.plan import Step
from fracrepro.nn.tracing.record import Node
from fracrepro.theory.activations import Dropout, Linear

__all__ = ["AVERAGES", "alive", "call_step", "module_steps", "passage"]

#: Poolings that average over places, each channel by itself.
AVERAGES = ("avg_pool", "adaptive_avg_pool", "mean", "AvgPool", "AdaptiveAvgPool")


def alive(nodes: Sequence[Node], layers: Collection[Node], complete: bool) -> set[Node]:
    """Return the calls whose results reach a layer or the output; what is only printed is not among them."""
    if not complete:
        return set(nodes)
    found: set[Node] = set()
    for node in reversed(nodes):
        if node.output or any(child in found or child in layers for child in node.children):
            found.add(node)
    return found


def passage(
    node: Node, layers: Collection[Node], living: Collection[Node], kinds: dict[str, Collection[str]]
) -> tuple[tuple[Step, ...], list[Node]]:
    """Return what the result of a call passes, and the layers that it reaches.

    Args:
        node: the call.
        layers: the calls at which the way ends.
        living: the calls that count.
        kinds: names of functions by the kind of step that they are.
    """
    steps: dict[Step, None] = {}
    reached: dict[Node, None] = {}
    waiting, seen = [node], {node}
    for each in waiting:
        for child in each.children:
            if child in layers:
                reached[child] = None
            elif child not in seen and child in living:
                seen.add(child)
                waiting.append(child)
                step = call_step(child, kinds)
                if step is not None:
                    steps[step] = None
    return tuple(steps), list(reached)


def call_step(child: Node, kinds: dict[str, Collection[str]]) -> Step | None:
    """Return what a call on the way is, None for an activation."""
    name = child.name
    if len({parent for parent in child.parents if parent.signal}) > 1:
        return Step("sum" if name in kinds["shift"] else "join", name)
    if name in DROPOUTS.values():
        p, training = child.argument(1, "p", 0.5), child.argument(2, "training", True)
        return Step("dropout", name) if p and training else None
    if call_law(child.function, child.args, child.kwargs) is not None and name not in kinds["move"]:
        return None
    for kind, names in kinds.items():
        if name in names:
            averages = kind == "pool" and name.startswith(AVERAGES) and not _over_channels(child)
            return Step("average" if averages else kind, name)
    return Step("function", name)


def _over_channels(child: Node) -> bool:
    """Whether a mean is taken over the second dimension, that of the channels; poolings never do that."""
    if child.name != "mean":
        return False
    dims = child.argument(1, "dim")
    among = (dims,) if isinstance(dims, int) else dims
    return among is None or any(dim % child.argument(0, "input").ndim == 1 for dim in among)


def module_steps(
    modules: Iterable[nn.Module], kinds: dict[str, tuple[type[nn.Module], ...]]
) -> tuple[Step, ...]:
    """Return what the modules between two layers are, activations left out.

    Args:
        modules: in their order.
        kinds: classes by the kind of step that they are.
    """
    steps: dict[Step, None] = {}
    for module in modules:
        name, found = type(module).__name__, law(module)
        kind = next((kind for kind, classes in kinds.items() if isinstance(module, classes)), "function")
        if isinstance(found, Dropout):
            kind = "dropout"
        elif isinstance(found, Linear) or (found is not None and kind == "function"):
            continue
        steps[Step("average" if kind == "pool" and name.startswith(AVERAGES) else kind, name)] = None
    return tuple(steps)
