"""What the residual schemes share: the parts of a model with blocks, and rules that need no more than a part.

The contract of a block is in :mod:`fracrepro.nn.blocks`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from fracrepro.errors import ArgumentError
from fracrepro.nn.schemes.base import Scheme
from fracrepro.nn.schemes.plan import Entry, Plan, Prescription, Slot

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = [
    "Anatomy",
    "BlockScheme",
    "Part",
    "Rule",
    "constant",
    "learnable_scale",
    "normal",
    "torch_default",
]


@dataclass(frozen=True)
class Rule(Prescription):
    """A prescription that says how to draw: normal or uniform with this standard deviation, or one value."""

    law: Literal["normal", "uniform", "constant"] = "normal"
    value: float = 0.0


@dataclass(frozen=True, eq=False)
class Part:
    """One residual block.

    Attributes:
        name: qualified name of the block.
        module: the block.
        layers: the layers of its branch by their names, in their order, each with its weight as a scheme sees
            it; None for a weight that is left alone.
        beside: those of its skip connection.
    """

    name: str
    module: nn.Module
    layers: tuple[tuple[str, Slot | None], ...]
    beside: tuple[tuple[str, Slot | None], ...]

    @property
    def scale(self) -> Tensor | None:
        """The learnable factor of the branch."""
        return cast("Tensor | None", self.module.scale)

    @property
    def slots(self) -> Iterator[Slot]:
        """All weights that are not left alone."""
        return (slot for _, slot in (*self.layers, *self.beside) if slot is not None)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A model with residual blocks, taken apart.

    Attributes:
        parts: the blocks.
        outside: the weights outside of the blocks.
        scalars: what :class:`fracrepro.nn.blocks.ScalarBias` and modules like it hold, by the module's name.
    """

    parts: tuple[Part, ...]
    outside: tuple[Slot, ...]
    scalars: tuple[tuple[str, Tensor], ...]

    @classmethod
    def of(cls, plan: Plan) -> Anatomy:
        """Take the model of a plan apart.

        Raises:
            ArgumentError: for a model without blocks, and where it is a guess which layer outside of the
                blocks is the first or the last.
        """
        from fracrepro.nn.blocks import blocks, scalar_biases

        slots = {id(slot.tensor): slot for slot in plan.slots}
        parts = tuple(_part(name, module, slots) for name, module in blocks(plan.model).items())
        inside = {id(slot.tensor) for part in parts for slot in part.slots}
        outside = tuple(slot for slot in plan.slots if id(slot.tensor) not in inside)
        guessed = next((slot for slot in outside if slot.guessed), None)
        if guessed is not None:
            raise ArgumentError(
                f"batch: need one, to see where layer {guessed.layer!r} stands; the order of modules is only "
                "a guess"
            )
        return cls(parts, outside, tuple(scalar_biases(plan.model)))


@dataclass(frozen=True)
class BlockScheme(Scheme):
    """A scheme with one rule for each place in a residual network.

    Raises:
        ArgumentError: for an option outside its range.
    """

    families: ClassVar[tuple[str, ...]] = ("residual",)
    can_fail = False
    needs_scale: ClassVar[bool] = False
    """Whether every block must have a learnable factor."""

    @abstractmethod
    def prescribe(self, slot: Slot) -> Rule:
        """Return the rule for a layer outside of the blocks."""

    @abstractmethod
    def branch(self, slot: Slot, place: tuple[int, int], blocks: int) -> Rule:
        """Return the rule for a layer of a branch.

        Args:
            slot: its weight.
            place: its number in the branch, from 1, and how many layers the branch has.
            blocks: how many blocks the network has.
        """

    def beside(self, slot: Slot) -> Rule:
        """Return the rule for a layer of a skip connection."""
        return self.prescribe(slot)

    def bias(self, slot: Slot) -> Rule | None:
        """Return the rule for the bias of a layer; None leaves it to the caller."""
        return None

    @abstractmethod
    def factor(self, blocks: int) -> float:
        """Return where the learnable factors start, in a network with so many blocks."""

    def prepare(self, plan: Plan) -> list[Entry]:
        """Return the entries of all weights, factors and scalar biases.

        Raises:
            ArgumentError: for a model without blocks, and for a block that the scheme cannot serve.
        """
        anatomy = Anatomy.of(plan)
        rules = self._rules(anatomy)
        entries = []
        for slot in plan.slots:
            rule = rules.get(id(slot.tensor)) or self.prescribe(slot)
            entries.append(Entry(slot.layer, slot.parameter, slot.tensor, slot, rule))
            if slot.bias is not None and (own := self.bias(slot)) is not None:
                entries.append(Entry(slot.layer, "bias", slot.bias, None, replace(own, gain=None)))
        start = constant(self.factor(len(anatomy.parts)))
        for part in anatomy.parts:
            if self.needs_scale or part.scale is not None:
                entries.append(Entry(part.name, "scale", learnable_scale(part, plan), None, start))
        return entries + [
            Entry(name, "bias", tensor, None, constant(0.0)) for name, tensor in anatomy.scalars
        ]

    def fill(self, plan: Plan, entries: Sequence[Entry], generator: torch.Generator | None) -> None:
        """Draw the weights in the order of the entries, and set the constants."""
        from fracrepro.nn.init.normal import normal_, uniform_

        for entry in entries:
            rule = entry.prescription
            if entry.tensor is None or not isinstance(rule, Rule):
                continue
            if rule.law == "constant":
                entry.tensor.fill_(rule.value)
            elif rule.law == "uniform":
                uniform_(entry.tensor, math.sqrt(3.0) * (rule.std or 0.0), generator)
            else:
                normal_(entry.tensor, rule.std or 0.0, generator)

    def _rules(self, anatomy: Anatomy) -> dict[int, Rule]:
        """The rules of all layers in blocks, by the id of the weight."""
        rules: dict[int, Rule] = {}
        for part in anatomy.parts:
            places = [
                *(
                    (slot, (number, len(part.layers)))
                    for number, (_, slot) in enumerate(part.layers, start=1)
                ),
                *((slot, None) for _, slot in part.beside),
            ]
            for slot, place in places:
                if slot is None:
                    continue
                rule = self.beside(slot) if place is None else self.branch(slot, place, len(anatomy.parts))
                if rules.setdefault(id(slot.tensor), rule) != rule:
                    raise ArgumentError(
                        f"block {part.name!r}: {slot.layer!r} stands in two places with two rules"
                    )
        return rules


def constant(value: float, note: str = "") -> Rule:
    """Return the rule that sets every entry to one value."""
    return Rule(0.0, None, note or f"set to {value:g}", "constant", value)


def normal(slot: Slot, std: float, note: str = "") -> Rule:
    """Return the rule of normal draws with a standard deviation."""
    return Rule(std, std * math.sqrt(slot.fan_in), note)


def torch_default(slot: Slot, note: str = "") -> Rule:
    """Return the rule of torch's layers, uniform up to one over the root of fan_in, for weight and bias."""
    std = 1.0 / math.sqrt(3.0 * slot.fan_in)
    return Rule(std, 1.0 / math.sqrt(3.0), note, "uniform")


def learnable_scale(part: Part, plan: Plan) -> Tensor:
    """Return the learnable factor of a block.

    Raises:
        ArgumentError: naming the block, where there is none and where it must stay as it is.
    """
    if part.scale is None:
        raise ArgumentError(f"block {part.name!r}: scale = None: need a learnable factor of the branch")
    if id(part.scale) in plan.kept:
        raise ArgumentError(f"block {part.name!r}: scale: {plan.kept[id(part.scale)]}: need one to be set")
    return part.scale


def _part(name: str, module: nn.Module, slots: dict[int, Slot]) -> Part:
    """One block with its layers."""
    from fracrepro.nn.tracing.order import is_layer

    def layers(side: nn.Module) -> tuple[tuple[str, Slot | None], ...]:
        found = ((key, each) for key, each in side.named_modules() if is_layer(each))
        return tuple((key, slots.get(id(each._parameters.get("weight")))) for key, each in found)

    branch, skip = (layers(cast("nn.Module", side)) for side in (module.branch, module.skip))
    if not branch:
        raise ArgumentError(f"block {name!r}: need a layer in its branch")
    return Part(name, module, branch, skip)
