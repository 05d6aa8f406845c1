"""A plan that is like another one but for its seeds, as the experiments for a GPU have."""

from pathlib import Path

import pytest
import yaml

from fracrepro.errors import ArgumentError
from fracrepro.nn.experiments import EXPERIMENTS
from fracrepro.workflow import plans
from fracrepro.workflow.project import read_yaml

PLANS = Path(__file__).resolve().parents[2] / "plans"
LIKE = [path.stem for path in sorted(PLANS.glob("*.yml")) if "like" in read_yaml(path)]


@pytest.mark.parametrize("name", LIKE)
def test_only_the_seeds_differ_and_they_are_ten_times_as_many(name):
    other = read_yaml(PLANS / f"{name}.yml")["like"]
    new, old = (plans.load(PLANS / f"{each}.yml", EXPERIMENTS[each]) for each in (name, other))
    differing = {field for field, value in new.to_dict().items() if old.to_dict()[field] != value}
    assert differing == {"seeds", "looks"}  # all of them at once
    assert len(new.seeds_of("main")) == 10 * len(old.seeds_of("main"))
    used = {seed for part in ("pilot", "rates", "main") for seed in old.seeds_of(part)}
    assert not used & set(new.seeds_of("main"))
    assert new.looks == (len(new.seeds_of("main")),)


@pytest.mark.parametrize("name", LIKE)
def test_the_experiments_are_one_but_for_name_seeds_and_device(name):
    other = read_yaml(PLANS / f"{name}.yml")["like"]
    full, small = EXPERIMENTS[name], EXPERIMENTS[other]
    assert full.to_dict()["needs"] == "cuda"
    assert full.replace(name=other, seeds=small.base.seeds, needs=None) == small
    assert type(full).from_dict(full.to_dict()) == full
    with pytest.raises(ArgumentError, match=f"device = 'cpu': {name} is what a device of type 'cuda'"):
        full.pieces("cpu")


def refused(folder, fields, there=None):
    """The message about a plan for orders_cuda beside the plan that it is like."""
    whole = read_yaml(PLANS / "orders.yml") if there is None else there
    (folder / "orders.yml").write_text(yaml.safe_dump(whole))
    path = folder / "orders_cuda.yml"
    path.write_text(yaml.safe_dump(fields))
    with pytest.raises(ArgumentError) as caught:
        plans.load(path, EXPERIMENTS["orders_cuda"])
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


SEEDS = {"pilot": "0-7", "rates": "100-105", "main": "1000-1799"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"like": "orders", "seeds": SEEDS, "level": 0.1}, "level: a plan that is like another has only"),
        ({"like": "none", "seeds": SEEDS}, "like = 'none': need the name of a plan beside this one"),
        ({"like": "../plans/orders", "seeds": SEEDS}, "need the name of a plan beside this one"),
        ({"like": 3, "seeds": SEEDS}, "like = 3: need the name of a plan"),
        ({"like": "orders_cuda", "seeds": SEEDS}, "need a plan that is whole"),
        ({"like": "orders"}, "seeds is missing"),
        ({"like": "orders", "seeds": SEEDS | {"main": "0-799"}}, "seed"),
        ({"like": "orders", "seeds": SEEDS | {"main": "1000-1798"}}, "seeds: main"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, fields, message):
    assert message in refused(tmp_path, fields)


def test_the_other_plan_must_be_one(tmp_path):
    assert "need a plan that is whole" in refused(tmp_path, {"like": "orders", "seeds": SEEDS}, there=[1])
