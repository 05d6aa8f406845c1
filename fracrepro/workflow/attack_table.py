"""The table of what attacks by signals and damaged files came to, for the page on many runs.

`make torture` carries them out and writes `recorded/torture.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fracrepro import files
from fracrepro.errors import ArgumentError
from fracrepro.figures.numbers import number
from fracrepro.workflow import seals
from fracrepro.workflow.project import Project
from fracrepro.workflow.scaling_tables import markdown


def as_table(record: Mapping[str, Any]) -> str:
    """Return the counts by attack, a column for each way to end, and when and where they were made.

    >>> counts = {"kill points: sweep": {"right result": 3, "clear error": 1, "lost": 0}}
    >>> record = {"kill_points": 4, "counts": counts, "started": "2026-01-02T03:04:05+00:00"}
    >>> print(as_table(record | {"seed": 7, "machine": {"cores": 2}, "commit": "0123456789ab"}), end="")
    4 kill points, drawn from the seed 7 on 2 cores on 2026-01-02 at commit `0123456789`.
    <BLANKLINE>
    | attack | right result | clear error | lost |
    | --- | ---: | ---: | ---: |
    | sweep | 3 | 1 | 0 |
    """
    counts: Mapping[str, Mapping[str, int]] = record["counts"]
    columns = list(next(iter(counts.values())))
    rows = [
        [label.removeprefix("kill points: "), *(number(row[name], "d") for name in columns)]
        for label, row in counts.items()
    ]
    said = f"{number(record['kill_points'], 'd')} kill points, drawn from the seed {record['seed']} "
    said += f"on {record['machine']['cores']} cores on {record['started'][:10]} "
    said += f"at commit `{record['commit'][:10]}`.\n\n"
    return said + markdown(["attack", *columns], rows)


def write(project: Project) -> None:
    """Write what the page includes, where the project has that page.

    Raises:
        ArgumentError: for a record that is missing, damaged or edited; names it.
    """
    if not (project.root / "book" / "cluster.md").is_file():
        return
    path = project.recorded / "torture.json"
    record = files.read_json(path)
    if not isinstance(record, dict) or not record.get("counts") or not seals.is_intact(record):
        raise ArgumentError(f"{path}: no record of `make torture`, or it was edited")
    files.write_text(project.root / "book" / "_generated" / "attacks.md", as_table(record))
