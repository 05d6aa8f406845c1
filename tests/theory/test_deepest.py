"""Depth 10000: neighbouring lines of integration, whose errors are unrelated, must agree."""

import numpy as np
import pytest

import fracrepro as fr


@pytest.mark.parametrize("width", [64, 10000])
@pytest.mark.parametrize(
    "activation",
    [fr.ReLU(), fr.LeakyReLU(0.1), fr.RReLU(), fr.Dropout(fr.LeakyReLU(0.5), 0.1)],
    ids=repr,
)
def test_the_line_chosen_agrees_with_the_lines_nearest_the_middle(activation, width):
    """Rounding in the transform of one layer is multiplied by the depth; 1e-10 absolute is the promise.

    The line with the smallest |Re s| on each side errs least there; others take over further out.
    """
    law = fr.LogNormLaw(10000, width, activation, 2 / width)
    proper = law._law.proper
    x = law.mean() + np.sqrt(law.var()) * np.linspace(-4, 4, 33)
    left = int(np.where(proper.tilts < 0, proper.tilts, -np.inf).argmax())
    right = int(np.where(proper.tilts > 0, proper.tilts, np.inf).argmin())
    y = x - law._shift
    assert np.abs(law.cdf(x) - proper.integrate(left, y, 1))[x < law.mean()].max() < 1e-10
    assert np.abs(law.sf(x) - proper.integrate(right, y, 1))[x > law.mean()].max() < 1e-10
