"""Random streams: one for each purpose, so that no draw depends on how many another purpose has taken."""

from __future__ import annotations

import numpy as np
import torch

__all__ = ["stream"]

# The position in this list enters the seed of a stream: names may be added at the end, never moved.
STREAMS = ("weights", "biases", "convolutions", "order", "augmentation", "noise", "frame")


def stream(seed: int, purpose: str, epoch: int = 0) -> torch.Generator:
    """Return the CPU generator for one purpose at one seed and epoch.

    Every draw of a run comes from here, on a GPU too: a run starts the same wherever it trains.

    Args:
        seed: of the run, in [0, 2^31).
        purpose: one of "weights", "biases", "convolutions", "order", "augmentation", "noise" and "frame".
        epoch: counted from 1; 0 for what is drawn once a run.
    """
    words = np.random.SeedSequence([seed, STREAMS.index(purpose), epoch]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0] >> np.uint64(1)))  # torch takes 63 bits
