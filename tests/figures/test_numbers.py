"""Numbers for people, on cases written by hand."""

import math
import re
from decimal import Decimal

import numpy as np
import pytest

from fracrepro.errors import ArgumentError
from fracrepro.figures.numbers import error, number, prose, running_text


@pytest.mark.parametrize(
    ("value", "spec", "expected"),
    [
        # powers of ten, plain in the middle
        (1.3e-5, ".1e", "1.3×10⁻⁵"),
        (-2.0e-16, ".0e", "−2×10⁻¹⁶"),
        (1e-12, ".0e", "10⁻¹²"),
        (1e-12, ".1e", "1.0×10⁻¹²"),
        (9.96e-4, ".1e", "0.0010"),  # rounding first: it is 0.0010, not 1.0×10⁻³ nor 9.96×10⁻⁴
        (0.0123, ".1e", "0.012"),
        (123456.0, ".2e", "1.23×10⁵"),
        (0.0, ".1e", "0"),
        (1.5e-4, "+.1e", "+1.5×10⁻⁴"),
        # counts
        (1400.0, ".3g", "1,400"),
        (1048576.0, ".3g", "1.05×10⁶"),
        (9.5367431640625e-07, ".3g", "9.54×10⁻⁷"),
        (0.1, ".3g", "0.1"),
        (739158, "d", "739,158"),
        (739158.0, "d", "739,158"),
        (-7, "d", "−7"),
        (7, "+d", "+7"),
        # places
        (0.304, ".2f", "0.30"),
        (12345.678, ".1f", "12,345.7"),
        (-0.004, ".2f", "0.00"),
        (-0.004, "+.2f", "0.00"),
        (0.004, "+.2f", "0.00"),
        (-0.313, "+.2f", "−0.31"),
        (1.3e-5, ".3f", "1.3×10⁻⁵"),
        (0.00042, ".3f", "0.00042"),
        (0.00042, "+.3f", "0.000"),
        (0.0, ".3f", "0.000"),
        (3.2e12, ".0f", "3.20×10¹²"),
        (0.1234, ".1%", "12.3 %"),
        # no digits that nobody reads
        (0.12345678901234567, "s", "0.1235"),
        (0.12345678901234567, "", "0.1235"),
        (64, "", "64"),
        (20000, "s", "20,000"),
        # no number at all
        (True, "s", "yes"),
        (False, ".2f", "no"),
        (np.bool_(True), "", "yes"),
        (None, ".2f", "–"),
        (math.nan, ".2f", "–"),
        (-math.inf, ".2f", "−∞"),
        (np.float64(0.5), ".2f", "0.50"),
        (np.int64(1000), "", "1,000"),
        ("1.08e-18", "s", "1.08×10⁻¹⁸"),
        ("yes", "s", "yes"),
    ],
)
def test_written_by_hand(value, spec, expected):
    assert number(value, spec) == expected


@pytest.mark.parametrize("spec", ["x", ".f2", "10.2f", "{}", "_d"])
def test_another_format_is_refused(spec):
    with pytest.raises(ArgumentError, match="spec = "):
        number(1.0, spec)


WRITTEN = re.compile(r"(?P<sign>[+−]?)(?P<mantissa>[\d,.]+?)?×?(?:10(?P<power>[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))?")
DIGITS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def read(text):
    """The value that a reader takes from a written number."""
    match = WRITTEN.fullmatch(text)
    mantissa = Decimal((match["mantissa"] or "1").replace(",", ""))
    value = mantissa.scaleb(int((match["power"] or "0").translate(DIGITS)))
    return -value if match["sign"] == "−" else value


def test_what_is_read_is_what_python_rounds_to():
    """Over 60 orders of magnitude and all formats; it must fail for a format with other digits."""
    rng = np.random.default_rng(1)
    values = rng.choice([-1, 1], 2000) * 10 ** rng.uniform(-30, 30, 2000)
    for spec in (".0e", ".1e", ".3e", ".1g", ".3g", ".4g", "+.2e"):
        assert all(read(number(value, spec)) == Decimal(format(value, spec)) for value in values), spec
    assert not all(read(number(value, ".2e")) == Decimal(format(value, ".1e")) for value in values)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, "0 exactly"), (2.2e-16, "below 10⁻¹⁵"), (1e-15, "10⁻¹⁵"), (3.4e-13, "3×10⁻¹³"), (0.02, "0.02")],
)
def test_errors(value, expected):
    assert error(value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.4e+03 networks", "1,400 networks"),
        ("within 1e-12, at 2E-16.", "within 10⁻¹², at 2×10⁻¹⁶."),
        ("from -0.5 to (-1, 2)", "from −0.5 to (−1, 2)"),
        ("depth 16-64, page-1, x-1, 2026-11-23", "depth 16-64, page-1, x-1, 2026-11-23"),
        ("a share of 0.1234567890123", "a share of 0.1235"),
        ("v1.2e3 and 3e-2b", "v1.2e3 and 3e-2b"),
        ("True", "yes"),
        ("True love", "True love"),
    ],
)
def test_text(text, expected):
    assert prose(text) == expected


def test_running_text_keeps_its_digits():
    assert running_text("-1/2 and 1e-3, 0.1234567890123, 2 - 1") == "−1/2 and 0.001, 0.1234567890123, 2 - 1"
