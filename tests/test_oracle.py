"""The oracle's routes against each other, and that it shares nothing with what it checks."""

import subprocess
import sys
from types import SimpleNamespace

import mpmath as mp
import numpy as np
import pytest

from fracrepro import oracle
from fracrepro.errors import ArgumentError
from fracrepro.oracle.mixtures import live_neurons

LINEAR, RELU, ABS, LEAKY = (1, 1), (1, 0), (1, -1), (1, 0.25)
RANDOM = (1, (-0.25, 0.5))
DROPPED = SimpleNamespace(activation=LEAKY, p=0.25)
FIXED = {"linear": LINEAR, "relu": RELU, "abs": ABS, "leaky": LEAKY, "dropout": DROPPED}
ONE_AMPLITUDE = {
    "linear": LINEAR,
    "relu": RELU,
    "abs": ABS,
    "dropout": SimpleNamespace(activation=RELU, p=0.5),
}


def close(value, expected, digits=24):
    return abs(value / expected - 1) < mp.mpf(10) ** -digits


@pytest.fixture(autouse=True)
def thirty_digits():
    with mp.workdps(30):
        yield


def test_brings_nothing_of_the_theory():
    code = "import sys, fracrepro.oracle; print([m for m in sys.modules if m.startswith('fracrepro.')])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = set(eval(result.stdout))
    package = "import sys, fracrepro; print([m for m in sys.modules if m.startswith('fracrepro.')])"
    alone = subprocess.run([sys.executable, "-c", package], capture_output=True, text=True, check=True)
    others = {name for name in names - set(eval(alone.stdout)) if name.split(".")[1] != "oracle"}
    assert "fracrepro.oracle" in names
    assert others == set()
    light = "import sys, fracrepro; print('mpmath' in sys.modules)"
    assert "False" in subprocess.run([sys.executable, "-c", light], capture_output=True, text=True).stdout


def test_three_ways_to_say_an_activation():
    with_slopes = SimpleNamespace(slopes=SimpleNamespace(positive=(1.0, 1.0), negative=(-0.25, 0.5)))
    assert oracle.pieces(with_slopes) == oracle.pieces(RANDOM)
    assert oracle.transform(mp.mpf(3), with_slopes) == oracle.transform(mp.mpf(3), RANDOM)
    assert oracle.pieces(SimpleNamespace(activation=RELU, p=0)) == oracle.pieces(RELU)
    with pytest.raises(ArgumentError, match="two sides"):
        oracle.pieces((1, 0, 2))


@pytest.mark.parametrize("activation", [RELU, LEAKY, RANDOM, SimpleNamespace(activation=RANDOM, p=0.5)])
@pytest.mark.parametrize("t", [1e-9, 0.3, 6.0])
def test_transform_and_its_derivatives_are_means_over_slope_and_coordinate(activation, t):
    """E[(-C)^j e^(-tC)], C = A² z²: Gauss's rule over the slope, the trapezoidal rule over z."""
    z = np.arange(-12.0, 12.0, 1 / 64)
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) / 64
    node, weight = np.polynomial.legendre.leggauss(60)
    for order in range(3):
        expected = 0.0
        for chance, low, high in (tuple(map(float, part)) for part in oracle.pieces(activation)):
            square = ((low + high) / 2 + node[:, None] * (high - low) / 2) ** 2 * z * z
            expected += chance * weight / 2 @ ((-square) ** order * np.exp(-t * square) @ density)
        assert close(oracle.transform(mp.mpf(t), activation, order), expected, 12)


@pytest.mark.parametrize("t", ["1e-12", "0.3", "6", 2 + 3j])
@pytest.mark.parametrize("activation", [LEAKY, RANDOM])
def test_transforms_have_all_of_their_digits(activation, t):
    """Quadrature over the slope in mpmath; the control is the transform in double precision."""
    with mp.workdps(30):
        t, rough = mp.mpmathify(t), []
        for order, factor in enumerate((1, -1, 3)):

            def mean(part, order=order):
                def term(a):
                    return a ** (2 * order) * (1 + 2 * a * a * t) ** (-order - mp.mpf(1) / 2)

                if part.low == part.high:
                    return term(part.low)
                ends = mp.linspace(part.low, part.high, 5)
                return mp.quad(term, ends) / (part.high - part.low)

            expected = factor * sum(part.weight * mean(part) for part in oracle.pieces(activation))
            found = oracle.transform(t, activation, order)
            assert abs(found / expected - 1) < mp.mpf(10) ** -20
            with mp.workdps(15):
                rough.append(abs(oracle.transform(t, activation, order) / expected - 1))
        assert max(rough) > mp.mpf(10) ** -20


@pytest.mark.parametrize(
    ("name", "width", "weights"),
    [
        ("linear", 6, "gaussian"),
        ("relu", 1, "gaussian"),
        ("abs", 6, "gaussian"),
        ("leaky", 6, "orthogonal"),
        ("dropout", 6, "gaussian"),
    ],
)
def test_moments_by_the_integral_and_by_the_mixture(name, width, weights):
    for s in ("-0.75", "0.001", "3.5"):
        integral = oracle.moment(mp.mpf(s), width, FIXED[name], weights=weights)
        assert close(integral, oracle.mixture_moment(mp.mpf(s), width, FIXED[name], weights=weights))
    slope = mp.diff(lambda s: oracle.mixture_moment(s, width, FIXED[name], weights=weights), 1)
    tilted = oracle.tilted_log_mean(1, width, FIXED[name], weights=weights)
    assert abs(tilted - slope) < mp.mpf(10) ** -15


def test_moment_of_random_slopes_of_one_neuron():
    """E|a|^s over the slopes is elementary: on [-1/4, 1/2] it is (4^(-s-1) + 2^(-s-1))/((s + 1)·3/4)."""
    s = mp.mpf("1.5")
    below = (mp.mpf(4) ** (-s - 1) + mp.mpf(2) ** (-s - 1)) / ((s + 1) * mp.mpf("0.75"))
    assert close(oracle.moment(s, 1, RANDOM), oracle.chi_moment(s, 1) * (1 + below) / 2)


def test_a_wrong_slope_is_seen():
    right, wrong = (oracle.moment(1, 6, (1, 0.25 + error)) for error in (0.0, 2.0**-50))
    assert 1e-17 < abs(right / wrong - 1) < 1e-14


@pytest.mark.parametrize("s", [4, 5.0, -1, -3])
def test_orders_outside_the_integral(s):
    with pytest.raises(ArgumentError, match=r"need a number in \(-1, 4\)"):
        oracle.moment(s, 3, RELU)


def mixture_log_moments(width, activation):
    """Given n live neurons of amplitude a, log R² - log a² has mean log 2 + ψ(n/2) and variance ψ'(n/2)."""
    amplitude, live = live_neurons(width, activation)
    means = {n: mp.log(2) + mp.digamma(mp.mpf(n) / 2) for n in live}
    mean = mp.fsum(w * means[n] for n, w in live.items())
    variance = mp.fsum(w * (mp.psi(1, mp.mpf(n) / 2) + (means[n] - mean) ** 2) for n, w in live.items())
    return mean / 2 + mp.log(amplitude), variance / 4


@pytest.mark.parametrize("name", ONE_AMPLITUDE)
@pytest.mark.parametrize("width", [2, 64])
def test_log_moments_by_frullani_and_by_the_mixture(name, width):
    activation = ONE_AMPLITUDE[name]
    for integral, mixture in zip(
        oracle.log_moments(width, activation), mixture_log_moments(width, activation), strict=True
    ):
        assert abs(integral - mixture) < mp.mpf(10) ** -25


def test_log_moments_are_the_derivatives_of_log_moments_of_small_order():
    mean, variance = oracle.log_moments(3, RANDOM, weights="orthogonal")
    log_moment = lambda s: mp.log(oracle.moment(s, 3, RANDOM, weights="orthogonal"))  # noqa: E731
    h = mp.mpf("1e-6")
    up, down = log_moment(h), log_moment(-h)
    assert abs((up - down) / (2 * h) - mean) < 1e-12
    assert abs((up + down) / h**2 - variance) < 1e-10


@pytest.mark.parametrize("name", ONE_AMPLITUDE)
@pytest.mark.parametrize("x", ["0.05", "1.2", "4"])
def test_distribution_functions_of_one_layer(name, x):
    """Talbot, the mixture of χ² laws and the G-function."""
    activation, x, width = ONE_AMPLITUDE[name], mp.mpf(x), 5
    dead = oracle.death(width, activation)
    mixture = oracle.mixture_probability(x, width, activation)
    assert close((oracle.talbot_probability(x, width, activation) - dead) / (1 - dead), mixture, 15)
    assert close(oracle.product_probability(x, 1, width, activation), mixture, 20)
    upper = oracle.mixture_probability(x, width, activation, upper=True)
    assert close(upper + mixture, 1)
    assert close(oracle.product_probability(x, 1, width, activation, upper=True), upper, 20)


@pytest.mark.parametrize("name", ONE_AMPLITUDE)
def test_product_of_two_by_conditioning_on_the_first(name):
    activation, x, width = ONE_AMPLITUDE[name], mp.mpf("1.3"), 3

    def density(r):
        """From χ² densities by hand."""
        amplitude, live = live_neurons(width, activation)
        z = (r / amplitude) ** 2 / 2
        return mp.fsum(
            w * 2 * z ** (mp.mpf(n) / 2) * mp.exp(-z) / mp.gamma(mp.mpf(n) / 2) / r for n, w in live.items()
        )

    def integrand(u):
        rest = oracle.mixture_probability(x * mp.exp(-u), width, activation, dps=15)
        return rest * density(mp.exp(u)) * mp.exp(u)

    with mp.workdps(15):
        conditioned = mp.quad(integrand, [-34, -9, -3, 0, 1.5, 4])
    assert close(oracle.product_probability(x, 2, width, activation), conditioned, 11)
    assert not close(
        oracle.product_probability(x * (1 + mp.mpf(10) ** -9), 2, width, activation), conditioned, 11
    )


def test_routes_that_need_one_amplitude_or_fixed_slopes_say_so():
    with pytest.raises(ArgumentError, match="one amplitude"):
        oracle.product_probability(1, 2, 3, LEAKY)
    with pytest.raises(ArgumentError, match="fixed slopes"):
        oracle.mixture_moment(1, 3, RANDOM)


@pytest.mark.parametrize("activation", [RELU, LEAKY, SimpleNamespace(activation=LINEAR, p=0.25)])
def test_orthogonal_mixture_has_the_moments_of_the_orthogonal_layer(activation):
    """E R^s = ∫ s x^(s-1) P(R > x) dx given survival."""
    width, s = 3, mp.mpf("1.5")
    top = max(abs(part.high) for part in oracle.pieces(activation))

    def integrand(x):
        tail = oracle.mixture_probability(x, width, activation, weights="orthogonal", upper=True)
        return s * x ** (s - 1) * tail

    with mp.workdps(15):
        low = min((part.high for part in oracle.pieces(activation) if part.high), default=top)
        integral = mp.quad(integrand, sorted({mp.mpf(0), low, top}))
    moment = oracle.mixture_moment(s, width, activation, weights="orthogonal")
    assert close(integral, moment / (1 - oracle.death(width, activation)), 9)


def test_moments_over_layers_that_keep_enough_neurons():
    """Orders that are infinite over all layers; one neuron of a linear layer with dropout, by hand."""
    half = SimpleNamespace(activation=LINEAR, p=0.5)
    by_hand = (
        mp.mpf(2) ** -3 * (3 * oracle.chi_moment(-1.5, 2) + oracle.chi_moment(-1.5, 3)) / 2 ** mp.mpf(1.5)
    )
    assert close(oracle.mixture_moment(-1.5, 3, half, fewest=2), by_hand)


def test_a_mask_may_be_part_of_the_slopes():
    masked = SimpleNamespace(
        slopes=SimpleNamespace(positive=(4 / 3, 4 / 3), negative=(1 / 3, 1 / 3), kept=0.75)
    )
    assert close(oracle.transform(mp.mpf(2), masked), oracle.transform(mp.mpf(2), DROPPED), 14)
