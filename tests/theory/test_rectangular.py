"""Semi-orthogonal layers: the law of a layer with other numbers of inputs and outputs, by an own route."""

import mpmath
import numpy as np
import pytest
from scipy import special, stats

import fracrepro as fr
from fracrepro import oracle
from fracrepro.theory import weights

ACTIVATIONS = [fr.Linear(), fr.ReLU(), fr.LeakyReLU(0.3), fr.RReLU(), fr.Dropout(fr.ReLU(), 0.2)]
SHAPES = [(1, 2), (8, 9), (8, 200), (64, 100), (1000, 1001)]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
@pytest.mark.parametrize(("n", "m"), SHAPES)
def test_the_moment_is_the_gaussian_one_divided_by_that_of_the_longer_chi(activation, n, m):
    for s in (-0.5, 0.3, 1.0, 2.0, 3.5, 6.0):
        expected = fr.moment(s, n, activation) / float(oracle.chi_moment(s, m))
        found = fr.moment(s, n, activation, weights="orthogonal", input_width=m)
        assert found == pytest.approx(expected, rel=1e-12, abs=0)
        # Negative control: the square layer is another law.
        assert fr.moment(s, n, activation, weights="orthogonal") != pytest.approx(expected, rel=1e-6, abs=0)


def test_the_linear_moment_is_that_of_a_beta_variable():
    for n, m in SHAPES:
        for s in (-0.5, 0.7, 1.0, 2.0, 5.0):
            q = mpmath.mpf(s) / 2
            with mpmath.workdps(30):
                beta = mpmath.gammaprod(
                    [mpmath.mpf(n) / 2 + q, mpmath.mpf(m) / 2], [mpmath.mpf(n) / 2, mpmath.mpf(m) / 2 + q]
                )
            found = fr.moment(s, n, fr.Linear(), weights="orthogonal", input_width=m)
            assert found == pytest.approx(float(beta), rel=1e-12, abs=0)


@pytest.mark.parametrize("activation", ACTIVATIONS[1:], ids=repr)
@pytest.mark.parametrize("m", [1, 5, 8])
def test_fewer_inputs_than_neurons_are_a_square_layer_in_law(activation, m):
    options = {"weights": "orthogonal", "input_width": m}
    for s in (0.0, 0.5, 2.0):
        square = fr.critical_variance(s, 8, activation, weights="orthogonal")
        assert fr.critical_variance(s, 8, activation, **options) == square
    assert fr.log_moments(8, activation, **options) == fr.log_moments(8, activation, weights="orthogonal")


def test_the_gaussian_law_does_not_see_the_inputs():
    for function in (fr.moment, fr.critical_variance, fr.expansion_variance):
        assert function(1.0, 8, fr.ReLU(), input_width=1000) == function(1.0, 8, fr.ReLU())
    with pytest.raises(ValueError, match=r"input_width = 0: need an integer in \[1, 1000000000\]"):
        fr.moment(1.0, 8, fr.ReLU(), input_width=0)
    with pytest.raises(ValueError, match=r"input_width = 1.5"):
        fr.log_moments(8, fr.ReLU(), weights="orthogonal", input_width=1.5)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_critical_gain_and_its_relatives(activation):
    n, m = 16, 40
    options = {"weights": "orthogonal", "input_width": m}
    for s in (0.01, 0.5, 1.0, 2.0):
        gain2 = fr.critical_variance(s, n, activation, **options)
        assert gain2 ** (s / 2) * fr.moment(s, n, activation, **options) == pytest.approx(1, rel=1e-13)
        assert fr.preserved_order(gain2, n, activation, **options) == pytest.approx(s, rel=1e-11)
        assert fr.tail_index(gain2, n, activation, **options) == pytest.approx(s, rel=1e-11)
    border = fr.critical_variance(0.0, n, activation, **options)
    assert fr.lyapunov_exponent(border, n, activation, **options) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_the_expansion_is_of_second_order(activation):
    """Twice the width must quarter the error; the term of a square layer, the control, leaves one of 1/d."""

    def errors(n):
        m = 3 * n
        exact = fr.critical_variance(1.0, n, activation, weights="orthogonal", input_width=m)
        expanded = fr.expansion_variance(1.0, n, activation, weights="orthogonal", input_width=m)
        square = fr.expansion_variance(1.0, n, activation, weights="orthogonal") * m / n
        return np.array([expanded, square]) / exact - 1

    ratios = errors(1000) / errors(2000)
    assert ratios == pytest.approx([4, 2], rel=0.05)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_log_moments_lose_those_of_the_longer_chi(activation):
    for n, m in SHAPES:
        mean, variance = oracle.log_moments(n, activation)
        mean = mean - (mpmath.log(2) + mpmath.digamma(mpmath.mpf(m) / 2)) / 2
        variance = variance - mpmath.psi(1, mpmath.mpf(m) / 2) / 4
        found = fr.log_moments(n, activation, weights="orthogonal", input_width=m)
        assert found[0] == pytest.approx(float(mean), rel=1e-11, abs=1e-15)
        assert found[1] == pytest.approx(float(variance), rel=1e-10, abs=1e-15)


def test_the_tilted_mean_is_a_derivative():
    options = {"weights": "orthogonal", "input_width": 30}
    h, s, sigma2 = 1e-3, 1.2, 1.7
    powers = [
        sigma2 ** ((s + j * h) / 2) * fr.moment(s + j * h, 12, fr.LeakyReLU(0.3), **options)
        for j in (-2, -1, 1, 2)
    ]
    slope = (powers[0] - 8 * powers[1] + 8 * powers[2] - powers[3]) / (12 * h)
    found = fr.tilted_log_mean(s, sigma2, 12, fr.LeakyReLU(0.3), **options)
    assert found == pytest.approx(slope, rel=1e-10)


def test_widths_and_orders_broadcast():
    n, m = np.array([4, 8, 8]), np.array([[2], [9]])
    found = fr.moment(1.0, n, fr.ReLU(), weights="orthogonal", input_width=m)
    assert found.shape == (2, 3)
    for row, inputs in zip(found, m[:, 0].tolist(), strict=True):
        for value, width in zip(row, n.tolist(), strict=True):
            one = fr.moment(1.0, width, fr.ReLU(), weights="orthogonal", input_width=inputs)
            assert value == one
    mean, variance = fr.log_moments(n, fr.ReLU(), weights="orthogonal", input_width=m)
    assert mean.shape == variance.shape == (2, 3)
    orders = np.array([0.5, 1.0])
    slopes = fr.tilted_log_mean(orders, 1.0, 8, fr.ReLU(), weights="orthogonal", input_width=20)
    assert slopes[1] == fr.tilted_log_mean(1.0, 1.0, 8, fr.ReLU(), weights="orthogonal", input_width=20)


@pytest.mark.parametrize(("n", "m"), [(5, 12), (12, 5), (6, 6)])
def test_matrices_have_the_law(n, m):
    """Semi-orthogonal matrices from QR with the signs of R taken back, 20000 of each shape.

    Kolmogorov-Smirnov at false-alarm rate 1e-3 a shape.
    The control is the law with one input more than the longer side has: it must be rejected at 1e-3.
    Its mean is off by 1/13 at least, eight standard errors of the mean of 20000.
    """
    rng = np.random.default_rng(3)
    size, long, short = 20_000, max(n, m), min(n, m)
    q, r = np.linalg.qr(rng.standard_normal((size, long, short)))
    q *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
    w = q if n >= m else q.mT
    x = np.arange(1.0, m + 1) / np.linalg.norm(np.arange(1.0, m + 1))
    squares = (fr.LeakyReLU(0.3).apply(w @ x) ** 2).sum(axis=1)
    # Round before comparing: where all slopes agree the law has atoms.
    values = np.round(squares, 9)
    assert stats.kstest(values, np.round(reference(n, m, 1, 40_000), 9)).pvalue > 1e-3
    other = reference(n, max(n, m) + 1, 2, 40_000)
    assert stats.kstest(values, np.round(other, 9)).pvalue < 1e-3


def reference(n, m, seed, size):
    """Draws of R² by the package's own sampler."""
    rng = np.random.default_rng(seed)
    log_norms = fr.simulate_log_norms(
        size, 1, n, fr.LeakyReLU(0.3), 1.0, rng=rng, weights="orthogonal", input_width=m
    )
    return np.exp(2 * log_norms[:, 1])


def test_the_parts_of_the_law_add_up():
    q = np.array([-0.2, 0.5, 1.0, 3.0])
    for inputs in (0, 1, 7, 8, 9, 1000):
        law = weights.ORTHOGONAL.of_inputs(inputs)
        whole = weights.GAUSSIAN.radius_rate(4.0, q)
        assert law.radius_rate(4.0, q) + law.divisor_rate(4.0, q) == pytest.approx(
            whole, rel=1e-13, abs=1e-15
        )
        assert law.beyond(8) == max(0, inputs - 8)
        longer = max(8, inputs) / 2
        assert law.radius_cumulants(4.0)[1] == pytest.approx(
            special.polygamma(1, 4.0) - special.polygamma(1, longer), abs=1e-15
        )
    assert weights.law("orthogonal", 9) == weights.Orthogonal(9)
    assert weights.law("gaussian", 9) is weights.GAUSSIAN
