"""A plan and results of a made-up experiment, for the tests of plans and of verdicts."""

import copy

import numpy as np
import pandas as pd
import pytest

FIELDS = {
    "question": "Does the order change how well the digits are learned?",
    "data": "digits",
    "schemes": ["fractional s=1", "kaiming"],
    "networks": {"depth": [2, 4], "width": [8]},
    "rates": [0.01],
    "seeds": {"pilot": "0-9", "main": list(range(100, 130))},
    "endpoints": [
        {
            "name": "accuracy",
            "measure": "end",
            "figure": "test_accuracy",
            "better": "higher",
            "margin": 0.03,
            "failed": 0.1,
            "compare": [["fractional s=1", "kaiming"]],
            "power": {"difference": 0.05, "deviation": 0.03, "pairs": 10, "wanted": 0.8},
        },
        {
            "name": "epochs to a loss of 1",
            "measure": "epochs to",
            "figure": "train_loss",
            "better": "lower",
            "goal": 1.0,
            "failed": 24,
            "margin": 2.0,
            "compare": [["fractional s=1", "kaiming"]],
            "power": {"difference": 4.0, "deviation": 2.0, "pairs": 10, "wanted": 0.8},
        },
        {
            "name": "share that starts",
            "measure": "share",
            "figure": "test_accuracy",
            "better": "higher",
            "goal": 0.2,
            "margin": 0.2,
            "compare": [["fractional s=1", "kaiming"]],
            "power": {"difference": 0.6, "share": 0.3, "pairs": 10, "wanted": 0.8},
        },
    ],
    "level": 0.05,
    "multiplicity": "holm",
    "stopping": "all seeds",
}


def changed_fields(**changes):
    """The plan with other fields; those of the first endpoint as ``endpoint``, None to leave one out."""
    changed = copy.deepcopy(FIELDS)
    for target, values in ((changed["endpoints"][0], changes.pop("endpoint", {})), (changed, changes)):
        target.update(values)
        for name in [name for name, value in values.items() if value is None]:
            del target[name]
    return changed


def made_results(seed, gain=0.0, pairs=30, epochs=8, spread=0.02, never=0.0, s=1.0):
    """Runs at two depths: the first scheme is better by `gain`, and a part of its runs never learns."""
    rng = np.random.default_rng([29, seed])
    rows = []
    for depth in (2, 4):
        for run in range(100, 100 + pairs):
            shared = rng.normal(0, 0.05)
            for scheme in ("fractional", "kaiming"):
                accuracy = 0.6 + shared + rng.normal(0, spread) + gain * (scheme == "fractional")
                dead = scheme == "fractional" and rng.random() < never
                reached = 4 + int(rng.integers(0, 3))
                for epoch in range(1, epochs + 1):
                    rows.append(
                        {"experiment": "made", "depth": depth, "scheme": scheme}
                        | {"s": s if scheme == "fractional" else np.nan, "seed": run, "epoch": epoch}
                        | {"train_loss": 2.3 if dead or epoch < reached else 0.5, "test_loss": 1.0}
                        | {"test_accuracy": 0.1 if dead else accuracy * epoch / epochs}
                    )
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def fields():
    return changed_fields


@pytest.fixture(scope="session")
def results():
    return made_results
