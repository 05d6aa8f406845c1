"""What the pages of the first edition reported at the quick profile is reported still."""

import json
import math
from pathlib import Path

import pytest

FIRST = json.loads((Path(__file__).parents[1] / "reference" / "page_values.json").read_text())["values"]
EXACT = 1e-9
# Means and quantiles of simulated or trained networks: sums of products over matrices, whose order another
# linear algebra library may choose otherwise, grow over depth or steps; the draws themselves are the same.
SIMULATED = 1e-6
ROUNDING = 1e-7  # bound of what is an error near the last digit, and so has no digits of its own
TRAINED = {"09_mnist", "10_cifar10", "11_gradient_tails"}
# Page, name: the relative tolerance, for a quantity that is now computed by a better route.
BETTER = {
    ("04_heavy_tailed_limit", "speed_ratio"): 1e-8,  # measured: 1.2e-9
    ("04_heavy_tailed_limit", "layers_per_decade_16"): 1e-8,  # measured: 7e-10
    ("04_heavy_tailed_limit", "law_index_error"): 1e-7,  # measured: 1e-9, the index's 2e-14 over 2e-5
}
# Errors of rounding: only bounded, by what is above or by ten times the first edition's if that is larger.
ERRORS = ("root_error", "talbot_error", "laplace_error", "mean_error", "variance_error", "index_error")
_GRID = "of the accurate stationary law, no longer of the page's grid with linear interpolation"
_NETWORKS = "from 2500 networks instead of the page's number"
_CARRIERS = "from the root of an interpolated integral, no longer read off a grid"
_NUMBERS = "a number, no longer text made of one"
_SWEEPS = "depth 20 and width 64 are the same runs and count once"
# Page, name: why a value is reported no more, or is another quantity under that name.
RETIRED = {
    **dict.fromkeys(
        [
            ("04_heavy_tailed_limit", name)
            for name in (
                "goldie",
                "plateau",
                "goldie_relative_gap",
                "hill_target",
                "false_alarm",
                "quantile",
                "fresh_share",
                "fresh_distance",
            )
        ],
        _GRID,
    ),
    ("08_backward", "entropy_growth"): _NETWORKS,
    ("08_backward", "entropy_growth_error"): _NETWORKS,
    ("02_moment_preservation", "percent_norm_gain"): _NUMBERS,
    ("03_almost_sure_limit", "dead_here"): _NUMBERS,
    ("04_heavy_tailed_limit", "draws_needed"): _NUMBERS,
    ("08_backward", "published_worst"): _NUMBERS,
    ("08_backward", "published_last"): _NUMBERS,
    ("03_almost_sure_limit", "carrier_share"): _CARRIERS,
    ("03_almost_sure_limit", "carrier_share_deep"): _CARRIERS,
    ("05_log_normality", "normal_moment_deep"): _NUMBERS,
    ("05_log_normality", "shared_summary"): "its numbers are independent_growth and shared_growth",
    ("06_small_outputs", "rate_range"): "as a clause, rate_hedge, that is empty where nothing needs a hedge",
    ("07_dropout", "evaluation_moment"): _NUMBERS,
    ("07_dropout", "draws_needed"): _NUMBERS,
    ("09_mnist", "sweep_comparisons"): _SWEEPS,
    ("09_mnist", "sweep_detectable_least"): _SWEEPS,
    ("09_mnist", "sweep_detectable_most"): _SWEEPS,
}


def differs(page, name, old, new):
    """Why a value is not what it was; empty when it is."""
    if (page, name) in RETIRED:
        return ""
    if new is None:
        return "is gone"
    if isinstance(old, bool | int | str):
        return "" if type(new) is type(old) and new == old else f"{old!r} -> {new!r}"
    if name in ERRORS:
        return "" if abs(new) <= max(ROUNDING, 10 * abs(old)) else f"{new!r} is no rounding"
    tolerance = BETTER.get((page, name), SIMULATED if page in TRAINED else EXACT)
    return "" if math.isclose(new, old, rel_tol=tolerance, abs_tol=1e-14) else f"{old!r} -> {new!r}"


@pytest.mark.parametrize("page", FIRST)
def test_every_value_of_the_first_edition_is_there_again(book, page):
    now = book.record(page)["values"]
    found = {name: differs(page, name, old, now.get(name)) for name, old in FIRST[page].items()}
    assert {name: why for name, why in found.items() if why} == {}


def test_every_exception_is_of_a_value_of_the_first_edition():
    known = {(page, name) for page, values in FIRST.items() for name in values}
    assert set(BETTER) | set(RETIRED) <= known
    assert set(ERRORS) <= {name for _, name in known}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("x", 1.0, 1.0 + 2e-9),
        ("x", 1, 2),
        ("x", 1, 1.0),
        ("x", True, 1),
        ("x", "7e16", "8e16"),
        ("x", 1.0, None),
        ("speed_ratio", 1.0, 1.0 + 2e-8),
        ("root_error", 1e-16, 1e-6),
    ],
)
def test_a_change_would_be_seen(name, old, new):
    assert differs("04_heavy_tailed_limit", name, old, new)
    assert not differs("04_heavy_tailed_limit", name, old, old)
