"""The map of verdicts: every verdict at its place, told apart by sign and by colour, for all readers."""

import itertools
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("agg")
import matplotlib.pyplot as plt
from matplotlib.colors import to_rgb

from fracrepro.errors import ArgumentError
from fracrepro.figures.planned import KINDS, difference_table, kind_of, settling_table, verdict_map
from fracrepro.figures.style import legend_below, use_style
from fracrepro.stats.equivalence import verdict

WORDS = {
    "better": "better",
    "worse": "worse",
    "equivalent": "equivalent within the margin",
    "unknown": "not known, a difference of 0.25 would have been seen",
}

# Severity 1 of Machado, Oliveira and Fernandes (2009), on linear RGB; "all" is a reader who sees all colours.
READERS = {
    "all": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.fixture
def axes():
    use_style()
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def verdicts():
    """Three schemes by two depths, where one comparison is missing."""
    rows = [
        ("fixup", 10, 0.25, "better"),
        ("fixup", 20, -0.75, "worse"),
        ("xavier", 10, 0.001, "equivalent"),
        ("xavier", 20, 0.5, "unknown"),
        ("zero", 20, -0.5, "worse"),
    ]
    table = pd.DataFrame(rows, columns=["first", "depth", "difference", "kind"])
    return table.assign(verdict=table["kind"].map(WORDS))


def texts(axes):
    """What stands at each place."""
    return {text.get_position(): text.get_text() for text in axes.texts}


def linear(colour):
    """Linear RGB of a colour of sRGB."""
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIE 1976 coordinates of linear RGB, white point D65."""
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.clip(np.array(matrix) @ rgb, 0, None) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def least_distance(colours):
    """The least distance of two colours to the reader who sees it worst."""
    return min(
        np.linalg.norm(lab(np.array(matrix) @ linear(one)) - lab(np.array(matrix) @ linear(other)))
        for matrix in READERS.values()
        for one, other in itertools.combinations(colours, 2)
    )


def test_every_wording_of_a_verdict_has_its_kind():
    found = [
        kind_of(verdict(equivalent=equal, different=different, mean=mean, detectable=detectable))
        for equal, different, mean, detectable in (
            (True, True, 1.0, 0.1),
            (False, True, 1.0, 0.1),
            (False, True, -1.0, 0.1),
            (False, False, 1.0, 0.1),
            (False, False, 1.0, np.inf),
        )
    ]
    assert found == ["equivalent", "better", "worse", "unknown", "unknown"]
    for word in ("good", "", None, "equivalent"):
        with pytest.raises(ArgumentError, match="verdict"):
            kind_of(word)


def test_every_verdict_stands_at_its_place(axes):
    verdict_map(axes, verdicts(), "first", "depth", names={"fixup": "Fixup"})
    assert texts(axes) == {
        (0, 0): "▲\n+0.25",
        (1, 0): "▼\n−0.75",
        (0, 1): "=\n0.00",
        (1, 1): "?\n+0.50",
        (1, 2): "▼\n−0.50",
        (0, 2): "–",
    }
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Fixup", "xavier", "zero"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10", "20"]
    low, high = axes.get_ylim()
    assert low > high  # the first row is on top


def test_several_columns_name_a_row_and_the_difference_may_be_left_out(axes):
    table = verdicts().assign(ends=["alike", "alike", "alike", "own", "own"])
    verdict_map(axes, table, ["first", "ends"], "depth", form="")
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["fixup, alike", "xavier, alike", "xavier, own", "zero, own"]
    assert texts(axes)[(0, 0)] == "▲"


def test_the_legend_has_all_kinds_with_the_look_of_their_boxes(axes):
    verdict_map(axes, verdicts().query("kind == 'better'"), "first", "depth")
    legend = legend_below(axes)
    assert [text.get_text() for text in legend.get_texts()] == [
        f"{sign} {kind}" for kind, (sign, _) in KINDS.items()
    ]
    box = axes.patches[0]
    shown = legend.get_patches()
    assert shown[0].get_facecolor() == box.get_facecolor()
    assert shown[-1].get_facecolor()[3] == 0  # an empty box


def test_a_missing_column_and_a_place_with_two_verdicts_are_refused(axes):
    with pytest.raises(ArgumentError, match="verdicts: column = 'width'"):
        verdict_map(axes, verdicts(), "first", "width")
    with pytest.raises(ArgumentError, match="several at"):
        verdict_map(axes, verdicts(), "first", [])
    with pytest.raises(ArgumentError, match="verdict"):
        verdict_map(axes, verdicts().assign(verdict="good"), "first", "depth")


def test_differences_stand_with_their_intervals_in_the_order_of_the_rows():
    given = verdicts().assign(low=-0.9, high=0.81)
    shown = difference_table(given, "first", "depth", names={"fixup": "Fixup"}, form="+.1f")
    assert shown.index.tolist() == ["Fixup", "xavier", "zero"]
    assert shown.loc["Fixup", 20] == "−0.8 (−0.9\u00a0to\u00a0+0.8)"
    assert shown.loc["xavier", 10] == "0.0 (−0.9\u00a0to\u00a0+0.8)"
    assert shown.isna().loc["zero", 10]  # not compared
    with pytest.raises(ArgumentError, match="verdicts: column = 'low'"):
        difference_table(verdicts(), "first", "depth")
    with pytest.raises(ArgumentError, match="several at one"):
        difference_table(given.assign(first="zero"), "first", "depth")


def test_what_settles_a_comparison_costs_what_is_beyond_the_pairs_there_are():
    settled = pd.DataFrame(
        {
            "endpoint": ["loss", "accuracy"],
            "difference": [0.1, 0.2],
            "low": 0.0,
            "high": 0.3,
            "verdict": [WORDS["better"], WORDS["unknown"]],
            "pairs": 20,
            "pairs_difference": [10, 30],
            "pairs_equivalence": [15, 25],
            "pairs_seen": [5, 80],
            "hours": 99.0,  # of the larger of the first two, which is another question
            "hours_pair": 0.5,
        }
    )
    shown = settling_table(settled, "endpoint")
    assert shown.index.tolist() == ["loss", "accuracy"]
    assert shown["verdict"].tolist() == ["better", "unknown"]
    assert shown["hours"].tolist() == [0.0, 30.0]
    assert shown[["to differ", "to agree", "as seen"]].to_numpy().tolist() == [[10, 15, 5], [30, 25, 80]]
    with pytest.raises(ArgumentError, match="network"):
        settling_table(settled, ["endpoint", "network"])


def test_signs_and_colours_stay_apart_for_every_reader():
    assert len({sign for sign, _ in KINDS.values()}) == len(KINDS)
    fills = ["white" if colour == "none" else colour for _, colour in KINDS.values()]
    enough = 15.0  # a trained eye sees 2 side by side
    assert least_distance(fills) > enough
    assert least_distance(["#d62728", "#7f7f00"]) < enough  # the control: a red and an olive


# What the style sheet of the book does to figures in dark mode: invert(0.92), then hue-rotate(180deg).
TURNED = np.array([[-0.574, 1.430, 0.144], [0.426, 0.430, 0.144], [0.426, 1.430, -0.856]])


def contrast(one, other):
    """The contrast ratio of two colours of sRGB by WCAG 2."""
    high, low = sorted(
        (linear(each) @ [0.2126, 0.7152, 0.0722] + 0.05 for each in (one, other)), reverse=True
    )
    return high / low


@pytest.mark.parametrize("dark", [False, True])
def test_the_text_is_read_on_every_box_in_both_modes(dark):
    def seen(colour):
        rgb = np.array(to_rgb(colour))
        return np.clip(TURNED @ (0.92 - 0.84 * rgb), 0, 1) if dark else rgb

    sheet = Path(__file__).parents[2] / "book" / "_static" / "fracrepro.css"
    assert "invert(0.92) hue-rotate(180deg)" in sheet.read_text(encoding="utf-8")
    for _, colour in KINDS.values():
        fill = (seen("white") if colour == "none" else seen(colour)).tolist()
        assert contrast(seen("black").tolist(), fill) > 4.5  # level AA
    assert contrast(seen("black").tolist(), seen("#555555").tolist()) < 4.5  # the control: a dark fill
