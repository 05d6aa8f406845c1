"""Infinitely many layers: E[M^s log M] by closed forms, exponents and indices by their definitions."""

import math

import mpmath as mp
import numpy as np
import pytest

import fracrepro as fr
from fracrepro import oracle


def chi_moment(s, n):
    """E χ_n^s and E[χ_n^s log χ_n] in 40 digits."""
    moment = 2 ** (s / 2) * mp.gammaprod([(n + s) / 2], [mp.mpf(n) / 2])
    return moment, moment * (mp.log(2) + mp.digamma((n + s) / 2)) / 2


def relu_moment(s, width):
    """The same for the rectifier: a binomial mixture of chi laws."""
    pairs = [chi_moment(s, n) for n in range(1, width + 1)]
    weights = [mp.binomial(width, n) / mp.mpf(2) ** width for n in range(1, width + 1)]
    return tuple(sum(w * pair[i] for w, pair in zip(weights, pairs, strict=True)) for i in (0, 1))


def leaky_moment(s, width, slope):
    """The same for a leaky slope, by the hypergeometric mixture and its derivative in s."""

    def moment(h):
        terms = (
            mp.binomial(width, n) * mp.hyp2f1(-h / 2, mp.mpf(width - n) / 2, mp.mpf(width) / 2, 1 - slope**2)
            for n in range(width + 1)
        )
        return chi_moment(h, width)[0] * sum(terms) / mp.mpf(2) ** width

    return moment(s), mp.diff(moment, s)


def orthogonal(pair, s, width):
    """The moments of R/χ_d from those of R = (R/χ_d)·χ_d, with independent factors."""
    moment, mean_log = chi_moment(s, width)
    return pair[0] / moment, pair[1] / moment - pair[0] * mean_log / moment**2


def with_variance(pair, s, variance):
    """E[M^s log M] with M = σ R."""
    return mp.mpf(variance) ** (s / 2) * (pair[1] + pair[0] * mp.log(variance) / 2)


ORDERS = [-0.4, 0.0, 0.01, 0.5, 1.0, 2.0, 2.9, 3.0, 3.1, 3.99, 4.0, 7.0]


@pytest.mark.parametrize("s", ORDERS)
@pytest.mark.parametrize("width", [1, 8, 64])
def test_the_tilted_mean_logarithm_has_its_closed_forms(s, width):
    variance = 2.6 / width  # so that the two parts of E[M^s log M] do not cancel
    with mp.workdps(40):
        exact = {
            fr.Linear(): chi_moment(mp.mpf(s), width),
            fr.ReLU(): relu_moment(mp.mpf(s), width),
        }
        if width <= 8:  # the derivative of the hypergeometric function is slow
            exact[fr.LeakyReLU(0.25)] = leaky_moment(mp.mpf(s), width, mp.mpf(0.25))
        for activation, pair in exact.items():
            right = float(with_variance(pair, mp.mpf(s), variance))
            value = fr.tilted_log_mean(s, variance, width, activation)
            assert value == pytest.approx(right, rel=1e-11), activation
            control = fr.tilted_log_mean(s, 1.001 * variance, width, activation)
            assert value != pytest.approx(control, rel=1e-5)
            if not isinstance(activation, fr.Linear):
                right = float(with_variance(orthogonal(pair, mp.mpf(s), width), mp.mpf(s), 2.6))
                value = fr.tilted_log_mean(s, 2.6, width, activation, weights="orthogonal")
                assert value == pytest.approx(right, rel=1e-11), activation


@pytest.mark.parametrize("width", [64, 10**4, 10**6])
@pytest.mark.parametrize("s", [0.01, 0.5, 1.0, 2.0])
def test_the_drift_of_wide_layers_keeps_its_digits(s, width):
    """At the critical variance E[M^s log M] is of order 1/width, a difference of logarithms of order 1."""
    variance = fr.critical_variance(s, width, fr.Linear())
    with mp.workdps(40):
        power = mp.mpf(variance) ** (mp.mpf(s) / 2) * 2 ** (mp.mpf(s) / 2)
        power *= mp.gammaprod([mp.mpf(width + s) / 2], [mp.mpf(width) / 2])
        mean_log = (mp.log(variance) + mp.log(2) + mp.digamma((width + mp.mpf(s)) / 2)) / 2
        exact = float(power * mean_log)
    assert fr.tilted_log_mean(s, variance, width, fr.Linear()) == pytest.approx(exact, rel=1e-11)


def test_laws_without_a_closed_form_agree_with_adaptive_quadrature():
    for activation, s in ((fr.RReLU(), 1.0), (fr.RReLU(-0.5, 1.0), 3.5), (fr.Dropout(fr.RReLU(), 0.3), -0.5)):
        for weights in ("gaussian", "orthogonal"):
            log_mean = oracle.tilted_log_mean(s, 6, activation, weights=weights, dps=20)
            power = oracle.moment(s, 6, activation, weights=weights, dps=20)
            exact = float(mp.mpf(0.2) ** (s / 2) * (log_mean + power * mp.log(0.2) / 2))
            value = fr.tilted_log_mean(s, 0.2, 6, activation, weights=weights)
            assert value == pytest.approx(exact, rel=1e-11)


def test_it_broadcasts_and_returns_floats_for_numbers():
    table = fr.tilted_log_mean([[1.0], [2.0]], 0.2, [4, 8, 16], fr.ReLU())
    assert table.shape == (2, 3)
    assert table[1, 2] == fr.tilted_log_mean(2, 0.2, 16, fr.ReLU())
    assert isinstance(fr.tilted_log_mean(1, 0.2, 4, fr.ReLU()), float)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("s", lambda: fr.tilted_log_mean(-1.0, 0.2, 8, fr.ReLU())),
        ("s", lambda: fr.tilted_log_mean(math.nan, 0.2, 8, fr.ReLU())),
        ("s", lambda: fr.tilted_log_mean(4e5, 0.2, 8, fr.ReLU())),
        ("variance", lambda: fr.tilted_log_mean(1, 0, 8, fr.ReLU())),
        ("width", lambda: fr.tilted_log_mean(1, 0.2, 8.5, fr.ReLU())),
        ("activation", lambda: fr.tilted_log_mean(1, 0.2, 8, "relu")),
        ("weights", lambda: fr.tilted_log_mean(1, 0.2, 8, fr.ReLU(), weights="uniform")),
    ],
)
def test_bad_arguments_are_named(name, call):
    with pytest.raises(ValueError, match=f"{name} = "):
        call()


def test_exponent_and_index_by_their_definitions():
    """λ is the derivative of log E M^s at 0 given survival, and α the root of E M^s = 1."""
    variance = fr.critical_variance(1.2, 8, fr.LeakyReLU(0.3))
    assert fr.tail_index(variance, 8, fr.LeakyReLU(0.3)) == pytest.approx(1.2, abs=1e-12)
    exponent = fr.lyapunov_exponent(variance, 8, fr.LeakyReLU(0.3))
    assert exponent == pytest.approx(fr.tilted_log_mean(0, variance, 8, fr.LeakyReLU(0.3)), abs=1e-14)
    assert exponent < 0 < fr.tilted_log_mean(1.2, variance, 8, fr.LeakyReLU(0.3))
    assert np.all(np.diff(fr.lyapunov_exponent([0.1, 0.2, 0.3], 8, fr.ReLU())) > 0)
