"""Endpoints of planned experiments: one number per run, its margin, and the power that is promised for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from fracrepro.arguments import choice, distinct, integer, integers, real
from fracrepro.errors import ArgumentError
from fracrepro.stats.pilots import Pilot
from fracrepro.stats.shares import share_power

__all__ = ["MEASURES", "Endpoint", "Promise"]

#: How an endpoint makes one number of a run: the figure at the end, its mean over some epochs, the first
#: epoch at which it reaches the goal, and whether it has reached the goal at the end.
MEASURES = ("end", "mean", "epochs to", "share")


@dataclass(frozen=True)
class Promise:
    """The power that an endpoint has, and the pilot that says so.

    Args:
        difference: the true difference that is to be found, above 0.
        wanted: with which power, in (0, 1).
        pairs: of the pilot, at least 2.
        deviation: of its paired differences, above 0; None for a share.
        share: the smaller share that is expected, in [0, 1); None for other measures.
    """

    difference: float
    wanted: float
    pairs: int
    deviation: float | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        real("power: difference", self.difference, "(0, inf)")
        real("power: wanted", self.wanted, "(0, 1)")
        integer("power: pairs", self.pairs, "[2, inf)")
        if self.deviation is not None:
            real("power: deviation", self.deviation, "(0, inf)")
        if self.share is not None:
            real("power: share", self.share, "[0, 1)")
            real("power: difference", self.difference, f"(0, {1 - self.share:g}]")

    def power(self, pairs: int, level: float) -> float:
        """Return the power for a number of pairs.

        It is that of Student's test at the upper bound of the pilot's deviation, also for epochs, and for a
        share that of McNemar's test of independent runs.

        Args:
            pairs: of the experiment.
            level: of one comparison, two-sided.
        """
        if self.share is not None:
            return share_power(pairs, min(1.0, self.share + self.difference), self.share, level=level)
        if self.deviation is None:
            raise ArgumentError("power: deviation is missing")
        return Pilot(self.pairs, self.deviation).power(pairs, self.difference, level=level)


@dataclass(frozen=True)
class Endpoint:
    """One number per run, and what is said of its difference between two schemes.

    Args:
        name: in words.
        measure: one of :data:`MEASURES`.
        figure: the column of the results that is measured.
        better: ``"higher"`` or ``"lower"``: which values of the figure are good.
        margin: the smallest difference that matters, above 0, in the unit of the measure: that of the figure,
            epochs, or a share of the runs.
        compare: pairs of schemes, as the plan's `schemes` has them; with `across` of that setting's values.
        power: what is promised.
        goal: of the figure; for ``"epochs to"`` and ``"share"`` only.
        failed: the number that a run counts with that diverged or never reaches the goal, which then is more
            than all epochs; for ``"share"`` None.
        epochs: the first and the last that ``"mean"`` takes; for it only.
        where: values that columns of the results must have, such as ``{"stage": "end"}``.
        across: a setting whose values are compared, for each scheme by itself; ``""`` compares schemes.

    Raises:
        ArgumentError: for a value that does not fit; names the field.
    """

    name: str
    measure: str
    figure: str
    better: str
    margin: float
    compare: tuple[tuple[Any, Any], ...]
    power: Promise
    goal: float | None = None
    failed: float | None = None
    epochs: tuple[int, int] | None = None
    where: tuple[tuple[str, Any], ...] = ()
    across: str = ""

    def __post_init__(self) -> None:
        """Check every field, and that each measure has what it needs and nothing else."""
        choice("measure", self.measure, MEASURES)
        choice("better", self.better, ("higher", "lower"))
        real("margin", self.margin, "(0, 1)" if self.measure == "share" else "(0, inf)")
        distinct("compare", [frozenset(pair) for pair in self.compare])
        self._needs("goal", self.measure in ("epochs to", "share"))
        self._needs("failed", self.measure != "share")
        self._needs("epochs", self.measure == "mean")
        if (self.power.share is None) == (self.measure == "share"):
            need = "share" if self.measure == "share" else "deviation"
            raise ArgumentError(f"power: need the pilot's {need} for the measure {self.measure!r}")
        if self.power.deviation is None and self.measure != "share":
            raise ArgumentError("power: deviation is missing")
        for name in ("goal", "failed"):
            if getattr(self, name) is not None:
                real(name, getattr(self, name), "(-inf, inf)")
        if self.epochs is not None:
            first, last = integers("epochs", list(self.epochs), "[1, inf)").tolist()
            integer("epochs: the last", last, f"[{first}, inf)")

    def _needs(self, field: str, needed: bool) -> None:
        if needed == (getattr(self, field) is None):
            raise ArgumentError(
                f"{field}: the measure {self.measure!r} {'needs one' if needed else 'has none'}"
            )

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the endpoint that a mapping describes; ArgumentError names the endpoint and the field."""
        name = fields.get("name")
        try:
            check_names(fields, cls)
            across = fields.get("across", "")
            if not all(isinstance(text, str) for text in (name, fields["figure"], across)):
                raise ArgumentError("name, figure and across: need text")
            promise = mapping("power", fields["power"])
            check_names(promise, Promise, "power: ")
            compare = _pairs(fields["compare"], "values" if across else "names of schemes")
            given = dict(fields) | {"power": Promise(**promise), "compare": compare}
            given["where"] = tuple(mapping("where", fields.get("where", {})).items())
            if given.get("epochs") is not None:
                first, last = _two("epochs", given["epochs"])
                given["epochs"] = (first, last)
            return cls(**given)
        except ArgumentError as error:
            raise ArgumentError(f"endpoint {name!r}: {error}") from None


def check_names(given: Mapping[str, Any], kind: type, words: str = "", lacking: Sequence[str] = ()) -> None:
    """Refuse unknown names, and say which is missing of those that have no default."""
    fields = dataclasses.fields(kind)
    for name in given:
        choice(f"{words}field", name, tuple(field.name for field in fields))
    for field in fields:
        optional = field.default is not dataclasses.MISSING or field.name in lacking
        if field.name not in given and not optional:
            raise ArgumentError(f"{words}{field.name} is missing")


def mapping(name: str, value: Any) -> dict[str, Any]:
    """Return a mapping from names as a dictionary; ArgumentError for anything else."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ArgumentError(f"{name} = {value!r}: need a mapping from names to values")
    return dict(value)


def entries(name: str, value: Any) -> list[Any]:
    """Return a list that is not empty; ArgumentError for anything else."""
    if not isinstance(value, (list, tuple)) or not value:
        raise ArgumentError(f"{name} = {value!r}: need a list with at least one entry")
    return list(value)


def _two(name: str, value: Any) -> tuple[Any, Any]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ArgumentError(f"{name} = {value!r}: need two entries")
    return value[0], value[1]


def _pairs(value: Any, kind: str) -> tuple[tuple[Any, Any], ...]:
    found = tuple(_two("compare", pair) for pair in entries("compare", value))
    types = (str, int, float) if kind == "values" else (str,)
    for first, second in found:
        if first == second or not all(isinstance(each, types) for each in (first, second)):
            raise ArgumentError(f"compare = {[first, second]}: need two {kind}")
    return found
