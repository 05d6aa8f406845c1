"""Plans: what is read, what is refused before any training, and that promises are checked."""

import json

import pytest
import yaml

from fracrepro.stats import plans
from fracrepro.stats.endpoints import Promise
from fracrepro.stats.pilots import difference_power


def test_a_plan_survives_yaml_and_json(fields):
    plan = plans.ExperimentPlan.from_dict(yaml.safe_load(yaml.safe_dump(fields())))
    assert plan.seeds_of("pilot") == tuple(range(10))
    assert plan.looks == (30,)
    assert plan.cells() == [{"depth": 2}, {"depth": 4}]
    assert len(plan.comparisons()) == 3 * 2
    again = plans.ExperimentPlan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert again == plan
    assert plans.differing_field(again.to_dict(), plan.to_dict()) == ""


def test_the_first_field_that_differs_is_named(fields):
    one = plans.ExperimentPlan.from_dict(fields()).to_dict()
    for changes, name in (
        ({"level": 0.01}, "level"),
        ({"question": "Another?"}, "question"),
        ({"endpoint": {"margin": 0.04}}, "endpoints[0].margin"),
        ({"networks": {"depth": [2, 8], "width": [8]}}, "networks.depth[1]"),
        ({"seeds": {"pilot": "0-9", "main": "200-229"}}, "seeds.main[0]"),
    ):
        other = plans.ExperimentPlan.from_dict(fields(**changes)).to_dict()
        assert plans.differing_field(one, other) == name


def test_the_promise_is_kept_at_the_level_of_one_comparison(fields):
    plan = plans.ExperimentPlan.from_dict(fields())
    assert plan.level_of_one() == pytest.approx(0.05 / 6, rel=1e-9)
    promise = Promise(difference=1.0, wanted=0.8, pairs=200, deviation=1.0)
    # With many pairs in the pilot its bound comes near to the deviation itself.
    assert promise.power(20, 0.05) == pytest.approx(difference_power(20, 1.0), abs=0.05)
    assert promise.power(20, 0.05) < difference_power(20, 1.0)


def test_looks_are_paid_for(fields):
    looks = fields(looks=[10, 20, 30], stopping="decided")
    plan = plans.ExperimentPlan.from_dict(looks)
    assert plan.fractions() == pytest.approx([1 / 3, 2 / 3, 1.0])
    levels = [plan.level_of_one(k) for k in range(3)]
    assert levels == sorted(levels)
    assert levels[-1] < 0.05 / 6


@pytest.mark.parametrize(
    "name",
    [
        "question",
        "data",
        "schemes",
        "networks",
        "rates",
        "seeds",
        "endpoints",
        "level",
        "multiplicity",
        "stopping",
    ],
)
def test_a_missing_field_is_named(fields, name):
    with pytest.raises(ValueError, match=f"^{name} is missing$"):
        plans.ExperimentPlan.from_dict(fields(**{name: None}))


@pytest.mark.parametrize(
    "name", ["name", "measure", "figure", "better", "margin", "failed", "compare", "power"]
)
def test_a_missing_field_of_an_endpoint_is_named(fields, name):
    with pytest.raises(ValueError, match=rf"^endpoint (None|'accuracy'): .*\b{name}\b"):
        plans.ExperimentPlan.from_dict(fields(endpoint={name: None}))


SEEDS = {"pilot": "0-9", "main": "100-129"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levle": 0.05}, "field = 'levle'.* did you mean 'level'"),
        ({"question": ""}, "question = ''"),
        ({"level": 0.5}, r"level = 0\.5"),
        ({"level": "0.05"}, "level = '0.05'"),
        ({"schemes": []}, r"schemes = \[\]: need a list"),
        ({"schemes": "kaiming"}, "schemes = 'kaiming': need a list"),
        ({"schemes": ["kaiming", "kaiming"]}, "schemes = 'kaiming' twice"),
        ({"schemes": ["kaiming", "xavier"]}, "compare = 'fractional s=1': need one of"),
        ({"rates": [0.0]}, "rates = 0.0"),
        ({"rates": [0.01, 0.1]}, "rate_choice: several rates need one"),
        ({"rate_choice": "lowest loss"}, "rate_choice: there is one rate only"),
        ({"seeds": SEEDS | {"pilot": "0-100"}}, "seeds: main = 100: is used in pilot already"),
        ({"seeds": SEEDS | {"main": [1, *range(100, 129)]}}, "seeds: main = 1: is used in pilot already"),
        ({"seeds": SEEDS | {"mian": "1-2"}}, "seeds = 'mian'"),
        ({"seeds": {"main": "1-2"}}, "seeds: pilot is missing"),
        ({"seeds": SEEDS | {"main": [100, 100]}}, "seeds: main = 100 twice"),
        ({"seeds": SEEDS | {"main": "129-100"}}, "seeds: main = '129-100'"),
        ({"seeds": SEEDS | {"main": [1.5]}}, r"seeds: main = \[1\.5\]: need an integer"),
        ({"seeds": "0-9"}, "seeds = '0-9': need a mapping"),
        ({"multiplicity": "none"}, "multiplicity = 'none'"),
        ({"stopping": "decided"}, "several need stopping: decided, and one stops for nothing"),
        ({"looks": [10, 30]}, "several need stopping: decided"),
        ({"looks": [10, 20], "stopping": "decided"}, "need growing numbers of pairs that end with all 30"),
        (
            {"looks": [10, 30], "stopping": "decided", "multiplicity": "max_t"},
            "several need multiplicity: holm",
        ),
        ({"endpoint": {"margin": 0}}, "endpoint 'accuracy': margin = 0"),
        ({"endpoint": {"margin": -0.1}}, "endpoint 'accuracy': margin"),
        ({"endpoint": {"measure": "ned"}}, "endpoint 'accuracy': measure = 'ned'.*did you mean 'end'"),
        ({"endpoint": {"better": "more"}}, "endpoint 'accuracy': better"),
        ({"endpoint": {"goal": 0.5}}, "goal: the measure 'end' has none"),
        ({"endpoint": {"measure": "mean"}}, "epochs: the measure 'mean' needs one"),
        ({"endpoint": {"measure": "mean", "epochs": [5, 2]}}, "epochs: the last = 2"),
        ({"endpoint": {"measure": "mean", "epochs": 3}}, "epochs = 3: need two"),
        ({"endpoint": {"compare": []}}, r"compare = \[\]"),
        ({"endpoint": {"compare": [["kaiming"]]}}, "need two entries"),
        ({"endpoint": {"compare": [["kaiming", "kaiming"]]}}, "need two names of schemes"),
        ({"endpoint": {"compare": [["kaiming", 3]]}}, "need two names of schemes"),
        ({"endpoint": {"power": {"difference": 1}}}, "power: wanted is missing"),
        (
            {"endpoint": {"power": {"difference": 1, "wanted": 0.8, "pairs": 9}}},
            "power: need|deviation is missing",
        ),
        ({"endpoints": ["accuracy"]}, "endpoints = 'accuracy': need a mapping"),
        ({"networks": [2]}, r"networks = \[2\]: need a mapping"),
        ({"networks": {"depth": 2}}, "networks: depth = 2: need a list"),
    ],
)
def test_a_bad_plan_is_one_line(fields, changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        plans.ExperimentPlan.from_dict(fields(**changes))
    assert "\n" not in str(caught.value)


def promise(**changes):
    power = {"difference": 0.05, "deviation": 0.03, "pairs": 10, "wanted": 0.8}
    return {"endpoint": {"power": power | changes}}


def test_an_endpoint_twice_is_refused(fields):
    changed = fields()
    changed["endpoints"] *= 2
    with pytest.raises(ValueError, match="endpoints = 'accuracy' twice"):
        plans.ExperimentPlan.from_dict(changed)


def test_a_promise_that_the_seeds_do_not_keep_says_how_many_would(fields):
    with pytest.raises(
        ValueError, match=r"30 pairs give 0\.\d\d for a difference of 0.02 .* need (\d+) pairs"
    ) as caught:
        plans.ExperimentPlan.from_dict(fields(**promise(difference=0.02)))
    enough = int(str(caught.value).split("need ")[1].split()[0])
    more = {"pilot": "0-9", "main": list(range(100, 100 + enough))}
    plans.ExperimentPlan.from_dict(fields(**promise(difference=0.02), seeds=more))
    with pytest.raises(ValueError, match=f"need {enough} pairs"):  # control: one pair fewer is refused
        plans.ExperimentPlan.from_dict(
            fields(**promise(difference=0.02), seeds=more | {"main": more["main"][:-1]})
        )
    with pytest.raises(ValueError, match="many more pairs"):
        plans.ExperimentPlan.from_dict(fields(**promise(difference=1e-6)))
    with pytest.raises(ValueError, match="power: pairs = 11"):  # the pilot had ten seeds
        plans.ExperimentPlan.from_dict(fields(**promise(pairs=11)))
