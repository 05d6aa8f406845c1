"""Checks of arguments: one wording for every refusal, before any work starts."""

from __future__ import annotations

import difflib
import math
import numbers
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fracrepro.errors import ArgumentError

_INTERVAL = re.compile(r"\s*([\[(])\s*([^,\s]+)\s*,\s*([^,\s]+)\s*([\])])\s*")


@dataclass(frozen=True)
class Interval:
    """A real interval in the usual notation: ``Interval.parse("(0, 2]")``."""

    low: float
    high: float
    closed_low: bool
    closed_high: bool

    @classmethod
    def parse(cls, text: str) -> Interval:
        """Read ``[a, b]``, ``(a, b)``, ``(a, b]`` or ``[a, b)``; a bound may be ``inf`` or ``-inf``."""
        match = _INTERVAL.fullmatch(text)
        if match is None:
            raise ArgumentError(f"text = {text!r}: need an interval such as '(0, 2]'")
        left, low, high, right = match.groups()
        try:
            return cls(float(low), float(high), left == "[", right == "]")
        except ValueError:  # a bound that is no number
            raise ArgumentError(f"text = {text!r}: need an interval such as '(0, 2]'") from None

    def __contains__(self, value: object) -> bool:
        """Whether a finite number lies in the interval."""
        whole = isinstance(value, int)  # of any size, and compared exactly
        if not isinstance(value, numbers.Real) or not (whole or math.isfinite(value)):
            return False
        number: Any = value if whole else float(value)
        above = self.low <= number if self.closed_low else self.low < number
        below = number <= self.high if self.closed_high else number < self.high
        return bool(above and below)

    def __str__(self) -> str:
        """The usual notation."""
        left, right = "[" if self.closed_low else "(", "]" if self.closed_high else ")"
        return f"{left}{self.low:g}, {self.high:g}{right}"


def shown(value: object) -> str:
    """Return how a refusal quotes a value: as Python writes it, whatever its size.

    >>> shown("relu"), shown(10**5000)
    ("'relu'", 'an int of thousands of digits')
    """
    try:
        return repr(value)
    except ValueError:  # Python writes no whole number of more than 4300 digits
        return f"{'an int' if isinstance(value, int) else 'numbers'} of thousands of digits"


def _refuse(name: str, value: object, need: str) -> ArgumentError:
    return ArgumentError(f"{name} = {shown(value)}: need {need}")


def reals(name: str, value: Any, interval: str) -> np.ndarray:
    """Return `value` as a float64 array; ArgumentError unless every entry is finite and in `interval`."""
    return _numbers(name, value, interval, numbers.Real, "a finite number").astype(np.float64)


def integers(name: str, value: Any, interval: str) -> np.ndarray:
    """Return `value` as an int64 array; ArgumentError unless every entry is an integer in `interval`."""
    return _numbers(name, value, interval, numbers.Integral, "an integer").astype(np.int64)


def real(name: str, value: Any, interval: str) -> float:
    """Return `value` as a float, or raise ArgumentError unless it is one finite number in `interval`."""
    return float(_scalar(name, reals(name, value, interval), value))


def integer(name: str, value: Any, interval: str) -> int:
    """Return `value` as an int, or raise ArgumentError unless it is one integer in `interval`."""
    return int(_scalar(name, integers(name, value, interval), value))


def choice(name: str, value: Any, options: tuple[str, ...]) -> str:
    """Return `value`, or raise ArgumentError unless it is one of `options`; a near one is suggested."""
    if value not in options:
        raise _refuse(name, value, f"one of {', '.join(map(repr, options))}{suggestion(value, options)}")
    return str(value)


def suggestion(value: Any, options: Sequence[str]) -> str:
    """Return "; did you mean 'relu'?" for the option nearest to `value`, or nothing where none is near."""
    text = str(value)
    longer = [option for option in options if text and option.startswith(text)]
    near = longer or difflib.get_close_matches(text, options, n=1, cutoff=0.4)
    return f"; did you mean {near[0]!r}?" if near else ""


def generator(name: str, value: object) -> np.random.Generator:
    """Return `value` if it is a numpy Generator, else raise ArgumentError."""
    if not isinstance(value, np.random.Generator):
        raise _refuse(name, value, "a numpy Generator such as numpy.random.default_rng(0)")
    return value


def distinct(name: str, values: Sequence[Any]) -> None:
    """Raise ArgumentError unless there is at least one of `values` and no two are equal."""
    if not values:
        raise ArgumentError(f"{name} = (): need at least one")
    try:
        seen: Any = set()
        twice = [value for value in values if value in seen or seen.add(value)]
    except TypeError:  # lists, for example, which have no hash
        twice = [value for place, value in enumerate(values) if value in values[:place]]
    if twice:
        raise ArgumentError(f"{name} = {shown(twice[0])} twice: need distinct ones")


def _scalar(name: str, array: np.ndarray, value: object) -> np.ndarray:
    if array.ndim:
        raise _refuse(name, value, "a single number")
    return array


def _numbers(name: str, value: Any, interval: str, kind: type, noun: str) -> np.ndarray:
    need = f"{noun} in {interval}"
    try:
        array = np.asarray(value)
    except ValueError:  # ragged nesting
        raise _refuse(name, value, need) from None
    kinds = "iu" if kind is numbers.Integral else "iuf"
    if array.dtype.kind not in kinds or any(isinstance(v, (bool, np.bool_)) for v in _entries(value)):
        raise _refuse(name, value, need)
    allowed = Interval.parse(interval)
    low = array >= allowed.low if allowed.closed_low else array > allowed.low
    high = array <= allowed.high if allowed.closed_high else array < allowed.high
    inside = np.isfinite(array) & low & high
    if kind is numbers.Integral:
        inside &= array <= np.iinfo(np.int64).max  # else the array that is returned would have others
    if not inside.all():
        offender = value if array.ndim == 0 else array[~inside].flat[0].item()
        raise _refuse(name, offender, need)
    return array


def _entries(value: Any) -> list[Any]:
    """The entries of a plain Python list or tuple, where numpy would turn True into 1."""
    if isinstance(value, (list, tuple)):
        return [entry for item in value for entry in _entries(item)]
    return [] if isinstance(value, np.ndarray) else [value]
