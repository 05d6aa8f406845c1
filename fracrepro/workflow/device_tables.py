"""The tables of what a GPU does, for the page about it; where nothing was measured, the page says so.

`benchmarks/device.py` and `benchmarks/full_weights.py` measure on a GPU and write the records.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fracrepro import files
from fracrepro.figures.numbers import number
from fracrepro.nn import data
from fracrepro.workflow import scaling
from fracrepro.workflow.project import Project
from fracrepro.workflow.scaling_tables import markdown

PAGE = "gpu.md"
_JOINT = "\N{NO-BREAK SPACE}"
_OURS = "ours, replayed"
_LIMITS = {
    "arithmetic": "the rate of products",
    "memory": "the rate of a copy",
    "launches": "the time of launches",
}


def limits(record: Mapping[str, Any]) -> str:
    """Return what the device can do, in a sentence."""
    found = record["limits"]
    rate = f"{number(found['operations'] / 1e12, '.3g')}{_JOINT}TFLOP/s in products of large matrices"
    moved = f"{number(found['bytes'] / 1e12, '.3g')}{_JOINT}TB/s in a copy, read and written"
    launch = f"{number(1e6 * found['launch'], '.2g')}{_JOINT}µs for a launch in a recording"
    host = f"{number(1e6 * found['launch_by_host'], '.2g')}{_JOINT}µs for one by the host"
    return f"Its limits in the same run: {rate}, all in full float32; {moved}; {launch}, {host}.\n"


def steps(record: Mapping[str, Any]) -> str:
    """Return the steps, a column a lane: ours in milliseconds, others as ratios, and shares of the limits."""
    ways = list(dict.fromkeys(row["way"] for step in record["steps"] for row in step["rows"]))
    head = [
        "a step",
        *(f"{data.label(s['experiment'])}, {number(s['models'], 'd')}" for s in record["steps"]),
    ]
    found = [{row["way"]: row for row in step["rows"]} for step in record["steps"]]
    rows = [
        [f"**{_OURS}**, ms", *(number(1000 * each[_OURS]["seconds"], ".3g") for each in found)],
        *([f"{way}, ratio", *(_ratio(each.get(way)) for each in found)] for way in ways if way != _OURS),
        *(
            [f"share of {words}", *(number(step["shares"][name], ".0%") for step in record["steps"])]
            for name, words in _LIMITS.items()
        ),
    ]
    return markdown(head, rows)


def _ratio(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return number(None)
    return number(row["ratio"], ".2f") if "ratio" in row else "refused"


def epochs(record: Mapping[str, Any]) -> str:
    """Return what an epoch of all models takes, and all epochs of the experiment by that."""
    head = ("experiment", "models", "an epoch, s", "epochs", "together, min", "memory, GiB")
    rows = []
    for row in record["epochs"]:
        together = (row["start"] + row["seconds"] * row["all_epochs"]) / 60
        cells = [data.label(row["experiment"]), number(row["models"], "d"), number(row["seconds"], ".3g")]
        cells += [number(row["all_epochs"], "d"), number(together, ".1f")]
        memory = row["peak_bytes"]
        rows.append([*cells, number(None) if memory is None else number(memory / 2**30, ".1f")])
    return markdown(head, rows)


def full_weights(record: Mapping[str, Any]) -> str:
    """Return the tests of the exact law by networks drawn weight by weight, with their controls."""
    names = list(record["rows"][0]["controls"])
    head = ["layers", "distance", "p-value", *(f"p-value against {name} (power)" for name in names)]
    rows = []
    for row in record["rows"]:
        cells = [number(row["depth"], "d"), number(row["distance"], ".4f"), number(row["p_value"], ".2g")]
        for name in names:
            control = row["controls"][name]
            cells.append(f"{number(control['p_value'], '.2g')} ({number(control['power'], '.3f')})")
        rows.append(cells)
    said = f"{number(record['networks'], 'd')} networks of width {number(record['width'], 'd')}, "
    said += f"{number(record['weights'], '.2g')} weights in {number(record['seconds'] / 60, '.2g')} minutes; "
    rejected = [row for row in record["rows"] if row["rejected"]]
    said += f"the exact law is rejected at {len(rejected)} of {len(record['rows'])} depths "
    return said + f"at the level {number(record['level'])}.\n\n" + markdown(head, rows)


def provenance_line(record: Mapping[str, Any]) -> str:
    """Say when, where and with what a benchmark ran, and whether it was a trial only."""
    line = f"Measured on {record['device']['training']} on {record['started'][:10]} with torch "
    line += f"{record['versions']['torch']}, at commit `{record['commit'][:10]}`.\n"
    return line + scaling.trial_line(record)


def write(project: Project) -> None:
    """Write what the page includes, where the project has that page.

    Raises:
        ArgumentError: for a damaged or edited record; names it.
    """
    if not (project.root / "book" / PAGE).is_file():
        return
    text = {}
    for name, tables in {"device": (limits, steps, epochs), "full_weights": (full_weights,)}.items():
        if (project.recorded / f"{name}.json").is_file():
            record = scaling.read(project, name)
            text[name] = "\n".join([provenance_line(record), *(table(record) for table in tables)])
        else:
            text[name] = f"Nobody has measured this yet: `recorded/{name}.json` is what the command leaves.\n"
    for name, content in text.items():
        files.write_text(project.root / "book" / "_generated" / f"gpu_{name}.md", content)
