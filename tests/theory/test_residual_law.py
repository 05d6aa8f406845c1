"""The law of the log-norm over residual blocks: noncentral laws, convolutions in probability, simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats

import fracrepro as fr
from fracrepro.theory.numerics.panels import PanelLine


def variances(width, hidden):
    return 2 / width, 1 / hidden


def make(d, h, activation, alpha, skip):
    return fr.ResidualBlock(d, h, activation, alpha, variances(d, h), skip)


def one_block(x, block):
    """P(log R ≤ x) of ReLU or linear blocks: noncentral χ² given the branch, a quadrature over χ²_n.

    A branch below 1e-3 of the skip is taken as none; x must be 0.05 away from log β, fifty deviations of it.
    """
    d, h, skip = block.width, block.hidden, abs(block.skip)
    kappa = block.alpha**2 * math.prod(block.variances)
    assert abs(x - math.log(skip)) > 0.05
    smallest = math.log(1e-6 * skip**2 / kappa)
    linear = block.activation == fr.Linear()
    total = (not linear) * float(x > math.log(skip)) / 2**h
    for n in [h] if linear else range(1, h + 1):

        def integrand(y, n=n):
            c2 = kappa * math.exp(y)
            inner = stats.ncx2.cdf(math.exp(2 * x) / c2, d, skip**2 / c2)
            return stats.chi2.pdf(math.exp(y), n) * math.exp(y) * inner

        ends = np.linspace(smallest, math.log(n + 80), 9)
        value = sum(
            integrate.quad(integrand, *pair, epsabs=1e-13, limit=200)[0] for pair in itertools.pairwise(ends)
        )
        value += stats.chi2.cdf(math.exp(smallest), n) * (x > math.log(skip))
        total += value * (1.0 if linear else math.comb(h, n) / 2**h)
    return total


@pytest.mark.parametrize(
    "block",
    [make(12, 5, fr.ReLU(), 0.5, 1.0), make(3, 2, fr.ReLU(), 0.7, 0.8), make(2, 3, fr.Linear(), 2.0, -0.5)],
    ids=repr,
)
def test_one_block_is_a_mixture_of_noncentral_laws(block):
    law = block.log_norm_law(1)
    other = make(block.width, block.hidden, block.activation, block.alpha * (1 + 1e-6), block.skip)
    other_law = other.log_norm_law(1)
    for x in math.log(abs(block.skip)) + math.sqrt(law.var()) * np.array([-3.0, -1.0, -0.5, 0.5, 1.5, 3.0]):
        expected = one_block(x, block)
        assert law.cdf(x) == pytest.approx(expected, abs=1e-11)
        assert law.sf(x) == pytest.approx(1 - expected, abs=1e-11)
        # Negative control: a branch off by 1e-6.
        if 0.001 < expected < 0.999:
            assert other_law.cdf(x) != pytest.approx(expected, abs=1e-9)


def test_lower_tails_keep_their_relative_accuracy():
    for block in (make(12, 5, fr.ReLU(), 0.5, 1.0), make(2, 3, fr.Linear(), 2.0, -0.5)):
        law = block.log_norm_law(1)
        for q in (1e-6, 1e-9):
            x = float(law.ppf(q))
            assert law.cdf(x) == pytest.approx(one_block(x, block), rel=1e-6, abs=0)


def two_blocks(x, law):
    """P(S₂ ≤ x) = ∫ F(x - F⁻¹(q)) dq over q in (0, 1), with F of one block; pieces end where F has a step."""
    place = math.log(abs(law.block.skip))
    below = law.cdf(place) - law.atom
    kink = law.cdf(x - place)
    ends = np.unique(np.clip([0.0, below, below + law.atom, kink, 1.0], 0.0, 1.0))

    def integrand(q):
        return law.cdf(x - law.ppf(np.clip(q, 1e-300, 1 - 2.0**-53)))

    total = law.atom * law.cdf(x - place)
    for low, high in itertools.pairwise(ends):
        if below - 1e-15 <= low and high <= below + law.atom + 1e-15:
            continue  # the step itself
        total += integrate.tanhsinh(integrand, low, high, atol=1e-11, maxlevel=9).integral
    return total


@pytest.mark.parametrize(
    "block",
    [
        make(1, 1, fr.ReLU(), 0.7, 0.8),
        make(1, 1, fr.Linear(), 0.7, 0.8),
        make(3, 2, fr.ReLU(), 3.0, 1.0),
        make(4, 3, fr.LeakyReLU(0.2), 0.6, 1.0),
    ],
    ids=repr,
)
def test_two_blocks_are_the_convolution_of_one(block):
    one, two = block.log_norm_law(1), block.log_norm_law(2)
    for units in (-1.5, 0.2, 1.0):
        x = two.mean() + units * math.sqrt(two.var())
        assert two.cdf(x) == pytest.approx(two_blocks(x, one), abs=2e-9)


CASES = [
    (make(12, 20, fr.ReLU(), 0.5, 1.0), 30),
    (make(1, 1, fr.ReLU(), 0.7, 0.8), 3),
    (make(4, 3, fr.Dropout(fr.RReLU(), 0.2), 2.0, 1.0), 5),
    (make(8, 8, fr.ReLU(), 1e-3, 1.0), 1000),
    (make(5, 3, fr.LeakyReLU(0.1), 0.9, 0.0), 4),
    (make(5, 2, fr.ReLU(), 0.9, 0.0), 4),
]


@pytest.mark.parametrize(("block", "depth"), CASES, ids=repr)
def test_draws_follow_the_law(block, depth):
    """20000 draws; Kolmogorov-Smirnov at false-alarm rate 1e-3 outside the atom, 4 standard errors for it.

    The control shifts the draws by a tenth of a standard deviation.
    """
    law, n = block.log_norm_law(depth), 20_000
    x = law.rvs(n, np.random.default_rng(3))
    place = depth * math.log(abs(block.skip)) if block.skip else math.inf
    on_atom = np.abs(x - place) < 1e-12
    if law.atom > 1e-9:
        assert abs(on_atom.mean() - law.atom) < 4 * math.sqrt(law.atom * (1 - law.atom) / n)
    rest = x[~on_atom] if law.atom > 1e-9 else x

    def cdf(y):
        return (law.cdf(y) - law.atom * (y >= place)) / (1 - law.atom)

    assert stats.kstest(rest, cdf).pvalue > 1e-3
    assert stats.kstest(rest + 0.1 * math.sqrt(law.var()), cdf).pvalue < 1e-3
    assert abs(x.mean() - law.mean()) < 4 * math.sqrt(law.var() / n)


@pytest.mark.parametrize(("block", "depth"), CASES, ids=repr)
def test_is_a_distribution_whose_quantiles_come_back(block, depth):
    law = block.log_norm_law(depth)
    sd = math.sqrt(law.var())
    x = law.mean() + sd * np.linspace(-6, 5, 23)
    cdf, sf = law.cdf(x), law.sf(x)
    assert np.abs(cdf + sf - 1).max() < 1e-12
    assert (np.diff(cdf) >= -1e-14).all()
    q = np.array([1e-7, 0.01, 0.4, 0.9, 1 - 1e-6])
    back = law.cdf(law.ppf(q))
    assert (back >= q - 1e-12).all()  # equal but where the step covers q
    assert (law.cdf(law.ppf(q) - 1e-6 * sd) <= q + 1e-12).all()
    dead = 1 - (1 - block.dead_branch_probability) ** depth if block.skip == 0 else 0.0
    assert law.small_output_probability(math.exp(x[10])) == pytest.approx(
        dead + (1 - dead) * cdf[10], rel=1e-12
    )


def test_moments_come_back_from_the_density():
    block = make(12, 20, fr.ReLU(), 0.5, 1.0)
    law = block.log_norm_law(5)
    x = law.mean() + math.sqrt(law.var()) * np.arange(-12, 12, 1 / 32)
    mass = law.pdf(x) * (x[1] - x[0])
    for s in (-1.0, 0.0, 1.0, 2.0):
        assert np.exp(s * x) @ mass == pytest.approx(block.moment(s) ** 5 if s else 1.0, rel=1e-8)


def test_many_blocks_are_normal():
    block = make(64, 64, fr.ReLU(), 0.1, 1.0)
    law = block.log_norm_law(2000)
    x = law.mean() + math.sqrt(law.var()) * np.array([-2.0, 0.0, 1.0])
    assert law.cdf(x) == pytest.approx(law.normal().cdf(x), abs=1e-3)
    assert law.cdf(x) != pytest.approx(law.normal().cdf(x), abs=1e-6)


def test_without_a_skip_it_is_a_plain_network_of_two_kinds_of_layers():
    """Linear: layers of 3 and of 5 neurons in turn, with the variance of each."""
    block = make(5, 3, fr.Linear(), 0.7, 0.0)
    first, second = block.variances
    plain = fr.LogNormLaw(4, [3, 5, 3, 5], fr.Linear(), [0.49 * first, second] * 2)
    law = block.log_norm_law(2)
    x = plain.mean() + math.sqrt(plain.var()) * np.linspace(-4, 3, 8)
    assert law.mean() == pytest.approx(plain.mean(), rel=1e-12)
    assert law.cdf(x) == pytest.approx(plain.cdf(x), abs=1e-12)


def test_panels_invert_laws_with_a_logarithm_and_with_a_bend():
    """Laplace's density bends at 0, and K₀(|y|)/π, of transform (1 - s²)^(-1/2), is infinite there."""
    y = np.array([-3.0, -0.5, -1e-4, 1e-4, 2.0, 6.0])
    line = PanelLine(-0.5, lambda s: 1 / (1 - s * s), 1.0)
    assert -line.integrate(y, 1) == pytest.approx(stats.laplace.cdf(y), abs=1e-13)
    line = PanelLine(-0.5, lambda s: 1 / np.sqrt(1 - s * s), 1.0)
    tail = [integrate.quad(lambda v: math.exp(-2 * math.cosh(v)), 0, 6)[0]]  # K₀(2), by its integral
    assert line.integrate(np.array([2.0]), 0) == pytest.approx(np.array(tail) / math.pi, rel=1e-12)
    assert -line.integrate(np.array([1e-300, -1e-300]), 1) == pytest.approx([0.5, 0.5], abs=1e-12)


def test_refusals():
    with pytest.raises(ValueError, match=r"alpha = 0.0: need another value for a law"):
        make(4, 4, fr.ReLU(), 0.0, 1.0).log_norm_law(3)
    law = make(4, 4, fr.ReLU(), 0.5, 1.0).log_norm_law(3)
    for call, name in (
        (lambda: law.cdf(math.nan), "x = nan"),
        (lambda: law.ppf(1.0), "q = 1.0"),
        (lambda: law.small_output_probability(0), "eps = 0"),
        (lambda: law.rvs(3, 0), "rng = 0"),
        (lambda: make(4, 4, fr.ReLU(), 0.5, 1.0).log_norm_law(0), "depth = 0"),
    ):
        with pytest.raises(ValueError, match=name):
            call()
    assert law.rvs((2, 0), np.random.default_rng(0)).shape == (2, 0)
