"""One layer against reference values of other formulas, in closed corners, and as properties."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fracrepro as fr
from fracrepro.theory import published

ROWS = json.loads((Path(__file__).parents[1] / "reference" / "theory.json").read_text(encoding="utf-8"))
TOLERANCE = 1e-11  # the promise; twice-rounded logarithms of the reference add 1e-16 times |log|
MAKERS = {
    "linear": lambda: fr.Linear(),
    "relu": lambda: fr.ReLU(),
    "relu_dropout": lambda p: fr.Dropout(fr.ReLU(), float(p)),
    "leaky": lambda a: fr.LeakyReLU(float(a)),
    "rrelu": lambda low, high: fr.RReLU(float(low), float(high)),
}
ACTIVATIONS = [
    fr.Linear(),
    fr.ReLU(),
    fr.LeakyReLU(0.3),
    fr.LeakyReLU(-2.0),
    fr.RReLU(),
    fr.RReLU(-0.5, 1.5),
    fr.Dropout(fr.ReLU(), 0.3),
    fr.Dropout(fr.LeakyReLU(0.5), 0.1),
]
NO_ATOM = ACTIVATIONS[:1] + ACTIVATIONS[2:6]
activations = st.sampled_from(ACTIVATIONS)
widths = st.one_of(st.integers(1, 40), st.integers(41, 10**6))


def rows():
    for row in ROWS:
        label = f"{row['activation']}{row['arguments']}-s{row['s']}-d{row['width']}"
        yield pytest.param(row, id=label)


@pytest.mark.parametrize("row", list(rows()))
def test_moment_and_critical_variance_match_the_reference(row):
    activation = MAKERS[row["activation"]](*row["arguments"])
    s, d, log_moment = float(row["s"]), row["width"], float(row["log_moment"])
    assert fr.moment(s, d, activation) == pytest.approx(
        math.exp(log_moment), rel=TOLERANCE * max(1.0, abs(s)), abs=0
    )
    if 0 < s <= 2 and abs(2 / s * log_moment) < 700:
        sigma2 = fr.critical_variance(s, d, activation)
        assert sigma2 == pytest.approx(math.exp(-2 / s * log_moment), rel=TOLERANCE, abs=0)
        if not (d == 1 and activation == fr.Linear() and s < 0.01):
            assert fr.preserved_order(sigma2, d, activation) == pytest.approx(s, abs=1e-9)


def test_reference_has_power():
    """A relative error of 1e-10 in one value would be seen."""
    row = next(r for r in ROWS if r["activation"] == "relu" and r["s"] == "0.001" and r["width"] == 10**6)
    value = fr.critical_variance(0.001, 10**6, fr.ReLU())
    assert value * (1 + 1e-10) != pytest.approx(
        math.exp(-2000 * float(row["log_moment"])), rel=TOLERANCE, abs=0
    )


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.5, 1.0, -1.0, 2.5, -0.3])
@pytest.mark.parametrize("width", [1, 3, 64, 4097, 10**6])
def test_second_order_is_kaiming_to_the_bit(slope, width):
    assert fr.critical_variance(2, width, fr.LeakyReLU(slope)) == 2 / ((1 + slope**2) * width)
    assert fr.critical_variance(2.0, width, fr.Linear()) == 1 / width


@pytest.mark.parametrize("s", [0.001, 0.7, 1.0, 2.0])
def test_equal_laws_give_equal_bits(s):
    pairs = [
        (fr.LeakyReLU(1.0), fr.Linear()),
        (fr.LeakyReLU(-1.0), fr.Linear()),
        (fr.LeakyReLU(0.0), fr.ReLU()),
        (fr.RReLU(0.2, 0.2), fr.LeakyReLU(0.2)),
        (fr.Dropout(fr.LeakyReLU(0.2), 0.0), fr.LeakyReLU(0.2)),
    ]
    for first, second in pairs:
        assert fr.moment(s, 7, first) == fr.moment(s, 7, second)


def test_nested_dropout_is_one_dropout():
    nested = fr.Dropout(fr.Dropout(fr.ReLU(), 0.2), 0.5)
    once = fr.Dropout(fr.ReLU(), 0.6)
    for s in (-0.5, 0.5, 1.0, 2.0, 3.0):
        assert fr.moment(s, 9, nested) == pytest.approx(fr.moment(s, 9, once), rel=1e-13, abs=0)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_broadcast(weights):
    s, d = np.array([[0.5], [1.0]]), np.array([3, 5, 64])
    grid = fr.critical_variance(s, d, fr.LeakyReLU(0.2), weights=weights)
    assert grid.shape == (2, 3)
    assert grid[1, 2] == pytest.approx(
        fr.critical_variance(1.0, 64, fr.LeakyReLU(0.2), weights=weights), rel=1e-14, abs=0
    )
    assert isinstance(fr.critical_variance(1, 64, fr.ReLU()), float)
    mean, variance = fr.log_moments(d, fr.ReLU(), weights=weights)
    assert mean.shape == variance.shape == (3,)


@pytest.mark.parametrize("activation", ACTIVATIONS[1:], ids=repr)
def test_orthogonal_times_chi_is_gaussian(activation):
    for s in (-0.4, 0.5, 2.0, 3.0):
        product = fr.moment(s, 12, activation, weights="orthogonal") * fr.moment(s, 12, fr.Linear())
        assert fr.moment(s, 12, activation) == pytest.approx(product, rel=1e-12, abs=0)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
@pytest.mark.parametrize("width", [1, 4, 64, 5000])
def test_log_moments_are_derivatives_of_the_log_moment(activation, width):
    """Sixth-order differences of log E[R^s; R > 0] at s = 0; h = 0.02 leaves h^6 and 1e-15/h²."""
    h = 0.02
    f = [math.log(fr.moment(j * h, width, activation)) for j in range(-3, 4)]
    first = (-f[0] + 9 * f[1] - 45 * f[2] + 45 * f[4] - 9 * f[5] + f[6]) / (60 * h)
    second = (2 * f[0] - 27 * f[1] + 270 * f[2] - 490 * f[3] + 270 * f[4] - 27 * f[5] + 2 * f[6]) / (
        180 * h * h
    )
    mean, variance = fr.log_moments(width, activation)
    assert mean == pytest.approx(first, abs=1e-8)
    assert variance == pytest.approx(second, abs=1e-7)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_expansion_error_is_second_order_in_one_over_width(activation):
    """Ten times the width, a hundred times less relative error; a wrong coefficient would give ten."""
    for s in (0.5, 1.5):
        errors = [
            fr.expansion_variance(s, d, activation) / fr.critical_variance(s, d, activation) - 1
            for d in (1000, 10000)
        ]
        assert 80 < errors[0] / errors[1] < 125


def test_the_variance_of_order_zero_has_order_zero_and_its_neighbours_do_not():
    """Rounding of either sign in the critical variance must neither raise nor give an order of its own."""
    for activation in NO_ATOM:
        for d in [2, 3, 7, 64, 1001, 10**5]:
            critical = fr.critical_variance(0, d, activation)
            for variance in (critical, np.nextafter(critical, 0), np.nextafter(critical, 1)):
                assert fr.preserved_order(variance, d, activation) == 0
            # Far above rounding, the order is the relative gap over the variance of log R to first order.
            gap = 1e-10
            order = fr.preserved_order(critical * (1 - gap), d, activation)
            assert order == pytest.approx(gap / fr.log_moments(d, activation)[1], rel=1e-2)
            with pytest.raises(ValueError, match=r"need a value below critical_variance\(0\)"):
                fr.preserved_order(critical * (1 + gap), d, activation)


def test_formula_and_source_are_one_argument():
    for name in ("derived", "published"):
        values = [
            fr.expansion_variance(0.5, [8, 64], fr.LeakyReLU(0.9), name),
            fr.expansion_variance(0.5, [8, 64], fr.LeakyReLU(0.9), formula=name),
            fr.expansion_variance(0.5, [8, 64], fr.LeakyReLU(0.9), source=name),
        ]
        assert np.array_equal(values[0], values[1])
        assert np.array_equal(values[0], values[2])
    assert fr.expansion_variance(0.5, 8, fr.ReLU()) == fr.expansion_variance(0.5, 8, fr.ReLU(), "derived")


def test_every_formula_has_a_meaning_and_all_but_the_exact_one_expand():
    assert tuple(published.MEANINGS) == published.FORMULAS
    assert set(published.EXPANSIONS) == set(published.FORMULAS) - {"exact"}


def test_published_expansion():
    assert fr.expansion_variance(1, 64, fr.Linear(), "published") == 1 / 64 + 1 / (2 * 64**2)
    assert fr.expansion_variance(1, 64, fr.ReLU(), "published") == 2 / 64 + 5 / (2 * 64**2)
    assert fr.expansion_variance(1, 64, fr.LeakyReLU(0.0), "published") == 2 / 64 + 5 / (2 * 64**2)
    exact = fr.critical_variance(0.5, 64, fr.LeakyReLU(0.9))
    error = fr.expansion_variance(0.5, 64, fr.LeakyReLU(0.9), "published") / exact - 1
    kaiming = fr.critical_variance(2, 64, fr.LeakyReLU(0.9)) / exact - 1
    assert abs(error) > 2 * abs(kaiming)  # at slopes near 1 the published correction is worse than none


def test_zero_order_has_lyapunov_exponent_zero():
    for activation in ACTIVATIONS:
        for weights in ("gaussian", "orthogonal"):
            sigma2 = fr.critical_variance(0, 20, activation, weights=weights)
            assert fr.lyapunov_exponent(sigma2, 20, activation, weights=weights) == pytest.approx(
                0, abs=1e-14
            )


@settings(max_examples=60, deadline=None)
@given(s=st.floats(0.01, 2), d=widths, activation=activations)
def test_round_trip(s, d, activation):
    try:
        sigma2 = fr.critical_variance(s, d, activation)
    except ValueError:
        return  # more than the largest float: a narrow layer that dies often
    assert fr.preserved_order(sigma2, d, activation) == pytest.approx(s, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(s=st.floats(0.01, 1.9), d=st.integers(1, 10**5), activation=activations, step=st.floats(0.01, 0.1))
def test_critical_variance_decreases_in_s_and_width(s, d, activation, step):
    try:
        value = fr.critical_variance(s, d, activation)
    except ValueError:
        return
    assert fr.critical_variance(s + step, d, activation) < value
    assert fr.critical_variance(s, d + 1, activation) < value
    assert value > fr.critical_variance(2, d, activation)


@settings(max_examples=40, deadline=None)
@given(s=st.floats(0.1, 2), d=st.integers(1, 2000), scale=st.floats(0.01, 100))
def test_scaling(s, d, scale):
    """A slope pair (1, a) and dropout only rescale: E (cR)^s = c^s E R^s, seen through slope ↦ 1/slope."""
    direct = fr.moment(s, d, fr.LeakyReLU(scale))
    assert direct == pytest.approx(scale**s * fr.moment(s, d, fr.LeakyReLU(1 / scale)), rel=1e-12, abs=0)


@settings(max_examples=30, deadline=None)
@given(s=st.floats(0.05, 1.95), d=st.integers(2, 1000))
def test_limits_in_slope_and_dropout(s, d):
    linear, relu = (fr.critical_variance(s, d, a) for a in (fr.Linear(), fr.ReLU()))
    assert fr.critical_variance(s, d, fr.LeakyReLU(1 - 1e-7)) == pytest.approx(linear, rel=3e-7)
    dropped = fr.critical_variance(s, d, fr.Dropout(fr.LeakyReLU(0.5), 1e-9))
    assert dropped == pytest.approx(fr.critical_variance(s, d, fr.LeakyReLU(0.5)), rel=1e-6)
    assert relu > linear


def test_preserved_order_beyond_two_and_missing_roots():
    order = fr.preserved_order(0.9 * 2 / 64, 64, fr.ReLU())
    assert order > 2
    assert order / 2 * math.log(0.9 * 2 / 64) + math.log(
        fr.moment(order, 64, fr.ReLU())
    ) / 1 == pytest.approx(0, abs=1e-10)
    assert fr.preserved_order(fr.critical_variance(0, 64, fr.LeakyReLU(0.2)), 64, fr.LeakyReLU(0.2)) == 0
    with pytest.raises(ValueError, match="critical_variance"):
        fr.preserved_order(1.0, 64, fr.LeakyReLU(0.2))
