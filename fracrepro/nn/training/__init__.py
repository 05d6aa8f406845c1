"""Training: a network described, its start, and every run of a protocol side by side."""

import fracrepro.nn.training.families  # noqa: F401  # so that records can name them
from fracrepro.nn.training.trainer import train

__all__ = ["train"]
