"""The ledger: declared claims, and verdicts checked against what was computed."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from fracrepro import files
from fracrepro.arguments import choice
from fracrepro.errors import ArgumentError
from fracrepro.workflow import commitments, notebooks, parameters, records, seals
from fracrepro.workflow.project import Project, read_yaml

ANOTHER_PAPER = "another paper"  # not the one that this book is about
SOURCES = ("abstract", "authors' code", "derived here", ANOTHER_PAPER)
KINDS = ("identity", "limit", "inequality", "distribution", "empirical")
VERDICTS = (
    "exact",
    "reproduced",
    "reproduced with deviation",
    "needs a condition",
    "not reproduced",
    "not derivable here",
    "not attempted",
)
_WITHOUT_EVIDENCE = VERDICTS[-2:]
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_BEGIN, _END = "<!-- claims -->", "<!-- end of claims -->"
_CONDITION = re.compile(r"(?:is (?P<truth>true|false)|(?P<sign><=|>=|==|<|>) *(?P<bound>[-+.\deE]+))")


@dataclass(frozen=True)
class Claim:
    """One sentence to be judged, and the conditions on reported values under which its verdict stands."""

    id: str
    says: str
    source: str
    kind: str
    margin: str
    verdict: str
    evidence: str = ""
    holds: Mapping[str, str] = field(default_factory=dict)
    section: str = ""  # of the page: a label, or the anchor that a heading gets
    paper: str = ""  # key in references.bib of the paper that makes the claim, if it is another one

    def __post_init__(self) -> None:
        """Check every field; a judged claim needs evidence and readable conditions."""
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name != "holds" and not isinstance(value, str):
                raise ArgumentError(f"claim {self.id}: {item.name} = {value!r}: need text")
        if not isinstance(self.holds, Mapping):
            raise ArgumentError(f"claim {self.id}: holds = {self.holds!r}: need conditions by name")
        for name, options in (("source", SOURCES), ("kind", KINDS), ("verdict", VERDICTS)):
            if getattr(self, name) not in options:
                raise ArgumentError(
                    f"claim {self.id}: {name} = {getattr(self, name)!r}: need one of {options}"
                )
        if (self.verdict in _WITHOUT_EVIDENCE) != (not self.evidence and not self.holds):
            raise ArgumentError(f"claim {self.id}: need evidence and conditions exactly when it was judged")
        if self.verdict in _WITHOUT_EVIDENCE and not self.margin:
            raise ArgumentError(f"claim {self.id}: need the reason why it was not judged, as its margin")
        if bool(self.paper) != (self.source == ANOTHER_PAPER):
            raise ArgumentError(f"claim {self.id}: need a paper exactly when the source is {ANOTHER_PAPER!r}")
        for name, condition in self.holds.items():
            if not isinstance(name, str) or not _is_condition(condition):
                raise ArgumentError(
                    f"claim {self.id}: {name}: {condition!r} is no condition such as '<= 0.1'"
                )


def _is_condition(condition: Any) -> bool:
    match = _CONDITION.fullmatch(condition) if isinstance(condition, str) else None
    try:
        return match is not None and (match["bound"] is None or math.isfinite(float(match["bound"])))
    except ValueError:  # signs and dots that make no number
        return False


@dataclass(frozen=True)
class Judged:
    """A claim beside the values that its evidence reported, and what is wrong with them, if anything."""

    claim: Claim
    values: dict[str, Any]
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The fields of the claim with its values, ready for JSON; the conditions stand beside the values."""
        content = asdict(self.claim) | {"values": self.values, "problem": self.problem}
        return content | {"holds": dict(self.claim.holds)}


def load(path: Path) -> list[Claim]:
    """Read the declared claims.

    Raises:
        ArgumentError: for a malformed claim, and for an id that comes twice; names the file.
    """
    claims = [_claim(entry, path) for entry in _entries(path)]
    ids = [claim.id for claim in claims]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise ArgumentError(f"{path}: {', '.join(twice)} is declared twice")
    return claims


def _entries(path: Path) -> list[Any]:
    entries = read_yaml(path)
    if not isinstance(entries, list):
        raise ArgumentError(f"{path}: need a list of claims")
    return entries


def _claim(entry: Any, path: Path) -> Claim:
    """One claim, after a check that it has the fields it needs and no others."""
    known = {item.name: item.default is MISSING and item.default_factory is MISSING for item in fields(Claim)}
    if not isinstance(entry, dict):
        raise ArgumentError(f"{path}: {entry!r}: need a mapping of {', '.join(known)}")
    for name in entry:
        choice(f"{path}: field of a claim", name, tuple(known))
    for name, needed in known.items():
        if needed and name not in entry:
            raise ArgumentError(f"{path}: claim {entry.get('id', '?')}: {name} is missing")
    try:
        return Claim(**entry)
    except ArgumentError as error:
        raise ArgumentError(f"{path}: {error}") from None


def judge(project: Project, profile: str, folder: Path | None = None) -> list[Judged]:
    """Join the declared claims with the records in `folder` (default: the book's executed notebooks).

    A claim has a problem when it has no evidence, when the evidence is older than what it depends on or was
    edited, when a recorded experiment that it reads was edited or is not of its plan, or when a reported
    value contradicts a condition of its verdict.
    """
    folder = folder or project.executed
    claims = load(project.root / "book" / "claims.yml")
    names = {claim.evidence for claim in claims if claim.evidence}
    troubles = {name: _trouble(project, name, profile, folder) for name in names}
    return [_judge_one(claim, folder, troubles) for claim in claims]


def _trouble(project: Project, name: str, profile: str, folder: Path) -> str:
    """What makes the evidence of a page worthless, whatever it says; "" for nothing."""
    trouble = notebooks.plan(project, name, profile).problem(folder)
    page = parameters.parse_notebook(files.read_text(project.notebook_path(name)), name)
    reads = page["metadata"].get("fracrepro", {}).get("recorded", [])
    edited = (records.edited(project.recorded, experiment) for experiment in reads)
    planned = (commitments.trouble(project, experiment) for experiment in reads)
    return "; ".join(filter(None, (*edited, *planned, trouble)))


def _judge_one(claim: Claim, folder: Path, troubles: Mapping[str, str]) -> Judged:
    if not claim.evidence:
        return Judged(claim, {})
    reported = seals.edited_page(folder, claim.evidence)[0].get("values", {})
    values = {name: reported[name] for name in claim.holds if name in reported}
    trouble = troubles[claim.evidence]
    return Judged(claim, values, trouble or "; ".join(_contradictions(claim, reported)))


def _contradictions(claim: Claim, reported: Mapping[str, Any]) -> Iterator[str]:
    for name, condition in claim.holds.items():
        if name not in reported:
            yield f"no evidence: {claim.evidence} reports no {name}"
        elif not holds(reported[name], condition):
            yield f"{name} = {reported[name]!r} contradicts {condition!r}"


def holds(value: Any, condition: str) -> bool:
    """Whether a reported value meets a condition: a comparison with a number, ``is true`` or ``is false``.

    Raises:
        ArgumentError: for a condition of another form.
    """
    match = _CONDITION.fullmatch(condition)
    if match is None:
        raise ArgumentError(f"condition = {condition!r}: need '<= 0.1', 'is true' or the like")
    if match["truth"]:
        return value is (match["truth"] == "true")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return _COMPARISONS[match["sign"]](value, float(match["bound"]))


def as_text(judged: Sequence[Judged]) -> str:
    """The ledger for a terminal: one line for each claim, and one more for each problem."""
    width = max((len(entry.claim.id) for entry in judged), default=0)
    lines = []
    for entry in judged:
        mark = "!" if entry.problem else " "
        lines.append(f"{mark} {entry.claim.id:<{width}}  {entry.claim.verdict:<25}  {entry.claim.source}")
        if entry.problem:
            lines.append(f"    {entry.problem}")
    return "\n".join(lines)


def update_readme(project: Project) -> None:
    """Rewrite the table between the two markers of the README from the declared claims of the abstract.

    Raises:
        ArgumentError: when the README has no such markers, or a claim is malformed.
        OSError: when it cannot be written; it then stays as it was.
    """
    rewrite_between(project.root / "README.md", _BEGIN, _END, readme_table(project))


def rewrite_between(path: Path, begin: str, end: str, text: str) -> None:
    """Put `text` between the lines `begin` and `end` of a file.

    Raises:
        ArgumentError: when the file lacks one of the lines.
        OSError: when it cannot be written; it then stays as it was.
    """
    before, begun, rest = files.read_text(path).partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise ArgumentError(f"{path}: need the lines {begin} and {end} around what is generated")
    files.write_text(path, f"{before}{begin}\n{text}\n{end}{after}")


def readme_table(project: Project) -> str:
    """The short table: each sentence of the abstract with its verdict; numbers belong to a run."""
    claims = [claim for claim in load(project.root / "book" / "claims.yml") if claim.source == "abstract"]
    rows = [f"| {claim.says} | **{claim.verdict}** |" for claim in claims]
    return "\n".join(["| the abstract says | verdict |", "|---|---|", *rows])
