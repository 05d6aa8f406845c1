"""Several inputs: kernels against quadrature, the chain against networks with all weights, and what breaks.

Statistical tests have fixed seeds and say in their docstring how often they would reject a true law; each has
a control, a law that is slightly wrong, which the same test must reject.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

import fracrepro as fr
from fracrepro.errors import ArgumentError
from fracrepro.oracle import pairs
from fracrepro.stats import mean_test
from fracrepro.theory import passes
from fracrepro.theory.kernels import POWERS, angles, cone_integral, mean_product
from fracrepro.theory.numerics import gram as sampling

RELU, LEAKY, LINEAR, ABS, RRELU = fr.ReLU(), fr.LeakyReLU(0.3), fr.Linear(), fr.Abs(), fr.RReLU(-0.2, 0.6)
DROPOUT = fr.Dropout(RELU, 0.4)
EVERY = [
    LINEAR,
    RELU,
    LEAKY,
    fr.LeakyReLU(-2.0),
    ABS,
    RRELU,
    DROPOUT,
    fr.Dropout(fr.Dropout(RRELU, 0.25), 0.5),
]
COSINES = [-1.0, -0.999, -0.6, 0.0, 0.3, 0.95, 1 - 1e-9, 1.0]
LEVEL = 1e-3


def networks(n, depth, inputs, chain, seed, *, features=False):
    """Gram matrices of the outputs, or the outputs (n, m, width), of n networks with all weights drawn."""
    rng = np.random.default_rng(seed)
    x, std = np.broadcast_to(inputs, (n, *np.shape(inputs))), math.sqrt(chain.variance)
    for _ in range(depth):
        mixed = x if chain.aggregation is None else chain.aggregation @ x
        weights = std * rng.standard_normal((n, x.shape[-1], chain.width))
        h = mixed @ weights + chain.bias_std * rng.standard_normal((n, 1, chain.width))
        if chain.shared:  # slopes of both sides, drawn for one input and used for all
            one = rng.bit_generator.state
            x = np.empty_like(h)
            for a in range(h.shape[1]):
                rng.bit_generator.state = one
                x[:, a] = chain.activation.apply(h[:, a], rng)
        else:
            x = chain.activation.apply(h, rng)
    return x if features else x @ x.mT


def entries(gram):
    """√|G_ab| of the entries on and above the diagonal: light tails, so that means can be compared."""
    upper = np.triu_indices(gram.shape[-1])
    return np.sqrt(np.abs(gram[:, *upper]))


def correlations(gram, a=0, b=1):
    """The cosines of two outputs, of the networks where both are alive, without rounding's atoms."""
    size = np.sqrt(gram[:, a, a] * gram[:, b, b])
    return np.round(gram[size > 0, a, b] / size[size > 0], 9)


def same_means(first, second):
    """Hotelling's p-value that two samples of vectors share a mean: all moments of a matrix are one test."""
    gap = first.mean(0) - second.mean(0)
    covariance = np.cov(first.T) / len(first) + np.cov(second.T) / len(second)
    return stats.chi2.sf(gap @ np.linalg.solve(covariance, gap), len(gap))


def same_law(first, second):
    """(p-value of the means, p-value of the cosine's law) for two samples of Gram matrices."""
    return (
        same_means(entries(first), entries(second)),
        stats.ks_2samp(correlations(first), correlations(second)).pvalue,
    )


def inputs_of(m, dimension, seed=3):
    return np.random.default_rng(seed).standard_normal((m, dimension))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("activation", EVERY, ids=repr)
def test_kernels_against_quadrature(activation, shared):
    for powers in POWERS[1:]:
        for c in COSINES:
            exact = float(pairs.mean_product(activation, c, *powers, shared=shared))
            scale = activation.even_moment(1) ** (sum(powers) / 2)
            value = float(mean_product(activation, c, powers, shared=shared))
            assert value == pytest.approx(exact, rel=1e-11, abs=1e-12 * scale)
            other = float(mean_product(activation, min(c + 1e-6, 1.0) - 5e-7, powers, shared=shared))
            if abs(other - exact) > 1e-7 * scale:  # the test sees an error of 5e-7 in the cosine
                assert other != pytest.approx(exact, rel=1e-11, abs=1e-12 * scale)


def test_the_kernels_of_small_cones_keep_their_digits():
    """Against t^(m+n+1) times the leading coefficient, where the closed forms have lost everything."""
    for powers, coefficient in {(1, 1): 1 / 3, (2, 2): 4 / 15, (3, 1): 2 / 5}.items():
        for t in (1e-3, 1e-5):
            expected = coefficient * t ** (sum(powers) + 1)
            assert cone_integral(powers, t) == pytest.approx(expected, rel=3 * t * t, abs=0)
    assert cone_integral((0, 0), 0.3) == 0.3
    assert 3 * (math.sin(1e-5) - 1e-5 * math.cos(1e-5)) - math.sin(1e-5) ** 3 != pytest.approx(
        4e-26, rel=0.5, abs=0
    )


def test_angles_at_both_ends():
    theta, rest = angles([1 - 2.0**-52, -1 + 2.0**-52])
    assert theta[0] == pytest.approx(math.sqrt(2.0**-51), rel=1e-14)
    assert rest[1] == theta[0]
    assert np.allclose(theta + rest, math.pi, rtol=1e-15)


@pytest.mark.parametrize("activation", EVERY, ids=repr)
def test_the_diagonal_is_the_law_of_one_input(activation):
    chain = fr.GramChain(7, activation, 0.3, 0.2)
    gram = np.array([[2.0, 0.5], [0.5, 1.0]])
    size = 0.3 * np.diag(gram) + 0.04
    assert np.diag(chain.mean(gram)) == pytest.approx(size * fr.moment(2, 7, activation), rel=1e-13)
    fourth = size**2 * fr.moment(4, 7, activation)
    assert np.diag(chain.second_moments(gram)) == pytest.approx(fourth, rel=1e-9)


@pytest.mark.parametrize("activation", EVERY, ids=repr)
def test_corners_have_no_nan(activation):
    """Inputs that are equal, opposite or zero; a copy of an input is no other input if masks are shared."""
    x = np.array([[1.0, 2.0], [2.0, 4.0], [-1.0, -2.0], [0.0, 0.0]])
    gram = x @ x.T
    for shared in (False, True):
        chain = fr.GramChain(5, activation, 0.5, shared=shared)
        for moments in (chain.mean(gram), chain.second_moments(gram)):
            assert np.isfinite(moments).all()
            assert (moments[3] == 0).all()
        mean = chain.mean(gram)
        equal = mean[0, 1] == pytest.approx(2 * mean[0, 0], rel=1e-12)
        assert equal == (shared or not activation.slopes.random)
        draws = chain.sample(200, 3, gram, rng=np.random.default_rng(0))
        assert np.isfinite(draws).all()
        assert (draws[:, 1:, 3] == 0).all()


def test_linear_one_step_moments_are_wisharts():
    """G' ~ Wishart_d(S): E G' = d S, E G'_aa G'_bb = d² S_aa S_bb + 2 d S_ab²."""
    x = inputs_of(4, 3)
    chain = fr.GramChain(6, LINEAR, 0.7, 0.4)
    s = 0.7 * x @ x.T + 0.16
    assert chain.mean(x @ x.T) == pytest.approx(6 * s, rel=1e-12, abs=1e-13)
    second = 36 * np.outer(np.diag(s), np.diag(s)) + 12 * s**2
    assert chain.second_moments(x @ x.T) == pytest.approx(second, rel=1e-12)


@pytest.mark.parametrize(
    ("activation", "mean", "fourth"),
    [
        (RELU, Fraction(1, 2), Fraction(3, 2)),
        (ABS, Fraction(1), Fraction(3)),
        (DROPOUT, Fraction(5, 6), None),
    ],
)
def test_scalar_moments_by_fractions(activation, mean, fourth):
    """The recursions in exact arithmetic; the control has d²/4 in place of d (d + 5)/4."""
    d, variance, bias = 16, Fraction(1, 8), Fraction(1, 4)
    if fourth is None:
        fourth = Fraction(3, 2) * Fraction(3, 5) / Fraction(3, 5) ** 4  # kept with 3/5, divided by it
    m1, m2, wrong = Fraction(4), Fraction(16), []
    found = fr.GramChain(d, activation, 0.125, 0.25).scalar_moments(30, 2.0)
    assert found.shape == (31, 2)
    for row in found:
        assert row == pytest.approx([float(m1), float(m2)], rel=1e-12)
        square = variance**2 * m2 + 2 * variance * bias**2 * m1 + bias**4
        m2 = (d * fourth + d * (d - 1) * mean**2) * square
        m1 = d * mean * (variance * m1 + bias**2)
        wrong.append(float(d * d * mean**2 * square))
    assert (found[1:, 1] > 1.1 * np.array(wrong[:-1])).all()


def test_scalar_moments_are_the_diagonal_of_the_chain():
    chain = fr.GramChain(8, LEAKY, 0.2, 0.5)
    first, second = chain.scalar_moments(1, 1.5)[1]
    assert chain.mean([[2.25]]) == pytest.approx(first, rel=1e-14)
    assert chain.second_moments([[2.25]]) == pytest.approx(second, rel=1e-14)


def test_kaimings_variance_with_biases_grows_linearly():
    chain = fr.GramChain(16, RELU, 2 / 16, 0.3)
    growth = 4.0 + np.arange(21) * 16 * 0.09 / 2
    assert chain.scalar_moments(20, 2.0)[:, 0] == pytest.approx(growth, rel=1e-13)


@pytest.mark.parametrize("activation", [RELU, DROPOUT, RRELU], ids=repr)
def test_one_input_against_full_networks(activation):
    """20 000 networks and chains with biases: mean of log z within 4 errors, Kolmogorov-Smirnov at 0.001.

    A true law is rejected in about one run of a thousand; weights 5 % off must be rejected.
    """
    n, x = 20_000, inputs_of(1, 8)
    chain = fr.GramChain(8, activation, 0.25, 0.3)
    wrong = fr.GramChain(8, activation, 0.25 * 1.05**2, 0.3)
    full = np.log(networks(n, 6, x, chain, seed=1)[:, 0, 0] + 1e-9)
    for one, right in ((chain, True), (wrong, False)):
        z = np.log(one.sample(n, 6, x @ x.T, rng=np.random.default_rng(2))[:, -1, 0, 0] + 1e-9)
        error = math.sqrt((z.var() + full.var()) / n)
        assert (abs(z.mean() - full.mean()) < 4 * error) == right
        assert (stats.ks_2samp(z, full).pvalue > LEVEL) == right


def test_one_input_and_two_inputs_are_one_law():
    """The closed form of one input against the first of two; the control has another width."""
    n, gram = 20_000, np.array([[2.0, 0.3], [0.3, 1.0]])
    single = fr.GramChain(6, LEAKY, 0.3, 0.2).sample(n, 4, [[2.0]], rng=np.random.default_rng(0))[:, -1, 0, 0]
    for width, right in ((6, True), (7, False)):
        chain = fr.GramChain(width, LEAKY, 0.3, 0.2)
        pair = chain.sample(n, 4, gram, rng=np.random.default_rng(1))[:, -1, 0, 0]
        assert (stats.ks_2samp(single, pair).pvalue > LEVEL) == right


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("activation", [RELU, DROPOUT, RRELU], ids=repr)
def test_one_step_against_its_moments(activation, shared):
    """400 000 draws, every mean within 4 errors; the control adds the bias to the diagonal only.

    Ten means, so a true law is rejected in less than one run of a thousand.
    """
    n, x = 400_000, inputs_of(2, 3)
    gram = x @ x.T
    chain = fr.GramChain(3, activation, 0.4, 0.8, shared=shared)
    draws = chain.sample(n, 1, gram, rng=np.random.default_rng(5))[:, 1]
    squares = np.diagonal(draws, axis1=1, axis2=2)
    bound = stats.norm.sf(4) * 2
    for a, b in ((0, 0), (0, 1), (1, 1)):
        assert not mean_test(draws[:, a, b], chain.mean(gram)[a, b], level=bound).rejected
        product = squares[:, a] * squares[:, b]
        assert not mean_test(product, chain.second_moments(gram)[a, b], level=bound).rejected
    wrong = fr.GramChain(3, activation, 0.4, shared=shared)
    diagonal = gram + 1.6 * np.eye(2)
    assert mean_test(draws[:, 0, 1], wrong.mean(diagonal)[0, 1], level=bound).rejected
    assert wrong.mean(diagonal)[0, 0] == pytest.approx(chain.mean(gram)[0, 0])


@pytest.mark.parametrize(
    ("activation", "shared"),
    [(RELU, False), (DROPOUT, False), (DROPOUT, True), (RRELU, False), (RRELU, True)],
)
@pytest.mark.parametrize("m", [2, 3])
def test_the_chain_at_depth_against_full_networks(activation, shared, m):
    """20 000 each, 4 layers of width 8: all E√|G_ab| in one test at 0.001, and the cosine's law at 0.001.

    A true law is rejected in two runs of a thousand; the control draws rows from G instead of S.
    """
    n, x = 20_000, inputs_of(m, 5)
    chain = fr.GramChain(8, activation, 0.3, 0.5, shared=shared)
    wrong = fr.GramChain(8, activation, 1.0, shared=shared)
    full = networks(n, 4, x, chain, seed=10)
    drawn = chain.sample(n, 4, x @ x.T, rng=np.random.default_rng(11))[:, -1]
    assert min(same_law(drawn, full)) > LEVEL
    rows = wrong.sample(n, 4, x @ x.T, rng=np.random.default_rng(11))[:, -1]
    assert min(same_law(rows, full)) < LEVEL


def test_a_graph_network_against_the_chain():
    """6 nodes on a path with self-loops: E tr G' = (C/2) tr(A G Aᵀ), C = width·variance, then full networks.

    20 000 each, 4 layers of width 12, tests at 0.001; the control leaves A out.
    """
    adjacency = np.eye(6) + np.eye(6, k=1) + np.eye(6, k=-1)
    degree = adjacency.sum(0)
    mixing = adjacency / np.sqrt(np.outer(degree, degree))
    x = inputs_of(6, 4)
    gram = x @ x.T
    chain = fr.GramChain(12, RELU, 2 / 12, aggregation=mixing)
    plain = fr.GramChain(12, RELU, 2 / 12)
    trace = np.trace(mixing @ gram @ mixing.T)
    assert np.trace(chain.mean(gram)) == pytest.approx(trace, rel=1e-13)
    assert np.trace(plain.mean(gram)) != pytest.approx(trace, rel=0.05)
    n = 20_000
    first = np.trace(chain.sample(n, 1, gram, rng=np.random.default_rng(0))[:, 1], axis1=1, axis2=2)
    assert not mean_test(first, trace, level=2 * stats.norm.sf(4)).rejected
    full = networks(n, 4, x, chain, seed=20)
    drawn = chain.sample(n, 4, gram, rng=np.random.default_rng(21))[:, -1]
    assert min(same_law(drawn, full)) > LEVEL
    omitted = plain.sample(n, 4, gram, rng=np.random.default_rng(21))[:, -1]
    assert min(same_law(omitted, full)) < LEVEL


@pytest.mark.parametrize("activation", [RELU, DROPOUT], ids=repr)
def test_the_passes_of_the_library_are_those_of_this_file(activation):
    """The same draws in the same order, to rounding; a control of another seed differs."""
    x, mixing = inputs_of(3, 4), np.eye(3) + 0.5 * np.eye(3, k=1)
    chain = fr.GramChain(5, activation, 0.3, 0.2, aggregation=mixing)
    ours = passes.gram_matrices(chain, x, 50, 3, rng=np.random.default_rng(4))
    assert ours.shape == (50, 4, 3, 3)
    assert np.allclose(ours[:, 0], x @ x.T)
    assert np.allclose(ours[:, -1], networks(50, 3, x, chain, seed=4), rtol=1e-12)
    assert not np.allclose(ours[:, -1], networks(50, 3, x, chain, seed=5), rtol=0.1)


def test_an_aggregation_of_one_input_is_a_factor():
    chain = fr.GramChain(5, RELU, 0.3, 0.2, aggregation=[[-2.0]])
    same = fr.GramChain(5, RELU, 1.2, 0.2)
    draws = [one.sample(50, 3, [[1.5]], rng=np.random.default_rng(0)) for one in (chain, same)]
    assert draws[0] == pytest.approx(draws[1], rel=1e-12)


def test_the_pair_is_the_general_case():
    """Two of three inputs against a pair: closed form and eigenvalues give one law; the control is a bias."""
    n, x = 20_000, inputs_of(3, 5)
    gram = x @ x.T
    pair = fr.GramChain(4, LEAKY, 0.4, 0.3).sample(n, 3, gram[:2, :2], rng=np.random.default_rng(0))[:, -1]
    for bias, right in ((0.3, True), (0.45, False)):
        chain = fr.GramChain(4, LEAKY, 0.4, bias)
        three = chain.sample(n, 3, gram, rng=np.random.default_rng(1))[:, -1, :2, :2]
        assert (min(same_law(pair, three)) > LEVEL) == right


@pytest.mark.parametrize("activation", [RELU, fr.Dropout(RRELU, 0.3)], ids=repr)
@pytest.mark.parametrize("m", [2, 4])
def test_no_size_of_a_block_changes_a_bit(activation, m, monkeypatch):
    chain = fr.GramChain(9, activation, 0.2, 0.1)
    draws = {}
    for block in (1 << 15, 200, 72):
        monkeypatch.setattr(sampling, "_BLOCK", block)
        draws[block] = chain.sample(40, 3, np.eye(m) + 1, rng=np.random.default_rng(1))
    assert np.array_equal(draws[200], draws[1 << 15])
    assert np.array_equal(draws[72], draws[1 << 15])
    first = chain.sample(7, 3, np.eye(m) + 1, rng=np.random.default_rng(1))
    assert np.array_equal(first, draws[72][:7])
    again = chain.sample(7, 3, np.eye(m) + 1, rng=np.random.default_rng(2))
    assert not np.array_equal(first, again)


def test_two_calls_use_one_generator_and_differ():
    rng, chain = np.random.default_rng(0), fr.GramChain(4, RELU, 0.5)
    assert not np.array_equal(chain.sample(3, 1, np.eye(2), rng=rng), chain.sample(3, 1, np.eye(2), rng=rng))


def test_a_layer_wider_than_a_block():
    """100 000 units in pieces: the mean within 4 errors of the exact one, known to 0.2 %."""
    chain = fr.GramChain(100_000, RELU, 2e-5)
    gram = np.array([[1.0, 0.2], [0.2, 2.0]])
    draws = chain.sample(40, 1, gram, rng=np.random.default_rng(0))[:, 1]
    for a, b in ((0, 0), (0, 1), (1, 1)):
        test = mean_test(draws[:, a, b], chain.mean(gram)[a, b], level=1e-4)
        assert not test.rejected
        assert test.error < 2e-3 * test.estimate


def test_neither_large_nor_small_scales_are_lost():
    """Without biases the cosine does not know the variance: 2000 layers that overflow or underflow."""
    gram = np.array([[1.0, 0.5], [0.5, 2.0]])
    large, unit, small = (
        fr.GramChain(8, LEAKY, variance).sample(20, 2000, gram, rng=np.random.default_rng(0))
        for variance in (10.0, 0.25, 0.01)
    )
    assert np.isinf(large[:, -1, 0, 0]).all()
    assert (small[:, -1] == 0).all()
    assert not np.isnan(large).any()
    assert np.allclose(large[:, 50, 0, 1] / large[:, 50, 0, 0], unit[:, 50, 0, 1] / unit[:, 50, 0, 0])
    tiny = fr.GramChain(8, LEAKY, 0.25, 1e-150).sample(20, 3, 1e-300 * gram, rng=np.random.default_rng(0))
    assert (tiny[:, -1, 0, 0] > 0).all()


def test_equal_inputs_stay_equal_and_dead_ones_wake_with_a_bias():
    x = np.array([[1.0, 2.0], [1.0, 2.0], [0.3, -1.0]])
    draws = fr.GramChain(6, RELU, 0.3).sample(100, 10, x @ x.T, rng=np.random.default_rng(0))
    assert np.allclose(draws[:, :, 0], draws[:, :, 1], rtol=1e-7, atol=0)
    dead = fr.GramChain(1, RELU, 1.0, 0.5).sample(200, 6, np.eye(2), rng=np.random.default_rng(0))
    both = (dead[:, 1:-1] == 0).all(axis=(2, 3))
    assert both.any()
    assert (dead[:, 2:][both] > 0).any()
    never = fr.GramChain(1, RELU, 1.0).sample(200, 6, np.eye(2), rng=np.random.default_rng(0))
    gone = (never[:, 1:-1] == 0).all(axis=(2, 3))
    assert (never[:, 2:][gone] == 0).all()


@pytest.mark.parametrize("activation", EVERY, ids=repr)
def test_the_wide_limit_of_the_cosine_is_a_quotient_of_means(activation):
    for shared in (False, True):
        chain = fr.GramChain(4, activation, 0.3, 0.7, shared=shared)
        for c in COSINES:
            mean = chain.mean(4.0 * np.array([[1.0, c], [c, 1.0]]))
            assert chain.cosine_map(c, norm=2.0) == pytest.approx(
                mean[0, 1] / mean[0, 0], rel=1e-12, abs=1e-13
            )


def test_the_cosine_map_of_relu_by_its_formula():
    chain = fr.GramChain(4, RELU, 0.3)
    theta = np.linspace(0, math.pi, 9)
    known = (np.sin(theta) + (math.pi - theta) * np.cos(theta)) / math.pi
    assert chain.cosine_map(np.cos(theta)) == pytest.approx(known, abs=1e-12)
    assert chain.cosine_map(0.25, norm=7.0) == chain.cosine_map(0.25)


@pytest.mark.parametrize("width", [1, 2, 5, 40])
def test_the_mean_cosine_of_a_linear_layer(width):
    chain = fr.GramChain(width, LINEAR, 0.1)
    for c in (-1.0, -0.99, -0.2, 0.0, 0.5, 0.999, 1.0):
        assert chain.mean_cosine(c) == pytest.approx(float(pairs.mean_correlation(width, c)), abs=1e-12)
    assert chain.mean_cosine(0.5) != pytest.approx(float(pairs.mean_correlation(width + 1, 0.5)), abs=1e-5)


@pytest.mark.parametrize("c", [-0.8, 0.0, 0.4, 1.0])
def test_the_mean_cosine_of_one_unit(c):
    """One unit makes every cosine a sign: 1 on the same side, on opposite sides that of the two slopes."""
    flip = 1 - 2 * math.acos(c) / math.pi
    for slope, known in ((0.4, flip), (-0.4, 1.0), (0.0, 1.0)):
        for activation in (fr.LeakyReLU(slope), fr.Dropout(fr.LeakyReLU(slope), 0.3)):
            for shared in (False, True):
                chain = fr.GramChain(1, activation, 2.0, shared=shared)
                assert chain.mean_cosine(c) == pytest.approx(known, abs=1e-12)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("activation", [RELU, LEAKY, ABS, DROPOUT, fr.Dropout(LEAKY, 0.2)], ids=repr)
def test_the_expansion_of_the_cosine_has_an_error_of_second_order(activation, shared):
    """The gap to the exact mean falls by 4 when the width doubles; without the correction it falls by 2."""
    for c in (-0.5, 0.3, 0.8):
        gaps, crude = [], []
        for width in (400, 800):
            chain = fr.GramChain(width, activation, 0.1, shared=shared)
            exact = chain.mean_cosine(c)
            gaps.append(chain.cosine_expansion(c)[0] - exact)
            crude.append(chain.cosine_map(c) - exact)
        assert gaps[0] / gaps[1] == pytest.approx(4.0, abs=0.12)
        assert crude[0] / crude[1] == pytest.approx(2.0, abs=0.06)


@pytest.mark.parametrize("activation", [RELU, RRELU, DROPOUT], ids=repr)
def test_mean_and_variance_of_the_cosine_against_draws(activation):
    """400 000 draws at width 60: the exact mean within 4 errors where there is one, the variance within 5 %.

    The wide limit must be rejected.
    """
    chain, c = fr.GramChain(60, activation, 0.1), 0.2
    draws = chain.sample(400_000, 1, [[1.0, c], [c, 1.0]], rng=np.random.default_rng(0))[:, 1]
    cosines = correlations(draws)
    mean, variance = chain.cosine_expansion(c)
    exact = mean if activation == RRELU else chain.mean_cosine(c)
    assert not mean_test(cosines, exact, level=1e-4).rejected
    assert mean_test(cosines, chain.cosine_map(c), level=1e-4).rejected
    assert cosines.var() == pytest.approx(variance, rel=0.05)


def test_without_biases_the_cosine_is_a_chain_of_its_own():
    """Its law does not know norms or variance: cosines of 20 000 pairs, KS at 0.001; a bias breaks it."""
    n, c = 20_000, 0.1
    unit = np.array([[1.0, c], [c, 1.0]])
    other = np.array([[9.0, 3 * c], [3 * c, 1.0]])
    base = fr.GramChain(8, RELU, 0.25).sample(n, 5, unit, rng=np.random.default_rng(0))[:, -1]
    for bias, right in ((0.0, True), (0.5, False)):
        draws = fr.GramChain(8, RELU, 0.4, bias).sample(n, 5, other, rng=np.random.default_rng(1))[:, -1]
        assert (stats.ks_2samp(correlations(base), correlations(draws)).pvalue > LEVEL) == right


def test_stacks_of_matrices():
    chain = fr.GramChain(3, LEAKY, 0.2, 0.1)
    stack = chain.sample(5, 2, np.eye(3), rng=np.random.default_rng(0))
    assert chain.mean(stack).shape == stack.shape
    assert np.array_equal(chain.second_moments(stack)[4, 1], chain.second_moments(stack[4, 1]))


def test_what_the_chain_says_of_itself():
    chain = fr.GramChain(3, RELU, 0.5, 0.1, aggregation=np.eye(2), shared=True)
    assert repr(chain) == "GramChain(3, ReLU(), 0.5, 0.1, aggregation=(2, 2), shared=True)"
    with pytest.raises(ValueError, match="read-only"):
        chain.aggregation[0, 0] = 2.0


CHAIN = fr.GramChain(4, RELU, 0.5)
BIASED = fr.GramChain(4, RELU, 0.5, 0.1)
SHARED = fr.GramChain(4, RELU, 0.5, shared=True)
MIXED = fr.GramChain(4, RELU, 0.5, aggregation=np.eye(3))
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("width", lambda: fr.GramChain(0, RELU, 0.5)),
        ("activation", lambda: fr.GramChain(4, "relu", 0.5)),
        ("variance", lambda: fr.GramChain(4, RELU, 0.0)),
        ("bias_std", lambda: fr.GramChain(4, RELU, 0.5, -0.1)),
        ("aggregation", lambda: fr.GramChain(4, RELU, 0.5, aggregation=[[1.0, 2.0]])),
        ("aggregation", lambda: fr.GramChain(4, RELU, 0.5, aggregation=[[math.nan]])),
        ("shared", lambda: fr.GramChain(4, RELU, 0.5, shared="yes")),
        ("n", lambda: CHAIN.sample(0, 1, np.eye(2), rng=RNG)),
        ("depth", lambda: CHAIN.sample(1, 0, np.eye(2), rng=RNG)),
        ("rng", lambda: CHAIN.sample(1, 1, np.eye(2), rng=3)),
        ("gram", lambda: CHAIN.sample(1, 1, np.ones((2, 2, 2)), rng=RNG)),
        ("gram", lambda: CHAIN.sample(1, 1, [1.0, 2.0], rng=RNG)),
        ("gram", lambda: CHAIN.sample(1, 1, np.empty((0, 0)), rng=RNG)),
        ("gram", lambda: CHAIN.sample(1, 1, [[1.0, 0.2], [0.3, 1.0]], rng=RNG)),
        ("gram", lambda: CHAIN.mean([[1.0, 1.1], [1.1, 1.0]])),
        ("gram", lambda: CHAIN.mean([[-1e-30]])),
        ("gram", lambda: CHAIN.mean([[math.inf]])),
        ("gram", lambda: MIXED.second_moments(np.eye(2))),
        ("depth", lambda: CHAIN.scalar_moments(0, 1.0)),
        ("norm", lambda: CHAIN.scalar_moments(1, 0.0)),
        ("aggregation", lambda: MIXED.scalar_moments(1, 1.0)),
        ("aggregation", lambda: MIXED.cosine_map(0.5)),
        ("cosine", lambda: CHAIN.cosine_map(1.1)),
        ("norm", lambda: BIASED.cosine_map(0.5)),
        ("norm", lambda: BIASED.cosine_expansion(0.5, norm=-1.0)),
        ("activation", lambda: fr.GramChain(4, RRELU, 0.5).mean_cosine(0.5)),
        ("activation", lambda: fr.GramChain(4, fr.LeakyReLU(1e-40), 0.5).mean_cosine(0.5)),
        ("width", lambda: fr.GramChain(10**7, RELU, 0.5).mean_cosine(0.5)),
        ("cosine", lambda: fr.GramChain(1, RELU, 0.5).mean_cosine(-1.0)),
        ("inputs", lambda: passes.gram_matrices(CHAIN, [1.0], 2, 1, rng=RNG)),
        ("depth", lambda: passes.gram_matrices(CHAIN, np.eye(2), 2, 0, rng=RNG)),
        ("rng", lambda: passes.gram_matrices(CHAIN, np.eye(2), 2, 1, rng=0)),
        ("shared", lambda: passes.gram_matrices(SHARED, np.eye(2), 2, 1, rng=RNG)),
        ("powers", lambda: mean_product(RELU, 0.5, (5, 1))),
        ("cosine", lambda: mean_product(RELU, -1.5)),
    ],
)
def test_refusals_name_the_argument(name, call):
    with pytest.raises(ArgumentError, match=name):
        call()
