"""Layer-sequential unit variance: every layer scaled on a batch, in the order in which the model runs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fracrepro.errors import ArgumentError
from fracrepro.nn.schemes.base import Scheme, option
from fracrepro.nn.schemes.plan import Entry, Plan, Prescription, Slot

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["LSUV"]

NEAR = 1e-3  # a variance further from 1 than this, and than the tolerance, after all attempts is told
UNREACHED = "not reached by the batch, so that its output has no variance"


@dataclass(frozen=True)
class LSUV(Scheme):
    r"""Orthonormal weights, then each layer divided by the standard deviation of its output on the batch.

    .. math:: W \leftarrow W / \mathrm{sd}(Wx + b) \quad \text{until} \quad
              |\mathrm{sd}^2 - 1| \le \text{tolerance}

    over all inputs, units and positions at once, about their mean, in the order in which the model applies
    the weights; what comes before a layer is final when its turn comes, so one pass of the model is enough.
    Without a bias one division is exact, and a second call changes nothing.
    A weight that is applied several times is scaled at the first of them.
    A layer already within the tolerance is left orthonormal.

    The paper tests the variance, as is done here; the authors' code tests the standard deviation, which at
    the same tolerance accepts nearly twice as much.
    The code takes its layers in the order of registration; here the order of the run counts.
    It runs the model in evaluation mode, as is the default here.

    Source:
        Mishkin and Matas 2016; what it can change is derived on page 16, thm-diagnosis-lsuv.
    """

    name = "lsuv"
    label = "LSUV"
    colour = "#7f9f00"
    source = "Mishkin and Matas 2016"
    needs_data = True

    tolerance: float = option(0.1, "[0, 1)", "largest accepted difference of the variance from 1")
    attempts: int = option(10, "[1, 100]", "divisions of one layer, at most")
    run_in: str = option("eval", ("eval", "train"), "mode of the model in the run on the batch")

    def prepare(self, plan: Plan) -> list[Entry]:
        """Return every weight that the batch reaches, and its bias."""
        entries = super().prepare(plan)
        for entry in entries[:]:
            slot = entry.slot
            if slot is None or slot.bias is None or entry.refusal or id(slot.bias) in plan.kept:
                continue
            if all(slot.bias is not each.tensor for each in entries):
                entries.append(Entry(slot.layer, "bias", slot.bias, slot, Prescription(0.0)))
        return entries

    def prescribe(self, slot: Slot) -> Prescription:
        """Return what is known before the run: no law of the activation is needed."""
        if not slot.traced:
            raise ArgumentError(UNREACHED)
        return Prescription(None, None, "output of variance 1 on the batch")

    def fill(self, plan: Plan, entries: Sequence[Entry], generator: torch.Generator | None) -> None:
        """Draw orthonormal weights, then scale them in one run of the model."""
        from torch import nn

        from fracrepro.nn.tracing.preserve import preserved

        weights = {}
        for entry in entries:
            assert entry.tensor is not None
            if entry.parameter == "bias" and entry.slot is not None and entry.tensor is entry.slot.bias:
                entry.tensor.zero_()
            else:
                drawn = entry.tensor.float() if entry.tensor.itemsize < 4 else entry.tensor
                entry.tensor.copy_(nn.init.orthogonal_(drawn, generator=generator))
                weights[id(entry.tensor)] = entry.layer
        with preserved(plan.model):
            plan.model.train(self.run_in == "train")
            _scale(plan, weights, self.tolerance, self.attempts)


def _scale(plan: Plan, weights: dict[int, str], tolerance: float, attempts: int) -> None:
    """Divide each weight by the standard deviation of its output, while the model runs."""
    from fracrepro.nn.tracing.follow import LAYERS
    from fracrepro.nn.tracing.record import Recorder, observe

    class Scaler(Recorder):
        def apply(self, name: str, function: Any, args: Any, kwargs: Any) -> Any:
            weight = args[1] if len(args) > 1 else kwargs.get("weight")
            if name not in LAYERS or id(weight) not in weights:
                return super().apply(name, function, args, kwargs)
            layer = weights.pop(id(weight))
            return _unit(layer, weight, lambda: function(*args, **kwargs), tolerance, attempts)

    observe(plan.model, plan.batch, Scaler(plan.model, plan.batch))
    for layer in weights.values():
        raise ArgumentError(f"layer {layer!r}: {UNREACHED}")


def _unit(layer: str, weight: Tensor, output: Any, tolerance: float, attempts: int) -> Tensor:
    """Scale one weight; return the output with it."""
    made = output()
    for _ in range(attempts):
        sd = _sd(layer, made)
        if abs(sd**2 - 1) <= tolerance:
            return made
        weight.div_(sd)
        made = output()
    variance = _sd(layer, made) ** 2
    if abs(variance - 1) > max(tolerance, NEAR):
        message = f"lsuv: layer {layer!r} has variance {variance:.3g} after {attempts} divisions"
        warnings.warn(message, UserWarning, stacklevel=2)
    return made


def _sd(layer: str, made: Tensor) -> float:
    """The standard deviation of an output, ArgumentError where one cannot divide by it."""
    values = made.detach().double()
    sd = float(values.std(correction=0)) if values.numel() else 0.0
    if not (math.isfinite(sd) and sd > 0) or sd <= 1e-12 * float(values.abs().max()):
        what = "constant" if math.isfinite(sd) else "not finite"
        raise ArgumentError(f"layer {layer!r}: its output on the batch is {what} (standard deviation {sd:g})")
    return sd
