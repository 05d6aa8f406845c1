"""One call that says what every layer of a model does to a batch and to a gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from fracrepro.errors import ArgumentError
from fracrepro.nn.diagnosis.expected import Expectation
from fracrepro.nn.diagnosis.watch import Loss, Measure, Watcher, bends, drops_out, is_row, named, send_back
from fracrepro.nn.tracing import follow
from fracrepro.nn.tracing.follow import Following
from fracrepro.nn.tracing.preserve import preserved
from fracrepro.nn.tracing.record import Node, tensors
from fracrepro.theory.activations import Linear

__all__ = ["COLUMNS", "check_generator", "check_model", "diagnose", "in_mode"]

#: The columns of a diagnosis.
COLUMNS = (
    *("layer", "kind", "follows", "shape", "log_norm", "log_norm_sd", "gradient_log_norm"),
    *("gradient_log_norm_sd", "dead", "cosine", "expected", "expected_sd", "given", "note"),
)
# Functions that keep every number of a signal, so that its norms are what they were.
KEEPING = {
    *("view", "view_as", "reshape", "reshape_as", "flatten", "unflatten", "ravel", "squeeze", "unsqueeze"),
    *("contiguous", "clone", "detach", "to", "type", "type_as", "float", "double"),
}
# Functions that may stand between a layer and the activation that follows it.
PASSING = follow.MOVES | follow.NORMALIZATIONS | follow.POOLS | follow.FACTORS | follow.SUMS


def diagnose(
    model: nn.Module,
    batch: Any,
    *,
    training: bool | None = None,
    loss: Loss | None = None,
    generator: torch.Generator | None = None,
) -> pd.DataFrame:
    r"""Return what each layer does to a batch and to a gradient, one row a call of a layer, in their order.

    The signal of a layer is its output, behind the activation and the dropout that follow it where these are
    known, and whatever stands between; without an activation it is the output itself, before a sum with
    another signal and before an output function.
    All dimensions but the first count for its norm.

    ======================== =================================================================================
    ``layer, kind``          name of the module that holds the weight, and the function of torch
    ``follows``              the activation, as in the report of `initialize_`
    ``shape``                of the signal of one input
    ``log_norm``             mean over the inputs of the log of the norm; those with norm zero are left out,
                             and `note` counts them
    ``log_norm_sd``          standard deviation of it over the inputs
    ``gradient_log_norm``    the same of the gradient at the signal; then its standard deviation
    ``dead``                 share of the units (channels of a convolution) that are zero for all inputs
    ``cosine``               mean cosine between the signals of two different inputs
    ``expected``             what the law of the one-layer factor expects for `log_norm`, for linear layers:
                             given the sizes of the weights, and the input of the layer that `given` names
    ``expected_sd``          standard deviation of the log-norm of one input, over weights of these sizes
    ======================== =================================================================================

    Exact is the expectation for independent normal weights, and for Haar-distributed orthogonal ones.
    Orthogonal matrices are recognized, and `note` says that the law is for Haar-distributed ones, since an
    identity, a permutation or a Hadamard matrix cannot be told from them; mirrored weights, as looks-linear
    and RISOTTO have, are recognized too and have no expectation.
    For a weight that was trained it says what a random one of the same size would do.
    It starts anew behind what has no law, and with every bias that is not zero.
    The gradient is that of :math:`\sum v \cdot f(x)` with fixed normal :math:`v`, or of a loss.

    Args:
        model: any module; it is left as it was: modes, buffers, ``.grad``, hooks, global generators.
        batch: its only argument, a tuple of its arguments, or a dictionary of named ones; the first dimension
            of every signal counts the inputs.
        training: True and False set the mode of all modules for the run; None takes them as they are.
        loss: a function of the model's output, to a scalar; None takes :math:`\sum v \cdot f(x)`, for which
            the rows of the gradient belong to the inputs as long as these do not mix.
        generator: source of :math:`v`; None always takes the same.

    Returns:
        A data frame with the columns above, and ``note``.

    Raises:
        ArgumentError: before anything runs, for a model that is no module or has lazy parameters or ones on
            the meta device; for a model that does not accept the batch, or in which a run shows no layer; for
            a loss without a gradient.

    Source:
        Ours; the expectation is derived on page 16, thm-diagnosis-expected.

    >>> model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False))
    >>> _ = nn.init.eye_(model[0].weight), nn.init.ones_(model[2].weight)
    >>> report = diagnose(model, torch.tensor([[3.0, 4.0, -1.0, -1.0], [0.0, 1.0, -1.0, -1.0]]))
    >>> report["layer"].tolist(), report["follows"].tolist(), report["dead"].tolist()
    (['0', '2'], ['ReLU()', ''], [0.5, 0.0])
    >>> bool(np.isclose(report["log_norm"][0], (np.log(5) + np.log(1)) / 2))
    True
    """
    check_model(model)
    check_generator(generator)
    if loss is not None and not callable(loss):
        raise ArgumentError(f"loss = {loss!r}: need a function of the model's output, or None")
    if training not in (True, False, None):
        raise ArgumentError(f"training = {training!r}: need True, False or None")
    sizes = [len(tensor) for tensor in tensors(batch) if tensor.ndim]
    if sizes and not sizes[0]:
        raise ArgumentError("batch: has no input; need at least one")
    with in_mode(model, training):
        watcher = send_back(model, batch, loss, generator)
    places = follow.following(watcher.nodes, watcher.complete)
    rows = [node for node in watcher.nodes if node in watcher.measured and is_row(node)]
    if not rows:
        raise ArgumentError(f"model = {type(model).__name__}: a run shows no layer in it")
    return _Reader(model, watcher, places, sizes[0] if sizes else 1).frame(rows)


@contextmanager
def in_mode(model: nn.Module, training: bool | None) -> Iterator[None]:
    """Let a model run with gradients in a mode, and leave it as it was."""
    with preserved(model), torch.inference_mode(False), torch.enable_grad():
        if training is not None:
            model.train(training)
        yield


def check_model(model: object) -> None:
    """Raise ArgumentError for what is no module, or one whose parameters have no values yet."""
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"model = {model!r}: need a torch.nn.Module")
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(tensor) or tensor.is_meta:
            where = "lazy, without a shape: run the model on a batch first" if is_lazy(tensor) else "on meta"
            raise ArgumentError(f"model: {name} is {where}; need values")


def check_generator(generator: object) -> None:
    """Raise ArgumentError for what is neither a generator of torch nor None."""
    if generator is not None and not isinstance(generator, torch.Generator):
        raise ArgumentError(f"generator = {generator!r}: need a torch.Generator or None")


class _Reader:
    """Makes rows of what has been watched."""

    def __init__(self, model: nn.Module, watcher: Watcher, places: dict[Node, Any], inputs: int) -> None:
        self.watcher, self.places, self.inputs = watcher, places, inputs
        self.name_of = named(model)
        self.used: set[int] = set()  # weights that earlier calls have applied
        self.expectations: dict[Node, Expectation] = {}  # by the call that makes the signal

    def frame(self, nodes: Sequence[Node]) -> pd.DataFrame:
        """One row a call."""
        frame = pd.DataFrame([self._row(node) for node in nodes], columns=list(COLUMNS))
        return frame.astype(dict.fromkeys(COLUMNS[4:12], float))

    def _row(self, node: Node) -> dict[str, Any]:
        found = self.places[node].following if node in self.places else follow.NOTHING
        maker = _signal(node, found)
        measure = self.watcher.measured[maker]
        name = self.name_of(node)
        expectation = self._expect(node, found, name, measure)
        self.expectations[maker] = expectation
        log_norm, sd, silent = _summary(measure.norms)
        gradient, gradient_sd, _ = _summary(measure.gradients)
        alive = measure.norms > 0
        usable = expectation.given is not None and alive.any()
        notes = [*found.notes, expectation.note]
        if silent:
            notes.append(f"zero for {silent} of {len(measure.norms)} inputs")
        if len(measure.norms) != self.inputs:
            notes.append(f"its first dimension counts {len(measure.norms)}, not the {self.inputs} inputs")
        if not len(measure.gradients):
            notes.append("no gradient comes back to it")
        return {
            "layer": name,
            "kind": node.name,
            "follows": repr(found.follows) if found.follows else found.name,
            "shape": measure.shape,
            "log_norm": log_norm,
            "log_norm_sd": sd,
            "gradient_log_norm": gradient,
            "gradient_log_norm_sd": gradient_sd,
            "dead": measure.dead[0 if node.name.startswith("conv") else 1],
            "cosine": measure.cosine,
            "expected": float(expectation.means[alive].mean()) if usable else math.nan,
            "expected_sd": math.sqrt(expectation.variance) if usable else math.nan,
            "given": expectation.given if usable else None,
            "note": "; ".join(dict.fromkeys(filter(None, notes))),
        }

    def _expect(self, node: Node, found: Following, name: str, measure: Measure) -> Expectation:
        """What theory expects of the signal of a linear layer, from that of the layer before where it can."""
        weight, bias = node.argument(1, "weight"), node.argument(2, "bias")
        if node.name != "linear" or not isinstance(weight, Tensor) or weight.ndim != 2 or found.reason:
            return Expectation()
        if found.notes and any(note.startswith("through") for note in found.notes):
            return Expectation()
        if id(weight) in self.used:
            return Expectation(note="its weight has been applied before: no law")
        self.used.add(id(weight))
        entered = self.watcher.measured[node].entering
        if len(entered) != len(measure.norms) or len(measure.shape) != 1:
            return Expectation()
        before = self._before(node)
        return before.after(weight, bias, found.follows or Linear(), entered, name)

    def _before(self, node: Node) -> Expectation:
        """The expectation of the signal that a layer is given as it is."""
        signals = [parent for parent in node.parents if parent.signal]
        while len(signals) == 1:
            if signals[0] in self.expectations:
                return self.expectations[signals[0]]
            if signals[0].name not in KEEPING:
                break
            signals = [parent for parent in signals[0].parents if parent.signal]
        return Expectation()


def _signal(node: Node, found: Following) -> Node:
    """The call that makes the signal of a layer: the layer, or the activation and dropouts behind it."""
    maker = node
    if found.law is not None or found.name:
        maker = _next(node, bends) or node
    for _ in found.dropouts:
        maker = _next(maker, drops_out) or maker
    return maker


def _next(node: Node, wanted: Any) -> Node | None:
    """The nearest call of a kind that a signal reaches through what lets it pass."""
    waiting, done = [node], {node}
    while waiting:
        for child in waiting.pop(0).children:
            if child in done or follow.is_layer(child):
                continue
            done.add(child)
            if wanted(child):
                return child
            if child.name in PASSING or drops_out(child):
                waiting.append(child)
    return None


def _summary(norms: np.ndarray) -> tuple[float, float, int]:
    """Mean and standard deviation of the logs of the norms that are not zero, and how many are."""
    alive = norms[norms != 0]
    silent = len(norms) - len(alive)
    if not len(alive):
        return (-math.inf if len(norms) else math.nan), math.nan, silent
    if not np.isfinite(alive).all():
        return (math.nan if np.isnan(alive).any() else math.inf), math.nan, silent
    logs = np.log(alive)
    return float(logs.mean()), float(logs.std()), silent
