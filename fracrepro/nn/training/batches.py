"""Batches on the training device: order, normalization and augmentation for whole batches at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fracrepro.nn.training.streams import stream

__all__ = ["PADDING", "augmentation", "crop_and_flip", "normalize", "order"]

#: Pixels of black around an image before it is cropped.
PADDING = 4


def order(seeds: Sequence[int], epoch: int, n: int) -> Tensor:
    """Return the order in which each seed sees `n` images in an epoch, int64 of shape (G, n)."""
    return torch.stack([torch.randperm(n, generator=stream(seed, "order", epoch)) for seed in seeds])


def augmentation(seeds: Sequence[int], epoch: int, n: int) -> Tensor:
    """Return top and left of the crop in [0, 2·PADDING] and the flip (0 or 1), int64 of shape (3, G, n)."""
    draws = []
    for seed in seeds:
        generator = stream(seed, "augmentation", epoch)
        crops = torch.randint(0, 2 * PADDING + 1, (2, n), generator=generator)
        flips = torch.randint(0, 2, (1, n), generator=generator)
        draws.append(torch.cat([crops, flips]))
    return torch.stack(draws, 1)


def crop_and_flip(images: Tensor, top: Tensor, left: Tensor, flip: Tensor) -> Tensor:
    """Cut each image from its black-padded version at (top, left), then mirror it left to right where asked.

    Args:
        images: shape (B, channels, height, width).
        top: int64 of shape (B,), in [0, 2·PADDING].
        left: int64 of shape (B,), in [0, 2·PADDING].
        flip: int64 of shape (B,), 0 or 1.

    Returns:
        Images of the same shape, stored with the channels last.
    """
    batch, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (PADDING,) * 4).permute(0, 2, 3, 1)
    rows = top.unsqueeze(1) + torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device).expand(batch, width)
    columns = left.unsqueeze(1) + torch.where(flip.unsqueeze(1) > 0, width - 1 - columns, columns)
    each = torch.arange(batch, device=images.device).view(-1, 1, 1)
    return padded[each, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)


def normalize(images: Tensor) -> Tensor:
    """Map pixels 0 … 255 to float32 in [−1, 1]: (x/255 − ½)/½."""
    return images.to(torch.float32).mul_(2 / 255).sub_(1)
