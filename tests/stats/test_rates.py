"""The rule for rates: the lowest mean, bad runs counted, ties to the smaller, equal seeds demanded."""

import numpy as np
import pandas as pd
import pytest

from fracrepro.errors import ArgumentError
from fracrepro.stats.rates import best_rates, rate_table


def search(losses):
    """Rows of two epochs from {(scheme, s, rate): losses at seeds}."""
    rows = [
        {"scheme": scheme, "s": s, "learning_rate": rate, "seed": seed, "epoch": epoch, "depth": 3}
        | {"train_loss": loss if epoch == 2 else 0.0}
        for (scheme, s, rate), each in losses.items()
        for seed, loss in enumerate(each)
        for epoch in (1, 2)
    ]
    return pd.DataFrame(rows)


def test_the_last_epoch_decides_and_bad_runs_count():
    results = search(
        {
            ("kaiming", np.nan, 0.1): [1.0, 2.0],
            ("kaiming", np.nan, 0.3): [0.1, np.nan],  # mean (0.1 + 2.5)/2
            ("kaiming", np.nan, 1.0): [0.1, 40.0],  # as bad as one that diverged, no worse
            ("fractional", 1.0, 0.1): [1.0, 1.0],
            ("fractional", 1.0, 0.3): [1.0, 1.0],
            ("fractional", 1.0, 1.0): [np.inf, 0.0],
        }
    )
    table = rate_table(results, ["depth"], failed=2.5)
    assert table.loc[(3, "kaiming")].to_numpy().ravel().tolist() == pytest.approx([1.5, 1.3, 1.3])
    chosen = best_rates(results, ["depth"], failed=2.5).reset_index()
    assert dict(zip(chosen["scheme"], chosen[0], strict=True)) == {"kaiming": 0.3, "fractional": 0.1}


def test_other_seeds_are_refused():
    results = search({("kaiming", np.nan, 0.1): [1.0, 2.0], ("kaiming", np.nan, 0.3): [1.0]})
    with pytest.raises(ArgumentError, match="seeds"):
        best_rates(results, failed=2.5)
    with pytest.raises(ArgumentError, match="learning_rate"):
        best_rates(results.drop(columns="learning_rate"), failed=2.5)
