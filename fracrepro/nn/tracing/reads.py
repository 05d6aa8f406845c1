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

_Matrices = tuple[Tensor, ...]
SEVERAL_STEPS = "several time steps, for which the rule is not derived"


def call_reads(node: Node) -> Reads:
    """Return what a call of a layer reads, and the matrices that its output passes, in a run."""
    found = Reads()
    for k, each in enumerate(_sources(node)):
        found = each if k == 0 else agree(found, each)
    return found._replace(matrices=(*found.matrices, *_matrices_behind(node)))


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
    return Reads(reason="what it reads is of different kinds, and a weight has one scale")


def _sources(node: Node) -> Iterator[Reads]:
    """Every signal that a call of a layer is given, by the calls that made it."""
    # With a call: the matrices behind the last sum, which can be no other layer's, and those before it.
    waiting: list[tuple[Node, _Matrices, _Matrices]] = [(parent, (), ()) for parent in _signals(node)]
    seen: set[Any] = set()
    for each, own, since in waiting:
        state = (each, *map(id, own), None, *map(id, since))
        if state in seen:
            continue
        seen.add(state)
        theta = _call_threshold(each)
        if is_layer(each):
            yield Reads(None, own)
        elif theta is not None:
            stepwise = each.function is integrate_and_fire or isinstance(each.function, IntegrateAndFire)
            yield Reads(theta, (*since, *own), SEVERAL_STEPS if stepwise else "")
        elif each.name == "input" or _call_bends(each):
            yield Reads(None, (*since, *own))
        else:
            matrix, parents = _matrix(each), _signals(each)
            since = since if matrix is None else (matrix, *since)
            kept = ((*since, *own), ()) if len(parents) > 1 else (own, since)
            waiting += [(parent, *kept) for parent in parents]


def _signals(node: Node) -> list[Node]:
    """The calls that made the signals of a call, each once, but for a matrix that is an input."""
    makers = [parent for parent in node.parents if parent.signal]
    matrix = _matrix(node)
    made = zip(makers, node.signals, strict=True)
    return list(dict.fromkeys(maker for maker, tensor in made if tensor is not matrix))


def _matrices_behind(node: Node) -> Iterator[Tensor]:
    """The matrices that the output of a layer passes up to a sum or an activation, on the first way."""
    while True:
        following = [child for child in node.children if not is_layer(child)]
        if not following or len(_signals(following[0])) > 1:
            return
        node = following[0]
        if _call_bends(node) or _call_threshold(node) is not None:
            return
        matrix = _matrix(node)
        if matrix is not None:
            yield matrix


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
