"""Layers of several widths and variances: the law of the log-norm against products of gamma and beta laws."""

import itertools
import math

import mpmath
import numpy as np
import pytest
from scipy import integrate, special, stats

import fracrepro as fr

ORTHOGONAL = {"weights": "orthogonal"}


def gamma_product(z, numbers):
    """P(Π χ²_n/2 ≤ z) as Meijer's G-function, summed from residues in 40 digits."""
    with mpmath.workdps(40):
        halves = [mpmath.mpf(n) / 2 for n in numbers]
        value = mpmath.meijerg([[1], []], [halves, [0]], mpmath.mpf(z))
        return float(value / mpmath.fprod(map(mpmath.gamma, halves)))


def at(law, units=(-4.0, -1.5, 0.0, 1.0, 3.0)):
    return law.mean() + math.sqrt(law.var()) * np.array(units)


@pytest.mark.parametrize("widths", [(3, 7), (2, 9, 4), (1, 30, 6, 5)], ids=repr)
def test_linear_layers_are_a_product_of_gamma_variables(widths):
    variances = [0.3 / (j + 1) for j in range(len(widths))]
    law = fr.LogNormLaw(len(widths), widths, fr.Linear(), variances)
    wrong = fr.LogNormLaw(len(widths), (*widths[:-1], widths[-1] + 1), fr.Linear(), variances)
    x = at(law)
    scale = math.prod(variances) * 2.0 ** len(widths)
    expected = np.array([gamma_product(math.exp(2 * value) / scale, widths) for value in x])
    assert np.abs(law.cdf(x) - expected).max() < 1e-11
    assert np.abs(law.sf(x) - (1 - expected)).max() < 1e-11
    assert law.cdf(x[0]) == pytest.approx(expected[0], rel=1e-7)
    # Negative control: one neuron more in one layer.
    assert np.abs(wrong.cdf(x) - expected).max() > 1e-3


def test_rectifier_layers_are_a_mixture_over_their_live_neurons():
    widths, variances = (2, 5, 3), (0.9, 0.5, 0.7)
    law = fr.LogNormLaw(3, widths, fr.ReLU(), variances)
    x = at(law, (-2.0, 0.0, 1.5))
    expected = np.zeros(3)
    for numbers in itertools.product(*(range(1, d + 1) for d in widths)):
        chance = math.prod(math.comb(d, n) / (2**d - 1) for d, n in zip(widths, numbers, strict=True))
        scale = math.prod(variances) * 8
        expected += chance * np.array([gamma_product(math.exp(2 * v) / scale, numbers) for v in x])
    assert np.abs(law.cdf(x) - expected).max() < 1e-11
    alive = math.prod(1 - 2.0**-d for d in widths)
    assert law.small_output_probability(np.exp(x)) == pytest.approx(1 - alive + alive * expected, abs=1e-11)


@pytest.mark.parametrize(
    ("depth", "width", "activation", "weights"),
    [
        (1, 8, fr.ReLU(), "gaussian"),
        (20, 64, fr.ReLU(), "gaussian"),
        (7, 16, fr.RReLU(), "gaussian"),
        (20, 16, fr.LeakyReLU(0.3), "orthogonal"),
    ],
    ids=repr,
)
def test_equal_numbers_are_one_number_bit_for_bit(depth, width, activation, weights):
    one = fr.LogNormLaw(depth, width, activation, 0.1, weights=weights)
    x = at(one)
    for widths, variances in (([width] * depth, 0.1), (width, (0.1,) * depth), (np.full(depth, width), 0.1)):
        many = fr.LogNormLaw(depth, widths, activation, variances, weights=weights)
        assert (many.cdf(x) == one.cdf(x)).all()
        assert (many.pdf(x) == one.pdf(x)).all()
        assert (many.ppf([0.01, 0.7]) == one.ppf([0.01, 0.7])).all()
        assert (many.mean(), many.var()) == (one.mean(), one.var())
    seeds = [np.random.default_rng(1) for _ in range(2)]
    draws = [
        fr.simulate_log_norms(5, depth, d, activation, v, rng=rng, weights=weights)
        for (d, v), rng in zip([(width, 0.1), ([width] * depth, [0.1] * depth)], seeds, strict=True)
    ]
    assert (draws[0] == draws[1]).all()


def test_the_order_of_gaussian_layers_does_not_matter():
    laws = [
        fr.LogNormLaw(4, widths, fr.LeakyReLU(0.2), variances)
        for widths, variances in (((9, 4, 9, 6), (0.1, 0.2, 0.1, 0.3)), ((4, 9, 6, 9), (0.2, 0.1, 0.3, 0.1)))
    ]
    assert (laws[0].cdf(at(laws[0])) == laws[1].cdf(at(laws[0]))).all()
    assert laws[0].cumulants() == laws[1].cumulants()


def test_variances_shift_the_law():
    plain = fr.LogNormLaw(3, 6, fr.ReLU(), 1.0)
    shifted = fr.LogNormLaw(3, 6, fr.ReLU(), [0.5, 2.0, 0.3])
    x = at(plain)
    assert shifted.cdf(x + math.log(0.3) / 2) == pytest.approx(plain.cdf(x), abs=1e-13)


@pytest.mark.parametrize(("n", "m"), [(20, 60), (16, 50), (40, 100)])
def test_one_rectangular_orthogonal_layer_is_a_beta_law(n, m):
    """Linear: R² ~ Beta(n/2, (m - n)/2).  ReLU: the same with the number of live neurons, given one lives."""
    law = fr.LogNormLaw(1, n, fr.Linear(), 1.0, **ORTHOGONAL, input_width=m)
    x = at(law)
    expected = special.betainc(n / 2, (m - n) / 2, np.exp(2 * x))
    assert np.abs(law.cdf(x) - expected).max() < 1e-10
    off = fr.LogNormLaw(1, n, fr.Linear(), 1.0, **ORTHOGONAL, input_width=m + 1)
    assert np.abs(off.cdf(x) - expected).max() > 1e-3
    law = fr.LogNormLaw(1, n, fr.ReLU(), 1.0, **ORTHOGONAL, input_width=m)
    x = at(law)
    live = np.arange(1, n + 1)
    chance = stats.binom.pmf(live, n, 0.5) / -math.expm1(n * math.log(0.5))
    expected = (chance * special.betainc(live / 2, (m - live) / 2, np.exp(2 * x)[:, None])).sum(axis=1)
    assert np.abs(law.cdf(x) - expected).max() < 1e-10


def test_two_rectangular_orthogonal_layers_are_a_product_of_beta_variables():
    """60 inputs, 40 neurons, 20 neurons: Beta(20, 10) times Beta(10, 10)."""
    law = fr.LogNormLaw(2, [40, 20], fr.Linear(), [1.0, 1.0], **ORTHOGONAL, input_width=60)
    for x in at(law):
        z = math.exp(2 * x)
        value = integrate.quad(
            lambda b, z=z: stats.beta.pdf(b, 20, 10) * special.betainc(10, 10, min(1.0, z / b)),
            0,
            1,
            points=[z, 0.5, 2 / 3, 0.9],
            epsabs=1e-13,
        )[0]
        assert law.cdf(x) == pytest.approx(value, abs=1e-10)
    # Widening layers keep the norm: they change nothing.
    wider = fr.LogNormLaw(4, [40, 40, 90, 20], fr.Linear(), 1.0, **ORTHOGONAL, input_width=60)
    narrow = fr.LogNormLaw(2, [40, 20], fr.Linear(), 1.0, **ORTHOGONAL, input_width=60)
    assert wider.var() > narrow.var()  # from 90 to 20 more is lost than from 40 to 20
    same = fr.LogNormLaw(4, [40, 40, 90, 90], fr.Linear(), 1.0, **ORTHOGONAL, input_width=60)
    first = fr.LogNormLaw(1, 40, fr.Linear(), 1.0, **ORTHOGONAL, input_width=60)
    assert (same.mean(), same.var()) == (first.mean(), first.var())
    assert same.cdf(first.mean()) == pytest.approx(first.cdf(first.mean()), abs=1e-12)


def test_leaky_layers_of_two_shapes_are_a_convolution():
    """The lattice step, 1/16 sd, resolves a density that is smooth to far below 1e-10 at these widths."""
    one = fr.LogNormLaw(1, 100, fr.LeakyReLU(0.3), 1.0, **ORTHOGONAL, input_width=250)
    other = fr.LogNormLaw(1, 60, fr.LeakyReLU(0.3), 1.0, **ORTHOGONAL, input_width=100)
    two = fr.LogNormLaw(2, [100, 60], fr.LeakyReLU(0.3), 1.0, **ORTHOGONAL, input_width=250)
    y = one.mean() + math.sqrt(one.var()) * np.arange(-10, 10, 1 / 16)
    for x in at(two):
        convolved = (one.pdf(y) * other.cdf(x - y)).sum() * (y[1] - y[0])
        assert two.cdf(x) == pytest.approx(convolved, abs=2e-10)


def test_cumulants_add_up():
    """Linear layers: the j-th cumulant of log R is ψ^(j-1)(d/2)/2^j."""
    widths = (3, 8, 20)
    law = fr.LogNormLaw(3, widths, fr.Linear(), 1.0)
    for j, found in enumerate(law.cumulants(), start=1):
        expected = sum(special.polygamma(j - 1, d / 2) / 2**j for d in widths)
        expected += 3 * math.log(2) / 2 if j == 1 else 0
        assert found == pytest.approx(expected, rel=1e-7)
    normal = law.normal()
    x = at(law, np.linspace(-4, 4, 81))
    gap = np.abs(law.cdf(x) - normal.cdf(x)).max()
    assert 0.01 < gap < law.berry_esseen_bound() < 1


def test_quantiles_and_draws_follow_the_law():
    """5000 draws, Kolmogorov-Smirnov at false-alarm rate 1e-3; a shift by sd/10 must be rejected."""
    law = fr.LogNormLaw(5, [4, 16, 8, 16, 2], fr.LeakyReLU(0.1), [0.5, 0.1, 0.2, 0.1, 0.7])
    q = np.array([1e-8, 0.01, 0.5, 0.99])
    assert law.cdf(law.ppf(q)) == pytest.approx(q, rel=1e-9)
    draws = law.rvs(5000, np.random.default_rng(0))
    assert stats.kstest(draws, law.cdf).pvalue > 1e-3
    assert stats.kstest(draws + 0.1 * math.sqrt(law.var()), law.cdf).pvalue < 1e-3


def test_simulated_networks_have_the_law():
    """20000 networks, Kolmogorov-Smirnov at 1e-3; the widths in another order must be rejected.

    For orthogonal layers the order decides how much of the norm is lost.
    """
    widths = [30, 12, 40, 20]
    rng = np.random.default_rng(4)
    x = fr.simulate_log_norms(20_000, 4, widths, fr.ReLU(), 1.5, rng=rng, **ORTHOGONAL, input_width=50)
    law = fr.LogNormLaw(4, widths, fr.ReLU(), 1.5, **ORTHOGONAL, input_width=50)
    other = fr.LogNormLaw(4, sorted(widths), fr.ReLU(), 1.5, **ORTHOGONAL, input_width=50)
    assert x.shape == (20_000, 5)
    alive = x[:, -1][np.isfinite(x[:, -1])]
    assert stats.kstest(alive, law.cdf).pvalue > 1e-3
    assert stats.kstest(alive, other.cdf).pvalue < 1e-3


def haar(rng, size, n, m):
    """Semi-orthogonal matrices of n rows."""
    q, r = np.linalg.qr(rng.standard_normal((size, max(n, m), min(n, m))))
    q *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
    return q if n >= m else q.mT


def test_biases_in_rectangular_orthogonal_layers():
    """Full networks 9 → 4 → 6 → 3 with biases against the walk; 20000, Kolmogorov-Smirnov at 1e-3.

    A bias a tenth smaller must be rejected.
    """
    size, sizes, bias, gain = 20_000, [9, 4, 6, 3], 0.5, 1.3
    rng = np.random.default_rng(8)
    x = np.broadcast_to(np.eye(9)[0], (size, 9))
    for m, n in itertools.pairwise(sizes):
        h = gain * (haar(rng, size, n, m) @ x[:, :, None])[:, :, 0] + bias * rng.standard_normal((size, n))
        x = fr.LeakyReLU(0.2).apply(h)
    full = np.log(np.linalg.norm(x, axis=1))

    def walk(std, seed):
        return fr.simulate_log_norms(
            size,
            3,
            sizes[1:],
            fr.LeakyReLU(0.2),
            gain**2,
            bias_std=std,
            rng=np.random.default_rng(seed),
            **ORTHOGONAL,
            input_width=9,
        )[:, -1]

    assert stats.ks_2samp(full, walk(bias, 1)).pvalue > 1e-3
    assert stats.ks_2samp(full, walk(0.9 * bias, 2)).pvalue < 1e-3


def test_refusals():
    with pytest.raises(ValueError, match=r"width = \[3, 4\]: need one number, or one for each of the 3"):
        fr.LogNormLaw(3, [3, 4], fr.ReLU(), 0.1)
    with pytest.raises(ValueError, match=r"variance = \[0.1\]: need one number, or one for each"):
        fr.LogNormLaw(3, 4, fr.ReLU(), [0.1])
    with pytest.raises(ValueError, match=r"variance = -0.1: need a finite number"):
        fr.LogNormLaw(2, 4, fr.ReLU(), [0.1, -0.1])
    with pytest.raises(ValueError, match=r"input_width = None: need an integer in"):
        fr.LogNormLaw(2, [20, 30], fr.ReLU(), 1.0, weights="orthogonal")
    with pytest.raises(ValueError, match=r"input_width = 0"):
        fr.simulate_log_norms(1, 2, [2, 3], fr.ReLU(), 1.0, rng=np.random.default_rng(0), input_width=0)
    with pytest.raises(ValueError, match="need a network whose norm is random"):
        fr.LogNormLaw(2, [30, 40], fr.Linear(), 1.0, weights="orthogonal", input_width=20)
    law = fr.LogNormLaw(2, [30, 20], fr.Linear(), 1.0, weights="orthogonal", input_width=40)
    assert eval(repr(law), {"LogNormLaw": fr.LogNormLaw, "Linear": fr.Linear}).mean() == law.mean()
