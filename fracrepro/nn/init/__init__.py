"""Initializers that take the arguments of `torch.nn.init` and return what those return.

Each fills a tensor in place and returns it, changes nothing else, and takes a `generator`.
"""

from typing import TYPE_CHECKING

from fracrepro import _moved
from fracrepro.nn.init.mirrored import looks_linear_
from fracrepro.nn.init.normal import (
    fractional_normal_,
    fractional_std,
    normal_,
    random_walk_normal_,
    random_walk_std,
    uniform_,
)
from fracrepro.nn.init.orthogonal import delta_orthogonal_, fractional_orthogonal_, orthogonal_
from fracrepro.nn.init.structured import hadamard_identity_

__all__ = [
    "delta_orthogonal_",
    "fractional_normal_",
    "fractional_orthogonal_",
    "fractional_std",
    "hadamard_identity_",
    "looks_linear_",
    "normal_",
    "orthogonal_",
    "random_walk_normal_",
    "random_walk_std",
    "uniform_",
]

if not TYPE_CHECKING:  # a type checker that saw this would accept every name
    __getattr__ = _moved.getter(__name__)
