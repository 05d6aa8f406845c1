"""The activations: each is described once, by its name and the law of its slopes.

To add one, write its class as below: a name, the class of torch.nn if there is one, fields with defaults, and
``slopes``; ``Abs`` is the shortest example.  Command line, pages and lists of options find it by its name.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.homogeneous import Activation
from fracrepro.theory.slopes import Slopes, check_slope

__all__ = [
    "Abs",
    "Dropout",
    "LeakyReLU",
    "Linear",
    "RReLU",
    "ReLU",
    "activation",
    "named",
    "names",
]


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
