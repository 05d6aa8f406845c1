"""ZerO: a start without chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fracrepro.nn import scale
from fracrepro.nn.schemes.base import Scheme, option
from fracrepro.nn.schemes.plan import Entry, Plan, Prescription, Slot

if TYPE_CHECKING:
    import torch

__all__ = ["Zero"]


@dataclass(frozen=True)
class Zero(Scheme):
    """ZerO: a part of the identity, or of a Hadamard matrix where a layer widens.

    Linear layers and the centres of kernels get the matrix of :func:`.hadamard_identity_`,
    each group of a convolution by itself.
    It is an isometry where the layer does not narrow and, if it widens, to a power of two.
    What follows a layer does not matter.

    Source:
        Zhao, Schäfer and Anandkumar 2022, in the form of the authors' code; that the centre of a kernel gets
        the same matrix follows others, the code has no convolution.
    """

    name = "zero"
    label = "ZerO"
    colour = "#5b5b9f"
    source = "Zhao, Schäfer and Anandkumar 2022"
    random = False
    can_fail = False

    constant: scale.Constant = option(
        "code", scale.CONSTANTS, "before the Hadamard matrix; algorithm is √2 times as large"
    )

    def prescribe(self, slot: Slot) -> Prescription:
        """Return which matrix it is; nothing is drawn, so there is no standard deviation."""
        n_out, n_in, *kernel = slot.shape
        if n_out <= n_in:
            note = "partial identity"
        else:
            note = f"Hadamard matrix, entries ±{scale.hadamard_size(n_out, self.constant):.4g}"
        return Prescription(None, None, f"{note} at the centre of the kernel" if kernel else note)

    def fill(self, plan: Plan, entries: Sequence[Entry], generator: torch.Generator | None) -> None:
        """Write the matrices."""
        from fracrepro.nn.init import hadamard_identity_
        from fracrepro.nn.init.orthogonal import centre

        for entry in entries:
            if entry.tensor is not None and entry.slot is not None:
                for block in centre(entry.tensor.zero_()).chunk(entry.slot.groups):
                    matrix = block.t() if entry.slot.transposed else block
                    hadamard_identity_(matrix, constant=self.constant)
