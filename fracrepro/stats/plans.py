"""Plans of experiments as data: what will be run, measured and judged, written before it runs."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from fracrepro.arguments import choice, distinct, integer, integers, real
from fracrepro.errors import ArgumentError
from fracrepro.stats.endpoints import Endpoint, check_names, entries, mapping
from fracrepro.stats.looks import looks

__all__ = ["RULES", "ExperimentPlan", "arm", "differing_field"]

#: How all comparisons of an experiment are held together.
RULES = ("holm", "max_t")

_MOST = 1_000_000  # seeds of one range
_RANGE = re.compile(r"\s*(\d+)\s*-\s*(\d+)\s*")


@dataclass(frozen=True)
class ExperimentPlan:
    """What an experiment asks, runs, measures and judges.

    Args:
        question: in one sentence.
        data: name of the data set.
        schemes: as :func:`arm` writes them: ``"kaiming"``, ``"fractional s=1"``.
        networks: the values that each setting of the network takes.
        rates: the learning rates among which is chosen, above 0.
        seeds: ``pilot``, ``main`` and, where the rate is chosen, ``rates``: no seed twice.
        endpoints: at least one.
        level: of all claims together, in (0, 1/2).
        multiplicity: one of :data:`RULES`.
        stopping: ``"all seeds"``, or ``"decided"``: at the first look that leaves no comparison open.
        looks: how many pairs each look sees, growing, the last all.
        rate_choice: how the rate is chosen, in words; ``""`` where there is one.
        settings: the values that other settings of the experiment take.

    Raises:
        ArgumentError: for what does not fit; names the field, and for a power that the seeds do not give, how
            many are needed.
    """

    question: str
    data: str
    schemes: tuple[str, ...]
    networks: tuple[tuple[str, tuple[Any, ...]], ...]
    rates: tuple[float, ...]
    seeds: tuple[tuple[str, tuple[int, ...]], ...]
    endpoints: tuple[Endpoint, ...]
    level: float
    multiplicity: str
    stopping: str
    looks: tuple[int, ...]
    rate_choice: str = ""
    settings: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    def __post_init__(self) -> None:
        """Check every field, and that the promised power is there."""
        for name in ("question", "data", "rate_choice"):
            text = getattr(self, name)
            if not isinstance(text, str) or not (text or name == "rate_choice"):
                raise ArgumentError(f"{name} = {getattr(self, name)!r}: need text")
        for name in ("schemes", "rates", "endpoints"):
            distinct(name, [getattr(each, "name", each) for each in getattr(self, name)])
        for rate in self.rates:
            real("rates", rate, "(0, inf)")
        self._check_seeds()
        real("level", self.level, "(0, 0.5)")
        choice("multiplicity", self.multiplicity, RULES)
        choice("stopping", self.stopping, ("all seeds", "decided"))
        self._check_looks()
        for endpoint in self.endpoints:
            self._check_compared(endpoint)
            self._check_power(endpoint)

    @classmethod
    def from_dict(cls, fields: Any) -> Self:
        """Return the plan that a mapping describes, as a YAML file has it.

        Raises:
            ArgumentError: for a missing or an unknown field, and for what does not fit.
        """
        given = dict(mapping("the plan", fields))
        check_names(given, cls, lacking=("looks",))
        seeds = {
            name: _seeds(f"seeds: {name}", each) for name, each in mapping("seeds", given["seeds"]).items()
        }
        for name in ("pilot", "main"):
            if name not in seeds:
                raise ArgumentError(f"seeds: {name} is missing")
        given |= {"seeds": tuple(seeds.items())}
        given["looks"] = tuple(entries("looks", given.get("looks", [len(seeds["main"])])))
        for name in ("networks", "settings"):
            values = mapping(name, given.get(name, {}))
            given[name] = tuple((key, tuple(entries(f"{name}: {key}", each))) for key, each in values.items())
        given |= {name: tuple(entries(name, given[name])) for name in ("schemes", "rates")}
        described = entries("endpoints", given["endpoints"])
        given["endpoints"] = tuple(Endpoint.from_dict(mapping("endpoints", each)) for each in described)
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """Return plain dictionaries, lists and numbers, ready for JSON and for :meth:`from_dict`."""
        fields = _plain(dataclasses.asdict(self))
        for name in ("networks", "settings", "seeds"):
            fields[name] = dict(fields[name])
        for endpoint in fields["endpoints"]:
            endpoint["where"] = dict(endpoint["where"])
        return fields

    def seeds_of(self, part: str) -> tuple[int, ...]:
        """Return the seeds of ``"pilot"``, ``"rates"`` or ``"main"``; none where there are none."""
        return dict(self.seeds).get(part, ())

    def cells(self, across: str = "") -> list[dict[str, Any]]:
        """Return the combinations of all settings that take several values; one empty one for none.

        Args:
            across: a setting whose values are compared: the schemes take its place, under ``"scheme"``.
        """
        axes = self._axes()
        if across:
            axes = {name: values for name, values in axes.items() if name != across}
            axes["scheme"] = self.schemes
        return [dict(zip(axes, each, strict=True)) for each in itertools.product(*axes.values())]

    def comparisons(self) -> list[tuple[Endpoint, dict[str, Any], Any, Any]]:
        """Return every comparison that is judged: endpoint, cell, and the two schemes or values."""
        return [
            (endpoint, cell, first, second)
            for endpoint in self.endpoints
            for cell in self.cells(endpoint.across)
            for first, second in endpoint.compare
        ]

    def fractions(self) -> list[float]:
        """Return which part of the pairs each look sees."""
        return [count / self.looks[-1] for count in self.looks]

    def level_of_one(self, look: int = -1) -> float:
        """Return the two-sided level of one comparison at a look, by Bonferroni's rule over all of them."""
        return looks(self.fractions(), self.level / len(self.comparisons())).levels[look]

    def _axes(self) -> dict[str, tuple[Any, ...]]:
        """The settings that take several values."""
        return {name: values for name, values in (*self.networks, *self.settings) if len(values) > 1}

    def _check_compared(self, endpoint: Endpoint) -> None:
        """What is compared are schemes, or values of a setting."""
        words, known = f"endpoint {endpoint.name!r}", self.schemes
        if endpoint.across:
            axes = self._axes()
            known = axes[choice(f"{words}: across", endpoint.across, tuple(axes))]
        for each in itertools.chain(*endpoint.compare):
            if each not in known:
                choice(f"{words}: compare", str(each), tuple(map(str, known)))

    def _check_seeds(self) -> None:
        used: dict[int, str] = {}
        for part, seeds in self.seeds:
            choice("seeds", part, ("pilot", "rates", "main"))
            distinct(f"seeds: {part}", list(seeds))
            for seed in seeds:
                if seed in used:
                    raise ArgumentError(f"seeds: {part} = {seed}: is used in {used[seed]} already")
            used |= dict.fromkeys(seeds, part)
        if len(self.rates) > 1 and not (self.rate_choice and self.seeds_of("rates")):
            raise ArgumentError("rate_choice: several rates need one, and seeds of their own in seeds: rates")
        if len(self.rates) == 1 and (self.rate_choice or self.seeds_of("rates")):
            raise ArgumentError("rate_choice: there is one rate only")

    def _check_looks(self) -> None:
        main = len(self.seeds_of("main"))
        counts = integers("looks", list(self.looks), "[2, inf)").tolist()
        if not counts or counts[-1] != main or sorted(set(counts)) != counts:
            raise ArgumentError(f"looks = {counts}: need growing numbers of pairs that end with all {main}")
        if (len(counts) > 1) != (self.stopping == "decided"):
            raise ArgumentError(
                f"looks = {counts}: several need stopping: decided, and one stops for nothing"
            )
        if len(counts) > 1 and self.multiplicity != "holm":
            raise ArgumentError(f"looks = {counts}: several need multiplicity: holm")

    def _check_power(self, endpoint: Endpoint) -> None:
        """A promise that the last look alone does not keep is refused, with the number that would."""
        promise, pairs, level = endpoint.power, self.looks[-1], self.level_of_one()
        words = f"endpoint {endpoint.name!r}: power"
        integer(f"{words}: pairs", promise.pairs, f"[2, {len(self.seeds_of('pilot'))}]")
        found = promise.power(pairs, level)
        if found < promise.wanted:
            enough = next(
                (n for n in range(pairs, 20 * pairs) if promise.power(n, level) >= promise.wanted), 0
            )
            raise ArgumentError(
                f"{words} = {promise.wanted}: {pairs} pairs give {found:.2f} for a difference of "
                f"{promise.difference:g} at the level {level:.2g} of one of {len(self.comparisons())} "
                f"comparisons; need {f'{enough} pairs' if enough else 'many more pairs'}"
            )


def arm(scheme: str, s: float | None = None) -> str:
    """Return how plans name a scheme: with its order where it has one.

    >>> arm("kaiming"), arm("fractional", 1.0), arm("xavier", float("nan"))
    ('kaiming', 'fractional s=1', 'xavier')
    """
    return scheme if s is None or math.isnan(s) else f"{scheme} s={s:g}"


def differing_field(there: Any, here: Any, path: str = "") -> str:
    """Return the name of the first field in which two plans differ, as dictionaries; empty for none.

    >>> differing_field({"level": 0.05, "looks": [2]}, {"level": 0.05, "looks": [3]})
    'looks[0]'
    """
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        pairs = [(f"{path}.{key}".lstrip("."), there.get(key), here.get(key)) for key in {**there, **here}]
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        pairs = [(f"{path}[{k}]", one, other) for k, (one, other) in enumerate(zip(there, here, strict=True))]
    else:
        return "" if there == here else path or "the plan"
    return next(filter(None, (differing_field(one, other, name) for name, one, other in pairs)), "")


def _seeds(name: str, value: Any) -> tuple[int, ...]:
    """Seeds as a list, or as ``"10-19"``."""
    match = _RANGE.fullmatch(value) if isinstance(value, str) else None
    if match:
        first, last = int(match[1][:12]), int(match[2][:12])  # which a larger number leaves too large
        if not 0 <= last - first < _MOST:
            raise ArgumentError(f"{name} = {value!r}: need from 1 to {_MOST:,} seeds, such as '10-19'")
        value = list(range(first, last + 1))
    return tuple(integers(name, entries(name, value), "[0, 2147483648)").tolist())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
