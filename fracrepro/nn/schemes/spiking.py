"""The scheme for networks of threshold units."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from fracrepro.errors import ArgumentError
from fracrepro.nn.schemes.base import NormalScheme, option
from fracrepro.nn.schemes.plan import Entry, Plan, Prescription, Slot
from fracrepro.theory.spiking import rate_preserving_variance

__all__ = ["Spiking"]


@dataclass(frozen=True)
class Spiking(NormalScheme):
    r"""Hands on currents of variance 1: √(1/(fan_in·Q(θ))), Q the upper tail of the standard normal law.

    θ is the threshold of the units whose spikes the layer reads, taken from their modules; the chance that
    one of them spikes under a current N(0, 1) is Q(θ).
    A first layer reads no spikes and has √(1/(fan_in·m)), with m the mean square of an input coordinate: 1
    for inputs of that size, the rate where spikes enter; this part is ours.
    Every other layer that reads no spikes is refused.
    At θ = 0 the rule is Kaiming's.

    Source:
        Micheli et al. 2024, as others report the rule; what it does is derived on page 15,
        spiking-thm-chain.

    >>> Spiking(threshold=0.0).std(Slot((64, 50)))
    0.2
    """

    name = "spiking"
    label = "Spiking"
    colour = "#a6761d"
    source = "Micheli et al. 2024"
    families: ClassVar[tuple[str, ...]] = ("spiking",)

    threshold: float | None = option(
        None, "[0, 30]", "of the units whose spikes come in; None reads the model's"
    )
    input_square: float = option(1.0, "(0, inf)", "mean square of an input coordinate: the rate, for spikes")

    def prepare(self, plan: Plan) -> list[Entry]:
        """Refuse a model in which no layer reads spikes."""
        if self.threshold is None and not any(_reads_spikes(slot) for slot in plan.slots):
            hint = "" if plan.batch is not None else "; with a batch it is seen in functions too"
            name = type(plan.model).__name__
            raise ArgumentError(f"model = {name}, scheme 'spiking': no layer reads threshold units{hint}")
        return super().prepare(plan)

    def std(self, slot: Slot) -> float:
        """Return the standard deviation for one weight."""
        reads = slot.reads
        if reads.reason:
            raise ArgumentError(reads.reason)
        if slot.first and reads.threshold is None:
            return math.sqrt(1.0 / (slot.fan_in * self.input_square))
        threshold = reads.threshold if self.threshold is None else self.threshold
        if threshold is None:
            raise ArgumentError("reads no spikes of threshold units that are known; threshold=… gives theirs")
        return math.sqrt(rate_preserving_variance(threshold, slot.fan_in))

    def prescribe(self, slot: Slot) -> Prescription:
        """Return the standard deviation, with a remark where the rule is used beyond its derivation."""
        notes = [slot.reads.note, "the rule is for dense layers" if slot.family == "conv" else ""]
        return replace(super().prescribe(slot), note="; ".join(filter(None, notes)))


def _reads_spikes(slot: Slot) -> bool:
    """Whether a layer reads spikes, or may do so where that is not known."""
    return slot.reads.threshold is not None or bool(slot.reads.reason)
