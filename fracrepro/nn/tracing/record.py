"""One run of a model, recorded as a graph of the torch functions that it calls.

The run is a real one, so that control flow, functional activations and in-place functions are what they are
in training; nothing is assumed about how the model is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.overrides import TorchFunctionMode

from fracrepro.errors import ArgumentError
from fracrepro.nn.activations import function_name
from fracrepro.nn.networks.spiking import threshold_of
from fracrepro.nn.tracing.preserve import preserved

__all__ = ["Node", "Recorder", "checked_run", "observe", "record", "run", "tensors"]


@dataclass(eq=False)
class Node:
    """One call that made tensors, or one input of the model (then without a function)."""

    name: str
    function: Any = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    parents: list[Node] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)
    signal: bool = False
    """Whether it depends on the input of the model."""
    signals: tuple[Tensor, ...] = ()
    """Those of its arguments that do."""
    choosers: tuple[Node, ...] = ()
    """What made those of its arguments that are truth values or integers: masks and indices."""
    parametric: bool = False
    """Whether it is made of parameters, without the input."""
    layered: bool = False
    """Whether the input has passed a layer before."""
    output: bool = False
    """Whether the model returns it."""

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """An argument that may come by position or by name."""
        return self.args[position] if position < len(self.args) else self.kwargs.get(name, default)


def record(model: nn.Module, batch: Any) -> tuple[list[Node], bool]:
    """Run `model` on `batch` in training mode; return its calls in their order, and whether these are all.

    The model and all global generators are left as they were.

    Args:
        model: any module.
        batch: its only argument, a tuple of its arguments, or a dictionary of named ones.

    Raises:
        ArgumentError: when the model does not accept the batch.
    """
    recorder = Recorder(model, batch)
    with preserved(model), torch.enable_grad():
        model.train()
        observe(model, batch, recorder)
    return recorder.nodes, recorder.complete


def observe(model: nn.Module, batch: Any, recorder: Recorder) -> Any:
    """Return what `model` makes of `batch`, in the mode in which it is, while a recorder looks on.

    Raises:
        ArgumentError: when the model does not accept the batch.
    """
    watch = register_module_forward_hook(recorder.look_at)
    try:
        with recorder:
            result = checked_run(model, batch)
    finally:
        watch.remove()
    for tensor in tensors(result, deep=True):
        if id(tensor) in recorder.made:
            recorder.made[id(tensor)].output = True
        else:
            recorder.complete = False
    return result


def checked_run(model: nn.Module, batch: Any) -> Any:
    """Return what `model` makes of `batch`, in the mode in which it is.

    Raises:
        ArgumentError: when the model does not accept the batch.
    """
    try:
        return run(model, batch)
    except ArgumentError:  # of the package: it says what is wrong
        raise
    except Exception as error:  # whatever a model raises, the batch is what it was given
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        shapes = _described(batch)
        raise ArgumentError(f"batch = {shapes}: the model does not run on it: {first}") from error


def run(model: nn.Module, batch: Any) -> Any:
    """Call a model with a batch: one argument, a tuple of arguments, or a dictionary of named ones."""
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    if isinstance(batch, Mapping):
        return model(**batch)
    return model(*batch) if isinstance(batch, (tuple, list)) else model(batch)


class Recorder(TorchFunctionMode):
    """Sees every function of torch while active, and links it to the calls that made its arguments.

    Args:
        model: what will run.
        batch: what it will run on.
    """

    def __init__(self, model: nn.Module, batch: Any) -> None:
        """Note the inputs of the model and its buffers."""
        super().__init__()
        self.complete = True  # until a tensor appears that nothing here has made
        self.known = {id(tensor) for tensor in model.buffers()}
        self.nodes: list[Node] = []
        self.made: dict[int, Node] = {}
        self._alive: list[Tensor] = []  # as long as a tensor lives, no other can have its id
        for tensor in tensors(batch):
            self._note(Node("input", signal=True), [tensor])

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function and note what it was given and what it made."""
        kwargs = kwargs or {}
        given = list(tensors((args, kwargs)))
        name = function_name(func)
        result = self.apply(name, func, args, kwargs)
        made = list(tensors(result))
        if name == "setitem":
            base = given[0]._base  # what a view shows has changed as well
            made = given[:1] if base is None else [given[0], base]
        if not made or name == "grad":
            return result
        self.complete &= all(id(t) in self.made or self._is_known(t) for t in given)
        self._link(Node(name, func, tuple(args), kwargs), given, made)
        return result

    def look_at(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Take a module of threshold units for one function, whatever is inside: its threshold is known then.

        The same for a module without parameters whose output comes of no function that was seen.
        """
        units = threshold_of(module) is not None
        made = [each for each in tensors(output) if units or id(each) not in self.made]
        given = [each for each in tensors(args) if id(each) in self.made]
        if made and given and (units or next(module.parameters(), None) is None):
            self._link(Node(type(module).__name__, module, args), given, made)

    def apply(self, name: str, function: Any, args: Any, kwargs: Any) -> Any:
        """Return what a function makes of its arguments; for those who look closer."""
        return function(*args, **kwargs)

    def seen(self, node: Node, made: Sequence[Tensor]) -> None:
        """Look at a call and at what it made; for those who look closer."""

    def _link(self, node: Node, given: Sequence[Tensor], made: Sequence[Tensor]) -> None:
        """Enter a call between those that made what it was given and what it has made."""
        node.parents = [self.made[id(tensor)] for tensor in given if id(tensor) in self.made]
        node.signals = tuple(t for t in given if id(t) in self.made and self.made[id(t)].signal)
        node.signal = bool(node.signals)
        node.choosers = tuple(
            self.made[id(t)]
            for t in given
            if id(t) in self.made and not (t.is_floating_point() or t.is_complex())
        )
        made_of_parameters = any(isinstance(tensor, nn.Parameter) for tensor in given)
        made_by_parameters = any(parent.parametric for parent in node.parents)
        node.parametric = not node.signal and (made_of_parameters or made_by_parameters)
        for parent in dict.fromkeys(node.parents):
            parent.children.append(node)
        self._note(node, made)
        self.seen(node, made)

    def _is_known(self, tensor: Tensor) -> bool:
        return isinstance(tensor, nn.Parameter) or id(tensor) in self.known

    def _note(self, node: Node, made: Iterable[Tensor]) -> None:
        self.nodes.append(node)
        for tensor in made:
            self.made[id(tensor)] = node
            self._alive.append(tensor)


def tensors(value: Any, deep: bool = False) -> Iterable[Tensor]:
    """Every tensor in nested tuples, lists and dictionaries; with `deep` in the attributes of objects too."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from tensors(tuple(value.values()), deep)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors(item, deep)
    elif deep and hasattr(value, "__dict__"):
        yield from tensors(vars(value))


def _described(batch: Any) -> str:
    """The shapes in a batch."""
    shapes = [f"tensor of shape {tuple(tensor.shape)}" for tensor in tensors(batch)]
    return ", ".join(shapes) or repr(batch)
