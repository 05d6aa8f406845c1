"""Sweeps over a notebook's parameters: every combination is a point, and the table has a row for each.

What a point reported is kept in ``DIR/.NAME.points`` as soon as it is there, under the hash of all that it
depends on, and is never computed again.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fracrepro import files
from fracrepro.arguments import choice, distinct
from fracrepro.errors import ArgumentError
from fracrepro.workflow import notebooks, parameters, sources
from fracrepro.workflow.engine import Engine, duration
from fracrepro.workflow.execution import Outcome
from fracrepro.workflow.notebooks import Run
from fracrepro.workflow.project import Project

TIMING = ("seconds", "started")  # the only columns that differ between two runs of one sweep
_OUTSIDE_BRACKETS = re.compile(r",(?![^\[]*\])")


@dataclass(frozen=True)
class NotebookSweep:
    """A notebook at every combination of some of its parameters' values; the last axis moves fastest.

    Args:
        project: where the notebook is.
        name: of the notebook.
        axes: the values of each parameter that varies, as text (of a command line) or values (of a file).
        profile: a name in `notebooks/profiles.yml`.
        fixed: other parameters in place of the profile's.

    Raises:
        ArgumentError: for whatever the notebook's contract refuses, a value twice, and a parameter that is
            both fixed and varied.
    """

    project: Project
    name: str
    axes: Mapping[str, Sequence[Any]]
    profile: str = notebooks.DEFAULT_PROFILE
    fixed: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Check everything before any work: each point is settled here."""
        source = files.read_text(self.project.notebook_path(self.name))
        contract = parameters.declared(parameters.parse_notebook(source, self.name), self.name)
        if not self.axes:
            raise ArgumentError("sweep = {}: need at least one parameter to vary")
        checked = {}
        for axis, given in self.axes.items():
            parameter = contract[choice("sweep: parameter", axis, tuple(contract))]
            if axis in (self.fixed or {}):
                raise ArgumentError(f"sweep: {axis} is set to one value too; need one of both")
            values = [parameter.parse(v) if isinstance(v, str) else parameter.check(v) for v in given]
            distinct(axis, [tuple(v) if isinstance(v, list) else v for v in values])
            checked[axis] = values
        object.__setattr__(self, "axes", checked)
        assert self.points

    @cached_property
    def points(self) -> list[tuple[str, Run]]:
        """Each point's label and settled run, in the order of the table."""
        digests: dict[str, str] = {}
        found = []
        for values in itertools.product(*self.axes.values()):
            point = dict(zip(self.axes, values, strict=True))
            label = ", ".join(f"{name}={value}" for name, value in point.items())
            overrides = {**(self.fixed or {}), **point}
            found.append((label, notebooks.plan(self.project, self.name, self.profile, overrides, digests)))
        return found


@dataclass(frozen=True)
class Outlook:
    """What a sweep has to do: counts, and the time that it takes by what is known.

    Args:
        sweep: whose.
        finished: points whose results are kept already.
        seconds: that one point takes; NaN where no earlier run tells.
        workers: side by side; 0 where a scheduler decides.
    """

    sweep: NotebookSweep
    finished: int
    seconds: float
    workers: int

    def __str__(self) -> str:
        """One line for people."""
        axes = " × ".join(f"{name}: {len(values)}" for name, values in self.sweep.axes.items())
        total = len(self.sweep.points)
        line = f"{self.sweep.name}: {total} points ({axes}), {self.finished} finished, "
        line += f"{total - self.finished} to compute"
        if total == self.finished:
            return line
        if math.isnan(self.seconds):
            return f"{line}; no earlier run tells how long one takes"
        due = total - self.finished
        rounds = due if not self.workers else math.ceil(due / self.workers)
        side = (
            "on the scheduler's workers, one after the other"
            if not self.workers
            else (f"on {self.workers} worker{'s' * (self.workers > 1)}")
        )
        return f"{line}, about {duration(rounds * self.seconds)} {side} at {self.seconds:.1f} s each"


class Store:
    """The results of a sweep's points in a folder, each under its hash, with a seal.

    Args:
        folder: of the table.
        name: of the notebook.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """Take the hashes of the sources as they are now, for the comparison with those of a point."""
        self.folder = folder / f".{name}.points"
        self.digests = sources.source_digests()

    def read(self, item: Run) -> dict[str, Any] | None:
        """Return the record of a point; None where it is missing, damaged, edited, or of other code."""
        try:
            content = json.loads(self._path(item).read_text())
            record = content["record"]
            whole = content["sha256"] == _seal(record) and record["digest"] == item.digest
            same = sources.unchanged(record["modules"], self.digests)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return record if whole and same else None

    def write(self, item: Run, outcome: Outcome) -> None:
        """Keep what came of a point: its record, or the notebook so far."""
        if outcome.error:
            files.write_text(self.failed(item), outcome.notebook)
            return
        files.write_json(self._path(item), {"sha256": _seal(outcome.record), "record": outcome.record})
        self.failed(item).unlink(missing_ok=True)

    def failed(self, item: Run) -> Path:
        """The file with the notebook of a point that failed, as far as it came."""
        return self._path(item).with_suffix(".failed.ipynb")

    def _path(self, item: Run) -> Path:
        return self.folder / f"{item.digest[:40]}.json"


def _seal(record: Mapping[str, Any]) -> str:
    """The digest of a record's content, however it is laid out."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def outlook(sweep: NotebookSweep, folder: Path, engine: Engine, force: bool = False) -> Outlook:
    """Say what is to do, by what `folder` holds and by the time that earlier points or runs took."""
    store = Store(folder, sweep.name)
    kept = [record for _, item in sweep.points if not force and (record := store.read(item)) is not None]
    times = [record["seconds"] for record in kept] or _earlier(sweep)
    due = len(sweep.points) - len(kept)
    workers = 0 if engine.address else engine.workers(due)
    return Outlook(sweep, len(kept), statistics.median(times) if times else math.nan, workers)


def _earlier(sweep: NotebookSweep) -> list[float]:
    """How long the notebook took for the book, at the same profile."""
    try:
        record = json.loads((sweep.project.executed / f"{sweep.name}.json").read_text())
        return [float(record["seconds"])] if record["profile"] == sweep.profile else []
    except (OSError, ValueError, KeyError, TypeError):
        return []


def run(
    sweep: NotebookSweep, folder: Path, engine: Engine, *, force: bool = False
) -> list[tuple[str, str, Path]]:
    """Compute the points that are not finished and write `folder`/NAME.csv; return what failed.

    A failure stops no other point; the table has the rows of those that succeeded.

    Args:
        sweep: the points.
        folder: of the table, and of what is kept for the next call.
        engine: where they are computed.
        force: whether to compute also what is finished.

    Returns:
        For each failure the parameters, the error, and the file with the notebook so far.

    Raises:
        ArgumentError: when the folder cannot be written; otherwise as `Engine.run`.
        BusyError: when another process computes this sweep there.
    """
    files.writable_folder("output_dir", folder)
    with notebooks.own(folder, sweep.name):
        return _compute(sweep, folder, engine, force)


def _compute(sweep: NotebookSweep, folder: Path, engine: Engine, force: bool) -> list[tuple[str, str, Path]]:
    """Compute what is not finished and write the table; the folder is this process's own meanwhile."""
    store = Store(folder, sweep.name)
    records = [None if force else store.read(item) for _, item in sweep.points]
    due = [place for place, record in enumerate(records) if record is None]
    outcomes = notebooks.execute_all(
        sweep.project,
        [sweep.points[place][1] for place in due],
        engine,
        store.write,
        labels=[sweep.points[place][0] for place in due],
        unit="point",
    )
    failures = []
    for place, outcome in zip(due, outcomes, strict=True):
        label, item = sweep.points[place]
        if outcome.error:
            failures.append((label, outcome.error, store.failed(item)))
        else:
            records[place] = outcome.record
    files.write_text(folder / f"{sweep.name}.csv", table([record for record in records if record]))
    return failures


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the records as CSV: parameters, reported values, `seconds`, `started`.

    A value that a point did not report is empty.
    One that has the name of a parameter, or of the two columns of timing, is called ``reported_NAME``.
    """
    taken = [*dict.fromkeys(name for record in records for name in record["parameters"]), *TIMING]
    reported = list(dict.fromkeys(name for record in records for name in record["values"]))
    columns = {name: f"reported_{name}" if name in taken else name for name in reported}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    settings = taken[: -len(TIMING)]
    writer.writerow([*settings, *columns.values(), *TIMING])
    for record in records:
        cells = [record["parameters"].get(name) for name in settings]
        cells += [record["values"].get(name, "") for name in reported]
        writer.writerow([*map(_cell, cells), record["seconds"], record["started"]])
    return text.getvalue()


def draw(sweep: NotebookSweep, folder: Path) -> Path | None:
    """Draw the reported numbers of the table in `folder` as NAME.svg beside it, and return that file.

    None, and no file, where no number changes from point to point.
    """
    import pandas as pd

    from fracrepro.figures.sweep import changing, save_sweep_figure

    rows = pd.read_csv(folder / f"{sweep.name}.csv", keep_default_na=False, na_values=[""])
    settings = set(sweep.points[0][1].parameters)
    reported = changing(rows, [name for name in rows if name not in settings and name not in TIMING])
    path = folder / f"{sweep.name}.svg"
    path.unlink(missing_ok=True)  # of an earlier table
    if not reported:
        return None
    save_sweep_figure(path, rows, list(sweep.axes), reported)
    return path


def _cell(value: Any) -> Any:
    """Lists as JSON; numbers by the csv module, which writes every digit."""
    return json.dumps(value) if isinstance(value, list) else value


def parse_axes(pairs: Sequence[str]) -> dict[str, list[str]]:
    """Return the axes that ``NAME=v1,v2,…`` on a command line mean; commas inside brackets belong to a list.

    Raises:
        ArgumentError: for another form, and for a name twice.

    >>> parse_axes(["s=0.5,1", "orders=[1,2],[3]"])
    {'s': ['0.5', '1'], 'orders': ['[1,2]', '[3]']}
    """
    axes: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, values = pair.partition("=")
        if not equals or not name or not values.strip():
            raise ArgumentError(f"sweep = {pair!r}: need NAME=v1,v2,…")
        if name in axes:
            raise ArgumentError(f"sweep = {pair!r}: {name} is varied twice; need one list of values")
        axes[name.strip()] = [value.strip() for value in _OUTSIDE_BRACKETS.split(values)]
    return axes
