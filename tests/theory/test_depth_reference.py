"""The law at depth 2 to 20 against convolutions in extended precision (tests/reference/make_depth.py).

The promise is 1e-10 absolute and, in the lower tail to 1e-12, 1e-6 relative.
Measured when the test was written: 5e-15 absolute, 2e-11 relative in the lower tail, 1e-8 in the upper one.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

import fracrepro as fr

ROWS = json.loads((Path(__file__).parents[1] / "reference" / "depth.json").read_text(encoding="utf-8"))
MAKERS = {
    "linear": lambda: fr.Linear(),
    "relu": lambda: fr.ReLU(),
    "relu_dropout": lambda p: fr.Dropout(fr.ReLU(), float(p)),
    "leaky": lambda a: fr.LeakyReLU(float(a)),
    "leaky_dropout": lambda a, p: fr.Dropout(fr.LeakyReLU(float(a)), float(p)),
}


def key(row):
    return row["activation"], tuple(row["arguments"]), row["width"], row["depth"]


CASES = [
    pytest.param(name, arguments, width, depth, list(rows), id=f"{name}{list(arguments)}-d{width}-k{depth}")
    for (name, arguments, width, depth), rows in itertools.groupby(ROWS, key)
]


def columns(rows):
    return (np.array([float(row[name]) for row in rows]) for name in ("x", "cdf", "sf", "pdf"))


@pytest.mark.parametrize(("name", "arguments", "width", "depth", "rows"), CASES)
def test_matches_the_convolution(name, arguments, width, depth, rows):
    activation = MAKERS[name](*arguments)
    law = fr.LogNormLaw(depth, width, activation, 1.0)
    x, cdf, sf, pdf = columns(rows)
    assert cdf[0] < 3e-12  # the tail that is promised is there
    assert np.abs(law.cdf(x) - cdf).max() < 1e-12
    assert np.abs(law.cdf(x) / cdf - 1).max() < 1e-8
    assert np.abs(law.sf(x) / sf - 1).max() < 1e-6
    assert np.abs(law.pdf(x) / pdf - 1).max() < 1e-6
    alive = fr.survival_probability(depth, width, activation)
    small = law.small_output_probability(np.exp(x))
    assert np.abs(small / (1 - alive + alive * cdf) - 1).max() < 1e-6


def test_reference_has_power():
    """A variance off by 1e-8 is seen by the absolute check, one off by 1e-5 by the relative one."""
    name, arguments, width, depth, rows = CASES[0].values
    x, cdf, _, _ = columns(rows)
    off = [fr.LogNormLaw(depth, width, MAKERS[name](*arguments), 1 + e).cdf(x) for e in (1e-8, 1e-5)]
    assert np.abs(off[0] - cdf).max() > 1e-10
    assert abs(off[1][0] / cdf[0] - 1) > 1e-6
