"""The page on spiking and graph networks: its values against ones computed another way, its corners."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

from fracrepro.theory.aggregation import karate_club
from fracrepro.workflow import notebooks
from fracrepro.workflow.project import Project

PROJECT = Project(Path(__file__).resolve().parents[2])
NAME = "15_spiking_and_graphs"


def run(tmp_path, **overrides):
    [outcome] = notebooks.run(PROJECT, [NAME], profile="quick", overrides=overrides, output=tmp_path)
    assert outcome.error == ""
    return outcome.record["values"]


def silent(width, threshold, depth):
    """P(silent) by scipy's binomial law and a power of the matrix, from currents N(0, 1)."""
    counts = np.arange(width + 1)
    variance = 1 / (width * stats.norm.sf(threshold))
    rate = np.zeros(width + 1)
    rate[1:] = stats.norm.sf(threshold / np.sqrt(variance * counts[1:]))
    matrix = stats.binom.pmf(counts, width, rate[:, None])
    start = stats.binom.pmf(counts, width, stats.norm.sf(threshold))
    return float(start @ np.linalg.matrix_power(matrix, depth)[:, 0])


@pytest.fixture(scope="module")
def values(book):
    return book.record(NAME)["values"]


def test_how_often_spikes_get_lost(values):
    for name, width in (("narrowest", 100), ("middle", 200), ("widest", 600)):
        assert values[name] == width
        assert values[f"silent_{name}"] == pytest.approx(silent(width, 1.0, 100), rel=1e-9)
    assert values["silent_exact"] == pytest.approx(silent(100, 1.0, 10), rel=1e-10)
    assert values["lost_half"] == pytest.approx(silent(200, 0.5, 100), rel=1e-9)
    for name, theta in (("enough_half", 0.5), ("enough_one", 1.0)):
        width = values[name]
        assert silent(width, theta, 100) <= 0.01 < silent(width - 1, theta, 100)


def test_the_tests_of_the_chain_and_their_controls(values):
    assert values["chain_error"] < 1e-12 < values["chain_control"]
    assert values["silent_p"] > 1e-3
    assert (values["count_rejected"], values["count_control_rejected"]) == (False, True)
    assert values["count_words"] == "is rejected"
    assert values["count_power"] > 0.99


def test_stability(values):
    assert values["critical_threshold"] == pytest.approx(1.1906012483427703, rel=1e-14)
    assert values["side_words"] == "below"
    # Fixed points again, by iterating the rate map at threshold 3/2 from above and from below.
    rate, c = 0.4, 1 / stats.norm.sf(1.5)
    for _ in range(500):
        rate = stats.norm.sf(1.5 / math.sqrt(c * rate))
    assert values["stable_high"] == pytest.approx(rate, rel=1e-10)
    assert values["target_high"] == pytest.approx(special.erfc(1.5 / math.sqrt(2)) / 2, rel=1e-14)
    below = 0.99 * values["target_high"]
    for _ in range(500):
        below = stats.norm.sf(1.5 / math.sqrt(c * below)) if below > 1e-6 else 0.0
    assert below == 0.0
    assert values["high_silent"] + values["high_at_stable"] + values["high_at_target"] <= 1


def test_time_steps_and_their_control(values):
    assert values["time_p"] < 1e-3 < values["memoryless_p"]
    assert values["time_higher"]
    assert values["time_power"] > 0.9
    # Nothing precedes the first step; a network that is silent in every step is silent in the last.
    assert values["first_step_p"] > 1e-3
    assert values["time_silent_all"] <= values["time_silent_last"] < values["time_silent_first"]
    assert values["time_silent_all"] <= values["time_silent_steps"] <= 1
    assert values["one_step_silent"] == pytest.approx(silent(100, 1.0, 19), rel=1e-10)


def matrix():
    weights = karate_club() + np.eye(34)
    root = np.sqrt(weights.sum(0))
    return weights / np.outer(root, root)


def next_gram(gram, constant, a):
    """One infinitely wide ReLU layer, by the arc-cosine kernel."""
    s = constant * a @ gram @ a.T
    size = np.sqrt(np.diag(s))
    cosine = np.clip(s / np.outer(size, size), -1, 1)
    angle = np.arccos(cosine)
    return np.outer(size, size) * (np.sin(angle) + (math.pi - angle) * cosine) / (2 * math.pi)


def test_sizes_on_the_graph(values):
    a = matrix()
    for name, constant in (("size_end", 2.0), ("size_less", 1.9), ("size_more", 2.1)):
        gram = np.eye(34)
        for _ in range(200):
            gram = next_gram(gram, constant, a)
        assert values[name] == pytest.approx(np.trace(gram) / 34, rel=1e-8), name
    assert values["size_low"] < values["size_end"] < values["size_high"]
    power = np.linalg.matrix_power(a, 200)
    assert values["size_low"] == pytest.approx(np.trace(power @ power.T) / 34, rel=1e-10)
    assert values["size_high"] == pytest.approx(np.square(power.sum(1)).sum() / 34, rel=1e-10)
    assert (values["energy_rejected"], values["energy_control_rejected"]) == (False, True)
    assert values["energy_power"] > 0.99
    assert values["scaling_error"] < 1e-10


def test_smoothing(values):
    a = matrix()
    assert values["second_eigenvalue"] == pytest.approx(np.sort(np.abs(np.linalg.eigvals(a)))[-2], rel=1e-10)
    gram = np.eye(34)
    for _ in range(40):
        gram = next_gram(gram, 2.0, 0.9 * np.eye(34) + 0.1 * a)
    early = 1 - (gram / np.sqrt(np.outer(np.diag(gram), np.diag(gram)))).min()
    assert values["residual_end"] < early  # alleviated, and going on
    assert values["smoothing_end"] < 1e-9
    assert values["residual_gain"] > 1e4
    assert values["connected_least"] > 0.5
    assert values["unscaled_end"] < 1e-6
    assert values["fixup_identity"]


def test_a_bipartite_graph_smooths_slowly_as_two_inputs_without_a_graph(values):
    ring = (np.roll(np.eye(6), 1, axis=0) + np.roll(np.eye(6), -1, axis=0)) / 2
    for name, a, layers in (("early", ring, 100), ("end", ring, 400), ("plain", np.eye(2), 400)):
        gram = np.eye(len(a))
        for _ in range(layers):
            gram = next_gram(gram, 2.0, a)
        cosines = gram / np.sqrt(np.outer(np.diag(gram), np.diag(gram)))
        assert values[f"bipartite_{name}"] == pytest.approx(1 - cosines.min(), rel=1e-6), name
    # Like k^-2 in the limit, far from the exponential pace of the other graph: the power between k and 4k
    # layers rises towards 2, and what it lacks shrinks like (log k)/k.
    gram, gaps = np.eye(2), []
    for _ in range(4001):
        gaps.append(1 - gram[0, 1] / gram[0, 0])
        gram = next_gram(gram, 2.0, np.eye(2))
    lacks = [2 - math.log(gaps[k] / gaps[4 * k]) / math.log(4) for k in (100, 1000)]
    assert 0 < lacks[1] < lacks[0] / 5
    assert values["smoothing_end"] < 1e-5 * values["bipartite_end"]


def test_the_preserved_order(values):
    assert values["order_p"] > 1e-3 > values["order_control_p"]
    assert values["order_power"] > 0.99
    assert values["order_cosine"] < 1e-12
    assert abs(values["general_slope"] - values["plain_slope"]) < 5 * values["general_error"]


@pytest.mark.parametrize(
    "chosen",
    [
        {"width": "4", "threshold": "2.5", "depth": "40", "networks": "100", "s": "0.25", "features": "4"},
        {"width": "150", "threshold": "0.2", "depth": "1", "steps": "2", "s": "2", "networks": "100"},
    ],
)
def test_at_the_corners(chosen, tmp_path):
    values = run(tmp_path, **chosen)
    width, threshold, depth = int(chosen["width"]), float(chosen["threshold"]), int(chosen["depth"])
    assert values["silent_exact"] == pytest.approx(silent(width, threshold, depth), rel=1e-9, abs=1e-290)
    assert values["silent_p"] > 1e-3
    assert values["side_words"] == ("below" if threshold < 1.19 else "not below")
    assert values["chain_error"] < 1e-12
    assert values["order_p"] > 1e-3
    assert values["order_moment_error"] < 1e-12
