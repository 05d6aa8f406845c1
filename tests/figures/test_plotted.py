"""The files below a figure: the data are those that were drawn, and the SVG asks for nothing."""

import io
import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure

from fracrepro.errors import ArgumentError
from fracrepro.figures import downloads
from fracrepro.figures.plotted import as_csv
from fracrepro.figures.style import band, points_with_intervals
from fracrepro.figures.vector import MANY_POINTS, as_svg

rng = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def defaults():
    """Colours and layout are matplotlib's own, whatever another test has set."""
    with mpl.rc_context():
        mpl.rcdefaults()
        yield


@pytest.fixture
def axes():
    return Figure(figsize=(4, 3)).add_subplot(xlabel="x of it", ylabel="y of it")


def read(text):
    """The table with every number as Python reads it, to the last digit."""
    found = pd.read_csv(io.StringIO(text), comment="#", dtype=str, keep_default_na=False)
    words = ["label", "kind", "look"]
    numbers = found.drop(columns=words).map(lambda field: float(field or "nan"))
    return numbers.assign(**found[words])


def table(axes, **options):
    return read(as_csv(axes.figure, **options))


def same(column, expected):
    return np.array_equal(column.to_numpy(float), np.asarray(expected, dtype=float), equal_nan=True)


def test_a_line_has_the_points_that_were_drawn_to_the_last_digit(axes):
    x, y = np.geomspace(1e-300, 1e300, 40), rng.standard_normal(40)
    y[7] = np.nan
    axes.loglog(x, y, ":", color="C2", label="law, exact")
    axes.plot([], [], label="only in the legend")
    found = table(axes)
    assert same(found["x"], x)
    assert same(found["y"], y)
    assert set(found["label"]) == {"law, exact"}
    assert set(found["look"]) == {"dotted rgb(44 160 44)"}
    assert not same(found["y"], y + 1e-12), "another table would be seen"
    assert as_csv(axes.figure).startswith("# panel 1: x: x of it (log scale); y: y of it (log scale)\n")


def test_lines_across_a_panel_have_one_place(axes):
    axes.axhline(2.5, label="level")
    axes.axvline(-1)
    axes.axvspan(3, 4)
    axes.axline((0, 1), slope=2)
    axes.set(xlim=(0, 4), ylim=(0, 9))
    found = table(axes)
    np.testing.assert_allclose(found["x"], [np.nan, -1, np.nan, 0, 4], atol=1e-12)
    np.testing.assert_allclose(found["y"], [2.5, np.nan, np.nan, 1, 9])
    assert same(found["x_low"].dropna(), [3])
    assert same(found["x_high"].dropna(), [4])
    assert found["series"].tolist() == [1, 2, 3, 4, 4]


def test_a_band_has_its_edges(axes):
    x = np.arange(9.0)
    low, high = np.sort(rng.standard_normal((2, 9)), axis=0)
    band(axes, x, low, high, within=(-0.5, 0.5), label="range")
    axes.fill_between(x, 0, 1, where=[*[True] * 3, False, False, *[True] * 4])
    axes.fill_betweenx(x, low, high)
    found = table(axes)
    first, second, third = (each for _, each in found.groupby("series"))
    assert same(first["x"], x)
    assert same(first["y_low"], np.clip(low, -0.5, 0.5))
    assert same(first["y_high"], np.clip(high, -0.5, 0.5))
    assert not same(first["y_low"], low), "the band was cut, and the data say so"
    assert second.groupby("part")["x"].apply(list).tolist() == [[0, 1, 2], [5, 6, 7, 8]]
    assert same(third["y"], x)
    assert same(third["x_high"], high)


def test_points_with_intervals_stand_in_one_row_each(axes):
    x, y, half = np.arange(5.0), rng.standard_normal(5), rng.uniform(0.1, 1, (2, 5))
    y[2] = np.nan
    points_with_intervals(axes, x, y, half, label="simulated")
    axes.errorbar(x, y, xerr=0.5, fmt="none")
    found = table(axes)
    one, other = (each for _, each in found.groupby("series"))
    assert len(one) == len(other) == 5
    assert same(one["y"], y)
    np.testing.assert_allclose(one["y_low"], y - half[0], rtol=1e-14)
    np.testing.assert_allclose(one["y_high"], y + half[1], rtol=1e-14)
    assert set(one["label"]) == {"simulated"}
    there = ~np.isnan(y)  # nothing is drawn at a point without a height
    assert same(other["x_low"][there], x[there] - 0.5)
    assert same(other["x_high"][there], x[there] + 0.5)
    assert same(other["y"], y)


def test_bars_and_histograms_have_edges_and_heights(axes):
    counts, edges, _ = axes.hist(rng.standard_normal(500), bins=12, label="drawn")
    axes.barh(["a", "b"], [3, -2], left=1)
    axes.stairs([1, 3, 2], [0, 1, 2, 4], label="steps")
    found = table(axes)
    bars, across, steps = (each for _, each in found.groupby("series"))
    assert same(bars["y"], counts)
    np.testing.assert_allclose(bars["x_low"], edges[:-1], rtol=1e-14)
    np.testing.assert_allclose(bars["x_high"], edges[1:], rtol=1e-13)
    assert same(across["x"], [4, -1])
    assert same(across["y"], [0, 1])
    assert same(steps["y"], [1, 3, 2])
    assert same(steps["x_high"], [1, 2, 4])
    assert "(0 = a, 1 = b)" in as_csv(axes.figure)


def test_a_heatmap_has_rows_columns_and_values(axes):
    values = rng.standard_normal((3, 4))
    axes.imshow(values, extent=(0, 8, 0, 3), label="picture")
    mesh = axes.pcolormesh([0, 1, 3], [0, 1, 2, 5], values[:, :2])
    axes.figure.colorbar(mesh, label="height")
    found = table(axes)
    picture, cells = (each for _, each in found.groupby("series"))
    for each, wanted in ((picture, values), (cells, values[:, :2])):
        filled = np.full(wanted.shape, np.nan)
        filled[each["row"].astype(int), each["column"].astype(int)] = each["value"]
        assert np.array_equal(filled, wanted)
    assert same(picture["x"][:4], [1, 3, 5, 7])
    assert same(picture["y"][::4], [2.5, 1.5, 0.5])  # the first row is at the top
    assert same(cells["x"][:2], [0.5, 2])
    assert same(cells["y"][::2], [0.5, 1.5, 3.5])
    assert set(found["panel"]) == {1}, "the scale of colours is no panel"
    assert "; value: height\n" in as_csv(axes.figure)


def test_points_have_places_and_the_values_that_colour_them(axes):
    x, y, value = rng.standard_normal((3, 50))
    axes.scatter(x, y, c=value, label="cloud")
    axes.vlines(x[:3], 0, 1)
    found = table(axes)
    cloud, upright = (each for _, each in found.groupby("series"))
    assert same(cloud["x"], x)
    assert same(cloud["y"], y)
    assert same(cloud["value"], value)
    assert same(upright["x"], x[:3])
    assert same(upright["y_high"], [1, 1, 1])


def test_panels_are_numbered_and_named():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    left.plot([1], [2])
    right.set(title="The right\none")
    right.plot([3], [4])
    right.twinx().plot([5], [6])
    right.inset_axes((0.1, 0.1, 0.2, 0.2)).plot([7], [8])
    left.text(0, 9, "words beside data", transform=left.transData)
    left.text(0, 0, "words beside the frame", transform=left.transAxes)
    text = as_csv(figure)
    found = read(text)
    assert found[["panel", "x", "y"]].to_numpy().tolist() == [
        [1, 1, 2],
        [1, 0, 9],
        [2, 3, 4],
        [3, 7, 8],
        [4, 5, 6],
    ]
    assert found["label"].tolist()[1] == "words beside data"
    assert "# panel 2, The right one: x: without a label" in text


def test_an_axis_without_a_label_has_that_of_its_column_or_figure():
    figure = Figure()
    top, bottom = figure.subplots(2, 1, sharex=True)
    top.plot([1], [2])
    bottom.plot([1], [2])
    bottom.set_xlabel("depth")
    figure.supylabel("norm")
    assert "# panel 1: x: depth; y: norm\n# panel 2: x: depth; y: norm\n" in as_csv(figure)


def test_a_table_that_is_too_long_is_thinned_and_says_so(axes):
    axes.plot(np.arange(1000), np.arange(1000))
    axes.plot([1, 2], [3, 4])
    text = as_csv(axes.figure, most=400)
    assert text.startswith("# thinned: one row in 3 of each series; the figure has 1002 rows\n")
    assert table(axes, most=400)["x"].tolist() == [*range(0, 1000, 3), 1]
    assert "thinned" not in as_csv(axes.figure, most=1002)
    with pytest.raises(ArgumentError, match="most"):
        as_csv(axes.figure, most=0)


def test_an_svg_is_the_same_again_and_names_no_other_host(axes):
    axes.plot([1, 2], [3, 4], label="$x^2$")
    axes.fill_between([1, 2], 0, 1)
    axes.legend()
    text = as_svg(axes.figure)
    assert text == as_svg(axes.figure)
    root = ET.fromstring(text)
    assert root.tag.endswith("}svg")
    spaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # names, which nothing asks for
    assert set(re.findall(r"https?://[^\"<\s]*", text)) <= spaces
    assert not re.search(r"<text\b|font-family|DOCTYPE|<metadata", text), "letters are outlines"


@pytest.mark.parametrize(("ground", "opaque"), [("none", False), ("white", True)])
def test_an_svg_has_the_ground_of_its_figure(ground, opaque):
    figure = Figure(facecolor=ground)
    figure.add_subplot(facecolor="none").plot([1, 2], [3, 4])
    first = ET.fromstring(as_svg(figure)).find(".//*[@id='patch_1']/*")
    assert (first is not None and "fill: #ffffff" in first.get("style")) == opaque


def test_a_cloud_becomes_a_picture_in_the_svg_and_stays_whole_in_the_data(axes):
    x = rng.standard_normal(MANY_POINTS + 1)
    few = axes.scatter(x[:-1], x[:-1])
    assert "<image" not in as_svg(axes.figure)
    few.remove()
    cloud = axes.scatter(x, x)
    text = as_svg(axes.figure)
    assert 'xlink:href="data:image/png' in text
    assert len(text) < 1e6
    assert not cloud.get_rasterized(), "the figure is as it was"
    assert same(table(axes)["x"], x)


def test_a_kernel_with_the_extension_adds_both_files_to_figures_alone(axes, monkeypatch, capsys):
    shell = InteractiveShell()
    plain, _ = shell.display_formatter.format(axes.figure)
    assert downloads.KIND not in plain
    downloads.load_ipython_extension(shell)
    axes.plot([1, 2], [3, 4])
    shown, _ = shell.display_formatter.format(axes.figure)
    assert shown[downloads.KIND] == {"svg": as_svg(axes.figure), "csv": as_csv(axes.figure)}
    assert downloads.KIND not in shell.display_formatter.format({"a": 1})[0]
    monkeypatch.setattr(downloads, "files_of", lambda figure: 1 / 0)
    assert downloads.KIND not in shell.display_formatter.format(axes.figure)[0]
    assert "ZeroDivisionError" in "".join(capsys.readouterr())
