"""The networks of this package as plain torch modules: any scheme fills them, any trainer trains them.

One file a family; what each builds is a module like any other.
"""

from typing import TYPE_CHECKING

from fracrepro import _moved
from fracrepro.nn.blocks import ScalarBias
from fracrepro.nn.networks.graph import graph
from fracrepro.nn.networks.plain import conv, mlp
from fracrepro.nn.networks.residual import Block, framed, residual
from fracrepro.nn.networks.spiking import spiking

__all__ = ["Block", "ScalarBias", "conv", "framed", "graph", "mlp", "residual", "spiking"]

if not TYPE_CHECKING:  # a type checker that saw this would accept every name
    __getattr__ = _moved.getter(__name__)
