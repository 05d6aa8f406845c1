"""What `scaling.py` gives to workers, who import it by name."""

import numpy as np
import torch  # a worker imports here, before the clock of a task runs

import fracrepro as fr
from fracrepro.nn import data
from fracrepro.nn.experiments import DIGITS

WIDTH, DEPTH = 64, 100


def nothing(_):
    """The empty task: what is measured is the engine."""


def monte_carlo(seed, rounds):
    """Log-norms of `rounds` times 2000 networks, block by block."""
    rng, total = np.random.default_rng(seed), 0.0
    for _ in range(rounds):
        total += fr.simulate_log_norms(2000, DEPTH, WIDTH, fr.ReLU(), 2 / WIDTH, rng=rng)[:, -1].sum()
    return total


def training(seed, rounds):
    """One network on the 8×8 digits, `rounds` times two epochs; `seed` only tells the tasks apart."""
    assert torch.get_num_threads() == 1, seed
    images = data.load("digits")
    for _ in range(rounds):
        protocol = DIGITS.settle("quick", runs=1, epochs=2, schemes=("kaiming",))
        protocol.run(images, device="cpu", progress=False)
