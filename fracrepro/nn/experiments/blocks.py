"""The residual schemes under one protocol, and what a skip connection alone changes, under a plan."""

from __future__ import annotations

from collections.abc import Mapping

from fracrepro.nn import schemes
from fracrepro.nn.experiments.protocol import CIFAR10
from fracrepro.nn.experiments.trials import Trial, Trials
from fracrepro.nn.training.families import Residual
from fracrepro.nn.training.network import Network, NetworkDescription

__all__ = ["BLOCKS", "BLOCKS_RATES", "DEPTHS", "GRID", "block_trials"]

#: The learning rates among which each scheme's is chosen.
#: A first search from 0.001 to 0.3 left Fixup's best at its upper end, and Kaiming's with 24 blocks nowhere.
GRID = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
#: How many blocks of two layers the networks have, all of width 64.
DEPTHS = (8, 24)
_SHAPE = (3, 32, 32)
_SCHEMES = ("kaiming", "fixup", "skipinit", "rezero", "risotto")
_PLAIN = "kaiming without skips"
# What the rule makes of recorded/blocks_rates.csv, one rate a depth; a test compares.
# Kaiming's with 24 blocks is above a guess at every rate, and of equal ones the rule takes the smallest.
_RATES = {
    "kaiming": (0.03, 0.0001),
    "fixup": (0.3, 0.3),
    "skipinit": (0.1, 0.1),
    "rezero": (0.1, 0.1),
    "risotto": (0.03, 0.03),
    "kaiming without skips": (0.1, 0.03),
}


def _networks(blocks: int) -> dict[str, NetworkDescription]:
    """One residual network for all schemes, and the fully connected one with as many layers."""
    # RISOTTO needs the activation behind the sum, and SkipInit and ReZero the learnable factor.
    residual = Residual(_SHAPE, blocks=blocks, kind="post", scale=1.0)
    plain = Network(_SHAPE, depth=2 * blocks + 2, negative_slope=0.0, readout="linear", start_bias="zero")
    return dict.fromkeys(_SCHEMES, residual) | {_PLAIN: plain}


def block_trials(name: str, rates: Mapping[str, tuple[float, ...]]) -> Trials:
    """Return all arms at all depths, each at a rate of its own.

    Args:
        name: of the experiment.
        rates: for each arm, learning rates, one a depth.

    Raises:
        ArgumentError: for a rate out of its range.
    """
    trials = [
        Trial(blocks, arm, network, schemes.make(arm.partition(" ")[0]), rates[arm][k])
        for k, blocks in enumerate(DEPTHS)
        for arm, network in _networks(blocks).items()
    ]
    base = CIFAR10.replace(
        name=name,
        seeds=tuple(range(200, 210)),
        epochs=4,
        batch_size=128,
        weight_decay=0.0,
        decay_every=None,
        augment=False,
        network=Network(_SHAPE),
    )
    return Trials(base, "blocks", tuple(trials))


#: The search for the rates, at seeds that are used for nothing else.
#: The rule is that of :func:`fracrepro.stats.rates.best_rates`, for the training loss after the last epoch.
BLOCKS_RATES = block_trials(
    "blocks", dict.fromkeys((*_SCHEMES, _PLAIN), (GRID[0],) * len(DEPTHS))
).over_rates(GRID, name="blocks_rates", seeds=tuple(range(100, 104)), epochs=1)

#: The comparison under plans/blocks.yml.
BLOCKS = block_trials("blocks", _RATES)
