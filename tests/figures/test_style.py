"""The look of figures: no interval outside the possible range, no legend on data, one colour a scheme."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("agg")
import matplotlib.pyplot as plt

from fracrepro.errors import ArgumentError
from fracrepro.figures.style import (
    arm_label,
    band,
    legend_below,
    order_style,
    points_with_intervals,
    scheme_of,
    scheme_style,
    use_style,
    whole_numbers,
)
from fracrepro.nn import schemes


@pytest.fixture
def axes():
    use_style()
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def test_no_band_and_no_interval_leaves_the_possible_range(axes):
    band(axes, [0, 1], [-0.2, 0.5], [0.3, 1.4], within=(0, 1))
    points_with_intervals(axes, [0, 1, 2], [0.1, 0.5, 0.9], [0.3, 0.2, 0.3], within=(0, 1))
    shaded, bars = axes.collections[0], axes.collections[-1]
    assert shaded.get_paths()[0].vertices[:, 1].min() == 0
    assert shaded.get_paths()[0].vertices[:, 1].max() == 1
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    assert ends == pytest.approx(np.array([[0, 0.4], [0.3, 0.7], [0.6, 1]]))


def test_intervals_keep_their_lengths_where_nothing_is_impossible(axes):
    points_with_intervals(axes, [0, 1], [0.1, 5.0], [[0.3, 1.0], [0.4, 2.0]])
    ends = np.array([segment[:, 1] for segment in axes.collections[-1].get_segments()])
    assert ends == pytest.approx(np.array([[-0.2, 0.5], [4, 7]]))


def test_a_legend_stands_below_the_axes(axes):
    axes.plot([0, 1], [0, 1], label="a line")
    legend = legend_below(axes)
    figure = axes.get_figure()
    figure.draw_without_rendering()
    assert legend.get_window_extent().y1 <= axes.get_tightbbox().y0
    axes.legend(loc="lower right")  # the control
    figure.draw_without_rendering()
    assert axes.get_legend().get_window_extent().y1 > axes.get_tightbbox().y0


def test_a_legend_has_no_more_entries_in_a_row_than_the_figure_is_wide(axes):
    label = "a label of some length {}"
    for k in range(4):
        axes.plot([0, k], [0, 1], label=label.format(k))
    width = axes.get_figure().bbox.width
    assert axes.get_figure().legend(ncols=4).get_window_extent().width > width  # the control
    axes.get_figure().legends.clear()
    legend = legend_below(axes)
    assert legend._ncols == 2
    assert legend.get_window_extent().width <= width
    assert axes.get_figure().legends == [legend]


def test_a_legend_of_several_panels_names_each_curve_once():
    use_style()
    figure, (left, right) = plt.subplots(1, 2)
    left.plot([0], [0], label="exact")
    left.plot([0], [0], label="drawn")
    right.plot([0], [0], label="drawn")
    right.plot([0], [0], label="needed")
    legend = legend_below(left, right)
    assert [text.get_text() for text in legend.get_texts()] == ["exact", "drawn", "needed"]
    plt.close(figure)


def test_an_axis_of_layers_has_whole_ticks(axes):
    axes.set_xlim(0, 3)
    assert not all(tick == round(tick) for tick in axes.get_xticks())  # the control
    whole_numbers(axes.xaxis)
    assert all(tick == round(tick) for tick in axes.get_xticks())
    axes.set_xlim(-1, 21)
    assert set(axes.get_xticks()) >= {0, 5, 10, 15, 20}  # not in steps of 3


def test_every_scheme_has_one_colour():
    colours = [scheme_style(name)["color"] for name in schemes.names()]
    assert len(set(colours)) == len(colours)
    assert scheme_style("xavier") == {"color": schemes.get("xavier").colour, "label": "Xavier"}


def test_orders_one_and_two_are_the_schemes_that_they_are():
    assert order_style(1.0)["color"] == schemes.get("fractional").colour
    assert order_style(2)["color"] == schemes.get("kaiming").colour
    assert len({order_style(s)["color"] for s in (0, 0.25, 0.5, 1, 1.5, 2)}) == 6
    with pytest.raises(ArgumentError, match=r"s = 2\.5"):
        order_style(2.5)


def test_an_arm_is_called_by_its_scheme_and_the_rest_of_its_name():
    for name in schemes.names():
        label = schemes.get(name).label
        assert arm_label(name) == arm_label(f"{name} s=1.5") == label
        assert arm_label(f"{name} own ends s=2") == f"{label}, own ends"
        assert scheme_of(f"{name} own ends") == name
    with pytest.raises(ArgumentError, match="scheme"):
        arm_label("unheard of")
