"""The planned comparisons: their rates are what the rule makes of the recorded searches, at other seeds."""

import math
from pathlib import Path

import pandas as pd
import pytest

from fracrepro.nn.experiments.registry import EXPERIMENTS
from fracrepro.stats.rates import best_rates

ROOT = Path(__file__).parents[3]
PLANNED = ("orders", "contest", "blocks")


@pytest.mark.parametrize("name", PLANNED)
def test_each_arm_trains_at_the_rate_that_the_rule_chooses(name):
    search = pd.read_csv(ROOT / "recorded" / f"{name}_rates.csv")
    comparison = EXPERIMENTS[name]
    chosen = best_rates(search, [comparison.axis], failed=math.log(10))
    rates = {}
    for (cell, arm, s), rate in chosen.items():
        rates[cell, arm, None if math.isnan(s) else s] = rate
    assert {(t.cell, t.arm, t.scheme.order): t.learning_rate for t in comparison.trials} == rates
    assert len(set(rates.values())) > 1  # one rate for all would be another experiment


@pytest.mark.parametrize("name", PLANNED)
def test_the_search_is_the_same_comparison_at_other_seeds(name):
    comparison, search = EXPERIMENTS[name], EXPERIMENTS[f"{name}_rates"]
    grid = tuple(dict.fromkeys(trial.learning_rate for trial in search.trials))
    kept = {"name": search.name, "seeds": search.base.seeds, "epochs": search.base.epochs}
    assert comparison.over_rates(grid, **kept) == search
    assert not set(search.base.seeds) & set(comparison.base.seeds)
