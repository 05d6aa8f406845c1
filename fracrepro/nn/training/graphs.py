"""CUDA graphs: the hundreds of small kernels of a training step are launched as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Replayed"]

WARM_UP = 3  # real steps before the capture, in which libraries choose kernels and allocate workspace

Step = Callable[[Tensor, Tensor | None, float], Tensor]


class Replayed:
    """A step with the same signature that records itself once per shape and learning rate, then replays.

    All recordings share one pool of memory, so that a second one needs next to no more than the first.
    They may, because none leaves anything there for another: their inputs and what a step changes are
    allocated outside, and a result is read before the next replay.

    Args:
        step: works on tensors of one CUDA device, without waiting for the host.
    """

    def __init__(self, step: Step) -> None:
        """Record nothing yet."""
        self.step = step
        self.calls: Counter[tuple[torch.Size, float]] = Counter()
        self.graphs: dict[tuple[torch.Size, float], tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]] = {}
        self.pool: Any = None  # that of the first recording

    def __call__(self, indices: Tensor, draws: Tensor | None, learning_rate: float) -> Tensor:
        """Take the step; the result is overwritten by the next call."""
        key = (indices.shape, learning_rate)
        self.calls[key] += 1
        if self.calls[key] <= WARM_UP:
            return self._on_side_stream(indices, draws, learning_rate)
        inputs = [indices] if draws is None else [indices, draws]
        if key not in self.graphs:
            held = [tensor.clone() for tensor in inputs]
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self.pool):  # records and does not run
                result = self.step(held[0], held[1] if len(held) > 1 else None, learning_rate)
            self.pool = self.pool or graph.pool()
            self.graphs[key] = graph, held, result
        graph, held, result = self.graphs[key]
        for to, tensor in zip(held, inputs, strict=True):
            to.copy_(tensor)
        graph.replay()
        return result

    def _on_side_stream(self, indices: Tensor, draws: Tensor | None, learning_rate: float) -> Tensor:
        """An ordinary step where captures may follow: not on the default stream."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            result = self.step(indices, draws, learning_rate)
        torch.cuda.current_stream().wait_stream(side)
        return result
