"""The page on gradient tails: the record against numbers computed another way, the live part, corners."""

import itertools
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fracrepro.workflow import notebooks
from fracrepro.workflow.claims import load
from fracrepro.workflow.project import Project

ROOT = Path(__file__).resolve().parents[2]
NAME = "11_gradient_tails"


def intervals(figure, level):
    """Student intervals of the mean over seeds at the end of training, for batch sizes that learned."""
    runs = pd.read_csv(ROOT / "recorded" / "gradient_tails.csv").query("stage == 'end'")
    found = {}
    for size, group in runs.groupby("batch_size"):
        if group["loss"].mean() < math.log(10) / 2:
            means = [group[group["seed"] == seed][figure].mean() for seed in range(6)]
            result = stats.ttest_1samp(means, 0.0)
            found[size] = (np.mean(means), *result.confidence_interval(level))
    return found


def test_the_record_is_read(book):
    values = book.record(NAME)["values"]
    plain = intervals("kurtosis", 0.95)
    assert values["record_learned"] == len(plain)
    assert values["kurtosis_lowest"] == pytest.approx(min(low for _, low, _ in plain.values()), rel=1e-9)
    joint = intervals("image_evi", 1 - 0.05 / len(plain))
    assert values["image_tail_largest_low"] == pytest.approx(
        max(low for _, low, _ in joint.values()), rel=1e-9
    )
    assert values["image_tail_largest_high"] == pytest.approx(
        max(high for _, _, high in joint.values()), rel=1e-9
    )
    runs = pd.read_csv(ROOT / "recorded" / "gradient_tails.csv").query("stage == 'end'")
    gap = (runs["noise_evi"] - runs["gaussian_evi"]).groupby(runs["batch_size"]).mean()
    assert values["noise_gap_largest"] == pytest.approx(gap[list(plain)].max(), rel=1e-9)
    joint = intervals("weight_evi", 1 - 0.05 / len(plain))
    assert values["weight_tail_largest_low"] == pytest.approx(
        max(low for _, low, _ in joint.values()), rel=1e-9
    )


def test_the_proposition_holds_and_the_control_is_normal(book):
    values = book.record(NAME)["values"]
    assert values["kurtosis_pair_error"] < 1e-9
    # 4096 dependent medians of 2000 draws: one alone has the standard error sqrt(24/2000) = 0.11.
    assert abs(values["kurtosis_normal"]) < 0.11 < values["kurtosis_one_image"]
    assert values["live_stable_normal"] < 1.5  # the estimator's failure, on normal noise
    assert max(values["stable_in_order"], values["stable_shuffled"]) < 1.5
    assert values["live_diverged"] == 0


def ends():
    """The record's rows at the end of training."""
    return pd.read_csv(ROOT / "recorded" / "gradient_tails.csv").query("stage == 'end'")


def test_the_fitted_index_sees_the_noise_in_every_seed_at_every_batch_size(book):
    values = book.record(NAME)["values"]
    runs = ends()
    gaps = runs["noise_stable_index"] - runs["gaussian_stable_index"]
    table = gaps.groupby([runs["batch_size"], runs["seed"]]).mean().unstack()
    assert table.shape == (6, 6)
    assert (table < 0).to_numpy().all()  # the page once said that the index cannot tell
    assert values["gap_runs_below"] == (table < 0).sum(axis=1).min() == 6
    assert values["gap_smallest_learned"] == pytest.approx(table.loc[8].mean(), rel=1e-12)
    assert values["gap_largest_batch"] == pytest.approx(table.loc[512].mean(), rel=1e-12)
    assert values["gap_p_value"] == pytest.approx(2 / 2**6, rel=1e-12)
    assert values["gap_power"] == pytest.approx(0.9**6 + 0.1**6, rel=1e-12)
    # the control: normal noise against normal noise, the two schemes' in the same seed, has both signs
    twins = runs.set_index(["batch_size", "seed", "scheme"])["gaussian_stable_index"].unstack()
    signs = (twins["fractional"] < twins["kaiming"]).groupby("batch_size").sum()
    assert ((signs > 0) & (signs < 6)).any()


def test_epochs_and_the_cells_above_one_half(book):
    values = book.record(NAME)["values"]
    runs = ends()
    above = runs["image_evi"] > 0.5
    assert values["image_cells"] == above[runs["batch_size"] <= 2].sum() == 8
    assert values["image_cells_of"] == (runs["batch_size"] <= 2).sum() == 24
    assert values["image_cells_learned"] == above[runs["batch_size"] > 2].sum() == 0
    assert values["image_cells_guessing"] == (runs["loss"][above] > 0.995 * math.log(10)).sum()
    assert values["record_epochs_smallest"] == pytest.approx(4000 / 60000, rel=1e-12)
    assert values["record_epochs_largest"] == pytest.approx(4000 * 512 / 60000, rel=1e-12)


def stable(alpha, size, rng):
    """Symmetric stable numbers by the formula of Chambers, Mallows and Stuck."""
    u, w = rng.uniform(-math.pi / 2, math.pi / 2, size), rng.exponential(size=size)
    return (
        np.sin(alpha * u) / np.cos(u) ** (1 / alpha) * (np.cos((1 - alpha) * u) / w) ** ((1 - alpha) / alpha)
    )


def moment_estimate(sample, k):
    """The extreme value index of Dekkers, Einmahl and de Haan, written out."""
    top = np.sort(np.log(np.abs(sample)))[-k - 1 :]
    first, second = np.mean(top[1:] - top[0]), np.mean((top[1:] - top[0]) ** 2)
    return first + 1 - 0.5 / (1 - first**2 / second)


@pytest.mark.parametrize(("what", "size"), [("image", 60_000), ("weight", 4096)])
def test_the_old_margin_is_powerless_at_index_19_and_the_new_one_is_not(book, what, size):
    values = book.record(NAME)["values"]
    rng = np.random.default_rng(9)
    level = np.array([moment_estimate(stable(1.9, size, rng), size // 20) for _ in range(60)])
    error = level.std(ddof=1) * math.sqrt(1 / 60 + 1 / (6 * values[f"stable_{what}_experiments"]))
    assert abs(values[f"stable_{what}_level"] - level.mean()) < 3.29 * error  # false-alarm rate 0.001
    assert values[f"stable_{what}_level"] < 0.5  # so that an interval above one half cannot be asked for
    assert values[f"stable_{what}_fires"] <= 0.01
    assert values[f"stable_{what}_reaches"] >= 0.9
    assert values[f"{what}_tail_margin"] < 0
    # the control: the record's largest index would not be told from a law nearer to the normal one
    assert values["stable_image_nearly_normal"] < values["image_tail_largest"]


def test_sparsity_and_tails_are_separated(book):
    values = book.record(NAME)["values"]
    p = Fraction(1, 10)
    fourth = p * (1 - p) ** 4 + (1 - p) * p**4
    excess = fourth / (p * (1 - p)) ** 2 - 3
    assert excess == 1 / (p * (1 - p)) - 6 == Fraction(46, 9)
    assert values["bernoulli_excess"] == pytest.approx(float(excess), rel=1e-14)
    assert values["bernoulli_excess"] > 1  # what the first margin would have called heavier than normal
    assert values["active_identity_error"] < 1e-3
    assert values["active_kurtosis_start"] < 9 < values["active_kurtosis_lowest"]
    assert abs(values["active_normal_largest"] - 3) < 0.3  # the control
    assert values["active_tail_normal"] < 0 < values["active_tail_lowest"]


def test_the_abstract_is_not_said_to_speak_of_gradients_with_infinite_variance():
    claims = {claim.id: claim for claim in load(ROOT / "book" / "claims.yml")}
    assert claims["gradients-infinite-variance"].source == "derived here"
    assert claims["weights-infinite-variance"].source == "abstract"
    table = (ROOT / "README.md").read_text().partition("<!-- claims -->")[2]
    rows = [row for row in table.splitlines() if "infinite" in row]
    assert len(rows) == 2
    assert "weights" in rows[0]
    assert "Pre-activations" in rows[1]


def test_corners_run(tmp_path):
    chosen = {"batch_sizes": "[1]", "steps": "1", "layer": "0"}
    project = Project(ROOT)
    [outcome] = notebooks.run(project, [NAME], profile="quick", overrides=chosen, output=tmp_path)
    assert outcome.error == ""
    assert outcome.record["values"]["kurtosis_pair_error"] < 1e-9


def test_pre_activations_are_measured_and_judged_by_laws_of_infinite_variance(book):
    # Until this test the page said nothing of pre-activations, which the abstract names.
    record = book.record(NAME)
    values, chosen = record["values"], record["parameters"]
    assert values["pre_cells"] == len(chosen["batch_sizes"]) * len(chosen["passes"])
    assert values["pre_start_size"] == chosen["networks"] * (19 * 64 + 10)
    assert values["pre_start_p"] >= 0.001 > values["pre_start_control"]  # the control: half the variance
    assert values["pre_control_finding"] == "is rejected"
    assert values["pre_start_miss"] == pytest.approx(1 - values["pre_start_power"], abs=1e-15)
    high = [values["pre_images_high"] - values["pre_images_level"]]
    high.append(values["pre_layer_high"] - values["pre_layer_level"])
    assert values["pre_margin"] == pytest.approx(max(high), rel=1e-12)
    assert values["pre_largest"] >= values["pre_largest_start"] - 1
    # The level of independent numbers by another sampler; the page takes the lower of two laws.
    rng = np.random.default_rng(12)
    level = np.mean([moment_estimate(stable(1.9, 64_000, rng), 3200) for _ in range(40)])
    assert 0.3 < values["pre_layer_level"] < level + 0.02 < 0.5


def test_neurons_without_tails_do_not_pass_the_line_of_the_sparsity_row(book):
    values = book.record(NAME)["values"]
    assert values["active_false_alarm"] <= 0.05
    assert values["active_power"] >= 0.8  # against the law of Laplace
    assert 2.7 < values["active_normal_least"] <= values["active_normal_largest"] < 3.3


def test_the_kurtosis_row_states_what_it_finds(book):
    runs = ends()
    learned = runs[runs["batch_size"] >= 8]
    spread = learned.groupby(["batch_size", "seed"])["kurtosis"].mean().groupby("batch_size").std()
    shift = book.record(NAME)["values"]["kurtosis_detectable"] - 1
    # Power by the noncentral law of t, at the batch size of the largest spread.
    critical, centre = stats.t.isf(0.025, 5), shift * math.sqrt(6) / spread.max()
    assert stats.nct.sf(critical, 5, centre) == pytest.approx(0.8, abs=1e-6)


def at_equal_epochs(stage):
    """The planned record at one stage: seeds by batch size and scheme, for each figure."""
    runs = pd.read_csv(ROOT / "recorded" / "batch_size.csv").query("stage == @stage")
    return runs.pivot(index="seed", columns=["batch_size", "scheme"])


def told(gaps, margin, level=0.05 / 24):
    """Whether zero, and whether the margin on either side, is outside an interval by Bonferroni's rule."""
    result = stats.ttest_1samp(gaps, 0.0)
    low, high = result.confidence_interval(1 - level)
    inside = result.confidence_interval(1 - 2 * level)
    return not low <= 0 <= high, -margin < inside.low and inside.high < margin


def test_the_planned_record_is_judged_as_planned(book):
    """Holm's rule finds at least what Bonferroni's does, and no more than no rule at all would."""
    values = book.record(NAME)["values"]
    groups = {
        "gradient_epochs": ("end", "image_evi", 0.2),
        "gradient_loss": ("goal", "image_evi", 0.2),
        "pre_epochs": ("end", "pre_evi", 0.1),
        "pre_loss": ("goal", "pre_evi", 0.1),
    }
    assert values["equal_comparisons"] == 24
    for group, (stage, figure, margin) in groups.items():
        wide = at_equal_epochs(stage)[figure]
        pairs = [(small, 128, name) for small in (2, 8) for name in ("fractional", "kaiming")]
        gaps = [wide[small, name] - wide[large, name] for small, large, name in pairs]
        means = [each.mean() for each in gaps]
        assert values[f"equal_{group}_min"] == pytest.approx(min(means), rel=1e-9)
        assert values[f"equal_{group}_max"] == pytest.approx(max(means), rel=1e-9)
        counts = {word: values[f"equal_{group}_{word}"] for word in ("heavier", "lighter", "same", "unknown")}
        assert sum(counts.values()) == 4
        least, most = ([told(each, margin, level) for each in gaps] for level in (0.05 / 24, 0.05))
        claims = counts["heavier"] + counts["lighter"] + counts["same"]
        assert sum(map(any, least)) <= claims <= sum(map(any, most))
        assert sum(same for _, same in least) <= counts["same"] <= sum(same for _, same in most)
    wide = at_equal_epochs("end")
    gaps = [
        wide[figure][size, "fractional"] - wide[figure][size, "kaiming"]
        for figure in ("image_evi", "pre_evi")
        for size in (2, 8, 32, 128)
    ]
    assert values["equal_comparisons_starts"] == len(gaps)
    assert values["equal_starts_max"] == pytest.approx(max(each.mean() for each in gaps), rel=1e-9)


def test_the_planned_runs_learned_and_their_cost_is_counted(book):
    values = book.record(NAME)["values"]
    end, runs = at_equal_epochs("end"), pd.read_csv(ROOT / "recorded" / "batch_size.csv")
    assert values["equal_runs"] == end["loss"].size == 8 * 2 * 4
    assert values["equal_learned"] == (end["loss"] < math.log(10) / 2).to_numpy().sum()
    assert values["equal_reached"] == at_equal_epochs("goal")["loss"].notna().to_numpy().sum()
    assert values["equal_worst_loss"] == pytest.approx(end["loss"].to_numpy().max(), rel=1e-12)
    assert values["equal_minutes"] == pytest.approx(runs["seconds"].sum() / 60, rel=1e-9)
    noise = end["noise_evi"] - end["gaussian_evi"]
    assert values["equal_noise_smallest"] == pytest.approx(noise[2].to_numpy().mean(), rel=1e-9)
    # Equal epochs: every run has the same number of passes, which the first record's have not.
    assert (end["passes"] == 2).all(axis=None)
    assert values["record_epochs_largest"] > 100 * values["record_epochs_smallest"]


def test_what_the_section_says_of_single_cells_is_in_the_record(book):
    """The two heavier comparisons it names have the least p-values; what it says of the figure holds."""
    values = book.record(NAME)["values"]
    pairs = [(small, name) for small in (2, 8) for name in ("fractional", "kaiming")]
    least, tops, signs = {}, [], []
    for stage, figure in itertools.product(("end", "goal"), ("image_evi", "pre_evi")):
        wide = at_equal_epochs(stage)[figure]
        tests = {(small, name): stats.ttest_rel(wide[small, name], wide[128, name]) for small, name in pairs}
        least[stage, figure] = min(tests, key=lambda pair: tests[pair].pvalue)
        signs += [test.statistic > 0 for test in tests.values()]
        means = wide.mean()
        assert means[[2, 8]].min() > means[[32, 128]].max()
        tops.append((means + stats.t.ppf(0.975, 7) * wide.std() / math.sqrt(8)).max())
        assert wide.to_numpy().max() <= values["equal_largest_run"] < 0.5
    assert values["equal_gradient_loss_heavier"] == 1
    assert least["goal", "image_evi"] == (2, "fractional")
    assert values["equal_pre_epochs_heavier"] == 1
    assert least["end", "pre_evi"] == (8, "fractional")
    assert (values["equal_between"], values["equal_between_positive"]) == (16, sum(signs))
    assert max(tops) < 0.5
    assert max(values["equal_gradient_epochs_max"], values["equal_gradient_loss_max"]) < 0.2
    assert max(values["equal_pre_epochs_max"], values["equal_pre_loss_max"]) < 0.1


def test_what_the_noise_keeps_is_the_kurtosis_over_the_batch_size(book):
    values, end = book.record(NAME)["values"], at_equal_epochs("end")
    for size, word in ((2, "smallest"), (128, "largest")):
        expected = end["kurtosis"][size].to_numpy().mean() / size
        assert values[f"equal_noise_kurtosis_{word}"] == pytest.approx(expected, rel=1e-9)


def test_the_seeds_that_would_show_what_was_seen_have_that_power(book):
    """The power by the noncentral law of t, at the level of one comparison, for the least and most seeds."""
    values, level = book.record(NAME)["values"], 0.05 / 24

    def power(gaps, pairs):
        critical, centre = stats.t.isf(level / 2, pairs - 1), gaps.mean() / gaps.std() * math.sqrt(pairs)
        return stats.nct.sf(critical, pairs - 1, centre) + stats.nct.cdf(-critical, pairs - 1, centre)

    wide = at_equal_epochs("goal")["image_evi"]
    widest = wide[8, "kaiming"] - wide[128, "kaiming"]
    most, least = int(values["equal_seen_most"]), int(values["equal_seen_least"])
    assert power(widest, most - 1) < 0.8 <= power(widest, most)
    wide = at_equal_epochs("end")["image_evi"]
    nearest = wide[2, "kaiming"] - wide[128, "kaiming"]
    assert power(nearest, least - 1) < 0.8 <= power(nearest, least)
    runs = pd.read_csv(ROOT / "recorded" / "batch_size.csv")
    cost = runs.groupby("batch_size")["seconds"].sum() / 16
    assert values["equal_pair_seconds"] == pytest.approx(cost[2] + cost[128], rel=1e-9)
