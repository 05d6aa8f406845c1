"""The figure of a sweep: which numbers it draws, against what, and that every point is where it belongs."""

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from fracrepro.errors import ArgumentError
from fracrepro.figures.sweep import changing, save_sweep_figure, sweep_figure


@pytest.fixture
def rows():
    """Three orders and two kinds: the numbers are functions of both, so that a swapped curve shows."""
    table = pd.DataFrame(
        [(s, kind) for kind in ("relu", "linear") for s in (2.0, 0.5, 1.0)], columns=["s", "kind"]
    )
    table["gain"] = np.where(table["kind"] == "relu", 10 * table["s"], 1 / table["s"])
    table["share"] = table["s"] / 4
    table["networks"] = 5000
    table["holds"] = [True, False] * 3
    table["words"] = "yes"
    table["wide"] = [1.0, 10.0, 1000.0, 1.0, 10.0, 1000.0]
    return table


def test_only_numbers_that_change_are_drawn(rows):
    assert changing(rows, ["gain", "share", "networks", "holds", "words", "wide"]) == [
        "gain",
        "share",
        "wide",
    ]
    assert changing(rows, ["networks", "holds"]) == []


def test_every_point_is_drawn_once_on_the_curve_of_its_kind(rows):
    figure = sweep_figure(rows, ["kind", "s"], ["gain", "share"])
    panels = [panel for panel in figure.axes if panel.axison]
    assert [panel.get_title() for panel in panels] == ["gain", "share"]
    for panel in panels:
        assert panel.get_xlabel() == "s"  # the numbers, though the kind comes first
        assert [line.get_label() for line in panel.lines] == ["kind=relu", "kind=linear"]
    relu, linear = panels[0].lines
    assert relu.get_xdata().tolist() == [0.5, 1.0, 2.0]
    assert relu.get_ydata().tolist() == [5.0, 10.0, 20.0]
    assert linear.get_ydata().tolist() == [2.0, 1.0, 0.5]
    assert len(figure.legends) == 1


def test_words_stand_in_the_order_of_the_table(rows):
    few = rows[rows["s"] == 1.0]
    [panel] = sweep_figure(few, ["kind"], ["gain"]).axes
    assert [text.get_text() for text in panel.get_xticklabels()] == ["relu", "linear"]
    assert panel.lines[0].get_ydata().tolist() == [10.0, 1.0]


def test_an_axis_is_logarithmic_where_its_values_span_much(rows):
    figure = sweep_figure(rows[rows["kind"] == "relu"], ["s"], ["gain", "wide"])
    assert [panel.get_yscale() for panel in figure.axes] == ["linear", "log"]
    rows["wide"] -= 1  # a zero has no logarithm
    assert sweep_figure(rows, ["s"], ["wide"]).axes[0].get_yscale() == "linear"


def test_the_file_is_the_same_for_the_same_table_and_says_what_it_shows(rows, tmp_path):
    first, second = tmp_path / "a" / "page.svg", tmp_path / "b" / "page.svg"
    for path in (first, second):
        path.parent.mkdir()
        save_sweep_figure(path, rows, ["s", "kind"], ["gain"])
    assert first.read_bytes() == second.read_bytes()
    text = " ".join(ET.parse(first).getroot().itertext())
    assert "page: gain over s, kind, 6 points" in " ".join(text.split())
    rows.loc[0, "gain"] += 0.5
    save_sweep_figure(second, rows, ["s", "kind"], ["gain"])
    assert first.read_bytes() != second.read_bytes()


@pytest.mark.parametrize(
    ("axes", "reported", "says"),
    [
        ([], ["gain"], "axes"),
        (["s"], [], "reported"),
        (["t"], ["gain"], "axes = 't'"),
        (["s"], ["x"], "reported"),
    ],
)
def test_columns_that_are_not_there_are_refused(rows, axes, reported, says):
    with pytest.raises(ArgumentError, match=says):
        sweep_figure(rows, axes, reported)


def test_more_curves_than_can_be_told_apart_are_refused():
    many = pd.DataFrame({"s": [1.0, 2.0] * 111, "n": [f"n{i // 2}" for i in range(222)], "x": range(222)})
    with pytest.raises(ArgumentError, match="111 curves: need at most 110"):
        sweep_figure(many, ["s", "n"], ["x"])
