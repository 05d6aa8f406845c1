"""Activations by the names that torch gives them, for the command line and for notebook parameters."""

from __future__ import annotations

import fracrepro as fr
from fracrepro.errors import ArgumentError
from fracrepro.workflow.project import unknown

NAMES = ("linear", "relu", "leaky_relu", "rrelu")


def named_activation(name: str, negative_slope: float = 0.01) -> fr.Activation:
    """Return the activation called `name`; only leaky_relu uses `negative_slope`.

    Raises ArgumentError for an unknown name and for a slope that the activation refuses.
    """
    if name == "leaky_relu":
        return fr.LeakyReLU(negative_slope)
    plain = {"linear": fr.Linear, "relu": fr.ReLU, "rrelu": fr.RReLU}
    if name not in plain:
        raise ArgumentError(unknown("activation", name, NAMES))
    return plain[name]()
