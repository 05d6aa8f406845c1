"""What a layer reads: spikes of threshold units, or rows that a fixed matrix has mixed.

Activations and layers end the way back from a layer; so a matrix between two activations belongs to the layer
that stands between them, before or behind the matrix.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn

from fracrepro.nn.activations import call_law, law
from fracrepro.nn.networks.graph import Aggregate
from fracrepro.nn.networks.spiking import IntegrateAndFire, integrate_and_fire, spike, threshold_of
from fracrepro.nn.schemes.plan import Reads
from fracrepro.nn.tracing.follow import MOVES, PRODUCTS, is_layer
from fracrepro.nn.tracing.record import Node
from fracrepro.theory.activations import Linear

__all__ = ["agree", "call_reads", "module_reads"]

SEVERAL_STEPS = "several time steps, for which the rule is not derived"


def call_reads(node: Node) -> Reads:
    """Return what a call of a layer reads, and the matrices that its output passes, in a run."""
    found = _merged([_back(parent, ()) for parent in node.parents if parent.signal])
    behind = tuple(_matrices_behind(node))
    return found._replace(matrices=(*found.matrices, *behind))


def module_reads(before: Iterable[nn.Module], behind: Iterable[nn.Module]) -> Reads:
    """Return what a layer reads by the modules around it.

    Args:
        before: the modules up to the layer, in their order.
        behind: those from there to the next layer.
    """
    found, matrices = Reads(), []
    for module in reversed(list(before)):
        theta = threshold_of(module)
        if theta is not None:
            found = Reads(theta, note=SEVERAL_STEPS if isinstance(module, IntegrateAndFire) else "")
            break
        if isinstance(module, Aggregate):
            matrices.append(module.aggregation)
        elif isinstance(module, nn.Linear) or any(each.ndim > 1 for each in module.parameters()):
            matrices = []  # they stand behind a layer without an activation, and are that layer's
            break
        elif _bends(law(module)):
            break
    for module in behind:
        if isinstance(module, Aggregate):
            matrices.append(module.aggregation)
        elif _bends(law(module)) or threshold_of(module) is not None:
            break
    return found._replace(matrices=tuple(matrices))


def agree(first: Reads, second: Reads) -> Reads:
    """Return what both uses of one weight read; with a reason where they differ."""
    same = [id(each) for each in first.matrices] == [id(each) for each in second.matrices]
    if same and first.threshold == second.threshold:
        return first if first.note else second
    if first.reason or second.reason:
        return first if first.reason else second
    return Reads(reason="used several times, on inputs of different kinds; a weight has one scale")


def _back(node: Node, matrices: tuple[Tensor, ...]) -> Reads:
    """What a signal is, by the calls that made it."""
    if is_layer(node):
        return Reads()
    theta = _call_threshold(node)
    if theta is not None:
        stepwise = node.function is integrate_and_fire or isinstance(node.function, IntegrateAndFire)
        return Reads(theta, matrices, SEVERAL_STEPS if stepwise else "")
    if node.name == "input" or _call_bends(node):
        return Reads(None, matrices)
    matrix = _matrix(node)
    made = [parent for parent in node.parents if parent.signal]
    parents = [parent for parent, tensor in zip(made, node.signals, strict=True) if tensor is not matrix]
    if matrix is not None:
        matrices = (matrix, *matrices)
    return _merged([_back(parent, matrices) for parent in dict.fromkeys(parents)])


def _merged(found: list[Reads]) -> Reads:
    """What a sum, or any other function of several signals, is."""
    result = found[0] if found else Reads()
    for each in found[1:]:
        result = agree(result, each)
    return result


def _matrices_behind(node: Node) -> Iterator[Tensor]:
    """The matrices that the output of a layer passes before anything bends it, on the first way there."""
    while True:
        following = [child for child in node.children if not is_layer(child)]
        if not following or _call_bends(following[0]) or _call_threshold(following[0]) is not None:
            return
        matrix = _matrix(following[0])
        if matrix is not None:
            yield matrix
        node = following[0]


def _matrix(node: Node) -> Tensor | None:
    """The square matrix from the left of a product, where it is fixed or an input of the model."""
    if node.name not in PRODUCTS or is_layer(node) or len(node.args) < 2:
        return None
    left = node.args[0]
    square = isinstance(left, Tensor) and left.ndim == 2 and left.shape[0] == left.shape[1]
    if not square or not left.dtype.is_floating_point or left is node.args[1]:
        return None
    made = [parent for parent in node.parents if parent.signal]
    makers = [parent for parent, tensor in zip(made, node.signals, strict=True) if tensor is left]
    return None if any(maker.layered or is_layer(maker) for maker in makers) else left


def _call_threshold(node: Node) -> float | None:
    """The threshold of a call of threshold units."""
    if node.function is spike:
        return float(node.argument(1, "threshold", 1.0))
    if node.function is integrate_and_fire:
        return float(node.argument(2, "threshold", 1.0))
    return threshold_of(node.function)


def _call_bends(node: Node) -> bool:
    """Whether a call applies an activation."""
    return node.name not in MOVES and _bends(call_law(node.function, node.args, node.kwargs))


def _bends(found: Any) -> bool:
    return found is not None and not isinstance(found, Linear)
