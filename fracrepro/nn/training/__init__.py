"""Training: a network described, its start, and every run of a protocol side by side."""

from fracrepro.nn.training import families as _families  # so that records can name them
from fracrepro.nn.training.trainer import train

__all__ = ["train"]
