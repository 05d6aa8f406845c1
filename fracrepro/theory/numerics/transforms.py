"""The transform of a sum over layers, which may be of several kinds: logarithms of complex moments add up."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from fracrepro.theory.numerics.complex_moments import ComplexMoments, complex_moments
from fracrepro.theory.numerics.factor import Factor
from fracrepro.theory.weights import Weights

# numerics.md: numerics-negligible
_END_ONE, _END_MANY = 24.0, 36.0


class Group(NamedTuple):
    """Layers of one kind, with their number."""

    layer: Factor
    weights: Weights
    number: int


class Stack:
    """What every line needs to know: the layers, their moments, and the standard deviation of the sum.

    Attributes:
        depth: number of all layers.
        width: of the narrowest.
        order: at which the first negative moment diverges.
        has_atom: whether a layer can die.
        rightmost: where the line furthest to the right may stand.
        grid_per_frequency: points that one value of all layers costs, per unit of frequency.
        noise: relative error of restricted moments in units of one rounding.
        end: decay of the transform after which a line ends.
    """

    def __init__(self, groups: Sequence[Group], sd: float) -> None:
        """Make the moments of each kind of layer."""
        self.kinds = [(complex_moments(layer, weights), number) for layer, weights, number in groups]
        self.sd = sd
        self.depth = sum(count for _, count in self.kinds)
        self.width = min(group.layer.width for group in groups)
        self.order = min(group.layer.order for group in groups)
        self.has_atom = any(group.layer.has_atom for group in groups)
        self.rightmost = min(moments.rightmost for moments, _ in self.kinds)
        self.grid_per_frequency = sum(moments.grid_per_frequency for moments, _ in self.kinds)
        self.noise = math.fsum(
            moments.power_noise * count * moments.layer.width for moments, count in self.kinds
        )
        self.end = _END_ONE if self.depth == 1 else _END_MANY

    def log_power(self, s: np.ndarray) -> np.ndarray:
        """log M(s) on points of one vertical line."""
        return self._total(lambda moments: moments.log_power(s / 2.0))

    def log_real_powers(self, s: np.ndarray) -> np.ndarray:
        """log M(s) for real s."""
        parts = [moments.log_real_powers(s / 2.0, count) for moments, count in self.kinds]
        return sum(parts[1:], parts[0])

    def log_restricted(self, s: np.ndarray, low: int) -> np.ndarray:
        """The same over the networks in which every layer that can die keeps `low` neurons or more."""

        def log_kept(moments: ComplexMoments) -> np.ndarray:
            if not moments.layer.has_atom:
                return moments.log_power(s / 2.0)
            return moments.log_restricted(s / 2.0, low, moments.layer.width + 1)

        return self._total(log_kept)

    def log_rest(self, s: np.ndarray, low: int) -> np.ndarray:
        """log(Π(A + B) - ΠA): the networks in which at least one layer keeps fewer than `low` neurons."""

        def log_gain(moments: ComplexMoments) -> np.ndarray:
            if not moments.layer.has_atom:
                return np.zeros(s.shape)
            common = moments.log_restricted(s / 2.0, low, moments.layer.width + 1)
            rare = moments.log_restricted(s / 2.0, 1, low)
            result: np.ndarray = special.log1p(np.exp(rare - common))
            return result

        return self.log_restricted(s, low) + np.log(special.expm1(self._total(log_gain)))

    def log_rare(self, low: int) -> float:
        """log of Σ P(1 ≤ N < low): the chance that a layer keeps fewer than `low` neurons."""
        mass = math.fsum(
            count * moments.restricted_mass(low) for moments, count in self.kinds if moments.layer.has_atom
        )
        return math.log(mass) if mass > 0 else -math.inf

    def _total(self, function: Callable[[ComplexMoments], np.ndarray]) -> np.ndarray:
        """The sum over all layers."""
        parts = [count * function(moments) for moments, count in self.kinds]
        return sum(parts[1:], parts[0])
