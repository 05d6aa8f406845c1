"""The convolutional blocks of many runs at once: convolution, pooling by two, ReLU; in two ways.

A CPU has fast grouped convolutions with the channels last.
On a GPU, in full float32, products of matrices are taken; `benchmarks/device.py` measures both there.
The sums are the same, in another order.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["as_products", "grouped"]


def grouped(images: Tensor, parameters: Sequence[Tensor], size: int) -> Tensor:
    """Return what the blocks make of a batch per seed, by one grouped convolution a block.

    Args:
        images: of shape (G, B, channels, height, width); all runs at a seed see its batch.
        parameters: weight and bias of each block in turn, those of all runs below each other.
        size: number of runs G·S, those at a seed beside each other.

    Returns:
        Features of shape (G·S, B, n).
    """
    groups, batch = images.shape[:2]
    h = images.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        # ReLU after pooling: the same values and gradients as before it, on a quarter of the numbers.
        h = F.relu(F.max_pool2d(F.conv2d(h, weight, bias, groups=groups), 2))
        groups = size  # the first block reads one image for all runs at a seed
    return h.reshape(batch, size, -1).transpose(0, 1).contiguous()


def as_products(images: Tensor, parameters: Sequence[Tensor], size: int) -> Tensor:
    """Return the same as :func:`grouped`, by a product of the images' windows and the kernels for each group.

    Arguments and result are those of :func:`grouped`.
    """
    h, batch = images, images.shape[1]
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        groups, kernel = h.shape[0], weight.shape[-1]
        windows = h.unfold(3, kernel, 1).unfold(4, kernel, 1)  # (groups, B, c, H, W, k, k), a view
        _, _, _, height, width, _, _ = windows.shape
        columns = windows.permute(0, 1, 3, 4, 2, 5, 6).reshape(groups, batch * height * width, -1)
        kernels = weight.view(groups, -1, columns.shape[2]).mT
        out = torch.baddbmm(bias.view(groups, 1, -1), columns, kernels)
        # (groups·B, made, H, W) as it lies: the channels are last.
        out = out.view(groups * batch, height, width, -1).permute(0, 3, 1, 2)
        pooled = F.relu(F.max_pool2d(out, 2))
        runs = size // groups  # in a group: those at a seed in the first block, then one
        each = pooled.view(groups, batch, runs, -1, *pooled.shape[2:]).transpose(1, 2)
        h = each.flatten(0, 1)
    return h.flatten(2).contiguous()
