"""Every scheme for fully connected networks under one protocol, each at a rate of its own, under a plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from fracrepro.nn import schemes
from fracrepro.nn.experiments.protocol import MNIST
from fracrepro.nn.experiments.trials import Trial, Trials
from fracrepro.nn.schemes.base import Scheme
from fracrepro.nn.training.network import Network

__all__ = ["CONTEST", "CONTEST_RATES", "DEPTHS", "GRID", "contest_trials"]

#: The learning rates among which each scheme's is chosen.
GRID = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
#: The depths of the networks, all of width 64.
DEPTHS = (10, 20, 40, 80)
# Delta-orthogonal weights are the orthogonal ones in a fully connected layer.
_ALIKE: tuple[tuple[str, Scheme], ...] = tuple(
    (name, schemes.make(name))
    for name in (
        "kaiming",
        "fractional",
        "lyapunov",
        "kaiming_uniform",
        "xavier",
        "xavier_uniform",
        "torch_default",
        "random_walk",
        "orthogonal",
        "zero",
        "lsuv",
    )
)
# Schemes with a rule of their own for the ends of a network, or for the network as a whole.
_OWN: tuple[tuple[str, Scheme], ...] = (
    ("torch_default own ends", schemes.make("torch_default")),
    ("orthogonal own ends", schemes.make("orthogonal")),
    ("zero own ends", schemes.make("zero")),
    ("lsuv own ends", schemes.make("lsuv")),
    ("looks_linear own ends", schemes.make("looks_linear")),
    ("looks_linear orthogonal own ends", schemes.make("looks_linear", base="orthogonal")),
)
# What the rule makes of recorded/contest_rates.csv, one rate a depth; a test compares.
_RATES = {
    "kaiming": (0.03, 0.01, 0.01, 0.003),
    "fractional": (0.03, 0.03, 0.01, 0.003),
    "lyapunov": (0.03, 0.03, 0.01, 0.003),
    "kaiming_uniform": (0.03, 0.01, 0.003, 0.003),
    "xavier": (0.1, 0.1, 0.03, 0.03),
    "xavier_uniform": (0.1, 0.1, 0.03, 0.03),
    "torch_default": (0.1, 0.03, 0.03, 0.03),
    "random_walk": (0.03, 0.01, 0.01, 0.003),
    "orthogonal": (0.03, 0.01, 0.01, 0.01),
    "zero": (0.03, 0.03, 0.01, 0.01),
    "lsuv": (0.03, 0.03, 0.01, 0.003),
    "torch_default own ends": (0.3, 0.03, 0.03, 0.03),
    "orthogonal own ends": (0.03, 0.03, 0.01, 0.003),
    "zero own ends": (0.1, 0.03, 0.03, 0.03),
    "lsuv own ends": (0.03, 0.01, 0.003, 0.003),
    "looks_linear own ends": (0.03, 0.01, 0.01, 0.003),
    "looks_linear orthogonal own ends": (0.03, 0.03, 0.01, 0.01),
}


def contest_trials(name: str, rates: Mapping[str, tuple[float, ...]]) -> Trials:
    """Return all arms at all depths, each at a rate of its own.

    Args:
        name: of the experiment.
        rates: for each arm, learning rates, one a depth.

    Raises:
        ArgumentError: for a rate out of its range.
    """
    trials = []
    for k, depth in enumerate(DEPTHS):
        own = Network(MNIST.network.image_shape, depth=depth, readout="linear", start_bias="zero")
        alike = dataclasses.replace(own, frame="kaiming")
        for network, arms in ((alike, _ALIKE), (own, _OWN)):
            trials += [Trial(depth, arm, network, scheme, rates[arm][k]) for arm, scheme in arms]
    base = MNIST.replace(name=name, seeds=tuple(range(200, 216)), epochs=3)
    return Trials(base, "depth", tuple(trials))


#: The search for the rates, at seeds that are used for nothing else.
#: The rule is that of :func:`fracrepro.stats.rates.best_rates`, for the training loss after the last epoch.
CONTEST_RATES = contest_trials(
    "contest", dict.fromkeys([arm for arm, _ in (*_ALIKE, *_OWN)], (GRID[0],) * len(DEPTHS))
).over_rates(GRID, name="contest_rates", seeds=tuple(range(100, 103)), epochs=2)

#: The comparison under plans/contest.yml.
CONTEST = contest_trials("contest", _RATES)
