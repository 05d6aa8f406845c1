"""The page on variance preservation: its reported values and its corners."""

import itertools
import math
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest

import fracrepro as fr
from fracrepro import oracle
from fracrepro.workflow import notebooks
from fracrepro.workflow.project import Project

PROJECT = Project(Path(__file__).resolve().parents[2])
NAME = "01_variance_preservation"


def run(tmp_path, **chosen):
    overrides = {"networks": "50"} | chosen
    [outcome] = notebooks.run(PROJECT, [NAME], profile="quick", overrides=overrides, output=tmp_path)
    assert outcome.error == ""
    return outcome.record["values"]


def signs_moment(s, slope):
    """E |φ(Wx)|^s for W = ±σ of shape 3 x 3 at He's variance, by a loop over the sign patterns of a row."""
    x = [1.0, math.sqrt(2.0), math.pi]
    length = math.sqrt(sum(value**2 for value in x))
    std = 1 / math.sqrt(3 * (1 + slope**2) / 2)
    squares = []
    for signs in itertools.product((-1, 1), repeat=3):
        z = std * sum(a * b for a, b in zip(signs, x, strict=True)) / length
        squares.append(z**2 if z > 0 else (slope * z) ** 2)
    return sum(sum(rows) ** (s / 2) for rows in itertools.product(squares, repeat=3)) / 8**3


def check_identities(values):
    assert values["enumerated_networks"] == 2**18
    assert values["enumeration_error"] < 1e-14
    assert values["torch_deviation"] < 1e-14
    assert values["kaiming_error"] < 1e-15
    assert values["critical_at_two_error"] < 1e-15
    assert values["both_error"] < 1e-14
    assert values["both_library_error"] < 1e-14
    assert values["law_gap_two"] < 1e-14
    assert values["law_routes_gap"] < 1e-12
    assert values["law_gap_least"] > 0.02
    assert values["average_route_gap"] < 1e-12
    assert values["average_rate_gap"] < 1e-12
    assert values["fan_worst_gap"] < 1e-12
    assert values["rejected_right"] == 0
    assert not values["unbroken_rejected"]
    assert values["broken_largest_gap"] < 4.5


@pytest.mark.parametrize("phi", [fr.Linear(), fr.ReLU(), fr.LeakyReLU(0.3), fr.RReLU(), fr.Abs()])
def test_the_integral_knows_hes_variance(phi):
    """The page's second route, for every activation; a variance 1e-12 off is seen."""
    variance = mp.mpf(fr.critical_variance(2.0, 64, phi))
    moment = oracle.moment(2, 64, phi)
    assert abs(variance * moment - 1) < 1e-15 < 1e-13 < abs(variance * (1 + mp.mpf("1e-12")) * moment - 1)


def test_the_recursions_hold_and_the_other_formula_is_rejected(book):
    record = book.record(NAME)
    values, chosen = record["values"], record["parameters"]
    check_identities(values)
    assert values["rejected_controls"] == values["test_count"] == 4
    assert values["test_power"] > 0.999
    assert values["xavier_end"] == 0.5 ** chosen["depth"]  # ReLU halves the mean square in every layer
    assert values["small_end"] == chosen["too_small"] ** chosen["depth"]
    assert values["kurtosis_last"] == pytest.approx(3 * (1 + 5 / chosen["width"]) ** (chosen["depth"] - 1))
    assert values["skewed_axis"] == pytest.approx(4 / math.e, rel=1e-12)
    assert values["moment_signs"] == pytest.approx(signs_moment(chosen["s"], 0.0), rel=1e-12)
    gaussian = sum(
        math.comb(3, n) / 8 * (2 / 3) ** 0.5 * math.sqrt(2) * math.gamma((n + 1) / 2) / math.gamma(n / 2)
        for n in (1, 2, 3)
    )
    assert values["moment_gaussian"] == pytest.approx(gaussian, rel=1e-12)


def backward_mean_square(slope, tilt, turned):
    """E‖g‖² of one layer over all sign matrices of order 2, by loops; `turned` rotates the rows."""
    c, s = (math.cos(0.7), math.sin(0.7)) if turned else (1.0, 0.0)
    x = (1.0, 1.0)
    total = 0.0
    for signs in itertools.product((-1, 1), repeat=4):
        for a, b in (signs[:2], signs[2:]):
            row = np.array([c * a + s * b, c * b - s * a]) / math.sqrt(1 + slope**2)
            total += (1.0 if row @ x > 0 else slope + tilt) ** 2 * (row @ row) / 16
    return total / 2


def test_the_backward_factor_needs_pre_activations_that_are_not_zero():
    """The page's reason for rotated signs: without them ties spoil the average, with a wrong slope, too."""
    for slope in (0.0, 0.3, -1.0, 1.0):
        assert backward_mean_square(slope, 0.0, turned=True) == pytest.approx(1, rel=1e-14)
    assert abs(backward_mean_square(0.0, 0.0, turned=False) - 1) > 0.1
    assert abs(backward_mean_square(0.3, 0.01, turned=True) - 1) > 1e-3


def test_the_average_loses_in_both_directions_and_one_fan_telescopes(book):
    record = book.record(NAME)
    values, chosen = record["values"], record["parameters"]
    q = chosen["ratio"]
    per_pair = 2 / (1 + q) * (2 * q / (1 + q))  # mean square over a widening and a narrowing layer
    end = math.sqrt(per_pair) ** (chosen["depth"] // 2)
    assert chosen["depth"] % 2 == 0
    assert values["average_forward_end"] == pytest.approx(end, rel=1e-12)
    assert values["average_backward_end"] == pytest.approx(end, rel=1e-12)
    assert values["average_pair_factor"] == pytest.approx(per_pair, rel=1e-12)
    assert values["fan_in_backward_worst"] == pytest.approx(math.sqrt(q), rel=1e-12)
    assert values["fan_out_forward_worst"] == pytest.approx(math.sqrt(q), rel=1e-12)


@pytest.mark.parametrize(
    ("chosen", "slope"),
    [
        ({"activation": "abs", "width": "16", "depth": "1", "s": "2"}, -1.0),
        ({"activation": "relu", "width": "1", "s": "0.001"}, 0.0),
        (
            {"activation": "leaky_relu", "negative_slope": "-10", "width": "1", "depth": "100"}
            | {"too_small": "0.05", "too_large": "20", "s": "1.5"},
            -10.0,
        ),
    ],
)
def test_other_activations_widths_and_orders(chosen, slope, tmp_path):
    values = run(tmp_path, **chosen)
    check_identities(values)
    assert values["moment_signs"] == pytest.approx(signs_moment(float(chosen["s"]), slope), rel=1e-12)
    if chosen["s"] == "2":
        assert values["moment_gaussian"] == pytest.approx(1.0, rel=1e-12)
        assert values["kurtosis_last"] == 3.0
        assert values["dead_words"] == ""
    if chosen["activation"] == "relu":
        assert values["dead_networks"] == 50  # each is alive with probability 2^-20
        assert "no point" in values["dead_words"]
        assert values["alive_before_last"] == pytest.approx(2.0**-19, rel=1e-12)
