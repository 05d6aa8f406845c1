"""Records of experiments, read again.

A file with a checksum is damaged twice over: as it is, and with a checksum made anew, so that the reader
behind the check is attacked too.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import io
import json
from pathlib import Path
from random import Random
from typing import Any

from torture.subject import Subject


@functools.cache
def experiment() -> Any:
    """A small experiment."""
    from fracrepro.nn.experiments import DIGITS

    return DIGITS.settle(runs=2, epochs=2, schemes=("fractional", "kaiming"), s=0.5)


def _table() -> str:
    from fracrepro.nn.training.lanes import FIGURES

    random, rows = Random(1), []
    for scheme, order in (("fractional", "0.5"), ("kaiming", "")):
        for seed in range(2):
            for epoch in (1, 2):
                rows.append(["digits", scheme, order, seed, epoch, *(repr(random.random()) for _ in FIGURES)])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([["experiment", "scheme", "s", "seed", "epoch", *FIGURES], *rows])
    return text.getvalue()


def _facts(table: bytes) -> dict[str, Any]:
    return {
        "experiment": "digits",
        "protocol": json.loads(json.dumps(experiment().to_dict())),
        "sha256": hashlib.sha256(table).hexdigest(),
        "data_digest": "0" * 64,
        "versions": {"python": "3"},
        "started": "2026-01-01T00:00:00+00:00",
        "wall_seconds": 1.5,
        "resumed": False,
        "plan": {
            "file": "plans/digits.yml",
            "sha256": "0" * 64,
            "commit": "0" * 40,
            "committed": "2025-12-01T00:00:00+00:00",
            "fields": _planned(),
        },
    }


@functools.cache
def _planned() -> dict[str, Any]:
    import yaml

    from fracrepro.stats.plans import ExperimentPlan
    from torture.written import PLAN

    found: dict[str, Any] = ExperimentPlan.from_dict(yaml.safe_load(PLAN)).to_dict()
    return found


def _record(folder: Path) -> Path:
    from fracrepro.workflow import seals

    (folder / "digits.csv").write_text(_table())
    (folder / "digits.json").write_text(json.dumps(seals.seal(_facts(_table().encode())), indent=1))
    return folder / "digits.json"


def _csv(folder: Path) -> Path:
    return _record(folder).with_name("digits.csv")


def _loaded(folder: Path) -> Any:
    from fracrepro.workflow import records

    return _rows(records.load_record(folder, experiment()).to_dict("list"))


def _rows(columns: dict[str, list[Any]]) -> Any:
    texts = ("experiment", "scheme")
    return {name: list(map(str if name in texts else float, found)) for name, found in columns.items()}


def _read_csv(content: bytes) -> Any:
    """The table by the csv module; ValueError for a row that is not whole."""
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
    rows = [row for row in rows if row]
    if any(len(row) != len(header) for row in rows) or len(set(header)) < len(header):
        raise ValueError("a row is not whole")
    cells = [[float("nan") if cell == "" else cell for cell in row] for row in rows]
    return _rows({name: [row[k] for row in cells] for k, name in enumerate(header)})


def _undamaged(_: bytes) -> Any:
    return _read_csv(_table().encode())


def put_sealed(path: Path, content: bytes) -> None:
    """Write a damaged record with a seal made anew, where it is a mapping."""
    from fracrepro.workflow import seals

    with contextlib.suppress(Exception):
        facts = json.loads(content)
        content = json.dumps(seals.seal(facts)).encode()
    path.write_bytes(content)


def _put_table(path: Path, content: bytes) -> None:
    """Write a damaged table, and a record of it."""
    from fracrepro.workflow import seals

    path.write_bytes(content)
    path.with_name("digits.json").write_text(json.dumps(seals.seal(_facts(content))))


def _planned_before(folder: Path) -> Any:
    """What is said of a record's plan, and whether the record may be replaced."""
    from fracrepro.errors import ArgumentError
    from fracrepro.workflow import commitments, records

    said = [commitments.sentence(folder, "digits"), commitments.recorded_plan(folder, "digits").to_dict()]
    with contextlib.suppress(ArgumentError):  # it was planned, or is of other settings
        records._check_replaceable(folder / "digits.json", experiment(), None)
    return said


def _planned_truth(content: bytes) -> Any:
    plan, started = json.loads(content)["plan"], json.loads(content)["started"]
    said = (
        f"The experiment `digits` was planned first: its plan was committed on {_day(plan['committed'])}, "
        f"and its earliest training began on {_day(started)} "
        f"(`{plan['file']}`, sha256 {plan['sha256'][:12]}, commit {plan['commit'][:10]})."
    )
    fields = plan["fields"]
    fields = {"looks": [len(fields["seeds"]["main"])], "rate_choice": "", "settings": {}} | fields
    return [said, {name: fields[name] for name in _planned()}]


def _day(moment: str) -> str:
    import datetime

    return f"{datetime.datetime.fromisoformat(moment).astimezone(datetime.UTC):%Y-%m-%d at %H:%M UTC}"


def _start(folder: Path) -> Path:
    (folder / ".digits.checkpoints").mkdir(exist_ok=True)
    (folder / ".digits.checkpoints" / "seeds-0.ckpt").write_bytes(b"")
    path = folder / ".digits.checkpoints" / "start.json"
    path.write_text(json.dumps({"started": "2026-01-01T00:00:00+00:00", "plan": None}))
    return path


def _begun(folder: Path) -> Any:
    from fracrepro.workflow import records

    with records._begun(folder / ".digits.checkpoints", None) as start:
        return [start["started"], start["plan"]]


def _begun_truth(content: bytes) -> Any:
    import datetime

    start = json.loads(content)
    datetime.datetime.fromisoformat(start["started"])
    return [start["started"], start["plan"]]


_RECORDED = ("digits.json", "digits.csv")
RECORDS = (
    Subject("record", "json", _record, _loaded, _undamaged),
    Subject("record, sealed anew", "json", _record, _loaded, _undamaged, _RECORDED, put=put_sealed),
    Subject("plan in a record", "json", _record, _planned_before, _planned_truth, put=put_sealed),
    Subject("table of a record", "text", _csv, _loaded, _undamaged),
    Subject("table, with its digest", "text", _csv, _loaded, _read_csv, put=_put_table),
    Subject("start of a training", "json", _start, _begun, _begun_truth, (".digits.checkpoints",)),
)
