"""Every row of the ledger that rests on a statistical test states its power and checks it."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROWS = yaml.safe_load((ROOT / "book" / "claims.yml").read_text())
ATTEMPTED = [row for row in ROWS if "evidence" in row]

STATISTICAL = re.compile(r"\btests? at\b|\bfalse[- ]alarm\b", re.IGNORECASE)
# Not a power tail, a power law, or a power of depth.
STATED = re.compile(
    r"(?<!to the )\bpower\b(?! tail| law| of depth)|\bfinds?\b(?:(?!\. ).)*\bwith (?:that )?probability",
    re.IGNORECASE,
)
NAMED = re.compile(r"(?:^|_)(power|detectable|reaches)(?:_|$)")

# What a row lacks, and why it may.
NO_DRAW = "no random draw: both routes are exact, so nothing is left to chance"
EXCEPTIONS = {
    "related-meijer-law": ({"value"}, NO_DRAW),
    "log-normality-and-heavy-tails": ({"word", "value"}, NO_DRAW),
    "stable-index-of-normal-noise": (
        {"value"},
        "the power follows from four intervals of 95 % by Bonferroni; no run changes it",
    ),
    "stable-index-tells-normal-noise": (
        {"value"},
        "the power is 0.9 to the power of the number of seeds, which the row checks",
    ),
}


def lacks(row):
    """Which of the two a row of statistics lacks: the words that state its power, the value that shows it."""
    if row["kind"] not in ("distribution", "empirical") and not STATISTICAL.search(row["margin"]):
        return set()
    return {
        what
        for what, there in (("word", bool(STATED.search(row["margin"]))), ("value", checked(row["holds"])))
        if not there
    }


def checked(holds):
    """Whether a condition bounds a power, which is a probability, or is on a detectable difference."""
    for name, condition in holds.items():
        match = NAMED.search(name)
        sign, _, bound = condition.partition(" ")
        if match and (match[1] == "detectable" or (sign == ">=" and 0 < float(bound) < 1)):
            return True
    return False


@pytest.mark.parametrize("row", ATTEMPTED, ids=lambda row: row["id"])
def test_a_row_states_its_power_and_checks_it(row):
    """A stale exception fails too: the row must lack exactly what its exception says."""
    assert lacks(row) == EXCEPTIONS.get(row["id"], (set(), ""))[0]


def test_every_exception_is_a_row_and_has_a_reason():
    known = {row["id"] for row in ATTEMPTED}
    assert EXCEPTIONS.keys() <= known
    assert all(reason for _, reason in EXCEPTIONS.values())


@pytest.mark.parametrize(
    ("margin", "holds", "missing"),
    [
        ("a test at level 0.001, power above 0.9", {"test_power": ">= 0.9"}, set()),
        ("finds a difference of 1.5 points with probability 0.8", {"late_detectable": "<= 1.5"}, set()),
        ("a test at level 0.001. It finds much. That is seen with probability 1", {}, {"word", "value"}),
        ("a power tail, falling like a power of depth", {"power_least_rise": ">= 1.1"}, {"word", "value"}),
        ("false alarm rate 0.001", {"test_power": ">= 0.9"}, {"word"}),
        ("power above 0.9", {"powerful": ">= 0.9"}, {"value"}),
    ],
)
def test_a_row_without_power_would_be_seen(margin, holds, missing):
    assert lacks({"kind": "empirical", "margin": margin, "holds": holds}) == missing
    exact = {"kind": "identity", "margin": margin, "holds": holds}
    assert lacks(exact) == (missing if STATISTICAL.search(margin) else set())
