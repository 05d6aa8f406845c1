"""Simulated means are drawn where they are, with the stated interval."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from fracrepro.figures.samples import mean_log_points, mean_points

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


def test_means_of_logarithms_leave_out_what_is_not_above_0():
    """Rows of e^0, e^2 and a 0: mean 1, standard deviation √2; a row with one live value has no point."""
    axes = Figure().subplots()
    samples = np.array([[1.0, np.exp(2.0), 0.0], [0.0, 5.0, 0.0], [np.e, np.e, np.e]])
    mean_log_points(axes, [2, 4, 8], samples)
    [(points, _, [bars])] = axes.containers
    assert points.get_xdata().tolist() == [2, 8]
    assert points.get_ydata() == pytest.approx([1.0, 1.0])
    half = [(segment[1, 1] - segment[0, 1]) / 2 for segment in bars.get_segments()]
    assert half == pytest.approx([1.96, 0.0])
    mean_log_points(axes, [1], np.zeros((1, 3)))  # nobody is alive: nothing to draw
    assert len(axes.containers) == 1
