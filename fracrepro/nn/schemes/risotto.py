"""RISOTTO: residual networks that are exact isometries at the start, branch and skip connection together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, ClassVar

from fracrepro.errors import ArgumentError
from fracrepro.nn import scale
from fracrepro.nn.schemes.base import Scheme, option
from fracrepro.nn.schemes.plan import Entry, Plan, Prescription, Slot
from fracrepro.nn.schemes.residual import Anatomy, Part, Rule, constant, learnable_scale
from fracrepro.theory.activations import Linear

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Risotto"]


@dataclass(frozen=True)
class Risotto(Scheme):
    r"""Mirrored orthogonal weights whose blocks map halves of the signal by one orthogonal matrix.

    A first layer [S; −S] makes the signal [φ(u); φ(−u)]; with LL(U) = [[U, −U], [−U, U]] a block
    :math:`x \mapsto \varphi(\alpha W_2 \varphi(W_1 x) + h(x))` takes u to Mu for an orthogonal M:

    .. math:: \text{C: } h(x) = W_s x, \quad W_1 = LL(U_1), \; W_2 = LL(U_2), \;
              W_s = LL(M - \alpha U_2 U_1)

    .. math:: \text{B: } h(x) = x, \quad W_1 = \Pi, \; W_2 = (LL(M) - I) \Pi^T / \alpha

    with :math:`\Pi` the identity or a permutation, and the last layer is [V, −V].
    All U, M, S and V are drawn from Haar measure, with orthonormal columns or rows where they are not square.
    Branches may have any number of layers: more factors U, or more identities.
    A convolution has these matrices at the centre of its kernel and zeros elsewhere.
    A leaky ReLU of slope a divides every layer but the first by 1 + a; how type B takes a slope is said
    in the comments of the code, and ours.

    The network is an isometry from input to output where no layer narrows the signal, with stride 1, without
    normalization, and without max-pooling or dropout; the report notes where that is not so.
    Blocks need an activation behind the sum.

    Raises:
        ArgumentError: for an option outside its range.

    Source:
        Gadhikar and Burkholz 2022; the two types as we recall them, derived on page 14, residual-thm-risotto.

    >>> Risotto().alpha
    1.0
    """

    name = "risotto"
    label = "RISOTTO"
    colour = "#762a83"
    source = "Gadhikar and Burkholz 2022"
    families: ClassVar[tuple[str, ...]] = ("residual",)

    alpha: float = option(1.0, "(0, inf)", "factor of the branch; other than 1 it needs a learnable one")
    permuted: bool = option(False, "", "whether type B takes a random permutation in place of the identity")

    def prescribe(self, slot: Slot) -> Prescription:
        """Refuse: one weight says too little.

        Raises:
            ArgumentError: always.
        """
        raise ArgumentError("need a model with residual blocks, not a weight by itself")

    def prepare(self, plan: Plan) -> list[Entry]:
        """Return the entries of all weights, factors and scalar biases.

        Raises:
            ArgumentError: for a model without blocks, and for a block or layer that cannot be mirrored.
        """
        anatomy = Anatomy.of(plan)
        notes = {id(slot.tensor): _outside(slot) for slot in anatomy.outside}
        entries = []
        for part in anatomy.parts:
            notes |= _inside(part)
            if part.scale is not None or self.alpha != 1.0:
                entries.append(
                    Entry(part.name, "scale", learnable_scale(part, plan), None, constant(self.alpha))
                )
        _slope(anatomy)
        entries += [Entry(name, "bias", tensor, None, constant(0.0)) for name, tensor in anatomy.scalars]
        weights = [
            Entry(
                slot.layer,
                slot.parameter,
                slot.tensor,
                slot,
                Prescription(None, None, notes[id(slot.tensor)]),
            )
            for slot in plan.slots
        ]
        return weights + entries

    def fill(self, plan: Plan, entries: Sequence[Entry], generator: torch.Generator | None) -> None:
        """Draw the matrices block by block, then those outside of the blocks, and set the factors."""
        from fracrepro.nn.mirror import centre_

        anatomy = Anatomy.of(plan)
        slope = _slope(anatomy)
        for part in anatomy.parts:
            for slot, matrix in self._block(part, slope, generator):
                centre_(_tensor(slot), matrix)
        for slot in anatomy.outside:
            centre_(_tensor(slot), _ends(slot, slope, generator))
        for entry in entries:
            if entry.slot is None and entry.tensor is not None and isinstance(entry.prescription, Rule):
                entry.tensor.fill_(entry.prescription.value)

    def _block(
        self, part: Part, slope: float, generator: torch.Generator | None
    ) -> list[tuple[Slot, Tensor]]:
        """The matrices of one block."""
        from fracrepro.nn.mirror import branch_beside_identity, isometry, looks_linear

        slots = [slot for _, slot in part.layers if slot is not None]
        if not slots:
            return []
        n_out, n_in = slots[-1].width // 2, slots[0].input_width // 2
        if part.beside:
            halves = [isometry(slot.width // 2, slot.input_width // 2, generator) for slot in slots]
            branch = reduce(lambda product, u: u @ product, halves)
            halves.append(isometry(n_out, n_in, generator) - self.alpha * branch)
            slots += [slot for _, slot in part.beside if slot is not None]
            return [(slot, looks_linear(u) / (1 + slope)) for slot, u in zip(slots, halves, strict=True)]
        last = branch_beside_identity(isometry(n_out, n_in, generator), slope, len(slots)) / self.alpha
        if len(slots) == 1:
            return [(slots[0], last)]
        passed = [_eye(slot, last) for slot in slots[:-1]]
        order = _order(2 * n_in, self.permuted, generator)
        passed[0][: 2 * n_in] = passed[0][: 2 * n_in][order]
        wide = last.new_zeros(2 * n_out, slots[-1].input_width)
        wide[:, : 2 * n_in] = last[:, order]
        return list(zip(slots, [*passed, wide], strict=True))


def _tensor(slot: Slot) -> Tensor:
    """The weight of a slot that is filled."""
    if slot.tensor is None:
        raise TypeError("a slot of a plan has a tensor")
    return slot.tensor


def _eye(slot: Slot, like: Tensor) -> Tensor:
    """A matrix that passes the first coordinates on."""
    import torch

    return torch.eye(slot.width, slot.input_width, dtype=like.dtype, device=like.device)


def _order(count: int, permuted: bool, generator: torch.Generator | None) -> Tensor:
    """The coordinates in their order, or in a random one."""
    import torch

    device = None if generator is None else generator.device
    if permuted:
        return torch.randperm(count, generator=generator, device=device)
    return torch.arange(count, device=device)


def _ends(slot: Slot, slope: float, generator: torch.Generator | None) -> Tensor:
    """The matrix of a layer outside of the blocks: the first, the last, or one between."""
    import torch

    from fracrepro.nn.mirror import isometry, looks_linear

    if slot.first:
        u = isometry(slot.width // 2, slot.input_width, generator)
        return torch.cat([u, -u])
    if slot.last:
        u = isometry(slot.width, slot.input_width // 2, generator)
        return torch.cat([u, -u], 1) / (1 + slope)
    return looks_linear(isometry(slot.width // 2, slot.input_width // 2, generator)) / (1 + slope)


def _slope(anatomy: Anatomy) -> float:
    """The one slope below zero of all activations.

    Raises:
        ArgumentError: where there are several, or one that cannot be mirrored.
    """
    found = []
    for slot in anatomy.outside:
        if not slot.last:
            found.append((_negative(slot), f"behind layer {slot.layer!r}"))
    parts = [part for part in anatomy.parts if any(slot is not None for _, slot in part.layers)]
    inner = (slot for part in parts for _, slot in part.layers[:-1] if slot is not None)
    found += [(_negative(slot), f"behind layer {slot.layer!r}") for slot in inner]
    # Last, since a slope that is read off a run has an error of rounding.
    found += [(_behind_sum(part), f"behind the sum of block {part.name!r}") for part in parts]
    slope, where = found[0] if found else (0.0, "")
    for other, there in found:
        if abs(other - slope) > 1e-5:
            named = " and ".join(
                f"{'none' if each == 1.0 else f'slope {each:g}'} {place}"
                for each, place in ((slope, where), (other, there))
            )
            raise ArgumentError(f"activations: {named}: need one (leaky) ReLU everywhere")
    return slope


def _behind_sum(part: Part) -> float:
    """The slope below zero of what stands behind the sum of a block."""
    import torch

    from fracrepro.nn.blocks import slope_behind_sum
    from fracrepro.nn.tracing.preserve import preserved

    first = next(slot for _, slot in part.layers if slot is not None)
    image = [2 * side + 6 for side in first.shape[2:]]
    generator = torch.Generator().manual_seed(0)  # any will do: the result is the slope, whatever the input
    x = torch.randn(4, first.input_width, *image, generator=generator).to(_tensor(first))
    with preserved(part.module):
        part.module.eval()
        return slope_behind_sum(part.name, part.module, x)


def _negative(slot: Slot) -> float:
    """The slope below zero of what follows a layer, 1 where nothing does."""
    try:
        law = scale.without_dropout(slot.activation)
    except ArgumentError as error:
        raise ArgumentError(f"layer {slot.layer!r}: {error}") from None
    (above, above_too), (below, below_too) = law.slopes.sides
    if above != above_too or below != below_too or above != 1.0 or below == -1.0:
        raise ArgumentError(
            f"layer {slot.layer!r}: followed by {law!r}: need a ReLU or a leaky one of fixed slope"
        )
    return below


def _outside(slot: Slot) -> str:
    """The note for a layer outside of the blocks."""
    _check(slot, inputs=not slot.first, outputs=slot.first or not slot.last)
    if slot.first:
        narrows, what = slot.width // 2 < slot.input_width, "first layer: [S; −S]"
    elif slot.last:
        narrows, what = slot.width < slot.input_width // 2, "last layer: [V, −V]"
    else:
        narrows, what = slot.width < slot.input_width, "LL(U)"
    return _warned(slot, what, narrows)


def _inside(part: Part) -> dict[int, str]:
    """The notes for the layers of a block; ArgumentError for a block that cannot be mirrored."""
    from torch import nn

    layers = [*part.layers, *part.beside]
    slots = [slot for _, slot in layers if slot is not None]
    if not slots:
        return {}
    missing = next((name for name, slot in layers if slot is None), None)
    if missing is not None:
        raise ArgumentError(
            f"block {part.name!r}: its layer {missing!r} is left alone: need all or none of them"
        )
    if len({id(slot.tensor) for slot in slots}) < len(slots):
        raise ArgumentError(f"block {part.name!r}: need a weight of its own for each layer")
    for slot in slots:
        if slot.guessed:
            raise ArgumentError(f"batch: need one, to see what follows layer {slot.layer!r}")
        _check(slot, inputs=True, outputs=True)
    _check_sides(part)
    branch = slots[: len(part.layers)]
    if part.beside:
        notes = {id(slot.tensor): _warned(slot, "type C: LL(U)", False) for slot in branch}
        skip = slots[-1]
        narrows = skip.width < skip.input_width
        return notes | {id(skip.tensor): _warned(skip, "type C: LL(M − αU…U)", narrows)}
    width = branch[0].input_width
    if not isinstance(part.module.skip, nn.Identity | nn.Sequential) or any(part.module.skip.children()):
        raise ArgumentError(
            f"block {part.name!r}: skip = {part.module.skip!r}: need nn.Identity() or one layer"
        )
    thin = next((slot for slot in branch if slot.width < width), None)
    if thin is not None:
        raise ArgumentError(
            f"block {part.name!r}: layer {thin.layer!r} has {thin.width} outputs: need {width} or more "
            "beside an identity skip connection (type B); a linear one (type C) takes any number"
        )
    notes = {id(slot.tensor): _warned(slot, "type B: identity", False) for slot in branch[:-1]}
    return notes | {id(branch[-1].tensor): _warned(branch[-1], "type B: (LL(M) − I)/α", False)}


def _check(slot: Slot, *, inputs: bool, outputs: bool) -> None:
    """ArgumentError for a layer whose sides that are mirrored have no halves, or without a centre."""
    odd = [
        f"{count} {noun}"
        for mirrored, count, noun in ((inputs, slot.input_width, "inputs"), (outputs, slot.width, "outputs"))
        if mirrored and count % 2
    ]
    if odd:
        raise ArgumentError(f"layer {slot.layer!r}: {odd[0]}: need an even number, for two mirrored halves")
    if slot.groups > 1 or slot.transposed:
        kind = "transposed" if slot.transposed else f"with {slot.groups} groups"
        raise ArgumentError(f"layer {slot.layer!r}: a convolution {kind}: need a plain one")
    if any(side % 2 == 0 for side in slot.shape[2:]):
        raise ArgumentError(f"layer {slot.layer!r}: kernel {slot.shape[2:]}: need odd sides, for a centre")


def _warned(slot: Slot, note: str, narrows: bool) -> str:
    """The note with what keeps the network from being an isometry."""
    stride = getattr(slot.module, "stride", 1)
    reasons = ["it narrows the signal"] if narrows else []
    if any(step > 1 for step in (stride if isinstance(stride, tuple) else (stride,))):
        reasons.append("its stride drops pixels")
    reasons += [
        f"{step.name} behind it" for step in slot.through if step.kind in {"normalization", "pool", "dropout"}
    ]
    return note if not reasons else f"{note}; no isometry: {', '.join(reasons)}"


def _check_sides(part: Part) -> None:
    """ArgumentError where an activation comes before a layer that reads the mirrored input of the block."""
    from fracrepro.nn.activations import law
    from fracrepro.nn.tracing.order import is_layer

    for name in ("branch", "skip"):
        for module in getattr(part.module, name).modules():
            if is_layer(module) and name == "branch":
                break
            if not any(module.children()) and law(module) not in (None, Linear()):
                raise ArgumentError(
                    f"block {part.name!r}: {module!r} in its {name}: need its layers to read the signal"
                )
    if len(part.beside) > 1:
        raise ArgumentError(f"block {part.name!r}: {len(part.beside)} layers in its skip: need one or none")
