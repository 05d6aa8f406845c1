"""A residual block with a live branch: Kummer's function over a density, closed forms, full blocks."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, special, stats

import fracrepro as fr
from fracrepro.oracle import blocks

ACTIVATIONS = [fr.Linear(), fr.ReLU(), fr.LeakyReLU(0.3), fr.RReLU(), fr.Dropout(fr.RReLU(), 0.2), fr.Abs()]
# width, hidden, alpha, skip: square, narrow, a branch much larger and one much smaller than the skip
SHAPES = [(3, 2, 0.7, 1.0), (1, 1, 0.6, -0.8), (6, 2, 20.0, 0.5), (2, 1, 1e-3, 1.0)]


def variances(width, hidden):
    return 2 / width, 1 / hidden


ROWS = json.loads((Path(__file__).parents[1] / "reference" / "residual.json").read_text(encoding="utf-8"))
NAMED = {repr(activation): activation for activation in ACTIVATIONS}
CASES = [
    pytest.param(NAMED[name], *shape, [(row["s"], row["moment"]) for row in rows], id=f"{name}-{shape}")
    for (name, shape), rows in itertools.groupby(
        (row for row in ROWS if "moment" in row), lambda row: (row["activation"], row["shape"])
    )
]
LOGS = [
    pytest.param(
        NAMED[row["activation"]], *row["shape"], row["log_moments"], id=f"{row['activation']}-{row['shape']}"
    )
    for row in ROWS
    if "log_moments" in row
]


@pytest.mark.parametrize(("activation", "d", "h", "alpha", "skip", "rows"), CASES)
def test_moments_are_those_of_kummers_function(activation, d, h, alpha, skip, rows):
    block = fr.ResidualBlock(d, h, activation, alpha, variances(d, h), skip)
    other = fr.ResidualBlock(d, h, activation, alpha * (1 + 1e-6), variances(d, h), skip)
    assert len(rows) == 8
    for s, value in rows:
        expected = float(value)
        assert block.moment(s) == pytest.approx(expected, rel=1e-12, abs=0)
        # Negative control: α off by 1e-6.  A branch of 1e-3 changes the moment by 1e-6 of 1e-6 only.
        if alpha > 0.1:
            assert other.moment(s) != pytest.approx(expected, rel=1e-10, abs=0)


@pytest.mark.parametrize(("activation", "d", "h", "alpha", "skip", "expected"), LOGS)
def test_log_moments_are_derivatives_of_the_moments(activation, d, h, alpha, skip, expected):
    found = fr.ResidualBlock(d, h, activation, alpha, variances(d, h), skip).log_moments()
    assert found == pytest.approx([float(value) for value in expected], rel=1e-11)


def test_the_references_are_those_of_the_oracle():
    """The cheapest of each kind, computed again; the others need a minute."""
    assert (len(CASES), len(LOGS)) == (12, 4)
    for name in ("ReLU()-[2, 1, 0.001, 1.0]", "LeakyReLU(negative_slope=0.3)-[6, 2, 20.0, 0.5]"):
        [(activation, d, h, alpha, skip, stored)] = [case.values for case in CASES if case.id == name]
        for s, value in stored:
            again = blocks.moment(s, d, h, activation, alpha, variances(d, h), skip)
            assert float(again) == pytest.approx(float(value), rel=1e-14, abs=0)
    # With 17 digits the differences over steps of 1e-4 lose 4 and 8 of them.
    [(activation, d, h, alpha, skip, stored)] = [case.values for case in LOGS if case.id == name]
    again = blocks.log_moments(d, h, activation, alpha, variances(d, h), skip, dps=17)
    assert float(again[0]) == pytest.approx(float(stored[0]), rel=1e-11)
    assert float(again[1]) == pytest.approx(float(stored[1]), rel=1e-7)


def test_the_mean_of_the_log_in_four_dimensions_has_a_closed_form():
    """E log χ'²_4 = log λ + E₁(λ/2) + (1 - e^(-λ/2))/(λ/2), averaged over the density of χ²_h."""
    h, skip = 3, 0.8
    for alpha in (0.05, 0.4, 3.0):
        kappa = alpha**2 * math.prod(variances(4, h))

        def integrand(x, kappa=kappa):
            z = skip**2 / (2 * kappa * x)
            return stats.chi2.pdf(x, h) * (special.exp1(z) - math.expm1(-z) / z)

        expected = math.log(skip) + 0.5 * integrate.quad(integrand, 0, np.inf, epsabs=0, epsrel=1e-12)[0]
        block = fr.ResidualBlock(4, h, fr.Linear(), alpha, variances(4, h), skip)
        assert block.lyapunov_exponent() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("alpha", [1e-2, 1e-5, 1e-9, 1e-30])
def test_a_tiny_branch_keeps_every_digit(alpha):
    """E log R - log β is κ h in four dimensions, up to e^(-1/κ); the rounding of 1 + α² must not be seen."""
    h = 5
    kappa = alpha**2 * math.prod(variances(4, h))
    block = fr.ResidualBlock(4, h, fr.Linear(), alpha, variances(4, h))
    mean, variance = block.log_moments()
    if alpha < 1e-3:
        assert mean == pytest.approx(kappa * h, rel=1e-12)
        assert variance == pytest.approx(kappa * h, rel=max(1e-12, 100 * kappa * h))
    # (1/s) log E R^s → E log R without loss as s → 0
    assert block.log_moment(1e-9) / 1e-9 == pytest.approx(mean, rel=1e-7)
    assert block.log_moment(2.0) == pytest.approx(math.log1p(4 * h * kappa), rel=1e-13)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_even_moments_are_polynomials(activation):
    for d, h, alpha, skip in SHAPES:
        block = fr.ResidualBlock(d, h, activation, alpha, variances(d, h), skip)
        c2, c4 = (
            (alpha**2 * math.prod(variances(d, h))) ** (p // 2) * fr.moment(p, h, activation) for p in (2, 4)
        )
        second = skip**2 + d * c2
        # (β + cg)² + c²χ²_{d-1}: E (β + cg)⁴ + 2 E(β + cg)² c²(d - 1) + c⁴ (d² - 1)
        fourth = skip**4 + 6 * skip**2 * c2 + 3 * c4
        fourth += 2 * (d - 1) * (skip**2 * c2 + c4) + (d * d - 1) * c4
        assert block.moment(2) == pytest.approx(second, rel=1e-14)
        assert block.moment(4) == pytest.approx(fourth, rel=1e-13)
        # and the general route agrees with the closed forms that are served
        for s, value in ((2.0, second), (4.0, fourth)):
            assert block.log_moment(s) == pytest.approx(math.log(value), rel=1e-12, abs=1e-14)
            assert block.log_moment(s - 1e-7) == pytest.approx(math.log(value), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_without_a_skip_it_is_a_product_of_two_layers(activation):
    block = fr.ResidualBlock(5, 3, activation, 0.7, (0.4, 0.3), 0.0)
    scale = 0.7 * math.sqrt(0.12)
    for s in (-0.5, 0.3, 1.0, 2.0, 4.0):
        expected = scale**s * fr.moment(s, 3, activation) * fr.moment(s, 5, fr.Linear())
        assert block.moment(s) == pytest.approx(expected, rel=1e-13)
        # a skip far below the branch is no skip
        assert fr.ResidualBlock(5, 3, activation, 0.7, (0.4, 0.3), 1e-30).moment(s) == pytest.approx(
            expected + block.dead_branch_probability * 1e-30**s, rel=1e-11
        )
    parts = fr.log_moments(3, activation), fr.log_moments(5, fr.Linear())
    mean, variance = block.log_moments()
    assert mean == pytest.approx(math.log(scale) + parts[0][0] + parts[1][0], rel=1e-13)
    assert variance == pytest.approx(parts[0][1] + parts[1][1], rel=1e-13)
    tiny = fr.ResidualBlock(5, 3, activation, 0.7, (0.4, 0.3), 1e-30).log_moments()
    dead, gap = block.dead_branch_probability, mean - math.log(1e-30)
    assert tiny[0] == pytest.approx(math.log(1e-30) + (1 - dead) * gap, rel=1e-11)
    assert tiny[1] == pytest.approx((1 - dead) * (variance + dead * gap**2), rel=1e-11)


def test_without_a_branch_the_factor_is_the_skip():
    block = fr.ResidualBlock(5, 3, fr.ReLU(), 0.0, (0.4, 0.3), -0.5)
    assert block.moment([1, 2, 4]).tolist() == pytest.approx([0.5, 0.25, 0.0625], rel=1e-15)
    assert block.log_moments() == (math.log(0.5), 0.0)
    draws = block.simulate_log_norms(2, 3, rng=np.random.default_rng(0))
    assert draws == pytest.approx(math.log(0.5) * np.arange(4) * np.ones((2, 1)), rel=1e-15)


def test_signs_of_alpha_and_skip_do_not_matter():
    values = {
        fr.ResidualBlock(3, 2, fr.ReLU(), alpha, (0.4, 0.3), skip).moment(1.0)
        for alpha in (0.6, -0.6)
        for skip in (1.1, -1.1)
    }
    assert len(values) == 1


def test_wide_blocks_have_the_spread_of_the_normal_limit():
    """Var log R → Var R²/4 (E R²)² as widths grow; the next term is 1/width of it."""
    d = 10**5
    block = fr.ResidualBlock(d, d, fr.ReLU(), 0.8, variances(d, d), 0.6)
    b2, branch = 0.36, 0.64
    variance = 4 / d * b2 * branch + branch**2 * ((1 + 5 / d) * 2 / d + 5 / d)
    assert block.log_moments()[1] == pytest.approx(variance / 4, rel=100 / d)
    assert block.lyapunov_exponent() == pytest.approx(-variance / 4, rel=100 / d)


@pytest.mark.parametrize(
    ("activation", "shapes"),
    [(fr.ReLU(), [(3, 2), (1, 4), (64, 64)]), (fr.LeakyReLU(0.3), [(1, 4)]), (fr.RReLU(), [(3, 2)])],
    ids=repr,
)
def test_the_curve_preserves_its_order(activation, shapes):
    for d, h in shapes:
        block = fr.ResidualBlock(d, h, activation, 0.3, variances(d, h))
        for s in (0.0, 0.3, 1.0, 2.0):
            alphas = block.critical_alpha(s, [0.2, 0.9])
            assert block.critical_skip(s, alphas) == pytest.approx([0.2, 0.9], rel=1e-10)
            for alpha, skip in zip(alphas, (0.2, 0.9), strict=True):
                there = fr.ResidualBlock(d, h, activation, alpha, variances(d, h), skip)
                rate = there.log_moment(s) if s else there.lyapunov_exponent()
                assert rate == pytest.approx(0, abs=1e-13)
        # no skip: α from the product's moment
        alone = block.critical_alpha(1.0, 0.0)
        product = fr.moment(1, h, activation) * fr.moment(1, d, fr.Linear())
        assert alone * math.sqrt(math.prod(variances(d, h))) * product == pytest.approx(1, rel=1e-12)
        # an order lower, a variance higher: the curves of two orders do not touch
        assert block.critical_alpha(0.3, 0.9) > block.critical_alpha(2.0, 0.9) * (1 + 1e-6)


def test_the_curve_starts_at_the_identity_and_ends_where_the_branch_is_alone():
    block = fr.ResidualBlock(4, 8, fr.LeakyReLU(0.1), 0.3, variances(4, 8))
    assert block.critical_skip(1.0, 0.0) == 1.0
    assert block.critical_alpha(1.0, 1.0) == 0.0
    largest = block.critical_alpha(1.0, 0.0)
    assert block.critical_skip(1.0, largest * (1 - 1e-9)) < 0.01
    with pytest.raises(ValueError, match=r"alpha = .*: need a value in \["):
        block.critical_skip(1.0, largest * (1 + 1e-9))
    # A branch that can die has E log R → -∞ as β → 0, so that order 0 has a skip for every α.
    dying = fr.ResidualBlock(4, 2, fr.ReLU(), 0.3, variances(4, 2))
    beyond = 10 * dying.critical_alpha(0.0, 0.0)
    skip = dying.critical_skip(0.0, beyond)
    assert 0 < skip < 1e-3
    at = fr.ResidualBlock(4, 2, fr.ReLU(), beyond, variances(4, 2), skip)
    assert at.lyapunov_exponent() == pytest.approx(0, abs=1e-13)


def test_in_one_dimension_a_small_branch_lowers_low_moments():
    block = fr.ResidualBlock(1, 3, fr.ReLU(), 0.3, variances(1, 3))
    assert block.moment(0.5) < 1 < block.moment(1.5)
    alpha = block.critical_alpha(0.5, 1.0)
    assert alpha > 0.1
    assert fr.ResidualBlock(1, 3, fr.ReLU(), alpha, variances(1, 3)).moment(0.5) == pytest.approx(
        1, rel=1e-13
    )
    assert block.critical_alpha(1.0, 1.0) == 0.0
    assert block.critical_skip(0.5, 0.1) > 1


def full_blocks(n, depth, d, h, activation, alpha, skip, seed):
    """log ‖x_k‖/‖x_0‖ of full blocks with all weights drawn."""
    rng = np.random.default_rng(seed)
    x = np.broadcast_to(np.arange(1.0, d + 1), (n, d))
    start = np.linalg.norm(x[0])
    result = np.empty((n, depth))
    first, second = np.sqrt(variances(d, h))
    for k in range(depth):
        hidden = activation.apply((first * rng.standard_normal((n, h, d)) @ x[:, :, None])[:, :, 0], rng=rng)
        x = skip * x + alpha * (second * rng.standard_normal((n, d, h)) @ hidden[:, :, None])[:, :, 0]
        result[:, k] = np.log(np.linalg.norm(x, axis=1) / start)
    return result


@pytest.mark.parametrize(
    ("d", "h", "activation", "alpha", "skip"),
    [(12, 20, fr.ReLU(), 0.5, 1.0), (4, 3, fr.LeakyReLU(0.2), 0.8, 0.7), (5, 2, fr.RReLU(), 1.0, -0.5)],
    ids=repr,
)
def test_full_blocks_have_the_law(d, h, activation, alpha, skip):
    """20000 full networks of three blocks, and as many draws of the walk.

    Kolmogorov-Smirnov at false-alarm rate 1e-3; E R² and E log R within 4 standard errors.
    The control drops the cross term 2βcg, the one mistake that keeps E R²: it must be rejected.
    """
    n, depth = 20_000, 3
    full = full_blocks(n, depth, d, h, activation, alpha, skip, seed=1)
    block = fr.ResidualBlock(d, h, activation, alpha, variances(d, h), skip)
    draws = block.simulate_log_norms(n, depth, rng=np.random.default_rng(2))[:, 1:]
    assert stats.ks_2samp(full[:, -1], draws[:, -1]).pvalue > 1e-3
    squares = np.exp(2 * full[:, 0])
    assert abs(squares.mean() - block.moment(2)) < 4 * squares.std() / math.sqrt(n)
    steps = np.diff(full, axis=1, prepend=0.0)
    mean, variance = block.log_moments()
    assert abs(steps.mean() - mean) < 4 * math.sqrt(variance / (n * depth))
    # Factors of different blocks are uncorrelated, 4 standard errors.
    assert abs(np.corrcoef(steps[:, 0], steps[:, 2])[0, 1]) < 4 / math.sqrt(n)
    rng = np.random.default_rng(3)
    branch = fr.simulate_log_norms(n, 1, h, activation, 1.0, rng=rng)[:, 1]
    c2 = alpha**2 * math.prod(variances(d, h)) * np.exp(2 * branch)
    without = 0.5 * np.log(skip**2 + c2 * rng.chisquare(d, n))
    assert stats.ks_2samp(full[:, 0], without).pvalue < 1e-3
    assert abs(np.exp(2 * without).mean() - block.moment(2)) < 5 * np.exp(2 * without).std() / math.sqrt(n)


def test_draws_have_the_moments_and_the_same_bits_for_a_seed():
    block = fr.ResidualBlock(6, 4, fr.Dropout(fr.LeakyReLU(0.1), 0.2), 0.9, variances(6, 4), 0.4)
    draws = block.simulate_log_norms(50_000, 2, rng=np.random.default_rng(5))
    again = block.simulate_log_norms(50_000, 2, rng=np.random.default_rng(5))
    assert (draws == again).all()
    for s in (-1.0, 0.5, 1.0):
        values = np.exp(s * draws[:, 2])
        assert abs(values.mean() - block.moment(s) ** 2) < 4 * values.std() / math.sqrt(len(values))


def test_draws_of_a_tiny_branch_keep_their_digits():
    """log R is β-relative 2cg/2 there: its variance c² = 1e-24 is far below the rounding of 1."""
    block = fr.ResidualBlock(4, 1, fr.Linear(), 1e-12, (1.0, 1.0))
    draws = block.simulate_log_norms(20_000, 1, rng=np.random.default_rng(6))[:, 1]
    assert np.mean(draws**2) == pytest.approx(1e-24, rel=0.1)  # χ²_1 squared in law: 4 · √(8/20000) = 0.08


def test_known_numbers():
    """Width 12, 20 neurons, α = 1/2: its exponent is in the table; α = 1/√L: E r_L² = (1 + 1/L)^L."""
    block = fr.ResidualBlock(12, 20, fr.ReLU(), 0.5, (2 / 12, 1 / 20))
    assert block.moment(2) == pytest.approx(1.25, rel=1e-15)
    [mean] = [row["mean"] for row in ROWS if "mean" in row]
    assert block.lyapunov_exponent() == pytest.approx(float(mean), rel=1e-11)
    for depth in (10, 100, 1000):
        step = fr.ResidualBlock(12, 20, fr.ReLU(), depth**-0.5, (2 / 12, 1 / 20))
        assert step.moment(2) ** depth == pytest.approx((1 + 1 / depth) ** depth, rel=1e-12)
