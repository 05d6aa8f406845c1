"""The tables of two benchmarks, for the pages "What growth costs" and "Initialize a model"."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fracrepro import files
from fracrepro.figures.numbers import is_words, number
from fracrepro.workflow import scaling
from fracrepro.workflow.engine import duration
from fracrepro.workflow.project import Project

LENGTHS = (0.01, 0.1, 1.0)  # seconds of a short item
PIECES = (1.0, 10.0, 100.0, 300.0)  # seconds of a task; a training comes back every 300
FLEET = 1000  # workers
FACTOR = 100  # times the present work
GOAL = 0.9  # efficiency of two workers at tasks above a second
ALLOWED = 1.1  # times torch's own initialization
_JOINT = "\N{NO-BREAK SPACE}"
_KINDS = {"monte_carlo": "Monte Carlo", "training": "training", "notebooks": "notebooks"}
_BACKENDS = {"this process": "this process", "processes": "two processes", "cluster": "two Dask workers"}


def overhead(record: Mapping[str, Any]) -> str:
    """Return the table of empty tasks, and how their cost changes with their number."""
    head = ("where", "tasks", "wall", "driver", "workers", "scheduler", "memory")
    rows = []
    for name in _BACKENDS:
        for row in (row for row in record["empty"] if row["backend"] == name):
            times = [_micro(row.get(key)) for key in ("seconds", "driver", "workers", "scheduler")]
            rows.append(
                [
                    _BACKENDS[name],
                    number(row["tasks"], "d"),
                    *times,
                    f"{number(row['bytes'], '.0f')}{_JOINT}B",
                ]
            )
    changes = []
    for name in _BACKENDS:
        first, *_, last = (row for row in record["empty"] if row["backend"] == name)
        ratio = number(last["seconds"] / first["seconds"], ".2f")
        grown = f"{number(last['tasks'] / first['tasks'], '.0f')} times as many tasks"
        changes.append(f"{grown} take {ratio} times as long each in {_BACKENDS[name]}")
    return markdown(head, rows) + f"\nGrowth: {'; '.join(changes)}.\n"


def chunks(record: Mapping[str, Any]) -> str:
    """Return how many items a task needs to have, by the length of an item."""
    head = ("where", "overhead of a worker", *(f"items of {_seconds(length)}" for length in LENGTHS))
    rows = []
    for name, words in _BACKENDS.items():
        cost = scaling.per_worker(scaling.last_of(record, name))
        rows.append([words, _micro(cost), *(number(scaling.chunk(each, cost), "d") for each in LENGTHS)])
    return markdown(head, rows)


def kinds(record: Mapping[str, Any]) -> str:
    """Return how two workers do against one, and which kinds of work reach the goal."""
    head = ["work", "a task", "start of two workers", "strong, all in", "strong, after the start"]
    head += ["weak, all in", "weak, after the start"]
    rows: list[list[str]] = []
    reached: list[str] = []
    missed: list[str] = []
    for entry in record["scaling"]:
        found = scaling.efficiencies(entry["runs"])
        shares = [number(found[key], ".2f") for key in ("strong", "strong_after", "weak", "weak_after")]
        words = _KINDS[entry["kind"]]
        rows.append([words, *(f"{number(found[key], '.1f')}{_JOINT}s" for key in ("task", "start")), *shares])
        after = min(found["strong_after"], found["weak_after"])
        (reached if after >= GOAL else missed).append(words)
    verdict = f"The goal was an efficiency of at least {GOAL:g} after the start, for tasks above one second"
    verdict += "".join(
        f"; {word} by {_listed(names)}" for word, names in (("reached", reached), ("missed", missed)) if names
    )
    return markdown(head, rows) + f"\n{verdict}.\n"


def drivers(record: Mapping[str, Any]) -> str:
    """Return the number of workers at which the driver is the limit, and what a thousand would do."""
    head = ["a task", "limit, processes", "limit, cluster", f"of {FLEET} workers on a cluster"]
    head.append(f"tasks joined so that {FLEET} are")
    cost = {name: scaling.last_of(record, name)["seconds"] for name in ("processes", "cluster")}
    rows = []
    for seconds in PIECES:
        limits = [number(math.floor(scaling.limit(seconds, each)), "d") for each in cost.values()]
        ideal = FLEET / (seconds + cost["cluster"])
        busy = scaling.throughput(FLEET, seconds, cost["cluster"]) / ideal
        joined = max(1, math.ceil((FLEET - 1) * cost["cluster"] / seconds))
        rows.append([_seconds(seconds), *limits, number(busy, ".0%"), number(joined, "d")])
    return markdown(head, rows)


def costs(project: Project) -> str:
    """Return what each record cost, in hours of a core, the most expensive first, with its page."""
    found, reader = scaling.core_seconds(project), _readers(project)
    pages = {name: cost for name, cost in found.items() if name[:2].isdigit()}
    rows = [
        [f"{{doc}}`executed/{reader[name]}`" if name in reader else "", f"`{name}`", _hours(cost)]
        for name, cost in _descending(found)
        if name not in pages
    ]
    rows.append([f"{len(pages)} pages of theory at full scale", "", _hours(sum(pages.values()))])
    rows.append(["**together**", "", f"**{_hours(sum(found.values()))}**"])
    return markdown(("page", "record", "hours of a core"), rows)


def _readers(project: Project) -> dict[str, str]:
    """The page of each record: the first one that reads it."""
    found: dict[str, str] = {}
    for name in project.notebook_names():
        metadata = files.read_json(project.notebook_path(name))["metadata"]
        for record in metadata.get("fracrepro", {}).get("recorded", []):
            found.setdefault(record, name)
    return found


def hundredfold(project: Project, record: Mapping[str, Any]) -> str:
    """Return what a hundred times the present records would cost, and what that asks of the driver."""
    total = FACTOR * sum(scaling.core_seconds(project).values())
    row, piece = scaling.last_of(record, "cluster"), PIECES[-1]
    tasks = math.ceil(total / piece)
    busy, memory = tasks * row["seconds"], tasks * max(row["bytes"], 0.0)
    rows = [
        ["work", f"{_hours(total)} hours of a core"],
        ["on two cores", f"{number(total / 2 / 86400, '.1f')} days"],
        [f"on {FLEET} workers", duration(scaling.makespan(tasks, FLEET, piece, row["seconds"]))],
        [f"tasks of {_seconds(piece)}", number(tasks, "d")],
        ["the driver is busy for", duration(busy)],
        ["the driver's memory grows by", f"{number(memory / 2**20, '.0f')} MiB"],
    ]
    return markdown((f"{FACTOR} times the present records", "cost"), rows)


def large(record: Mapping[str, Any]) -> str:
    """Return the ratios to torch's own initialization: a row a call, columns for each precision."""
    by_call: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in record["rows"]:
        beside = row["beside"].replace(", ", "`, `")
        name = f"`{row['call'].replace('init.', '').replace(', ', '`, `')}` beside `{beside}`"
        by_call.setdefault(name, {})[row["dtype"]] = row
    kinds = list(dict.fromkeys(row["dtype"] for row in record["rows"]))
    head = ("call", *(f"ratio, {kind}" for kind in kinds), "memory, MiB")
    rows = []
    for name, found in by_call.items():
        extra = " / ".join(_extra(found.get(kind)) for kind in kinds).replace(" ", _JOINT)
        rows.append([name, *(_ratio(found.get(kind)) for kind in kinds), extra])
    worst = max(row["ratio"] for row in record["rows"])
    said = f"{number(record['entries'], '.0e')} entries, {record['rounds']} rounds in turns, one thread"
    said += f"; the largest median is {number(worst, '.2f')}"
    said += f", {'at most' if worst <= ALLOWED else 'above'} the {ALLOWED:g} allowed.\n"
    said += "Ratios of processor times are medians, with the least and the largest in brackets.\n"
    said += f"Memory is what a call takes beside the tensor, for {' / '.join(kinds)}.\n\n"
    return said + markdown(head, rows)


def _ratio(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return number(None)
    spread = f"({number(row['low'], '.2f')} to {number(row['high'], '.2f')})"
    return f"{number(row['ratio'], '.2f')} {spread.replace(' ', _JOINT)}"


def _extra(row: Mapping[str, Any] | None) -> str:
    return number(None if row is None else max(row["extra_bytes"], 0) / 2**20, ".0f")


def write(project: Project) -> None:
    """Write what the pages include, where the project has them; a record that is absent is said to be.

    Raises:
        ArgumentError: for a damaged or edited record; names it.
    """
    folder = project.root / "book" / "_generated"
    if (project.root / "book" / "scaling.md").is_file():
        record = scaling.read(project, "scaling")
        parts = {each.__name__: each(record) for each in (overhead, chunks, kinds, drivers)}
        parts |= {"machine": scaling.provenance_line(record), "costs": costs(project)}
        parts["hundredfold"] = hundredfold(project, record)
        for name, text in parts.items():
            files.write_text(folder / f"scaling_{name}.md", text)
    if (project.root / "book" / "initialize.md").is_file():
        record = scaling.read(project, "large")
        files.write_text(folder / "large.md", f"{scaling.provenance_line(record)}\n{large(record)}")


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as Markdown has it; numbers stand on the right, as in a notebook's table."""
    rows = list(rows)
    words = [any(is_words(cell.strip("`*")) for cell in column) for column in zip(*rows, strict=True)]
    sides = ["---" if left else "---:" for left in words] or ["---"] * len(head)
    lines = ["| " + " | ".join(row) + " |" for row in (head, sides, *rows)]
    return "\n".join(lines) + "\n"


def _micro(seconds: float | None) -> str:
    return number(None) if seconds is None else f"{number(1e6 * seconds, '.3g')}{_JOINT}µs"


def _seconds(seconds: float) -> str:
    return (
        f"{number(1000 * seconds, '.3g')}{_JOINT}ms" if seconds < 1 else f"{number(seconds, '.3g')}{_JOINT}s"
    )


def _hours(seconds: float) -> str:
    return number(seconds / 3600, ".2f" if seconds < 36000 else ".0f")


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _descending(costs: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(costs.items(), key=lambda item: -item[1])
