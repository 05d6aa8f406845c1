r"""What an activation is: a name, and the law of its slope on either side of zero.

A positively homogeneous activation φ multiplies a coordinate z by a slope that depends on the sign of z alone
and may be random, so that a standard normal z gives

.. math:: C = \varphi(z)^2 = A^2 z^2,

where the amplitude A ≥ 0, the absolute value of the slope, is independent of z².
So its :class:`Slopes` describe the activation completely, and everything else follows from them: the law of
A, slopes and values for simulation with numpy, and the torch module.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.slopes import Component, Slopes

__all__ = ["Activation"]


class Activation(ABC):
    """A positively homogeneous activation, given by the law of its slopes.

    Attributes:
        name: what the command line and notebooks call it; a class without a name is in no list.
        torch_name: the class of torch.nn that takes the same fields in training mode; empty if there is none.
        registry: every class that has a name.
    """

    name: ClassVar[str] = ""
    torch_name: ClassVar[str] = ""
    registry: ClassVar[dict[str, type[Activation]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register the class under its name; only a class of the same module and name may take its place."""
        super().__init_subclass__(**kwargs)
        name = cls.__dict__.get("name", "")
        there = cls.registry.get(name)
        if there is not None and (there.__module__, there.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ArgumentError(f"name = {name!r}: need another one, {there.__qualname__} has it")
        if name:
            cls.registry[name] = cls

    @property
    @abstractmethod
    def slopes(self) -> Slopes:
        """The law of the slopes."""

    @cached_property
    def live(self) -> tuple[Component, ...]:
        """The components with a positive amplitude, equal ones merged."""
        weights: dict[tuple[float, float], float] = {}
        for part in self.slopes.components:
            if part.high > 0.0 and part.weight > 0.0:
                weights[part.low, part.high] = weights.get((part.low, part.high), 0.0) + part.weight
        return tuple(Component(low, high, weight) for (low, high), weight in sorted(weights.items()))

    @cached_property
    def survival(self) -> float:
        """P(C > 0), the probability that one coordinate is not set to zero."""
        dead = any(part.high == 0.0 and part.weight > 0.0 for part in self.slopes.components)
        return math.fsum(part.weight for part in self.live) if dead else 1.0

    @property
    def is_linear(self) -> bool:
        """Whether C is a multiple of z² with certainty, as for the linear network."""
        return self.survival == 1.0 and len(self.live) == 1 and self.live[0].low == self.live[0].high

    def even_moment(self, order: int) -> float:
        """E A^(2·order), so that E C = even_moment(1) and E C² = 3·even_moment(2)."""
        return math.fsum(part.weight * part.mean_power(2 * order) for part in self.live)

    @property
    def kappa(self) -> float:
        """Var C/(E C)², which decides what a finite width does: 2 for linear layers, 5 for ReLU.

        For a fixed slope a below zero (5 - 2a² + 5a⁴)/(1 + a²)².
        """
        return 3.0 * self.even_moment(2) / self.even_moment(1) ** 2 - 1.0

    def draw_slopes(self, z: ArrayLike, rng: np.random.Generator | None = None) -> np.ndarray:
        """Return the slope at every coordinate, drawn where it is random.

        Args:
            z: coordinates, of any shape.
            rng: a numpy Generator; needed, and touched, only if the slopes are random.

        Returns:
            Slopes of the shape of `z`, of ``rng.uniform(low, high, shape)`` on a side where they are random.
            A mask keeps the coordinates where ``rng.random(shape)``, drawn first, is below its probability.

        Raises:
            ArgumentError: if the slopes are random and `rng` is no Generator.

        >>> import fracrepro as fr
        >>> fr.LeakyReLU(0.5).draw_slopes([3.0, -3.0]).tolist()
        [1.0, 0.5]
        """
        z, law = np.asarray(z), self.slopes
        if not law.random:
            return np.where(z > 0.0, law.positive[0], law.negative[0])
        source = arguments.generator("rng", rng)
        kept = source.random(z.shape) < law.kept if law.kept < 1.0 else True
        above, below = (source.uniform(low, high, z.shape) if low < high else low for low, high in law.sides)
        return np.where(kept, np.where(z > 0.0, above, below), 0.0)

    def apply(self, z: ArrayLike, rng: np.random.Generator | None = None) -> np.ndarray:
        """Return φ(z), with slopes as `draw_slopes` draws them.

        >>> import fracrepro as fr
        >>> fr.Abs().apply([3.0, -2.0]).tolist()
        [3.0, 2.0]
        """
        return np.asarray(z) * self.draw_slopes(z, rng)
