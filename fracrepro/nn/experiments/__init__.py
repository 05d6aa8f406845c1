"""Experiments as data: what is recorded, how it is carried out, and every one of them by name."""

from fracrepro.nn.experiments.base import Experiment
from fracrepro.nn.experiments.batch_sizes import BATCH_SIZE, BatchSizes
from fracrepro.nn.experiments.gradient_tails import GRADIENT_TAILS, GradientTails
from fracrepro.nn.experiments.protocol import CIFAR10, DIGITS, MNIST, PROTOCOLS, Protocol
from fracrepro.nn.experiments.registry import EXPERIMENTS, experiment
from fracrepro.nn.experiments.sweep import SWEEPS, Sweep

__all__ = [
    "BATCH_SIZE",
    "CIFAR10",
    "DIGITS",
    "EXPERIMENTS",
    "GRADIENT_TAILS",
    "MNIST",
    "PROTOCOLS",
    "SWEEPS",
    "BatchSizes",
    "Experiment",
    "GradientTails",
    "Protocol",
    "Sweep",
    "experiment",
]
