"""The early lead on CIFAR-10 taken apart: what the output scale explains, what the rates, what the biases."""

from __future__ import annotations

import dataclasses

from fracrepro.nn.experiments.protocol import CIFAR10
from fracrepro.nn.experiments.trials import Trial, Trials
from fracrepro.nn.schemes.base import NormalScheme
from fracrepro.nn.schemes.fractional import Fractional
from fracrepro.nn.schemes.variance import Kaiming
from fracrepro.nn.training.arms import arms_between
from fracrepro.nn.training.network import Network
from fracrepro.nn.training.rescaling import Rescaling

__all__ = ["MECHANISM", "mechanism_trials"]


def mechanism_trials(
    network: Network, first: NormalScheme, second: NormalScheme, learning_rate: float, cell: str
) -> tuple[Trial, ...]:
    """Return the trials between two starts whose weights differ by a factor c in each layer.

    The arms are ``first`` and ``second`` by their names, and the second start with the output times the
    product of the factors (``"scale"``), with the rates of the weights divided by c² (``"rates"``), and with
    both.
    Without biases and weight decay ``"both"`` is the training of `first`.

    Args:
        network: without a factor of the output and rates of its own.
        first: a scheme with normal weights.
        second: another.
        learning_rate: of all trials.
        cell: what the results call the network.

    Source:
        Derived on page 09, mnist-thm-scale.
    """
    arms = arms_between(Rescaling.between(network, first, second))
    return (
        Trial(cell, first.name, network, first, learning_rate),
        Trial(cell, second.name, network, second, learning_rate),
        *(
            Trial(
                cell,
                name,
                dataclasses.replace(network, output=arms[name].output, rates=arms[name].rates),
                second,
                learning_rate,
            )
            for name in ("scale", "rates", "both")
        ),
    )


#: The authors' CIFAR-10 protocol for its first ten epochs, under plans/mechanism.yml.
MECHANISM = Trials(
    CIFAR10.replace(name="mechanism", seeds=tuple(range(40, 60)), epochs=10),
    "network",
    mechanism_trials(
        Network((3, 32, 32), channels=(6, 16)),
        Fractional(s=1.0, formula="published"),
        Kaiming(),
        CIFAR10.learning_rate,
        "authors",
    ),
)
