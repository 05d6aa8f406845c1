"""An activation, described once: its name, and the law of its slope on either side of zero.

A positively homogeneous activation φ multiplies a coordinate z by a slope that depends on the sign of z alone
and may be random, so that a standard normal z gives

    C = φ(z)² = A² z²,

where the amplitude A ≥ 0, the absolute value of the slope, is independent of z².
So its :class:`Slopes` describe the activation completely, and everything else follows from them: the law of
A, slopes and values for simulation with numpy, and the torch module.

To add one, write its class as below: a name, the class of torch.nn if there is one, fields with defaults, and
``slopes``; ``Abs`` is the shortest example.  Command line, pages and lists of options find it by its name.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.slopes import Component, Slopes, check_slope


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

        >>> LeakyReLU(0.5).draw_slopes([3.0, -3.0]).tolist()
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

        >>> Abs().apply([3.0, -2.0]).tolist()
        [3.0, 2.0]
        """
        return np.asarray(z) * self.draw_slopes(z, rng)


@dataclass(frozen=True)
class Linear(Activation):
    """The identity, φ(z) = z.

    Source:
        The abstract names it.

    >>> import fracrepro as fr
    >>> fr.Linear().even_moment(1)
    1.0
    """

    name = "linear"
    torch_name = "Identity"

    @property
    def slopes(self) -> Slopes:
        """Slope 1 on both sides."""
        return Slopes.fixed(1.0, 1.0)


@dataclass(frozen=True)
class ReLU(Activation):
    """The rectifier, φ(z) = max(z, 0).

    Source:
        The abstract names it.

    >>> import fracrepro as fr
    >>> fr.ReLU().even_moment(1)
    0.5
    """

    name = "relu"
    torch_name = "ReLU"

    @property
    def slopes(self) -> Slopes:
        """Slope 1 above zero, 0 below."""
        return Slopes.fixed(1.0, 0.0)


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """The leaky rectifier, φ(z) = z for z ≥ 0 and negative_slope·z below.

    Slope 1 is the identity, slope 0 the rectifier, slope -1 the absolute value.

    Args:
        negative_slope: 0, or any real number with absolute value in [1e-100, 1e100].

    Raises:
        ArgumentError: for another slope.

    Source:
        The abstract names it.

    >>> import fracrepro as fr
    >>> fr.LeakyReLU(0.5).even_moment(1)
    0.625
    """

    name = "leaky_relu"
    torch_name = "LeakyReLU"
    negative_slope: float = 0.01

    def __post_init__(self) -> None:
        """Check the slope."""
        check_slope("negative_slope", self.negative_slope)

    @property
    def slopes(self) -> Slopes:
        """Slope 1 above zero, `negative_slope` below."""
        return Slopes.fixed(1.0, self.negative_slope)


@dataclass(frozen=True)
class RReLU(Activation):
    """The randomized leaky rectifier in training mode: every neuron draws its negative slope uniformly.

    The slopes are uniform on [lower, upper], independent over neurons, layers and networks.

    Args:
        lower: 0, or a number with absolute value in [1e-100, 1e100].
        upper: the same, and not below `lower`.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        The abstract names it.

    >>> import fracrepro as fr
    >>> fr.RReLU(0.5, 0.5).even_moment(1) == fr.LeakyReLU(0.5).even_moment(1)
    True
    """

    name = "rrelu"
    torch_name = "RReLU"
    lower: float = 1 / 8
    upper: float = 1 / 3

    def __post_init__(self) -> None:
        """Check the bounds."""
        check_slope("lower", self.lower)
        check_slope("upper", self.upper)
        if self.lower > self.upper:
            raise ArgumentError(
                f"lower = {self.lower!r}: need a number in [-1e+100, upper] with upper = {self.upper!r}"
            )

    @property
    def slopes(self) -> Slopes:
        """Slope 1 above zero, uniform below."""
        return Slopes((1.0, 1.0), (float(self.lower), float(self.upper)))


@dataclass(frozen=True)
class Abs(Activation):
    """The absolute value, ``φ(z) = |z|``: slope -1 below zero.

    Source:
        None; its law is derived on page 02, thm-moment, and is the linear network's.

    >>> import fracrepro as fr
    >>> fr.moment(2, 64, fr.Abs()) == fr.moment(2, 64, fr.Linear()) == 64
    True
    """

    name = "abs"

    @property
    def slopes(self) -> Slopes:
        """Slope 1 above zero, -1 below."""
        return Slopes.fixed(1.0, -1.0)


@dataclass(frozen=True)
class Dropout(Activation):
    """Dropout after an activation: each coordinate is zeroed with probability p, else divided by 1 - p.

    Args:
        activation: any activation of this module, another dropout included.
        p: probability in [0, 1); torch also takes p = 1, where no network survives, which is refused here.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        The abstract names it.

    >>> import fracrepro as fr
    >>> fr.Dropout(fr.Linear(), 0.5).even_moment(1)   # half the coordinates, doubled and squared
    2.0
    """

    activation: Activation
    p: float = 0.5

    def __post_init__(self) -> None:
        """Check both arguments."""
        check_activation("activation", self.activation)
        arguments.real("p", self.p, "[0, 1)")

    @property
    def slopes(self) -> Slopes:
        """The slopes of the activation, divided by 1 - p and kept with that probability."""
        inner, keep = self.activation.slopes, 1.0 - self.p
        (a, b), (c, d) = inner.positive, inner.negative
        return Slopes((a / keep, b / keep), (c / keep, d / keep), inner.kept * keep)


def names(fixed_slopes: bool = False) -> tuple[str, ...]:
    """Return the names of all activations that have one, or only of those whose slopes are not random.

    >>> "rrelu" in names(), "rrelu" in names(fixed_slopes=True)
    (True, False)
    """
    return tuple(
        name for name, cls in Activation.registry.items() if not (fixed_slopes and cls().slopes.random)
    )


def activation(name: str, **values: float) -> Activation:
    """Make an activation by its name.

    Args:
        name: one of `names()`.
        **values: fields of the activation's class; those left out have their defaults.

    Raises:
        ArgumentError: for an unknown name, a field that the class does not have, or a value that it refuses.

    >>> import fracrepro as fr
    >>> fr.activation("leaky_relu", negative_slope=0.2)
    LeakyReLU(negative_slope=0.2)
    """
    known = _fields(name)
    for field in sorted(values.keys() - set(known)):
        has = ", ".join(known) or "none"
        raise ArgumentError(f"{field} = {values[field]!r}: need a field of {name!r}, which has {has}")
    return Activation.registry[name](**values)


def named(name: str, negative_slope: float | None = None, **offered: float) -> Activation:
    """Make an activation by its name from values offered to all; each takes those it has a field for.

    Serves the command line and the pages, where one `negative_slope` stands beside every name.

    Raises:
        ArgumentError: for an unknown name, or a value that the activation refuses.

    >>> named("relu", 0.2), named("leaky_relu", 0.2)
    (ReLU(), LeakyReLU(negative_slope=0.2))
    """
    if negative_slope is not None:
        offered["negative_slope"] = negative_slope
    known = _fields(name)
    return activation(name, **{field: value for field, value in offered.items() if field in known})


def check_activation(name: str, value: object) -> Activation:
    """Return `value` if it is an activation of this module, else raise ArgumentError."""
    if not isinstance(value, Activation):
        raise ArgumentError(f"{name} = {value!r}: need an activation such as ReLU() or LeakyReLU(0.01)")
    return value


def _fields(name: str) -> tuple[str, ...]:
    """The fields of the class called `name`."""
    cls: Any = Activation.registry[arguments.choice("activation", name, names())]
    return tuple(field.name for field in fields(cls))
