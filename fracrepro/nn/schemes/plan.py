"""What a scheme is given to fill, and what it says it will fill."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation, Linear

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Entry", "Plan", "Prescription", "Reads", "Slot", "Step"]


class Step(NamedTuple):
    """A function, or a module, that a signal passes between one layer and the next; activations are none.

    Attributes:
        kind: ``"move"`` (reshapes, cuts, puts elsewhere), ``"average"`` and ``"pool"`` (any other pooling),
            ``"normalization"``, ``"dropout"``, ``"factor"`` and ``"shift"`` (by constants or parameters),
            ``"matrix"`` (a product with a fixed one), ``"sum"`` and ``"join"`` (with another signal),
            ``"fork"`` (goes on both with and without its activation), ``"function"`` (anything else).
        name: of the function of torch, or of the class of the module.
    """

    kind: str
    name: str


class Reads(NamedTuple):
    """What enters a layer, where spikes or a graph make a difference.

    Attributes:
        threshold: of the threshold units whose spikes it reads; None where it reads something else.
        matrices: fixed square matrices that multiply the signal from the left between the activation before
            the layer and the one behind it, in their order.
        note: a remark for the report of a scheme that asks for this.
        reason: why nothing can be said; empty where it can.
    """

    threshold: float | None = None
    matrices: tuple[Tensor, ...] = ()
    note: str = ""
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Slot:
    """One weight and the layer that uses it; a shape alone is enough to ask for a standard deviation.

    Args:
        shape: ``(n_out, n_in, *kernel)`` of one group, whatever the order of the tensor's own dimensions.
        follows: the law of what follows the layer, dropout included; None where nothing does, or no law.
        groups: how many layers of this shape stand side by side, as in a grouped convolution.
        stride: of a transposed convolution, per dimension; empty otherwise.
        transposed: whether the tensor holds n_in before n_out, as transposed convolutions do.
        layer: qualified name of the module.
        parameter: name of the tensor in it.
        module: the module.
        tensor: what is filled.
        bias: the bias of the same layer.
        follower: name of the module or function that follows where no law describes it.
        reason: why no law describes what follows; empty where there is a law or nothing follows.
        note: a remark for the report.
        traced: whether what follows was seen in a run, or read off the order of the modules.
        guessed: whether its place was neither seen in a run nor is certain from the order of the modules.
        first: whether no other weight stands between the input and this one.
        last: whether no other weight stands between this one and the output.
        mixed: whether the model uses it several times, and once as a first or last one and once not.
        through: what the output passes up to the next layers or to the output of the model.
        fed_by: the weights whose outputs it reads, each once; None stands for a layer without a slot.
        reads: the threshold of the units that it reads, and the aggregations of a graph around it.

    >>> slot = Slot((16, 3, 5, 5))
    >>> slot.fan_in, slot.fan_out, slot.width
    (75, 400, 16)
    """

    shape: tuple[int, ...]
    follows: Activation | None = None
    groups: int = 1
    stride: tuple[int, ...] = ()
    transposed: bool = False
    layer: str = ""
    parameter: str = "weight"
    module: nn.Module | None = None
    tensor: Tensor | None = None
    bias: Tensor | None = None
    follower: str = ""
    reason: str = ""
    note: str = ""
    traced: bool = False
    guessed: bool = False
    first: bool = False
    last: bool = False
    mixed: bool = False
    through: tuple[Step, ...] = ()
    fed_by: tuple[Tensor | None, ...] = ()
    reads: Reads = field(default_factory=Reads)

    @property
    def family(self) -> str:
        """``"dense"`` for a linear layer, ``"conv"`` for a convolution."""
        return "conv" if len(self.shape) > 2 else "dense"

    @property
    def activation(self) -> Activation:
        """The law that follows; linear where nothing does.

        Raises:
            ArgumentError: where something follows that no law describes.
        """
        if self.reason:
            raise ArgumentError(self.reason)
        return self.follows or Linear()

    @property
    def width(self) -> int:
        """Units (channels) of the output, over all groups."""
        return self.shape[0] * self.groups

    @property
    def input_width(self) -> int:
        """Units (channels) of the input, over all groups."""
        return self.shape[1] * self.groups

    @property
    def fan_in(self) -> float:
        """How many products are summed into one output, on average over the outputs."""
        products, steps = math.prod(self.shape[1:]), math.prod(self.stride)
        return products / steps if products % steps else products // steps

    @property
    def fan_out(self) -> int:
        """How many outputs one input enters at stride 1."""
        return self.shape[0] * math.prod(self.shape[2:])


@dataclass(frozen=True, eq=False)
class Plan:
    """A model as a scheme sees it.

    Args:
        model: the whole model, for schemes that look at its blocks.
        slots: its weights, in the order of `model.named_parameters()`.
        executed: the same slots in the order in which the model uses them, as far as that is known.
        batch: the batch that was given: one argument, a tuple of them, or a dictionary of named ones.
        kept: parameters that must stay as they are, by their id, with the reason: frozen ones, those that are
            not included, and with ``bias="keep"`` the biases.
    """

    model: nn.Module
    slots: tuple[Slot, ...]
    executed: tuple[Slot, ...] = ()
    batch: Any = None
    kept: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Prescription:
    """What a scheme prescribes for one tensor: standard deviation, gain, and a remark for the report.

    The gain is the factor from the root mean square of the layer's input to that of its output.
    """

    std: float | None
    gain: float | None = None
    note: str = ""


@dataclass(frozen=True, eq=False)
class Entry:
    """One tensor of a scheme's plan: with a prescription, or with the reason why there is none."""

    layer: str
    parameter: str
    tensor: Tensor | None
    slot: Slot | None = None
    prescription: Prescription | None = None
    refusal: str = ""
