"""Every experiment that can be recorded, by name."""

from __future__ import annotations

from fracrepro.arguments import choice
from fracrepro.nn.experiments.base import Experiment
from fracrepro.nn.experiments.batch_sizes import BATCH_SIZE
from fracrepro.nn.experiments.blocks import BLOCKS, BLOCKS_RATES
from fracrepro.nn.experiments.contest import CONTEST, CONTEST_RATES
from fracrepro.nn.experiments.gradient_tails import GRADIENT_TAILS
from fracrepro.nn.experiments.mechanism import MECHANISM
from fracrepro.nn.experiments.orders import ORDERS, ORDERS_RATES
from fracrepro.nn.experiments.protocol import PROTOCOLS
from fracrepro.nn.experiments.sweep import SWEEPS
from fracrepro.nn.experiments.trials import Trials

__all__ = ["EXPERIMENTS", "experiment"]


def _on_a_gpu(trials: Trials, first: int) -> Trials:
    """The same comparison at ten times as many seeds, on a GPU alone; `first` is the first of them."""
    count = 10 * len(trials.base.seeds)
    return trials.replace(name=f"{trials.name}_cuda", seeds=tuple(range(first, first + count)), needs="cuda")


#: Every experiment with a record, by name.
EXPERIMENTS: dict[str, Experiment] = {
    **PROTOCOLS,
    **SWEEPS,
    **{
        each.name: each
        for each in (
            GRADIENT_TAILS,
            BATCH_SIZE,
            MECHANISM,
            ORDERS,
            ORDERS_RATES,
            CONTEST,
            CONTEST_RATES,
            BLOCKS,
            BLOCKS_RATES,
            _on_a_gpu(MECHANISM, 3000),  # cifar10_cuda has the seeds before
            _on_a_gpu(ORDERS, 1000),
            _on_a_gpu(CONTEST, 1000),
            _on_a_gpu(BLOCKS, 1000),
        )
    },
}


def experiment(name: str) -> Experiment:
    """Return the experiment of that name at full scale; ArgumentError suggests the nearest name."""
    return EXPERIMENTS[choice("experiment", name, tuple(EXPERIMENTS))]
