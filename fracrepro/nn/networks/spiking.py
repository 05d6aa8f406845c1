"""Networks of threshold units with a surrogate gradient: one time step, or several with leak and reset."""

from __future__ import annotations

import numbers
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function

from fracrepro.arguments import choice, integer, integers, real
from fracrepro.errors import ArgumentError

__all__ = [
    "IntegrateAndFire",
    "OverTime",
    "Spike",
    "integrate_and_fire",
    "spike",
    "spiking",
    "threshold_of",
]

Reset = Literal["subtract", "zero"]
RESETS: tuple[Reset, ...] = ("subtract", "zero")


class _Threshold(torch.autograd.Function):
    """1 above the threshold and 0 up to it; backwards the derivative of a smooth function instead of 0."""

    generate_vmap_rule = True

    @staticmethod
    def forward(input: Tensor, threshold: float, surrogate: float) -> Tensor:
        return (input > threshold).to(input.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float, float], output: Tensor) -> None:
        input, ctx.threshold, ctx.surrogate = inputs
        ctx.save_for_backward(input)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (input,) = ctx.saved_tensors
        distance = (input - ctx.threshold).abs() / ctx.surrogate
        return grads[0] / (1 + distance) ** 2, None, None


def spike(input: Tensor, threshold: float = 1.0, surrogate: float = 0.5) -> Tensor:
    r"""Return 1 where the input exceeds the threshold and 0 elsewhere, with a surrogate gradient.

    The true derivative is 0 almost everywhere, so that nothing would be learned; backwards stands

    .. math:: \psi(u) = \Bigl(1 + \frac{|u - \theta|}{w}\Bigr)^{-2}

    in its place, 1 at the threshold, a quarter at distance w from it, never 0.
    A function of torch's kind, so that tracing sees it as one step; it works under ``torch.func``.

    Args:
        input: currents, of any shape.
        threshold: θ.
        surrogate: w, the width of the surrogate, positive.

    Source:
        The fast sigmoid's derivative is a usual surrogate; our choice of its width.

    >>> spike(torch.tensor([0.0, 1.0, 1.5])).tolist()
    [0.0, 0.0, 1.0]
    """
    if has_torch_function((input,)):
        return handle_torch_function(spike, (input,), input, threshold, surrogate)
    return _Threshold.apply(input, threshold, surrogate)


def integrate_and_fire(
    current: Tensor,
    potential: Tensor | None,
    threshold: float = 1.0,
    leak: float = 0.9,
    reset: Reset = "subtract",
    surrogate: float = 0.5,
) -> tuple[Tensor, Tensor]:
    r"""Return the spikes of one time step, and the potential that is left.

    .. math:: u = \beta \, u_{\text{before}} + I, \qquad s = 1\{u > \theta\}, \qquad
        u_{\text{after}} = u - \theta s \ \text{ or } \ u \, (1 - s),

    without a gradient through the reset.

    Args:
        current: I, of any shape.
        potential: what the last step left, of the same shape; None for 0.
        threshold: θ.
        leak: β, the share of the potential that is left after a step, in [0, 1].
        reset: ``"subtract"`` takes θ off the potential of a unit that has spiked, ``"zero"`` sets it to 0.
        surrogate: the width of the surrogate gradient of :func:`spike`.

    >>> spikes, left = integrate_and_fire(torch.tensor([0.5, 1.5]), torch.tensor([1.0, 0.0]))
    >>> spikes.tolist(), [round(u, 4) for u in left.tolist()]      # potentials 1.4 and 1.5
    ([1.0, 1.0], [0.4, 0.5])
    """
    tensors = (current,) if potential is None else (current, potential)
    if has_torch_function(tensors):
        return handle_torch_function(
            integrate_and_fire, tensors, current, potential, threshold, leak, reset, surrogate
        )
    before = current if potential is None else leak * potential + current
    spikes = spike(before, threshold, surrogate)
    fired = spikes.detach()
    return spikes, before - threshold * fired if reset == "subtract" else before * (1 - fired)


class Spike(nn.Module):
    """Threshold units for one time step: :func:`spike` as a module.

    Args:
        threshold: θ, any finite number.
        surrogate: width of the surrogate gradient, positive.

    Raises:
        ArgumentError: outside these ranges.

    >>> Spike(1.0)(torch.tensor([0.5, 2.0])).tolist()
    [0.0, 1.0]
    """

    def __init__(self, threshold: float, surrogate: float = 0.5) -> None:
        """Check the numbers."""
        super().__init__()
        self.threshold = real("threshold", threshold, "(-inf, inf)")
        self.surrogate = real("surrogate", surrogate, "(0, inf)")

    def forward(self, input: Tensor) -> Tensor:
        """Return the spikes."""
        return spike(input, self.threshold, self.surrogate)

    def extra_repr(self) -> str:
        """The threshold."""
        return f"threshold={self.threshold}"


class IntegrateAndFire(nn.Module):
    """Threshold units over several time steps: :func:`integrate_and_fire` as a module without a state.

    Args:
        threshold: θ, any finite number.
        leak: share of the potential that is left after a step, in [0, 1].
        reset: ``"subtract"`` or ``"zero"``.
        surrogate: width of the surrogate gradient, positive.

    Raises:
        ArgumentError: outside these ranges.

    >>> spikes, potential = IntegrateAndFire(1.0)(torch.tensor([1.5]))
    >>> spikes.tolist(), potential.tolist()
    ([1.0], [0.5])
    """

    def __init__(
        self, threshold: float, leak: float = 0.9, reset: Reset = "subtract", surrogate: float = 0.5
    ) -> None:
        """Check the numbers."""
        super().__init__()
        self.threshold = real("threshold", threshold, "(-inf, inf)")
        self.leak = real("leak", leak, "[0, 1]")
        self.reset = choice("reset", reset, RESETS)
        self.surrogate = real("surrogate", surrogate, "(0, inf)")

    def forward(self, current: Tensor, potential: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the spikes and the potential that is left."""
        reset: Any = self.reset
        return integrate_and_fire(current, potential, self.threshold, self.leak, reset, self.surrogate)

    def extra_repr(self) -> str:
        """Threshold, leak and reset."""
        return f"threshold={self.threshold}, leak={self.leak}, reset={self.reset!r}"


class OverTime(nn.Module):
    """A sequence of layers that is run for several time steps on one input; returns the mean of its outputs.

    All potentials start at 0, and the input is the same at every step.

    Args:
        layers: any modules; those that are :class:`IntegrateAndFire` carry their potential on.
        steps: time steps, from 1.

    Raises:
        ArgumentError: outside these ranges.

    >>> net = OverTime(nn.Sequential(IntegrateAndFire(1.0, leak=1.0)), steps=4)
    >>> net(torch.tensor([0.5, 1.0])).tolist()    # potentials 0.5, 1, 1.5, 1 and 1, 2, 2, 2 before resets
    [0.25, 0.75]
    """

    def __init__(self, layers: nn.Sequential, steps: int) -> None:
        """Check the number of steps."""
        super().__init__()
        self.layers = layers
        self.steps = integer("steps", steps, "[1, inf)")

    def forward(self, input: Tensor) -> Tensor:
        """Return the mean over the steps."""
        potentials: dict[int, Tensor] = {}
        total: Tensor | None = None
        for _ in range(self.steps):
            signal = input
            for k, layer in enumerate(self.layers):
                if isinstance(layer, IntegrateAndFire):
                    signal, potentials[k] = layer(signal, potentials.get(k))
                else:
                    signal = layer(signal)
            total = signal if total is None else total + signal
        assert total is not None
        return total / self.steps

    def extra_repr(self) -> str:
        """The number of steps."""
        return f"steps={self.steps}"


def spiking(
    sizes: Sequence[int],
    threshold: float | Sequence[float],
    *,
    steps: int = 1,
    leak: float = 0.9,
    reset: Reset = "subtract",
    surrogate: float = 0.5,
    bias: bool = True,
    last: bool = False,
) -> nn.Module:
    """Return a fully connected network of threshold units, with torch's default parameters.

    With one time step it is a sequence of layers ``dense0, spike0, dense1, …``, and leak and reset mean
    nothing; with several it is an :class:`OverTime` of such a sequence, whose output is the mean over time.
    Units spike where the current, or the potential, exceeds the threshold, and send on 1 then and else 0.

    Args:
        sizes: units of the input and of every layer, at least two numbers from 1.
        threshold: θ of all threshold units, or one number for each layer of them.
        steps: time steps, from 1, at each of which the same input enters.
        leak: share of the potential that is left after a step, in [0, 1].
        reset: ``"subtract"`` takes θ off the potential of a unit that has spiked, ``"zero"`` sets it to 0.
        surrogate: width of the surrogate gradient, see :func:`spike`.
        bias: whether layers have biases.
        last: whether the units of the last layer have a threshold too, else they are linear.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        One time step is the setting of the rule of Micheli et al. 2024; leak, reset and surrogate are usual
        choices, and the rule does not cover several time steps.

    >>> [name for name, _ in spiking([8, 16, 3], 1.0).named_children()]
    ['dense0', 'spike0', 'dense1']
    """
    counts = integers("sizes", sizes, "[1, inf)").tolist()
    if not isinstance(counts, list) or len(counts) < 2:
        raise ArgumentError(f"sizes = {sizes!r}: need the units of the input and of at least one layer")
    steps = integer("steps", steps, "[1, inf)")
    number = len(counts) - (1 if last else 2)
    given = list(threshold) if isinstance(threshold, Sequence) else [threshold] * max(number, 1)
    if len(given) != max(number, 1):
        raise ArgumentError(f"threshold = {threshold!r}: need one number, or {number}")
    units: list[nn.Module] = [
        Spike(each, surrogate) if steps == 1 else IntegrateAndFire(each, leak, reset, surrogate)
        for each in given
    ]
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for k, (n_in, n_out) in enumerate(pairwise(counts)):
        layers[f"dense{k}"] = nn.Linear(n_in, n_out, bias=bias)
        if k < number:
            layers[f"spike{k}"] = units[k]
    network = nn.Sequential(layers)
    return network if steps == 1 else OverTime(network, steps)


def threshold_of(thing: Any) -> float | None:
    """Return the threshold of threshold units, ours or another's; None for everything else.

    Another's is a module that torch does not have, with one number as its attribute `threshold`.

    >>> threshold_of(Spike(0.5)), threshold_of(nn.Threshold(0.5, 0.0))
    (0.5, None)
    """
    if not isinstance(thing, nn.Module) or type(thing).__module__.startswith("torch."):
        return None
    value = getattr(thing, "threshold", None)
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_meta:
        return float(value)
    return float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else None
