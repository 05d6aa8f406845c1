"""A value that a page does not take stops the run before a kernel starts, for every page and parameter."""

import json
import math
from pathlib import Path

import pytest

from fracrepro.errors import ArgumentError
from fracrepro.workflow import notebooks, parameters
from fracrepro.workflow.project import Project

PROJECT = Project(Path(__file__).resolve().parents[2])
NAMES = PROJECT.notebook_names()
# By hand, so that a range that grows by mistake is seen.
WRONG = {
    "01_variance_preservation": ["width=0", "depth=101", "s=0", "too_small=1", "activation=rrelu", "ratio=1"],
    "02_moment_preservation": ["s=0", "width=0", "activation=tanh", "negative_slope=nan"],
    "03_almost_sure_limit": ["s=0", "s=2.1", "depth=0", "activation=tanh"],
    "04_heavy_tailed_limit": ["s=0.1", "s=2.5", "tail_width=0", "depth=0", "activation=tanh"],
    "05_log_normality": ["s=0", "width=0", "depth=1", "activation=tanh"],
    "06_small_outputs": ["s=0", "threshold=1", "depth=1", "activation=tanh"],
    "07_dropout": ["p=1", "p=-0.1", "s=0", "width=0", "activation=tanh"],
    "08_backward": ["width=0", "depth=1", "s=2.1", "outputs=0", "activation=tanh", "activation=rrelu"],
    "09_mnist": ["runs=0", "gpu=falsch", "schemes=[fractional, orthonormal]", "dataset=imagenet"],
    "10_cifar10": ["dataset=mnist"],
    "13_isometry": ["half=3", "depth=9", "slope=-1", "s=2.1", "compared=[he]", "compared=[]"],
    "11_gradient_tails": ["batch_sizes=[]", "batch_sizes=[0]", "layer=20"],
}


@pytest.fixture(autouse=True)
def no_kernel(monkeypatch):
    monkeypatch.setattr(notebooks, "execute", lambda task: pytest.fail("a kernel was started"))


def refuse(name, key, value):
    with pytest.raises(ArgumentError, match=f"{key} = "):
        notebooks.run(PROJECT, [name], profile="quick", overrides={key: value})


@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name in WRONG for wrong in WRONG[name]])
def test_a_value_out_of_range_is_refused(name, wrong):
    refuse(name, *wrong.split("="))


def outside(parameter):
    """Values that the declared type, range or list leaves out, as text: the nearest ones on both sides."""
    kind = parameter.type.removeprefix("list[").removesuffix("]")
    if parameter.options:
        found = ["no such thing"]
    elif kind == "bool":
        found = ["maybe"]
    else:
        ends = parameter.interval
        if kind == "int":
            beyond = int(ends.low) - ends.closed_low, int(ends.high) + ends.closed_high
        else:
            beyond = (
                math.nextafter(ends.low, -math.inf) if ends.closed_low else ends.low,
                math.nextafter(ends.high, math.inf) if ends.closed_high else ends.high,
            )
        found = [*map(repr, beyond), "nan", "yes", "1.5" if kind == "int" else "1j"]
    return [f"[{value}]" for value in found] + ["[]"] if parameter.type.startswith("list") else found


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_refuses_what_lies_just_outside_its_range(name):
    contract = parameters.declared(json.loads(PROJECT.notebook_path(name).read_text()), name)
    for key, parameter in contract.items():
        for value in outside(parameter):
            refuse(name, key, value)


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_that_the_page_does_not_have_is_refused(name):
    with pytest.raises(ArgumentError, match="depht"):
        notebooks.run(PROJECT, [name], profile="quick", overrides={"depht": "3"})


@pytest.mark.parametrize("name", NAMES)
def test_the_ends_of_a_range_are_taken(name):
    """The control: the values nearest to the refused ones pass the same check."""
    contract = parameters.declared(json.loads(PROJECT.notebook_path(name).read_text()), name)
    for parameter in contract.values():
        ends, is_list = parameter.interval, parameter.type.startswith("list")
        if ends is None:
            continue
        kind = int if "int" in parameter.type else float
        if ends.closed_low and ends.closed_high:
            for end in (kind(ends.low), kind(ends.high)):
                assert parameter.check([end] if is_list else end) == ([end] if is_list else end)
