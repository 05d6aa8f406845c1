"""The page on what the order changes: its values against ones computed another way, and what it refuses."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

import fracrepro as fr
from fracrepro.workflow import notebooks
from fracrepro.workflow.project import Project

PROJECT = Project(Path(__file__).resolve().parents[2])
NAME = "18_what_the_order_changes"
SHAPES = {"8x20": (8, 20), "16x50": (16, 50), "32x50": (32, 50), "32x100": (32, 100)}
LEAKY = fr.LeakyReLU(0.01)


def run(tmp_path, **overrides):
    [outcome] = notebooks.run(PROJECT, [NAME], profile="quick", overrides=overrides, output=tmp_path)
    assert outcome.error == ""
    return outcome.record["values"]


def scale(width, depth):
    """C of order 0 against order 2: square layers by the library, the linear readout by hand."""
    layer = fr.critical_variance(0.0, width, LEAKY) / fr.critical_variance(2.0, width, LEAKY)
    readout = 10 * math.exp(-special.digamma(5)) / 2  # log of a chi-squared variable with ten degrees
    return layer ** ((depth - 1) / 2) * math.sqrt(readout)


def test_the_scales_are_those_of_the_variances(book):
    values = book.record(NAME)["values"]
    found = [scale(*shape) for shape in SHAPES.values()]
    assert values["scale_most"] == pytest.approx(max(found), rel=1e-11)
    assert values["scale_least"] == pytest.approx(min(found), rel=1e-11)
    assert values["bias_scale"] == pytest.approx(scale(8, 20), rel=1e-11)
    assert values["bias_bound"] == pytest.approx(20 / scale(8, 20) ** 2, rel=1e-11)
    # κ of a slope a by hand: (5 - 2a² + 5a⁴)/(1 + a²)².
    kappa = (5 - 2 * 0.01**2 + 5 * 0.01**4) / (1 + 0.01**2) ** 2
    layers = scale(32, 50) / math.sqrt(10 * math.exp(-special.digamma(5)) / 2)
    limit = math.exp(kappa * 2 * 49 / (8 * 32))
    assert values["limit_wide_gap"] == pytest.approx(100 * (1 - limit / layers), rel=1e-9)


def test_the_law_of_order_zero_is_that_of_order_two_moved(book):
    values = book.record(NAME)["values"]
    law = fr.LogNormLaw(19, 8, LEAKY, fr.critical_variance(2.0, 8, LEAKY))
    readout = math.sqrt(10 * math.exp(-special.digamma(5)) / 2)
    moved = law.cdf(law.ppf(0.25) - math.log(scale(8, 20) / readout))
    assert values["small_zero_exact"] == pytest.approx(moved, rel=1e-9)
    chance = stats.binom(values["drawn"], moved)
    count = round(values["small_zero"] * values["drawn"])
    assert 0.0005 < chance.cdf(count) < 0.9995


def test_each_control_fails_where_its_check_holds(book):
    values = book.record(NAME)["values"]
    for check, control, bound in (
        ("constant_error", "constant_control", 1e-12),
        ("limit_error", "limit_control", 1e-8),
        ("steps_error", "steps_control", 1e-10),
    ):
        assert values[check] <= bound < values[control]
    assert values["bias_below"] == pytest.approx((1 - 0.98 * 2) ** 50, rel=1e-4)
    assert values["bias_above"] == pytest.approx((1 - 1.02 * 2) ** 50, rel=1e-4)
    assert values["bias_without"] < 2.5 < 4 < values["bias_with"]


def rows_of(name):
    with (PROJECT.recorded / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_rates_that_the_page_names_are_those_of_the_search(book):
    values = book.record(NAME)["values"]
    losses = {}
    for row in rows_of("orders_rates"):
        if int(row["epoch"]) == 3:
            loss = float(row["train_loss"] or "nan")
            key = row["network"], row["scheme"], row["s"], float(row["learning_rate"])
            losses.setdefault(key, []).append(loss if loss < math.log(10) else math.log(10))
    means = {key: np.mean(each) for key, each in losses.items()}
    arms = {key[:3] for key in means}
    best = {a: min((mean, key[3]) for key, mean in means.items() if key[:3] == a)[1] for a in arms}
    scaled = [rate for a, rate in best.items() if a[1] == "rescaled"]
    others = [rate for a, rate in best.items() if a[1] != "rescaled"]
    assert (values["search_scaled_least"], values["search_scaled_most"]) == (min(scaled), max(scaled))
    assert (values["search_unscaled_least"], values["search_unscaled_most"]) == (min(others), max(others))
    beyond = [
        mean
        for (network, scheme, _, rate), mean in means.items()
        if scheme == "rescaled" and rate > 20 / scale(*SHAPES[network]) ** 2
    ]
    assert values["search_beyond"] == len(beyond)
    assert values["search_beyond_least"] == pytest.approx(min(beyond), rel=1e-12)


def finals(network, scheme, s):
    """Test accuracy after the last epoch, by seed; a run that diverged counts as a guess."""
    found = {}
    for row in rows_of("orders"):
        if (row["network"], row["scheme"], float(row["s"]), int(row["epoch"])) == (network, scheme, s, 6):
            losses = [float(row[name] or "nan") for name in ("train_loss", "test_loss")]
            found[int(row["seed"])] = float(row["test_accuracy"]) if np.isfinite(losses).all() else 0.1
    return [found[seed] for seed in range(200, 280)]


def test_the_verdicts_are_those_of_the_record(book):
    """Holm's rule over 36 pairs of hypotheses is the package's; the differences come from the rows here."""
    values = book.record(NAME)["values"]
    pairs = {
        "zero": (("fractional", 0.0), ("fractional", 2.0)),
        "one": (("fractional", 1.0), ("fractional", 2.0)),
        "scaled": (("rescaled", 2.0), ("fractional", 0.0)),
    }
    for short, (first, second) in pairs.items():
        gaps = [np.subtract(finals(network, *first), finals(network, *second)).mean() for network in SHAPES]
        assert values[f"accuracy_{short}_least"] == pytest.approx(min(gaps), abs=1e-12)
        assert values[f"accuracy_{short}_most"] == pytest.approx(max(gaps), abs=1e-12)
        shares = [
            np.mean(np.array(finals(network, *first)) >= 0.2)
            - np.mean(np.array(finals(network, *second)) >= 0.2)
            for network in SHAPES
        ]
        assert values[f"share_{short}_least"] == pytest.approx(min(shares), abs=1e-12)
        assert values[f"share_{short}_most"] == pytest.approx(max(shares), abs=1e-12)
    kinds = ("better", "worse", "equivalent", "unknown")
    assert sum(values[f"{kind}_all"] for kind in kinds) == values["comparisons"] == 36
    for word in ("share", "epochs", "accuracy"):
        for short in pairs:
            assert sum(values[f"{word}_{short}_{kind}"] for kind in kinds) == 4


def test_the_early_lead_is_taken_apart_as_the_record_says(book):
    """Student's tests by scipy and Holm's rule by hand: at most one hypothesis of a comparison is true."""
    values = book.record(NAME)["values"]
    means = {}
    for row in rows_of("mechanism"):
        arm = "start" if row["scheme"] == "fractional" else row["scheme"]
        for figure, last in (("train_loss", 5), ("train_accuracy", 10)):
            if int(row["epoch"]) <= last:
                means.setdefault((figure, arm, int(row["seed"])), []).append(float(row[figure]))
    pairs = {"start": ("start", "kaiming"), "scale": ("scale", "kaiming"), "rates": ("rates", "kaiming")}
    pairs["biases"] = ("both", "start")
    p_values = {}
    for figure, word, margin in (("train_loss", "loss", 0.0061), ("train_accuracy", "accuracy", 0.00295)):
        for short, sides in pairs.items():
            one, other = ([np.mean(means[figure, arm, k]) for k in range(40, 60)] for arm in sides)
            name, gaps = f"mechanism_{word}_{short}", np.subtract(one, other)
            assert values[f"{name}_difference"] == pytest.approx(gaps.mean(), abs=1e-12)
            p_values[name, "different"] = stats.ttest_1samp(gaps, 0.0).pvalue
            above = stats.ttest_1samp(gaps, -margin, alternative="greater").pvalue
            p_values[name, "equivalent"] = max(
                above, stats.ttest_1samp(gaps, margin, alternative="less").pvalue
            )
    found, adjusted = set(), {}
    left, before = dict.fromkeys((name for name, _ in p_values), 2), 0.0
    for name, question in sorted(p_values, key=p_values.get):
        before = adjusted[name, question] = max(before, len(left) * p_values[name, question])
        found |= {(name, question)} if before <= 0.05 else set()
        left = {key: count - (key == name) for key, count in left.items() if count > (key == name)}
    last = "mechanism_loss_biases"
    assert values[f"{last}_p_equivalent"] == pytest.approx(adjusted[last, "equivalent"], rel=1e-9)
    for name in {name for name, _ in p_values}:
        equivalent = (name, "equivalent") in found
        gains = (values[f"{name}_difference"] > 0) == ("accuracy" in name)
        assert values[f"{name}_equivalent"] == equivalent
        assert values[f"{name}_better"] == ((name, "different") in found and not equivalent and gains)


def test_the_exercise_is_solved(book):
    values = book.record(NAME)["values"]
    layer = math.sqrt(fr.critical_variance(0.0, 16, LEAKY) / fr.critical_variance(2.0, 16, LEAKY))
    n = values["exercise_layers"]
    assert layer ** (n - 1) < 100 <= layer**n


@pytest.mark.parametrize("corner", [{"width": "4", "depth": "3"}, {"width": "64", "depth": "100"}])
def test_the_corners(corner, tmp_path):
    values = run(tmp_path, **corner, networks="1000", steps="5")
    width, depth = int(corner["width"]), int(corner["depth"])
    law = fr.LogNormLaw(depth - 1, width, LEAKY, fr.critical_variance(2.0, width, LEAKY))
    readout = math.sqrt(10 * math.exp(-special.digamma(5)) / 2)
    moved = law.cdf(law.ppf(0.25) - math.log(scale(width, depth) / readout))
    assert values["small_zero_exact"] == pytest.approx(moved, rel=1e-8)


@pytest.mark.parametrize(
    "wrong", [{"width": "3"}, {"depth": "101"}, {"networks": "10"}, {"steps": "0"}, {"seed": "-1"}]
)
def test_a_value_out_of_range_is_refused(wrong, tmp_path):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        run(tmp_path, **wrong)
