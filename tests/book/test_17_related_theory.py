"""The page on related theory: its values against ones computed another way, its controls, what it refuses."""

import csv
import math
import statistics
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, special, stats

import fracrepro as fr
from fracrepro.workflow import notebooks
from fracrepro.workflow.project import Project

PROJECT = Project(Path(__file__).resolve().parents[2])
NAME = "17_related_theory"


def run(tmp_path, **overrides):
    [outcome] = notebooks.run(PROJECT, [NAME], profile="quick", overrides=overrides, output=tmp_path)
    assert outcome.error == ""
    return outcome.record["values"]


def last_accuracies(data, scheme):
    """Test accuracies at the last epoch of a record, without pandas."""
    with (PROJECT.recorded / f"{data}.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["scheme"] == scheme]
    end = max(int(row["epoch"]) for row in rows)
    return [float(row["test_accuracy"]) for row in rows if int(row["epoch"]) == end]


def spread_over_binomial(values):
    mean = statistics.fmean(values)
    return statistics.stdev(values) / math.sqrt(mean * (1 - mean) / 10_000)


def test_the_page_agrees_with_other_routes(book):
    values = book.record(NAME)["values"]
    assert values["law_error"] < 1e-10 < values["law_control"]
    assert values["death_exact"] == pytest.approx(
        1 - (1 - 0.5 ** values["law_width"]) ** values["death_depth"], rel=1e-12
    )
    assert values["death_all"] < values["death_share"]
    # Var log R from polygammas: half of log χ²_N, mixed over the live neurons.
    n = np.arange(1, 9)
    weight = stats.binom.pmf(n, 8, 0.5) / (1 - 2.0**-8)
    mean = special.digamma(n / 2) / 2
    variance = weight @ (special.polygamma(1, n / 2) / 4 + mean**2) - (weight @ mean) ** 2
    assert values["spread_narrow"] == pytest.approx(4 * variance, rel=1e-12)
    assert values["spread_eight"] == pytest.approx(8 * variance / 1.25, rel=1e-12)
    assert values["spread_narrow"] > 1.5 * values["spread_wide"]  # the same sum of reciprocal widths
    # One layer of width 1 and two of width 2, where 1 or 2 neurons live with probabilities 2/3 and 1/3.
    narrow = (2 * special.polygamma(1, 0.5) + special.polygamma(1, 1)) / 3 + 8 / 9 * math.log(2) ** 2
    ratio = 2 * narrow / special.polygamma(1, 0.5)
    assert values["equal_sums_ratio"] == pytest.approx(ratio, rel=1e-12)


def test_the_fourth_moment_is_no_other_product(book):
    """E q_1²/q_0² at width 3 from the χ² laws of the live neurons; without the 5 it is missed."""
    chance = stats.binom.pmf(np.arange(4), 3, 0.5)
    fourth = sum(p * n * (n + 2) for n, p in enumerate(chance)) * (2 / 3) ** 2
    assert fourth == pytest.approx(1 + 5 / 3, rel=1e-14)
    assert abs(fourth - (1 + 4 / 3)) > 0.1
    assert book.record(NAME)["values"]["fourth_error"] < 1e-12


def test_the_law_of_two_layers_by_integration():
    """P(r_2 ≤ 1) at width 2 given survival, by an integral over the first layer's χ² densities."""
    chance = {1: 2 / 3, 2: 1 / 3}  # live neurons given that there is one

    def second(y):
        return sum(chance[n] * stats.chi2.cdf(1 / y, n) for n in chance)

    # y = x², which takes the root singularity of the density of one live neuron at zero away
    def density(x):
        return 2 * x * sum(chance[n] * stats.chi2.pdf(x * x, n) for n in chance)

    total, _ = integrate.quad(lambda x: density(x) * second(x * x), 0, 12, epsabs=1e-13, limit=200)
    assert fr.LogNormLaw(2, 2, fr.ReLU(), 1.0).cdf(0.0) == pytest.approx(total, abs=1e-11)
    assert abs(fr.LogNormLaw(2, 2, fr.ReLU(), 1.000001).cdf(0.0) - total) > 1e-8


@pytest.mark.parametrize(
    ("data", "scheme", "key"),
    [
        ("mnist", "kaiming", "runs_ratio_mnist"),
        ("mnist", "fractional", "runs_ratio_mnist_fractional"),
        ("cifar10", "kaiming", "runs_ratio_cifar10"),
        ("cifar10", "fractional", "runs_ratio_cifar10_fractional"),
    ],
)
def test_the_spread_of_runs_is_that_of_the_record(data, scheme, key, book):
    assert book.record(NAME)["values"][key] == pytest.approx(
        spread_over_binomial(last_accuracies(data, scheme)), rel=1e-10
    )


def test_independent_errors_are_not_rejected_more_often_than_stated():
    """In 2000 sets of 20 runs with independent errors, at 0.05: between 70 and 130 rejections (p > 0.002)."""
    accuracies = np.random.default_rng(17).binomial(10_000, 0.96, size=(2000, 20)) / 10_000
    ratios = np.array([spread_over_binomial(row.tolist()) for row in accuracies]) ** 2
    assert 70 <= np.sum(stats.chi2.sf(19 * ratios, 19) < 0.05) <= 130
    # A spread three times the bound is found in more than nine of ten sets at 0.001.
    shifted = np.random.default_rng(18).normal(0.96, 3 * math.sqrt(0.96 * 0.04 / 10_000), size=(500, 10))
    wide = np.array([spread_over_binomial(row.tolist()) for row in shifted]) ** 2
    assert np.mean(stats.chi2.sf(9 * wide, 9) < 0.001) > 0.9


def test_one_layer_has_no_layer_to_forget(tmp_path):
    assert run(tmp_path, depth="1")["death_exact"] == pytest.approx(0.5**3, rel=1e-12)


@pytest.mark.parametrize("wrong", [{"width": "7"}, {"depth": "0"}, {"networks": "10"}, {"steps": "10"}])
def test_a_value_out_of_range_is_refused(wrong, tmp_path):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        run(tmp_path, **wrong)


def test_the_demonstrations_agree_with_other_routes(book):
    values = book.record(NAME)["values"]
    assert values["bias_share_exact"] == pytest.approx(0.5 * math.erfc(1 / math.sqrt(2)), rel=1e-14)
    # Of a matrix with 22 columns and 40 rows.
    assert values["shallow_zero_eigenvalues"] == 40 - 22
    assert values["convex_patterns"] == 2 * 10 - 1
    assert values["unfolded_first_matrix"] == 0.0
    # Each control fails where its check holds.
    for check, control, bound in (
        ("bias_kernel_error", "bias_kernel_control", 1e-12),
        ("pieces_slope_error", "pieces_slope_control", 1e-11),
        ("convex_gap", "convex_control", 1e-12),
        ("flow_imbalance_error", "flow_imbalance_control", 1e-12),
        ("unfolded_wrong", "unfolded_control_wrong", 0),
    ):
        assert values[check] <= bound < values[control]
    assert values["shallow_control"] < 1 <= values["shallow_ratio"]
    assert values["flow_bound_later"] <= 1 < values["flow_bound_control"]
    assert values["pieces_end"] < 8 <= values["pieces_control"] <= 60
    assert values["pieces_end"] < values["pieces_start"]


def test_the_control_of_the_log_gaussian_limit_is_the_distance_of_two_normal_laws(book):
    """In the limit N(-5/2, 5/2) is that far from the control N(-2, 2); the least on the page is near it."""
    x = np.linspace(-12, 8, 4001)
    one, other = (stats.norm.cdf(x, -v, math.sqrt(v)) for v in (2.5, 2.0))
    distance = np.abs(one - other).max()
    values = book.record(NAME)["values"]
    assert values["gaussian_control"] == pytest.approx(distance, abs=2 * values["gaussian_wide"])
    assert values["gaussian_wide"] < 0.01 < 0.1 < distance


def test_the_convex_optimum_of_the_page_is_that_of_its_optimality_conditions(book):
    """|Aᵀ(y - Ac)| ≤ μ everywhere, and the optimum of another solver, for the page's draw."""
    from sklearn.linear_model import Lasso

    from fracrepro.nn.demonstrations import threshold_convex

    columns = threshold_convex.patterns(10)
    heights = np.random.default_rng([1, 18, 8]).standard_normal(10)
    lasso = Lasso(alpha=0.5 / 10, fit_intercept=False, tol=1e-14, max_iter=10**6).fit(columns, heights)
    optimum = threshold_convex.objective(columns, heights, 0.5, lasso.coef_)
    assert book.record(NAME)["values"]["convex_optimum"] == pytest.approx(optimum, abs=1e-9)
    pull = columns.T @ (heights - columns @ threshold_convex.solve(columns, heights, 0.5))
    assert np.abs(pull).max() <= 0.5 + 1e-12


@pytest.mark.parametrize("seed", ["2", "3"])
def test_the_demonstrations_stand_at_other_seeds(seed, tmp_path):
    values = run(tmp_path, seed=seed)
    assert values["bias_drift"] <= 0.03
    assert values["pieces_end"] < values["pieces_control"]
    assert values["convex_gap"] <= 1e-11
    assert values["flow_bound_ratio"] <= 1.000001
    assert values["unfolded_wrong"] == 0
    assert values["unfolded_least_singular"] > 1e-10
    assert values["shallow_ratio"] >= 1
