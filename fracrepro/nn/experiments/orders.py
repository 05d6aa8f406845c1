"""Where theory says that the order matters: deep narrow networks, under a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fracrepro.nn.experiments.protocol import MNIST
from fracrepro.nn.experiments.trials import Trial, Trials
from fracrepro.nn.schemes.fractional import Fractional
from fracrepro.nn.training.network import Network
from fracrepro.nn.training.rescaling import Rescaling

__all__ = ["GRID", "ORDERS", "ORDERS_RATES", "order_trials"]

#: The learning rates among which each scheme's is chosen.
#: A first search from 0.003 to 0.3 found every run dead from 0.1 on, and the lowest rate best for most arms.
GRID = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
_SHAPES = ((8, 20), (16, 50), (32, 50), (32, 100))
_ORDERS = (0.0, 1.0, 2.0)
# What the rule makes of recorded/orders_rates.csv, for orders 0, 1, 2 and the rescaled arm; a test compares.
_RATES = {
    (8, 20): (3e-2, 3e-2, 3e-2, 1e-3),
    (16, 50): (1e-2, 1e-2, 1e-2, 3e-4),
    (32, 50): (3e-3, 1e-2, 1e-2, 3e-3),
    (32, 100): (3e-3, 3e-3, 3e-3, 3e-4),
}


def order_trials(width: int, depth: int, rates: Sequence[float]) -> list[Trial]:
    """Return the orders 0, 1 and 2 in one network, and order 2 with the output scale of order 0.

    Args:
        width: of the hidden layers, at least 1.
        depth: number of layers, at least 1.
        rates: learning rates, one for each of the four.

    Raises:
        ArgumentError: outside these ranges.
    """
    network = Network(
        MNIST.network.image_shape, depth=depth, width=width, readout="linear", start_bias="zero"
    )
    first, *_, last = starts = [Fractional(s=s) for s in _ORDERS]
    scaled = Network(
        network.image_shape,
        depth=depth,
        width=width,
        readout="linear",
        start_bias="zero",
        output=Rescaling.between(network, first, last).output,
    )
    arms = [("fractional", network, start) for start in starts]
    arms.append(("rescaled", scaled, last))
    return [
        Trial(f"{width}x{depth}", name, built, start, rate)
        for (name, built, start), rate in zip(arms, rates, strict=True)
    ]


def _experiment(name: str, rates: Mapping[tuple[int, int], tuple[float, ...]]) -> Trials:
    trials = [trial for shape in _SHAPES for trial in order_trials(*shape, rates[shape])]
    base = MNIST.replace(name=name, seeds=tuple(range(200, 280)), epochs=6)
    return Trials(base, "network", tuple(trials))


#: The search for the rates: every arm at every rate of the grid, at seeds that are used for nothing else.
#: The rule is that of :func:`fracrepro.stats.rates.best_rates`, for the training loss after the last epoch.
ORDERS_RATES = _experiment("orders", dict.fromkeys(_SHAPES, (GRID[0],) * 4)).over_rates(
    GRID, name="orders_rates", seeds=tuple(range(100, 106)), epochs=3
)

#: The comparison under plans/orders.yml.
ORDERS = _experiment("orders", _RATES)
