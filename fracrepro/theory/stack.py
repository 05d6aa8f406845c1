"""The layers of a network: one width and variance for all of them, or one of each a layer.

An orthogonal layer whose inputs outnumber its neurons keeps a share of the norm only, so that there the width
of the network's own input counts; every later layer has the neurons of the one before as inputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby, repeat
from typing import Any, NamedTuple

import numpy as np

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.weights import WIDTHS, Weights
from fracrepro.theory.weights import law as weight_law

#: The depths that the laws are made for, as an interval.
DEPTHS = "[1, 1000000]"
#: One integer for all layers, or one a layer.
Widths = int | Sequence[int] | np.ndarray
#: One variance for all layers, or one a layer.
Variances = float | Sequence[float] | np.ndarray


class Layer(NamedTuple):
    """What the law of one layer's norm depends on beside the activation."""

    width: int
    weights: Weights
    variance: float


class Layers:
    """The layers of a network from the input to the output.

    Attributes:
        depth: how many there are.
        width: the one of all layers, or a tuple with one a layer.
        variance: likewise.
        input_width: number of inputs of the network; None where it was not given.
        runs: the layers in their order, equal neighbours as one entry with their number.
    """

    def __init__(
        self, depth: Any, width: Any, variance: Any, weights: str, input_width: int | None = None
    ) -> None:
        """Check the arguments; the runs of a network whose layers agree are found without a list of them."""
        law = weight_law(weights, input_width)
        self.depth = arguments.integer("depth", depth, DEPTHS)
        self.input_width = input_width
        self.width: int | tuple[int, ...] = self._entries(
            "width", arguments.integers("width", width, WIDTHS), width
        )
        self.variance: float | tuple[float, ...] = self._entries(
            "variance", arguments.reals("variance", variance, "(0, inf)"), variance
        )
        several = isinstance(self.width, tuple) and len(set(self.width)) > 1
        if several and input_width is None and law.bounded:
            raise ArgumentError(
                f"input_width = None: need an integer in {WIDTHS} with weights = {weights!r} and several "
                "widths, because the first layer's share of the norm depends on it"
            )
        self.runs = self._find_runs(weight_law(weights))

    def groups(self) -> list[tuple[Layer, int]]:
        """Return each kind of layer with its number, in an order that does not depend on theirs."""
        counts: Counter[Layer] = Counter()
        for layer, count in self.runs:
            counts[layer] += count
        return sorted(
            counts.items(), key=lambda item: (item[0].width, repr(item[0].weights), item[0].variance)
        )

    def _entries(self, name: str, checked: np.ndarray, value: Any) -> Any:
        """One number, or as many as there are layers."""
        if checked.ndim == 0:
            return checked.item()
        if checked.shape != (self.depth,):
            raise ArgumentError(
                f"{name} = {value!r}: need one number, or one for each of the {self.depth} layers"
            )
        return tuple(checked.tolist())

    def _find_runs(self, law: Weights) -> list[tuple[Layer, int]]:
        """The runs; inputs that do not outnumber the neurons are those of a square layer."""
        first = self.width[0] if isinstance(self.width, tuple) else self.width
        inputs = first if self.input_width is None else self.input_width
        if not isinstance(self.width, tuple) and not isinstance(self.variance, tuple):
            square = Layer(first, law, self.variance)
            if not law.of_inputs(inputs).beyond(first):
                return [(square, self.depth)]
            longer = Layer(first, law.of_inputs(inputs), self.variance)
            return [(longer, 1)] + [(square, self.depth - 1)] * (self.depth > 1)
        widths = self.width if isinstance(self.width, tuple) else tuple(repeat(first, self.depth))
        variances = self.variance if isinstance(self.variance, tuple) else repeat(self.variance, self.depth)
        layers = [
            Layer(n, law.of_inputs(m) if law.of_inputs(m).beyond(n) else law, sigma2)
            for n, m, sigma2 in zip(widths, (inputs, *widths[:-1]), variances, strict=True)
        ]
        return [(layer, len(list(same))) for layer, same in groupby(layers)]
