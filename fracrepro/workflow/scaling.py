r"""What growth costs: a model of one driver and many workers, and the tables of the page that measures it.

One driver hands out tasks, one at a time, and each costs it the same short while; a worker that has finished
waits for its turn.  The measured numbers come from `recorded/scaling.json`, which `benchmarks/scaling.py`
writes, and the costs of the present experiments from their own records.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fracrepro import files
from fracrepro.arguments import integer, real
from fracrepro.errors import ArgumentError
from fracrepro.workflow import seals
from fracrepro.workflow.project import Project

SHARE = 0.01  # of a worker's time that the engine may take


def throughput(workers: int, seconds: float, overhead: float) -> float:
    r"""Return the tasks a second that a driver and its workers finish in the long run.

    .. math:: \min\Bigl(\frac{W}{T + o}, \frac{1}{o}\Bigr)

    Args:
        workers: W, at least 1.
        seconds: T, that a worker needs for a task.
        overhead: o, that a task keeps the driver busy.

    Raises:
        ArgumentError: for values out of range.

    >>> throughput(4, 1.0, 0.25), throughput(9, 1.0, 0.25)
    (3.2, 4.0)
    """
    _check(workers, seconds, overhead)
    return min(workers / (seconds + overhead), 1 / overhead)


def limit(seconds: float, overhead: float) -> float:
    """Return the number of workers from which on the driver is the limit: 1 + T/o.

    >>> limit(1.0, 0.25)
    5.0
    """
    _check(1, seconds, overhead)
    return 1 + seconds / overhead


def makespan(tasks: int, workers: int, seconds: float, overhead: float) -> float:
    r"""Return when the last of N equal tasks is finished, exactly.

    Below the limit task k starts in round :math:`\lfloor k/W \rfloor`, in the driver's turn
    :math:`k \bmod W`; above it the driver never rests, and the last task is given at time N·o.

    Args:
        tasks: N, at least 1.
        workers: W, at least 1.
        seconds: T, that a worker needs for a task.
        overhead: o, that a task keeps the driver busy.

    Raises:
        ArgumentError: for values out of range.

    >>> makespan(4, 2, 1.0, 0.25), makespan(40, 20, 1.0, 0.25)
    (2.75, 11.0)
    """
    integer("tasks", tasks, "[1, inf)")
    _check(workers, seconds, overhead)
    if workers >= limit(seconds, overhead):
        return tasks * overhead + seconds
    rounds, turn = divmod(tasks - 1, workers)
    return rounds * (seconds + overhead) + (turn + 1) * overhead + seconds


def chunk(seconds: float, overhead: float, share: float = SHARE) -> int:
    """Return the least number of items a task at which the overhead takes at most this share of the time.

    >>> chunk(0.01, 0.001), chunk(10.0, 0.001)
    (10, 1)
    """
    _check(1, seconds, overhead)
    share = real("share", share, "(0, 1)")
    return max(1, math.ceil(round(overhead * (1 - share) / (share * seconds), 9)))


def _check(workers: int, seconds: float, overhead: float) -> None:
    integer("workers", workers, "[1, inf)")
    real("seconds", seconds, "(0, inf)")
    real("overhead", overhead, "(0, inf)")


def read(project: Project, name: str) -> dict[str, Any]:
    """Return the record of a benchmark, `recorded/NAME.json`.

    Raises:
        ArgumentError: for a file that is no such record, or was edited; names it.
    """
    path = project.recorded / f"{name}.json"
    record = files.read_json(path)
    if not isinstance(record, dict) or record.get("benchmark") != name:
        raise ArgumentError(f"{path}: no record of the benchmark {name}; run benchmarks/{name}.py")
    if not seals.is_intact(record):
        raise ArgumentError(f"{path}: it was edited, and is not what its own digest says")
    return record


def provenance_line(record: Mapping[str, Any]) -> str:
    """Say when, where and with what a benchmark ran, and whether it was a trial only."""
    machine, versions = record["device"], record["versions"]
    software = ", ".join(f"{name} {versions[name]}" for name in ("python", "numpy", "torch"))
    line = f"Measured on {machine['cores']} {machine['machine']} cores on {record['started'][:10]}, "
    return line + f"with {software}, at commit `{record['commit'][:10]}`.\n" + trial_line(record)


def trial_line(record: Mapping[str, Any]) -> str:
    """Say of a record of a trial that it is one; nothing of others."""
    if not record["trial"]:
        return ""
    line = "**This was a trial** with small sizes: it shows the form of the tables, "
    return line + "and its numbers mean nothing.\n"


def efficiencies(runs: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    r"""Return how well two workers do against one, as medians over the rounds, and the seconds of a task.

    All in, strong efficiency is :math:`T_1(2m)/(2\,T_2(2m))` and weak efficiency :math:`T_1(m)/T_2(2m)`.
    After the start they compare the tasks a second from the W-th result on, by when W workers have started:
    that leaves out what it costs once to start them.

    Args:
        runs: of one kind of work: one worker with m and 2m tasks and two workers with 2m, in each round.

    Returns:
        Medians by name: task, start, strong, weak, strong_after, weak_after.
    """
    rounds: dict[int, list[Mapping[str, Any]]] = {}
    for run in runs:
        rounds.setdefault(run["round"], []).append(run)
    found: dict[str, list[float]] = {}
    for each in rounds.values():
        few, many, both = sorted(each, key=lambda run: (run["workers"], run["tasks"]))
        values = {
            "task": few["task"],
            "start": both["start"],
            "strong": many["times"][-1] / (2 * both["times"][-1]),
            "weak": few["times"][-1] / both["times"][-1],
            "strong_after": _rate(both) / (2 * _rate(many)),
            "weak_after": _rate(both) / (2 * _rate(few)),
        }
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    return {name: statistics.median(each) for name, each in found.items()}


def _rate(run: Mapping[str, Any]) -> float:
    """Tasks a second after as many results as there are workers; NaN where there are no more."""
    times, workers = run["times"], run["workers"]
    more = len(times) - workers
    return more / (times[-1] - times[workers - 1]) if more > 0 else math.nan


def last_of(record: Mapping[str, Any], backend: str) -> dict[str, Any]:
    """Return the row with most empty tasks of a backend."""
    return max((row for row in record["empty"] if row["backend"] == backend), key=lambda row: row["tasks"])


def per_worker(row: Mapping[str, Any], workers: int = 2) -> float:
    """Return the seconds that an empty task keeps a worker from the next one."""
    return row["seconds"] * (1 if row["backend"] == "this process" else workers)


def core_seconds(project: Project) -> dict[str, float]:
    """Return what each record cost, in seconds of a core.

    A training held all cores of its machine, a page one.
    A training that was resumed has a wall time of its last part only; the seconds of its table count if they
    are more.
    """
    found = {}
    for path in sorted([*project.recorded.glob("*.json"), *(project.recorded / "full_scale").glob("*.json")]):
        record = files.read_json(path)
        if "experiment" in record:
            booked = record["wall_seconds"] * record["device"]["cores"]
            found[path.stem] = max(booked, _tabled(path.with_suffix(".csv")) if record["resumed"] else 0.0)
        elif "notebook" in record:
            found[path.stem] = record["seconds"]
    return found


def _tabled(path: Path) -> float:
    """The seconds in a table, each run once where its rows repeat them."""
    import pandas as pd

    table = pd.read_csv(path)
    if "seconds" not in table:
        return 0.0
    if "stage" in table:
        table = table.drop_duplicates([*table.columns[: table.columns.get_loc("stage")], "seconds"])
    return float(table["seconds"].sum())
