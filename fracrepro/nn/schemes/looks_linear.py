"""Looks-linear initialization: weights in mirrored pairs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fracrepro.errors import ArgumentError
from fracrepro.nn import scale
from fracrepro.nn.schemes.base import Scheme, option
from fracrepro.nn.schemes.plan import Entry, Plan, Prescription, Slot
from fracrepro.theory.activations import Activation, Linear

if TYPE_CHECKING:
    import torch

__all__ = ["LooksLinear"]

# What a mirrored signal may pass: nothing that lets one unit of a pair be treated otherwise than the other.
MOVES = {
    *("flatten", "unflatten", "ravel", "view", "view_as", "reshape", "reshape_as", "contiguous", "clone"),
    *("detach", "to", "float", "double", "half", "bfloat16", "cpu", "cuda", "squeeze", "unsqueeze"),
    *("Flatten", "Unflatten", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d"),
}


@dataclass(frozen=True)
class LooksLinear(Scheme):
    r"""Mirrored weights, with which the whole network is a linear function at its start.

    The first layer is [U; -U], hidden ones :math:`[[W_0, -W_0], [-W_0, W_0]] / (1 + a)` behind an activation
    with the slope a below zero, the last one :math:`[V, -V] / (1 + a)`.
    The network then equals its linear network :math:`V \cdots W_0 U`, for every input and every depth, and
    with an orthogonal base of constant width its Jacobian is an isometry.
    The order `s` acts on the linear network, whose width is half that of the layers.
    Kernels are mirrored in their channels and zero but for their centre.
    What breaks the mirror is refused, for the whole model: odd widths, a place that is a guess, dropout,
    maximum pooling, normalization, sums of signals, random slopes, biases that are kept and not mirrored.

    Source:
        Balduzzi et al. 2017; Burkholz and Dubatovka 2019; slopes and order are ours, derived on page 13,
        isometry-thm-mirror.

    >>> round(LooksLinear().std(Slot((64, 64))) ** 2 * 32, 12)
    1.0
    """

    name = "looks_linear"
    label = "Looks-linear"
    colour = "#b3446c"
    source = "Balduzzi et al. 2017, Burkholz and Dubatovka 2019"
    families = ("dense", "conv")

    base: scale.Base = option("gaussian", scale.BASES, "law of the submatrix")
    s: float = option(2.0, "[0, 2]", "order preserved by the linear network; 0 preserves the mean log-norm")

    def std(self, slot: Slot, behind: float = 1.0) -> float:
        """Return the standard deviation of an entry of the submatrix.

        Args:
            slot: the weight.
            behind: sum of both slopes of the activation before the layer, 1 for a first layer.
        """
        n_out, n_in = _halves(slot)
        if self.base == "gaussian":
            return scale.fractional_std(self.s, n_in, n_out, Linear()) / behind
        return scale.orthogonal_gain(self.s, n_in, n_out, Linear()) / math.sqrt(max(n_out, n_in)) / behind

    def prescribe(self, slot: Slot) -> Prescription:
        """Return what a layer behind a ReLU gets; :meth:`prepare` knows what stands before it."""
        return self._prescription(slot, 1.0)

    def prepare(self, plan: Plan) -> list[Entry]:
        """Enter every weight, or none: a layer that breaks the mirror breaks it for the whole network."""
        slots = {id(slot.tensor): slot for slot in plan.slots}
        entries, reasons = [], {}
        for slot in plan.slots:
            entry = Entry(slot.layer, slot.parameter, slot.tensor, slot)
            try:
                behind = _check(slot, slots, plan.kept)
                entry = dataclasses.replace(entry, prescription=self._prescription(slot, behind))
            except ArgumentError as error:
                reasons[slot.layer] = str(error)
            entries.append(entry)
        if not reasons:
            return entries
        layer, reason = next(iter(reasons.items()))
        whole = f"layer {layer!r} breaks the mirror of the whole network: {reason}"
        return [
            dataclasses.replace(entry, prescription=None, refusal=reasons.get(entry.layer, whole))
            for entry in entries
        ]

    def fill(self, plan: Plan, entries: Sequence[Entry], generator: torch.Generator | None) -> None:
        """Draw the submatrices and write them in their pattern."""
        from fracrepro.nn.init.mirrored import mirror_
        from fracrepro.nn.init.orthogonal import centre

        for entry in entries:
            tensor, slot, found = entry.tensor, entry.slot, entry.prescription
            if tensor is None or slot is None or found is None or found.std is None:
                continue
            matrix = centre(tensor.zero_())
            orthogonal = self.base == "orthogonal"
            size = found.std * (math.sqrt(max(_halves(slot))) if orthogonal else 1.0)
            rows, columns = not slot.last, not slot.first
            mirror_(
                matrix.t() if slot.transposed else matrix,
                self.base,
                size,
                generator,
                rows=rows,
                columns=columns,
            )

    def _prescription(self, slot: Slot, behind: float) -> Prescription:
        """The standard deviation of an entry, and a note on the pattern."""
        std = self.std(slot, behind)
        place = "first" if slot.first else "last" if slot.last else "hidden"
        note = f"mirrored, {place}" + (", centre of the kernel" if len(slot.shape) > 2 else "")
        return Prescription(std, std * math.sqrt(slot.shape[1]), note)


def _halves(slot: Slot) -> tuple[int, int]:
    """Rows and columns of the submatrix."""
    n_out, n_in = slot.shape[:2]
    return n_out // (1 if slot.last else 2), n_in // (1 if slot.first else 2)


def _check(slot: Slot, slots: Mapping[int, Slot], kept: Mapping[int, str]) -> float:
    """Return the sum of slopes before the layer; ArgumentError says what breaks the mirror at this layer."""
    if slot.guessed:
        raise ArgumentError("its place is a guess: need a batch")
    if slot.mixed:
        raise ArgumentError("is used in several places, once as a first or last layer and once not")
    if slot.groups > 1:
        raise ArgumentError(f"{slot.groups} groups: need 1, both channels of a pair must reach one output")
    for paired, units, word in (
        (not slot.last, slot.shape[0], "output"),
        (not slot.first, slot.shape[1], "input"),
    ):
        if paired and units % 2:
            raise ArgumentError(f"{units} {word} units: need an even number, they stand in mirrored pairs")
    if not slot.last:
        _check_way(slot)
        _check_bias(slot, kept)
    if slot.first:
        return 1.0
    return _slopes_before(slot, slots)


def _check_way(slot: Slot) -> None:
    """ArgumentError where what follows treats the two units of a pair differently."""
    _slope_sum(slot.activation)
    for kind, name in slot.through:
        # Behind a convolution averages run over places, behind a linear layer over units.
        passes = slot.family == "conv" if kind == "average" else kind == "move" and name in MOVES
        if not passes:
            word = {"sum": "a sum with another signal", "join": "a second signal"}.get(kind, kind)
            raise ArgumentError(f"followed by {word} ({name}), which does not keep mirrored pairs")


def _check_bias(slot: Slot, kept: Mapping[int, str]) -> None:
    """ArgumentError for a bias that stays and is not mirrored."""
    if slot.bias is None or id(slot.bias) not in kept:
        return
    half = slot.shape[0] // 2
    bias = slot.bias.detach()
    if bool((bias[:half] != -bias[half:]).any()):
        raise ArgumentError(f"its bias is left as it is ({kept[id(slot.bias)]}) and is not mirrored")


def _slopes_before(slot: Slot, slots: Mapping[int, Slot]) -> float:
    """The sum of slopes of the activation before a layer, the same for every layer that feeds it."""
    if not slot.fed_by:
        raise ArgumentError("nothing is known of the layers that feed it: need a batch")
    sums = set()
    for tensor in slot.fed_by:
        before = None if tensor is None else slots.get(id(tensor))
        if before is None:
            raise ArgumentError("is fed by a layer that is not initialized, and so not mirrored")
        sums.add(_slope_sum(before.activation))
    if len(sums) > 1:
        raise ArgumentError(
            f"is fed through activations with different slopes, which add up to {sorted(sums)}"
        )
    return sums.pop()


def _slope_sum(activation: Activation) -> float:
    """φ(u) - φ(-u) over u."""
    slopes = activation.slopes
    if slopes.random:
        raise ArgumentError(f"followed by {activation!r}: its random slopes differ within a mirrored pair")
    total = slopes.positive[0] + slopes.negative[0]
    if total == 0.0:
        raise ArgumentError(f"followed by {activation!r}, which is even: mirrored pairs cancel")
    return total
