"""Trials: each is the protocol it says, its name is the arm's, and a plan sees what they have in common."""

import json

import pandas as pd
import pytest

from fracrepro.errors import ArgumentError
from fracrepro.nn import data
from fracrepro.nn.experiments import DIGITS
from fracrepro.nn.experiments.mechanism import MECHANISM, mechanism_trials
from fracrepro.nn.experiments.trials import Trial, Trials
from fracrepro.nn.schemes import make
from fracrepro.nn.training import train
from fracrepro.nn.training.network import Network
from fracrepro.nn.training.trainer import COLUMNS

NETWORK = Network((1, 8, 8), depth=3, width=8)
BASE = DIGITS.replace(name="small", seeds=(4, 7), epochs=1)
SMALL = Trials(
    BASE,
    "depth",
    [
        Trial(3, "plain", NETWORK, make("fractional", s=1.0), 0.02),
        Trial(3, "loud", Network((1, 8, 8), depth=3, width=8, output=3.0), make("kaiming"), 0.05),
        Trial(2, "plain", Network((1, 8, 8), depth=2, width=8), make("fractional", s=1.0), 0.1),
        Trial(3, "beside", NETWORK, make("xavier"), 0.02),
        Trial(3, "again", NETWORK, make("xavier"), 0.02),
    ],
)


@pytest.fixture(scope="module")
def results():
    return SMALL.run(device="cpu", progress=False)


def test_each_trial_trains_as_if_alone(results):
    assert list(results.columns) == ["experiment", "depth", "learning_rate", *COLUMNS[1:]]
    for trial in SMALL.trials:
        protocol = BASE.replace(
            network=trial.network, schemes=(trial.scheme,), learning_rate=trial.learning_rate
        )
        rows = results[(results["depth"] == trial.cell) & (results["scheme"] == trial.arm)]
        assert set(rows["learning_rate"]) == {trial.learning_rate}
        alone = train(protocol, device="cpu", progress=False)
        figures = ["seed", "epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy"]
        pd.testing.assert_frame_equal(rows[figures].reset_index(drop=True), alone[figures])


def test_trials_of_one_network_at_one_rate_train_side_by_side():
    groups = [[trial.arm for trial in group] for group, _ in SMALL.protocols()]
    assert groups == [["plain", "beside"], ["loud"], ["plain"], ["again"]]
    assert len(MECHANISM.protocols()) == 4  # the two starts share everything but their weights


def test_pieces_one_by_one_make_the_same_table(results, tmp_path):
    digits = data.load("digits")
    pieces = SMALL.pieces("cpu")
    assert len({piece.name for piece in pieces}) == len(pieces) == 4 * 2
    for piece in pieces:
        state = piece.advance(digits, None)
        (tmp_path / piece.folder).mkdir(exist_ok=True)
        (tmp_path / piece.folder / state.file).write_bytes(state.content)
    again = SMALL.collect(digits, tmp_path, "cpu")
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), results.drop(columns="seconds"))


def test_a_description_comes_back_and_has_what_plans_compare():
    record = json.loads(json.dumps(SMALL.to_dict()))
    assert Trials.from_dict(record) == SMALL
    assert record["axes"] == {"depth": [3, 2]}
    assert record["schemes"] == [
        {"name": name, "s": 1.0 if name == "plain" else None} for name in ("plain", "loud", "beside", "again")
    ]
    assert sorted(record["learning_rate"].values()) == [0.02, 0.02, 0.02, 0.05, 0.1]
    for changed in ({"axes": {}}, {"schemes": []}, {"trials": []}, {"seeds": None}):
        with pytest.raises(ArgumentError):
            Trials.from_dict(record | changed)


def test_what_the_base_has_of_a_trials_own_settings_means_nothing():
    other = Trials(BASE.replace(learning_rate=0.7, schemes=[make("xavier")]), "depth", SMALL.trials)
    assert other == SMALL
    assert SMALL.replace(seeds=(1, 2)).base.seeds == (1, 2)


def test_a_search_has_every_trial_at_every_rate():
    search = SMALL.over_rates((0.1, 0.2), name="search", seeds=(9,))
    assert [(t.cell, t.arm, t.learning_rate) for t in search.trials] == [
        (t.cell, t.arm, rate) for t in SMALL.trials for rate in (0.1, 0.2)
    ]
    assert (search.name, search.base.seeds) == ("search", (9,))


@pytest.mark.parametrize(
    ("make_it", "words"),
    [
        (lambda: Trials(BASE, "depth", [SMALL.trials[0]] * 2), "trials"),
        (lambda: Trials(BASE, "two words", SMALL.trials), "axis"),
        (lambda: Trials(BASE, "depth", [DIGITS]), "trials"),
        (lambda: Trial(3, "", NETWORK, make("kaiming"), 0.1), "arm"),
        (lambda: Trial(True, "one", NETWORK, make("kaiming"), 0.1), "cell"),
        (
            lambda: Trials(BASE, "depth", [Trial(3, "one", NETWORK, make("kaiming"), -0.1)]),
            "learning_rate",
        ),
        (lambda: SMALL.replace(learning_rate=0.1), "learning_rate"),
        (lambda: SMALL.over_rates((0.1, 0.1)), "rates"),
    ],
)
def test_what_does_not_fit_is_refused(make_it, words):
    with pytest.raises(ArgumentError, match=f"^{words}"):
        make_it()


def test_the_arms_of_the_mechanism_multiply_to_the_difference_of_the_starts():
    first, second, scale, rates, both = MECHANISM.trials
    assert (first.scheme.order, second.scheme.name, scale.scheme, rates.scheme) == (
        1.0, "kaiming", second.scheme, second.scheme,
    )  # fmt: skip
    assert (scale.network.output, rates.network.output) == (both.network.output, 1.0)
    assert rates.network.rates == both.network.rates
    product = 1.0
    for rate in rates.network.rates:
        product *= rate**-0.5
    assert product == pytest.approx(scale.network.output, rel=1e-14)


def test_both_is_the_other_start_but_for_biases():
    """Small biases leave nothing of the difference, and another scale alone leaves much."""
    first, second = make("fractional", s=0.0), make("fractional", s=2.0)
    network = Network((1, 8, 8), depth=6, width=12, readout="linear", start_bias="zero")
    trials = mechanism_trials(network, first, second, 1e-3, "one")
    named = [
        Trial(trial.cell, name, trial.network, trial.scheme, trial.learning_rate)
        for name, trial in zip(("first", "second", "scale", "rates", "both"), trials, strict=True)
    ]
    found = Trials(BASE, "cell", named).run(device="cpu", progress=False)
    loss = found.pivot(index="seed", columns="scheme", values="train_loss")
    near = (loss["both"] - loss["first"]).abs().max()
    far = (loss["second"] - loss["first"]).abs().max()
    # Zero biases at the start take steps that the theorem scales; at this rate they stay small.
    assert near < far / 20
    assert (loss["rates"] - loss["first"]).abs().max() > far / 2
