"""Orders in the hundreds and beyond, where moments of narrow layers live next to a singularity."""

import math

import numpy as np
import pytest
from scipy import special

import fracrepro as fr
from fracrepro.errors import ArgumentError
from fracrepro.theory.numerics import high_moments

ORDERS = (300.0, 402.0, 700.0, 2000.0, 20000.0, 1e6)
LAWS = {  # activation, share of live neurons, what the squared amplitude of a live one is multiplied by
    "ReLU": (fr.ReLU(), 0.5, 1.0),
    "linear": (fr.Linear(), 1.0, 1.0),
    "linear under dropout": (fr.Dropout(fr.Linear(), 0.9), 0.1, 100.0),
}


def log_critical(order, width, share, scale):
    """-(1/q) log E R^2q: a mixture of chi-squared laws over the number of live neurons."""
    q, k = order / 2, np.arange(1, width + 1)
    log_weight = special.gammaln(width + 1) - special.gammaln(k + 1) - special.gammaln(width - k + 1)
    log_weight = log_weight + k * math.log(share) + special.xlogy(width - k, 1 - share)
    return (
        -special.logsumexp(
            log_weight + q * math.log(2 * scale) + special.gammaln(q + k / 2) - special.gammaln(k / 2)
        )
        / q
    )


def worst(name, width, orders=ORDERS):
    """The largest relative error of the order that the variance of an order preserves."""
    activation, share, scale = LAWS[name]
    variances = [math.exp(log_critical(order, width, share, scale)) for order in orders]
    found = fr.preserved_order(np.array(variances), width, activation)
    return np.abs(found / np.array(orders) - 1).max()


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("width", [1, 2, 5, 30])
def test_the_preserved_order_up_to_a_million(name, width):
    assert worst(name, width) < 1e-11


def test_the_path_for_lower_orders_would_be_seen_to_fail(monkeypatch):
    monkeypatch.setattr(high_moments, "_TURNING", math.inf)
    assert worst("ReLU", 1, (2000.0,)) > 1e-8


@pytest.mark.parametrize("order", [402.0, 2000.0, 1e5])
def test_the_slope_against_digamma(order):
    slope = high_moments.high_moment_slope(order / 2, 3, 1.0, fr.Linear())
    assert slope == pytest.approx(math.log(2) + special.digamma(order / 2 + 1.5), rel=1e-14)


def test_a_factor_that_never_exceeds_one_preserves_no_order():
    never = fr.Dropout(fr.Linear(), 0.9)
    variance = fr.critical_variance(0, 1, never, weights="orthogonal")
    with pytest.raises(ArgumentError, match="preserved order exceeds"):
        fr.tail_index(variance, 1, never, weights="orthogonal")
