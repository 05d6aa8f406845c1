"""Shared by the tests of the torch side."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@pytest.fixture(autouse=True, scope="session")
def _one_thread_inside_torch():
    # Small matrices gain nothing from a second thread, and lose where the cores are shared with others.
    torch.set_num_threads(1)


class OnMeta(TorchDispatchMode):
    """What a GPU would refuse or wait for is an error: tensors of two devices in one operation.

    Torch's device `meta` has shapes and no numbers, so that reading one (`item`, `bool`, `cpu`) fails.
    But some operations, among them products of matrices and indexing, take a tensor on the CPU in silence.

    Args:
        closed: refuse copies to the device too, and whatever else makes a tensor on the CPU.
    """

    COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)

    def __init__(self, closed=False):
        super().__init__()
        self.closed, self.calls = closed, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.calls += 1
        seen = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        on_cpu = [tensor for tensor in seen if tensor.device.type == "cpu" and tensor.ndim]  # () is a number
        mixed = len(on_cpu) < len(seen) and func not in self.COPIES
        if on_cpu and (mixed or self.closed):
            raise RuntimeError(f"{func} has a tensor on the CPU, of shape {tuple(on_cpu[0].shape)}")
        return result


@pytest.fixture
def on_meta():
    """The mode above, as ``with on_meta(closed=True):``."""
    return OnMeta
