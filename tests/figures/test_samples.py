"""Simulated means are drawn where they are, with the stated interval."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from fracrepro.figures.samples import mean_points

mpl.use("agg")


def drawn(sample, **options):
    """Places, means and half-widths as they stand in the figure."""
    axes = Figure().subplots()
    mean_points(axes, np.arange(sample.shape[1]) / 2, sample, **options)
    [(points, _, [bars])] = axes.containers
    half = [(segment[1, 1] - segment[0, 1]) / 2 for segment in bars.get_segments()]
    return points.get_xdata(), points.get_ydata(), half


def test_means_and_intervals():
    # Columns of 4 values 1 ± 1 and 0 ± 3: standard deviations √(4/3) and √12, intervals 1.96/2 of that.
    sample = np.array([[0.0, -3.0], [2.0, 3.0], [0.0, -3.0], [2.0, 3.0]])
    x, mean, half = drawn(sample)
    assert x.tolist() == [0.0, 0.5]
    assert mean.tolist() == [1.0, 0.0]
    assert half == pytest.approx([0.98 * np.sqrt(4 / 3), 0.98 * np.sqrt(12)])
    x, mean, _ = drawn(sample + np.array([1.0, 0.0]), positive=True)
    assert (x.tolist(), mean.tolist()) == ([0.0], [2.0])


def test_no_more_than_about_the_wanted_number_of_points():
    sample = np.random.default_rng(0).random((5, 101))
    for most, count in ((20, 21), (100, 101), (1000, 101), (7, 8)):
        x, _, _ = drawn(sample, most=most)
        assert len(x) == count
        assert x[0] == 0
