"""A model, and the generators, as they were: what a look at a model must leave behind."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

__all__ = ["preserved"]


@contextmanager
def preserved(model: nn.Module) -> Iterator[None]:
    """Restore on leaving: modes, buffers, `.grad`, and the generators of torch, numpy and Python.

    Parameters are not copied; nothing that runs inside may change them.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [
        (module, name, buffer, None if buffer is None else buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
    ]
    grads = [(parameter, parameter.grad) for parameter in model.parameters()]
    for parameter, _ in grads:
        parameter.grad = None  # a forward pass that calls backward would add to it in place
    devices = {p.device.index for p in model.parameters() if p.device.type == "cuda"}
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002  # the global one
    try:
        with torch.random.fork_rng(devices=[index for index in devices if index is not None]):
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002  # the global one
        random.setstate(python_state)
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for module, name, buffer, values in buffers:
                module._buffers[name] = buffer
                if buffer is not None and values is not None:
                    buffer.copy_(values)
        for parameter, grad in grads:
            parameter.grad = grad
