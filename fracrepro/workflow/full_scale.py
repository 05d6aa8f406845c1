"""The notebooks at full scale: what was recorded, and whether the ledger's conditions stand there too.

``fracrepro run NAME --profile paper --output-dir recorded/full_scale`` leaves a record, the file NAME.json.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fracrepro import files
from fracrepro.errors import ArgumentError
from fracrepro.workflow import claims, seals
from fracrepro.workflow.project import Project

PROFILE = "paper"


@dataclass(frozen=True)
class FullScale:
    """One notebook's record at full scale, judged by the conditions of the ledger's rows that rest on it.

    Attributes:
        name: the notebook.
        record: what the run left.
        standing: the number of conditions that the recorded values meet.
        problems: the conditions that they do not meet, or that the record has no value for.
    """

    name: str
    record: dict[str, Any]
    standing: int
    problems: tuple[str, ...]


def judged(project: Project) -> list[FullScale]:
    """Return every record of `recorded/full_scale` with its conditions, in the book's order.

    Raises:
        ArgumentError: for a file that is no record of a notebook at this profile, or was edited; names it.
    """
    declared = claims.load(project.root / "book" / "claims.yml")
    return [_judge(path, declared) for path in sorted((project.recorded / "full_scale").glob("*.json"))]


def _judge(path: Path, declared: list[claims.Claim]) -> FullScale:
    try:
        record = files.read_json(path)
        values = record["values"]
        if (record["notebook"], record["profile"]) != (path.stem, PROFILE):
            raise ValueError(f"of {record['notebook']} at profile {record['profile']}")
        if not seals.is_intact(record):
            raise ValueError("it was edited, and is not what its own digest says")
        if not isinstance(values, dict) or not isinstance(record["parameters"], dict):
            raise TypeError("need values and parameters by name")
        if not math.isfinite(record["seconds"]):
            raise ValueError(f"seconds = {record['seconds']}")
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise ArgumentError(f"{path}: no record of {path.stem} at profile {PROFILE}: {error}") from None
    standing, problems = 0, []
    for claim in declared:
        for name, condition in claim.holds.items() if claim.evidence == path.stem else ():
            if name in values and claims.holds(values[name], condition):
                standing += 1
            else:
                problems.append(f"{claim.id}: {name} = {values.get(name, 'missing')!r}, need {condition}")
    return FullScale(path.stem, record, standing, tuple(problems))


def as_table(records: list[FullScale]) -> str:
    """Return the book's table: what each page was run with, how long it took, what stands."""
    lines = ["| page | size | seconds | conditions that stand |", "|---|---|---:|---:|"]
    for entry in records:
        size = _size(entry.record["parameters"])
        stands = f"{entry.standing} of {entry.standing + len(entry.problems)}"
        seconds = f"{entry.record['seconds']:.0f}"
        lines.append(f"| {{doc}}`executed/{entry.name}` | {size} | {seconds} | {stands} |")
    return "\n".join(lines) + "\n"


def _size(parameters: dict[str, Any]) -> str:
    """How much was drawn, or every whole number of a page that draws no networks, in words."""
    sizes = {name: value for name, value in parameters.items() if type(value) is int and name != "seed"}
    if "networks" in sizes:
        return f"{sizes['networks']:,}\u00a0networks"
    return ", ".join(f"{name}\u00a0{value:,}" for name, value in sizes.items()) or "–"


def write(project: Project) -> None:
    """Write the table that the page "Rerun it yourself" includes."""
    files.write_text(project.root / "book" / "_generated" / "full_scale.md", as_table(judged(project)))
