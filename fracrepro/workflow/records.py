"""Experiments with a record: a tidy CSV, and a JSON file that says where it comes from."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fracrepro import _moved, files
from fracrepro.errors import ArgumentError
from fracrepro.workflow import commitments, plans, provenance, seals

if TYPE_CHECKING:
    import pandas as pd

    from fracrepro.nn.data.base import Dataset
    from fracrepro.nn.experiments.base import Experiment
    from fracrepro.workflow.commitments import Committed
    from fracrepro.workflow.engine import Engine

_COUNTED = ("s", "seed", "epoch", "seconds")  # columns of numbers, where there are such


def run(
    experiment: Experiment,
    folder: Path,
    *,
    device: str = "auto",
    interval: float = 300.0,
    progress: bool | None = None,
    engine: Engine | None = None,
    planned: Committed | None = None,
) -> pd.DataFrame:
    """Carry out an experiment and write `folder`/NAME.csv and NAME.json; continue an interrupted call.

    Checkpoints stand in `folder`/.NAME.checkpoints until both files are written, beside a file that says when
    the earliest piece began, and under which plan.

    Args:
        experiment: what to do.
        folder: where the record goes.
        device: as in `fracrepro.nn.experiments.base.Experiment.run`, as are `interval` and `progress`.
        engine: where its pieces are done; None keeps all in this process.
        planned: the plan that it is done under, by :func:`.commitments.committed`; None for none.

    Returns:
        The results.

    Raises:
        ArgumentError: when the folder holds the record of other settings or of another plan, or a training
            that began under another plan, and as that method, which also raises DataError, CheckpointError
            and OSError.
        BusyError: when another process records this experiment there.
    """
    from fracrepro.nn import data

    name = experiment.name
    with files.lock(folder / f".{name}.lock", f"out = {str(folder)!r}: recording of {name!r}"):
        _check_replaceable(folder / f"{name}.json", experiment, planned)
        images = data.load(experiment.dataset)
        return _record(experiment, folder, images, device, interval, progress, engine, planned)


def _record(
    experiment: Experiment,
    folder: Path,
    images: Dataset,
    device: str,
    interval: float,
    progress: bool | None,
    engine: Engine | None,
    planned: Committed | None,
) -> pd.DataFrame:
    """Carry out the experiment and write its two files; the folder is this process's own meanwhile."""
    name = experiment.name
    checkpoints = folder / f".{name}.checkpoints"
    # The facts of now: a long training may outlive an edit of the code.
    commit, package = provenance.commit(), provenance.package_digest()
    clock, resumed = time.perf_counter(), checkpoints.is_dir()

    def train(part: Experiment, place: Path) -> pd.DataFrame:
        from fracrepro.nn.training.checkpoints import forget_parameters

        if engine is None:
            found = part.run(images, device=device, checkpoint=place, interval=interval, progress=progress)
        else:
            from fracrepro.workflow import training_tasks  # a bare machine trains without it

            found = training_tasks.run(part, images, place, engine, device=device, interval=interval)
        if part != experiment:  # later parts may take days
            forget_parameters(place)
        return found

    with _begun(checkpoints, planned) as start:
        results, trained = plans.train(experiment, planned.plan if planned else None, checkpoints, train)
    text = results.to_csv(index=False, lineterminator="\n")
    record = {
        "experiment": name,
        "protocol": trained.to_dict(),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "data_digest": images.digest,
        "versions": provenance.versions(),
        "device": provenance.device() | {"training": _device_name(device, engine)},
        "commit": commit,
        "package_digest": package,
        "started": start["started"],
        "wall_seconds": round(time.perf_counter() - clock, 1),
        "resumed": resumed,
    }
    if planned:
        record["plan"] = start["plan"]
    files.write_text(folder / f"{name}.csv", text)
    files.write_json(folder / f"{name}.json", seals.seal(record))
    shutil.rmtree(checkpoints, ignore_errors=True)
    return results


@contextlib.contextmanager
def _begun(checkpoints: Path, planned: Committed | None) -> Iterator[dict[str, Any]]:
    """Say when the training began, and under which plan; one that left no checkpoint has not begun."""
    path = checkpoints / "start.json"
    now = {"started": datetime.now(UTC).isoformat(timespec="seconds")}
    if path.is_file():
        start = files.read_json(path)
        try:
            commitments.plan_of(path, start)
        except ArgumentError as error:
            raise ArgumentError(f"{error}; delete {checkpoints}, and begin again") from None
        if "plan" not in start:  # null says that there was none
            raise ArgumentError(f"{path}: is damaged; delete {checkpoints}, and begin again")
        start = {name: start[name] for name in ("started", "plan")}
    else:
        old = any(checkpoints.rglob("*.ckpt"))  # of a version that wrote no such file, and knew no plans
        start = now | {"plan": planned.to_dict() if planned and not old else None}
    commitments.check_same(start["plan"], planned, f"the training in {checkpoints}")
    checkpoints.mkdir(parents=True, exist_ok=True)
    files.write_json(path, start)
    try:
        yield start
    finally:
        if not any(checkpoints.rglob("*.ckpt")):
            shutil.rmtree(checkpoints, ignore_errors=True)


def _check_replaceable(record: Path, experiment: Experiment, planned: Committed | None) -> None:
    """Refuse to replace a record of other settings: what was recorded is not lost by a changed option."""
    if not record.is_file():
        return
    try:
        facts = _facts(record)
    except ArgumentError:  # no record that anybody could use
        return
    commitments.check_same(
        facts.get("plan"), planned, f"out = {str(record.parent)!r}: the record of {experiment.name!r}"
    )
    there, here = facts["protocol"], _described(experiment, facts)
    for field in sorted({*there, *here}):
        if there.get(field) != here.get(field):
            raise ArgumentError(
                f"out = {str(record.parent)!r}: holds a record of {experiment.name!r} of other {field}; "
                "need another folder, or delete it"
            )


def load_record(folder: Path, experiment: Experiment) -> pd.DataFrame:
    """Return a recorded experiment's results, after checking that they are what they say.

    Args:
        folder: where the record is.
        experiment: what it must be of.

    Raises:
        ArgumentError: when a file is missing, when the CSV is not the one of the record, or when it is of
            another experiment; the message says which field differs.
    """
    name = experiment.name
    for path in _pair(folder, name):
        if not path.is_file():
            raise ArgumentError(f"{path.name}: no such record; make it with `fracrepro train {name}`")
    trouble = edited(folder, name)
    if trouble:
        raise ArgumentError(trouble)
    table, record = _pair(folder, name)
    facts = _facts(record)
    protocol = facts["protocol"]
    for field, value in _described(experiment, facts).items():
        if protocol.get(field) != value:
            there = protocol.get(field)
            raise ArgumentError(f"{record.name}: {field} is {there!r} there and {value!r} in the protocol")
    return _numbers(table, experiment)


def _numbers(table: Path, experiment: Experiment) -> pd.DataFrame:
    """The table in a file; ArgumentError where it is none, or has words among its figures."""
    import pandas as pd

    try:
        with open(table, encoding="utf-8", newline="") as file:
            header, *rows = filter(None, csv.reader(file))  # ValueError for an empty file
        results = pd.read_csv(table)
    except (csv.Error, ValueError) as error:  # the second also of pandas, and for bytes that are no text
        raise ArgumentError(f"{table}: no table in CSV: {error}") from None
    if any(len(row) != len(header) for row in rows) or len(set(header)) < len(header):
        # pandas would fill a row, take what is too long for names of the rows, and rename a column.
        raise ArgumentError(f"{table}: no table in CSV: need rows as long as the header, whose names differ")
    missing = [name for name in ("experiment", "scheme", *experiment.figures) if name not in results]
    if missing:
        raise ArgumentError(f"{table}: {missing[0]}: is missing")
    for name in (*_COUNTED, *experiment.figures):
        if name in results and not pd.api.types.is_numeric_dtype(results[name]):
            raise ArgumentError(f"{table}: {name}: need a column of numbers")
    return results


def edited(folder: Path, name: str) -> str:
    """Say which file of a record is not what it was when it was written; empty for none, and for no record.

    Args:
        folder: where the record is.
        name: of the experiment.
    """
    table, record = _pair(folder, name)
    if not table.is_file() or not record.is_file():
        return ""
    try:
        facts = _facts(record)
        content = table.read_bytes()
    except (ArgumentError, OSError) as error:
        return f"damaged: {error}"
    if not seals.is_intact(facts):
        return (
            f"{record.name} was edited: it is not what its own digest says; restore it, or record it again; "
            "one without a digest, made before version 0.2, gets it from fracrepro.workflow.records.seal"
        )
    found = hashlib.sha256(content).hexdigest()
    if found != facts["sha256"]:
        return f"{table.name} was edited: expected sha256 {facts['sha256']}, found {found}"
    return ""


def seal(folder: Path, name: str) -> None:
    """Give a record that has none the digest of its content; the table and the other facts stay as they are.

    Records made before version 0.2 have none.

    Args:
        folder: where the record is.
        name: of the experiment.

    Raises:
        ArgumentError: when the record is damaged, has a digest already, or is not of its table.
        OSError: when it cannot be read or written.
    """
    table, record = _pair(folder, name)
    facts = _facts(record)
    if seals.SEAL in facts:
        raise ArgumentError(f"{record}: has a digest already, and keeps it")
    found = hashlib.sha256(table.read_bytes()).hexdigest()
    if found != facts["sha256"]:
        raise ArgumentError(f"{table}: expected sha256 {facts['sha256']}, found {found}")
    files.write_json(record, seals.seal(facts))


def _described(experiment: Experiment, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The experiment as its record has it: one that a look of its plan ended has the seeds until then."""
    described = json.loads(json.dumps(experiment.to_dict()))
    fields = facts["plan"]["fields"] if facts.get("plan") else {}
    looks, seeds = fields.get("looks"), facts["protocol"].get("seeds")
    if not isinstance(looks, list) or not isinstance(seeds, list):
        return described
    if len(seeds) in looks and described["seeds"][: len(seeds)] == seeds:
        described["seeds"] = seeds
    return described


def _pair(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.csv", folder / f"{name}.json"


def _facts(record: Path) -> dict[str, Any]:
    """The content of a record's JSON; ArgumentError when it cannot be one."""
    facts = files.read_json(record)
    if not isinstance(facts, dict) or not isinstance(facts.get("protocol"), dict) or "sha256" not in facts:
        raise ArgumentError(f"{record}: need a record with protocol and sha256")
    if facts.get("plan") is not None:
        commitments.plan_of(record, facts)
    return facts


def _device_name(device: str, engine: Engine | None) -> str:
    """What trained; a scheduler's workers may have GPUs of several kinds."""
    if engine is not None and engine.address:
        return device if device == "cuda" else "cpu"
    import torch

    if device != "cpu" and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return "cpu"


if not TYPE_CHECKING:  # a type checker that saw this would accept every name
    __getattr__ = _moved.getter(__name__)
