"""The page 19_schemes_compared: what it reports, and what it refuses."""

import math
from pathlib import Path

import pytest

from fracrepro.workflow import notebooks
from fracrepro.workflow.project import Project

PROJECT = Project(Path(__file__).resolve().parents[2])
NAME = "19_schemes_compared"


def run(tmp_path, **overrides):
    [outcome] = notebooks.run(PROJECT, [NAME], profile="quick", overrides=overrides, output=tmp_path)
    assert outcome.error == ""
    return outcome.record["values"]


def test_the_page_finds_what_it_claims(tmp_path):
    values = run(tmp_path, width="8")
    assert values["deviation"] < 1e-12
    # E R of the rectifier at width 8 from its binomial mixture of chi laws, with math.lgamma.
    moment = sum(
        math.comb(8, n) / 2**8 * math.sqrt(2) * math.exp(math.lgamma((n + 1) / 2) - math.lgamma(n / 2))
        for n in range(1, 9)
    )
    assert values["control"] == pytest.approx(math.sqrt(2 / 8) * moment, rel=1e-12)


def test_the_control_is_no_control_at_order_two(tmp_path):
    assert run(tmp_path, s="2")["control"] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("wrong", [{"s": "0"}, {"width": "0"}, {"activation": "tanh"}])
def test_a_value_out_of_range_is_refused(wrong, tmp_path):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        run(tmp_path, **wrong)
