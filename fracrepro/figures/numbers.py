"""One way to write numbers for people: in running text, in tables, in the ledger and in figures.

Python's own formats are made for programs: 1e-12, 1.4e+03, True, -0.00.
"""

from __future__ import annotations

import math
import numbers
import re
from decimal import Decimal
from typing import Any

from fracrepro.errors import ArgumentError

__all__ = ["DASH", "RESOLUTION", "error", "is_words", "number", "prose", "running_text"]

#: What stands where there is no value.
DASH = "–"
#: Relative errors below this say nothing but that double precision is exhausted.
RESOLUTION = 1e-15

_MINUS = "\N{MINUS SIGN}"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SPEC = re.compile(r"(?P<sign>[-+ ]?),?(?:\.(?P<digits>\d+))?(?P<kind>[defgs%]?)")
_NUMERAL = r"\d+(?:\.\d+)?"
_SCIENTIFIC = re.compile(rf"(?<![\w.])[-+]?{_NUMERAL}[eE][-+]?\d+(?![\w.]*\w)")
_LONG = re.compile(r"(?<![\w.])[-+]?\d+\.\d{10,}(?!\w)")
_NEGATIVE = re.compile(r"(?<![\w.)\]}])-(?=\.?\d)")
_TRUTH = {"True": "yes", "False": "no", "None": DASH, "nan": DASH, "inf": "∞", "-inf": f"{_MINUS}∞"}


def number(value: Any, spec: str = "") -> str:
    """Return a value as a reader expects it in a sentence or a table.

    ========== ============================================================================================
    spec       what it means
    ========== ============================================================================================
    ``d``      an integer with separators of thousands
    ``.3f``    three places; from three on, what would round to 0 keeps two significant digits instead
    ``.1e``    two significant digits: plain from 0.001 to 99,999, else as a multiple of a power of ten
    ``.3g``    three significant digits without closing zeros: plain from 0.0001 to 999,999, else the same
    ``.1%``    per cent
    ``s``, ""  text as it is but for the numbers in it; numbers with at most four significant digits
    ========== ============================================================================================

    A leading ``+`` shows the sign of positive numbers too; a difference that rounds to 0 has no sign.

    Args:
        value: a number, a truth value, text, or None.
        spec: a format of Python's kind.

    Returns:
        The text: yes or no for truth values, a dash for what is missing, ``∞`` for infinity.

    Raises:
        ArgumentError: for another format.

    >>> number(1.3e-5, ".1e"), number(0.0123, ".1e"), number(1401.0, ".3g"), number(1e-12, ".0e")
    ('1.3×10⁻⁵', '0.012', '1,400', '10⁻¹²')
    >>> number(-0.313, "+.2f"), number(-0.001, "+.2f"), number(True, "s"), number(12345, "d")
    ('−0.31', '0.00', 'yes', '12,345')
    """
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise ArgumentError(f"spec = {spec!r}: need a format such as '.3f', '+.1e', '.3g', 'd', '.1%' or 's'")
    if isinstance(value, str):
        return prose(value)
    item = value.item() if hasattr(value, "item") else value
    if item is None or isinstance(item, bool):
        return _TRUTH[str(item)]
    if not isinstance(item, numbers.Real):
        return prose(str(item))
    if not math.isfinite(item):
        return _TRUTH[str(float(item))]
    plain = int(item) if isinstance(item, numbers.Integral) else float(item)
    signed = match["sign"] == "+"
    text = _finite(plain, match["kind"], match["digits"], rescue=not signed)
    return "+" + text if signed and plain > 0 and _is_nonzero(text) else text


def error(value: float) -> str:
    """Return a measured error: one significant digit, and no digits where only rounding is left.

    >>> error(3.3e-13), error(2.2e-16), error(0.0)
    ('3×10⁻¹³', 'below 10⁻¹⁵', '0 exactly')
    """
    if value == 0:
        return "0 exactly"
    return f"below {number(RESOLUTION, '.0e')}" if abs(value) < RESOLUTION else number(value, ".0e")


def is_words(text: str) -> bool:
    """Whether written text begins with a letter, so that it stands on the left of a column.

    >>> is_words("yes"), is_words("CIFAR-10"), is_words("7 / 8"), is_words(error(1e-16)), is_words(DASH)
    (True, True, False, False, False)
    """
    return text[:1].isalpha() and not text.startswith("below ")


def prose(text: str) -> str:
    """Return text with the numbers in it written for people; names, dates and formulas stay as they are.

    >>> prose("between -0.5 and 1.4e+03 at x-1"), prose("False"), prose("within 1e-12")
    ('between −0.5 and 1,400 at x-1', 'no', 'within 10⁻¹²')
    """
    if text.strip() in _TRUTH:
        return _TRUTH[text.strip()]
    return running_text(_LONG.sub(lambda match: number(float(match[0]), ".4g"), text))


def running_text(text: str) -> str:
    """Return text with minus signs and numbers such as 1.5e-12 written for people, and nothing else changed.

    >>> running_text("1.5e-12 in v1.2e3, from -1/2 to -2e+04"), running_text("a 3e-2b, 2 - 1")
    ('1.5×10⁻¹² in v1.2e3, from −1/2 to −20,000', 'a 3e-2b, 2 - 1')
    """
    return _NEGATIVE.sub(_MINUS, _SCIENTIFIC.sub(_rewritten, text))


def _rewritten(match: re.Match[str]) -> str:
    """A number of Python's scientific notation, with the digits that it has."""
    mantissa = match[0].lower().partition("e")[0]
    places = len(mantissa.partition(".")[2])
    sign = "+" if mantissa.startswith("+") else ""
    return number(float(match[0]), f"{sign}.{places}e")


def _finite(item: float, kind: str, digits: str | None, *, rescue: bool) -> str:
    if kind == "d" or (kind in ("s", "") and isinstance(item, int)):
        return _signed(f"{round(item):,d}")
    if kind == "f":
        return _fixed(item, 6 if digits is None else int(digits), rescue)
    if kind == "%":
        return _fixed(100 * item, 6 if digits is None else int(digits), rescue) + " %"
    if item == 0:
        return "0"
    if kind == "e":
        return _significant(item, (6 if digits is None else int(digits)) + 1, plain=(-3, 5))
    precision = 4 if kind in ("s", "") else max(1, 6 if digits is None else int(digits))
    return _significant(item, precision, plain=(-4, 6), strip=True)


def _fixed(item: float, places: int, rescue: bool) -> str:
    text = f"{item:,.{places}f}"
    if _is_nonzero(text):
        return _signed(text) if abs(item) < 1e9 else _significant(item, 3, plain=(0, 0))
    if item and rescue and places >= 3:  # a small probability, say: "0.000" would hide what it is
        return _significant(item, 2, plain=(-4, 0))
    return text.lstrip("-")


def _significant(item: float, precision: int, *, plain: tuple[int, int], strip: bool = False) -> str:
    """So many significant digits: plain where the decimal exponent lies in the range, else a power of ten."""
    rounded = Decimal(f"{item:.{precision - 1}e}")
    exponent = rounded.adjusted()
    if plain[0] <= exponent < plain[1]:
        text = f"{rounded:,f}"
        return _signed(text.rstrip("0").rstrip(".") if strip and "." in text else text)
    mantissa = f"{rounded.scaleb(-exponent):f}"
    if strip and "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    power = f"10{str(exponent).translate(_SUPERSCRIPTS)}"
    return _signed(mantissa.removesuffix("1") + power if mantissa in ("1", "-1") else f"{mantissa}×{power}")


def _is_nonzero(text: str) -> bool:
    return any(digit in text for digit in "123456789")


def _signed(text: str) -> str:
    return text.replace("-", _MINUS)
