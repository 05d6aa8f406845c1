"""The product Π(1 + κ/n): against exact second moments, fractions, and full networks."""

import math
from fractions import Fraction

import numpy as np
import pytest

import fracrepro as fr
from fracrepro.theory.norms import propagate

WIDTHS = [10, 20, 7, 30]


def kappa(a):
    """Var C/(E C)² of a leaky rectifier in fractions: E C = (1 + a²)/2, E C² = 3 (1 + a⁴)/2."""
    a = Fraction(a)
    return Fraction(3, 2) * (1 + a**4) / (Fraction(1, 2) * (1 + a**2)) ** 2 - 1


@pytest.mark.parametrize("slope", [0.0, 0.125, 0.5, 1.0, -0.5])
def test_kappa_of_leaky_rectifiers(slope):
    a = Fraction(slope)
    assert kappa(slope) == (5 - 2 * a**2 + 5 * a**4) / (1 + a**2) ** 2
    assert fr.LeakyReLU(slope).kappa == pytest.approx(float(kappa(slope)), rel=1e-15)
    expected = math.prod(1 + kappa(slope) / n for n in WIDTHS)
    assert fr.fourth_moment_ratio(WIDTHS, fr.LeakyReLU(slope)) == pytest.approx(float(expected), rel=1e-14)


@pytest.mark.parametrize(
    "activation",
    [fr.Linear(), fr.ReLU(), fr.LeakyReLU(0.1), fr.RReLU(), fr.Dropout(fr.RReLU(), 0.3)],
    ids=repr,
)
def test_the_product_is_that_of_the_moments_of_the_layers(activation):
    for options in ({}, {"weights": "orthogonal"}):
        inputs = [25, *WIDTHS[:-1]]
        expected = math.prod(
            fr.moment(4, n, activation, **options, input_width=m)
            / fr.moment(2, n, activation, **options, input_width=m) ** 2
            for n, m in zip(WIDTHS, inputs, strict=True)
        )
        found = fr.fourth_moment_ratio(WIDTHS, activation, **options, input_width=25)
        assert found == pytest.approx(expected, rel=1e-12)
    # and of the recursion of second and fourth moments, which biases could enter
    rows = fr.square_moments(6, 9, activation, 0.3, 0.0)
    assert fr.fourth_moment_ratio([9] * 6, activation) == pytest.approx(
        rows[-1, 1] / rows[-1, 0] ** 2, rel=1e-13
    )


def test_full_networks_have_the_ratio():
    """40000 He networks 5 → 10 → 20 → 7 → 30: E z² = Π(1 + 5/n) within 4 standard errors, false alarms 6e-5.

    The control is κ = 2, that of linear layers: it must lie outside, here by some 40 standard errors.
    """
    sizes = [5, *WIDTHS]
    stds = [math.sqrt(2 / m) for m in sizes[:-1]]
    norms = propagate(40_000, sizes, stds, fr.ReLU(), np.random.default_rng(11)).signals
    z2 = (norms[:, -1] ** 2 / sizes[-1]) ** 2 / (norms[:, 0] ** 2 / sizes[0]) ** 2
    error = z2.std() / math.sqrt(len(z2))
    assert abs(z2.mean() - fr.fourth_moment_ratio(WIDTHS, fr.ReLU())) < 4 * error
    assert abs(z2.mean() - fr.fourth_moment_ratio(WIDTHS, fr.Linear())) > 10 * error


def test_many_layers_and_refusals():
    assert fr.fourth_moment_ratio([10**6] * 1000, fr.ReLU()) == pytest.approx(math.exp(5e-3), rel=1e-7)
    assert fr.fourth_moment_ratio([8, 8], fr.Linear(), weights="orthogonal") == 1.0
    with pytest.raises(ValueError, match="need fewer or wider layers"):
        fr.fourth_moment_ratio([1] * 1000, fr.ReLU())
