"""Schemes whose matrices are Haar-distributed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fracrepro.errors import ArgumentError
from fracrepro.nn import scale
from fracrepro.nn.schemes.base import Scheme, option
from fracrepro.nn.schemes.plan import Entry, Plan, Prescription, Slot

if TYPE_CHECKING:
    import torch

__all__ = ["DeltaOrthogonal", "Orthogonal"]


@dataclass(frozen=True)
class Orthogonal(Scheme):
    r"""A semi-orthogonal matrix in every layer, whose gain preserves the moment of order `s`.

    .. math:: \eta^2 = \frac{n_\text{out}}{\text{fan_in}} \, (E R^s)^{-2/s}, \qquad
              E R^s = \frac{E R_{n_\text{out}}^s}{E \chi_{\max(n_\text{out}, \text{fan_in})}^s}

    At the order 2 that is Kaiming's gain; the root mean square of the signal is kept where a layer widens or
    narrows.
    A convolution is flattened, one matrix a group, as torch's `orthogonal_` does: its patches overlap, so it
    is no isometry, and the law is a heuristic.

    Source:
        Saxe et al. 2014 for the matrix; the order is ours, derived on page 13, isometry-thm-orthogonal.

    >>> from fracrepro.theory.activations import ReLU
    >>> Orthogonal().gain(Slot((64, 64), ReLU())) == 2**0.5
    True
    """

    name = "orthogonal"
    label = "Orthogonal"
    colour = "#d55e00"
    source = "Saxe et al. 2014"

    s: float = option(2.0, "[0, 2]", "preserved order; 0 preserves the mean log-norm")

    def gain(self, slot: Slot) -> float:
        """Return the factor before the semi-orthogonal matrix."""
        if not slot.transposed:
            # All groups count, though each has a matrix of its own.
            return scale.orthogonal_gain(self.s, slot.fan_in * slot.groups, slot.width, slot.activation)
        # The matrix leads from one place to its kernel; at the order 2 its entries have Kaiming's variance.
        correction = scale.orthogonal_gain(self.s, slot.width, slot.width, slot.activation)
        return correction * math.sqrt(max(_sides(slot)) / slot.fan_in)

    def prescribe(self, slot: Slot) -> Prescription:
        """Return the standard deviation of an entry, and the gain that it means."""
        std = self.gain(slot) / math.sqrt(max(_sides(slot)))
        note = "flattened kernel: no isometry" if math.prod(slot.shape[2:]) > 1 else ""
        return Prescription(std, std * math.sqrt(slot.fan_in), note)

    def fill(self, plan: Plan, entries: Sequence[Entry], generator: torch.Generator | None) -> None:
        """Draw the matrices, one a group."""
        from fracrepro.nn.init import orthogonal_

        for entry in entries:
            if entry.tensor is not None and entry.slot is not None:
                gain = self.gain(entry.slot)
                for block in entry.tensor.chunk(entry.slot.groups):
                    orthogonal_(block, gain, generator)


@dataclass(frozen=True)
class DeltaOrthogonal(Scheme):
    r"""Kernels that are zero but for a semi-orthogonal matrix at their centre.

    Linear layers are those of the scheme `orthogonal`.
    With its η at fan_in = n_in, a convolution with stride 1 and padding that keeps the
    size multiplies the norm at every place by η, exactly; the centre stands at index ``size // 2``.
    It needs at most as many input channels as output channels, in every group.

    Source:
        Xiao et al. 2018 for the matrix; the order is ours, derived on page 13, isometry-thm-orthogonal.

    >>> DeltaOrthogonal().gain(Slot((8, 8, 3, 3)))
    1.0
    """

    name = "delta_orthogonal"
    label = "Delta-orthogonal"
    colour = "#8b5a2b"
    source = "Xiao et al. 2018"

    s: float = option(2.0, "[0, 2]", "preserved order; 0 preserves the mean log-norm")

    def gain(self, slot: Slot) -> float:
        """Return the factor before the semi-orthogonal matrix.

        Raises:
            ArgumentError: for a convolution with more input than output channels.
        """
        n_out, n_in, *kernel = slot.shape
        if kernel and n_in > n_out:
            raise ArgumentError(
                f"{n_in} input channels in a group and {n_out} output channels: need at most as many input "
                "channels, since no matrix with fewer rows than columns keeps every norm"
            )
        return scale.orthogonal_gain(self.s, slot.input_width, slot.width, slot.activation)

    def prescribe(self, slot: Slot) -> Prescription:
        """Return the standard deviation of an entry of the matrix, and the gain that it means."""
        n_out, n_in, *kernel = slot.shape
        std = self.gain(slot) / math.sqrt(max(n_out, n_in))
        return Prescription(
            std, std * math.sqrt(n_in), "centre of the kernel, zero elsewhere" if kernel else ""
        )

    def fill(self, plan: Plan, entries: Sequence[Entry], generator: torch.Generator | None) -> None:
        """Draw the matrices, one a group."""
        from fracrepro.nn.init import orthogonal_
        from fracrepro.nn.init.orthogonal import centre

        for entry in entries:
            if entry.tensor is not None and entry.slot is not None:
                gain = self.gain(entry.slot)
                for block in centre(entry.tensor.zero_()).chunk(entry.slot.groups):
                    orthogonal_(block, gain, generator)


def _sides(slot: Slot) -> tuple[int, int]:
    """Rows and columns of the flattened matrix of one group, whichever is which."""
    n_out, n_in, *kernel = slot.shape
    places = math.prod(kernel)
    return (n_in, n_out * places) if slot.transposed else (n_out, n_in * places)
