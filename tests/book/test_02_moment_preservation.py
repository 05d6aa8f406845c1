"""The page on moment preservation: which weights have no preferred direction."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from fracrepro.workflow import notebooks
from fracrepro.workflow.project import Project

NAME = "02_moment_preservation"
PROJECT = Project(Path(__file__).resolve().parents[2])


def test_three_laws_are_free_of_direction_and_two_are_not(book):
    values = book.record(NAME)["values"]
    assert values["free_rejected"] == 0
    assert values["bound_rejected"] == 2
    assert values["free_power"] > 0.99


def test_random_signs_see_the_direction_and_rotations_do_not():
    """Two ReLU neurons at s = 1, exactly: all sign matrices, and an angle for each kind of rotation."""
    x = {"axis": np.array([1.0, 0.0]), "diagonal": np.full(2, math.sqrt(0.5))}

    def mean_norm(matrices, vector):
        return np.mean([np.linalg.norm(np.maximum(m @ vector, 0.0)) for m in matrices])

    signs = [np.reshape(m, (2, 2)) for m in itertools.product((-1, 1), repeat=4)]
    # Along the axis 2 Bin(2, 1/2)/2 neurons fire at 1, along the diagonal Bin(2, 1/4) at √2.
    assert mean_norm(signs, x["axis"]) == pytest.approx((2 + math.sqrt(2)) / 4, rel=1e-14)
    assert mean_norm(signs, x["diagonal"]) == pytest.approx((6 * math.sqrt(2) + 2) / 16, rel=1e-14)
    # Haar matrices of order 2 are rotations and reflections; equally spaced angles average exactly enough.
    angles = 2 * np.pi * (np.arange(4000) + 0.5) / 4000
    pairs = [(np.cos(a), np.sin(a)) for a in angles]
    turns = [np.array([[c, -f * s], [s, f * c]]) for c, s in pairs for f in (1, -1)]
    haar = [mean_norm(turns, vector) for vector in x.values()]
    assert haar[0] == pytest.approx(haar[1], rel=1e-6)


@pytest.mark.parametrize(
    "chosen",
    [
        {"activation": "linear", "s": "1"},
        {"activation": "rrelu", "s": "0.5", "width": "5"},
        {"activation": "abs", "s": "2", "width": "4096", "depth": "2"},
    ],
)
def test_at_the_corners(chosen, tmp_path):
    overrides = {"networks": "500"} | chosen
    [outcome] = notebooks.run(PROJECT, [NAME], profile="quick", overrides=overrides, output=tmp_path)
    assert outcome.error == ""
    values = outcome.record["values"]
    assert values["free_rejected"] == 0
    if chosen["s"] == "2" or chosen["activation"] == "linear":
        assert values["largest_deviation"] < 1e-12
