"""Full float32 for a while: on a GPU a program, or a default, may have chosen less."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import torch

__all__ = ["full_precision"]


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute products and convolutions in full float32, with one result per input; then as before.

    Args:
        device: where; on others than a GPU there is nothing to choose.
    """
    with ExitStack() as stack:
        if device.type == "cuda":
            for put_back in (*_full_products(), *_full_convolutions()):
                stack.callback(put_back)
        yield


def _full_products() -> Iterator[Callable[[], None]]:
    """Choose full float32 for products of matrices; each choice, with what puts back the one before."""
    products = torch.backends.cuda.matmul
    newer = hasattr(products, "fp32_precision")  # since torch 2.9
    before = products.fp32_precision if newer else ""
    try:
        older = torch.get_float32_matmul_precision()
    except RuntimeError:  # the newer name was used, and the older one refuses to be mixed with it
        yield _choose(products, "fp32_precision", "ieee")
        return
    if newer:
        yield partial(setattr, products, "fp32_precision", before)
    torch.set_float32_matmul_precision("highest")
    yield partial(torch.set_float32_matmul_precision, older)


def _full_convolutions() -> Iterator[Callable[[], None]]:
    """The same for convolutions, which also keep to one order of sums."""
    cudnn = torch.backends.cudnn
    yield _choose(cudnn, "enabled", True)
    yield _choose(cudnn, "deterministic", True)
    yield _choose(cudnn, "benchmark", False)
    if hasattr(cudnn, "conv"):
        yield _choose(cudnn.conv, "fp32_precision", "ieee")
    else:  # before torch 2.9
        yield _choose(cudnn, "allow_tf32", False)


def _choose(where: object, name: str, value: bool | str) -> Callable[[], None]:
    before = getattr(where, name)
    setattr(where, name, value)
    return partial(setattr, where, name, before)
