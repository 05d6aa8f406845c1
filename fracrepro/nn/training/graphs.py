"""CUDA graphs: the hundreds of small kernels of a training step are launched as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fracrepro.memory import no_collection

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
        self.side: torch.cuda.Stream | None = None  # of the real steps, with a workspace of its own

    def __call__(self, indices: Tensor, draws: Tensor | None, learning_rate: float) -> Tensor:
        """Take the step; the result is overwritten by the next call."""
        key = (indices.shape, learning_rate)
        self.calls[key] += 1
        if self.calls[key] <= WARM_UP:
            return self._on_side_stream(indices, draws, learning_rate)
        inputs = [indices] if draws is None else [indices, draws]
        if key not in self.graphs:
            self.graphs[key] = self._recorded(inputs, learning_rate)
        graph, held, result = self.graphs[key]
        for to, tensor in zip(held, inputs, strict=True):
            to.copy_(tensor)
        graph.replay()
        return result

    def _recorded(
        self, inputs: list[Tensor], learning_rate: float
    ) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]:
        """Record the step for such inputs; recording runs nothing."""
        held = [tensor.clone() for tensor in inputs]
        graph = torch.cuda.CUDAGraph()
        # An old recording among garbage would be freed in the middle, which ends a capture.
        with no_collection(), torch.cuda.graph(graph, pool=self.pool):
            result = self.step(held[0], held[1] if len(held) > 1 else None, learning_rate)
        self.pool = self.pool or graph.pool()
        return graph, held, result

    def _on_side_stream(self, indices: Tensor, draws: Tensor | None, learning_rate: float) -> Tensor:
        """An ordinary step where captures may follow: not on the default stream."""
        self.side = self.side or torch.cuda.Stream()
        self.side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.side):
            result = self.step(indices, draws, learning_rate)
        torch.cuda.current_stream().wait_stream(self.side)
        return result
