"""Results of points, and pages that were executed: whatever is not what it was counts as not there."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from torture.project import project
from torture.records import put_sealed
from torture.subject import Subject


def _page(folder: Path) -> Path:
    from fracrepro.workflow import seals

    cells = [{"cell_type": "markdown", "metadata": {}, "source": "x"}]
    record = seals.seal(
        {"notebook": "01_good", "digest": "0" * 64, "modules": {}, "values": {"x": 1.5}}, cells
    )
    (folder / "01_good.json").write_text(json.dumps(record))
    (folder / "01_good.ipynb").write_text(json.dumps({"cells": cells, "metadata": {"fracrepro": record}}))
    return folder / "01_good.json"


def _executed(folder: Path) -> Any:
    """The reported value of a page; the trouble, where there is one, is raised like a refusal."""
    from fracrepro.errors import ArgumentError
    from fracrepro.workflow import seals

    record, trouble = seals.edited_page(folder, "01_good")
    if trouble:
        raise ArgumentError(trouble)
    return record["values"]


def _points(folder: Path) -> Path:
    from fracrepro.workflow import sweeps

    store = _store(folder)
    (folder / ".01_good.points").mkdir(exist_ok=True)
    modules = {"fracrepro.errors": store.digests["fracrepro.errors"]}
    record = {
        "digest": "0" * 64,
        "modules": modules,
        "values": {"x": 1.5},
        "parameters": {"s": 1.0},
        "seconds": 1.0,
        "started": "2026-01-01T00:00:00+00:00",
    }
    path = store._path(_item())
    path.write_text(json.dumps({"sha256": sweeps._seal(record), "record": record}))
    return path


@functools.cache
def _store(folder: Path) -> Any:
    from fracrepro.workflow import sweeps

    return sweeps.Store(folder, "01_good")


def _item() -> Any:
    from fracrepro.workflow.notebooks import Run

    return Run("01_good", "", {"s": 1.0}, "quick", "0" * 64)


def _point(folder: Path) -> Any:
    from fracrepro.errors import ArgumentError
    from fracrepro.workflow import sweeps

    record = _store(folder).read(_item())
    if record is None:
        raise ArgumentError("0000.json is computed again")
    return [record["values"], sweeps.table([record])]


def _full_scale(folder: Path) -> Path:
    from fracrepro.workflow import seals
    from torture.written import CLAIMS

    project(folder)
    (folder / "book" / "claims.yml").write_text(CLAIMS)
    path = folder / "recorded" / "full_scale" / "01_good.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "notebook": "01_good",
        "profile": "paper",
        "values": {"product": 8, "small": 1e-4, "large": True},
        "parameters": {"networks": 100, "s": 1.0},
        "seconds": 12.5,
    }
    path.write_text(json.dumps(seals.seal(facts)))
    return path


def _judged(folder: Path) -> Any:
    from fracrepro.workflow import full_scale
    from fracrepro.workflow.project import Project

    found = full_scale.judged(Project(folder))
    assert full_scale.as_table(found)
    return [[each.name, each.record["values"], each.standing] for each in found]


def _judged_truth(content: bytes) -> Any:
    record = json.loads(content)
    values = record["values"]
    right = {
        "product": lambda x: type(x) in (int, float) and x == 8,
        "small": lambda x: type(x) in (int, float) and x <= 1e-3,
        "large": lambda x: x is True,
    }
    assert (record["notebook"], record["profile"]) == ("01_good", "paper")
    return [["01_good", values, sum(name in values and met(values[name]) for name, met in right.items())]]


def _point_value() -> Any:
    return [{"x": 1.5}, "s,x,seconds,started\n1.0,1.5,1.0,2026-01-01T00:00:00+00:00\n"]


RESULTS = (
    Subject("record of a page", "json", _page, _executed, lambda _: {"x": 1.5}, ("01_good",)),
    Subject("result of a point", "json", _points, _point, lambda _: _point_value(), ("0000",)),
    Subject("page at full scale", "json", _full_scale, _judged, _judged_truth),
    Subject("page at full scale, sealed anew", "json", _full_scale, _judged, _judged_truth, put=put_sealed),
)
