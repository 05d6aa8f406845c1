"""Training experiments with a record: a tidy CSV, and a JSON file that says where it comes from."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fracrepro import files
from fracrepro.workflow import records
from fracrepro.workflow.project import unknown

if TYPE_CHECKING:
    import pandas as pd

    from fracrepro.nn.protocols import Protocol

# What a profile changes in a protocol; "paper" is the protocol itself.
PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"seeds": range(2), "epochs": 1},
    "book": {"seeds": range(3), "epochs": 5},
    "paper": {},
}


def settle(
    name: str,
    profile: str = "paper",
    *,
    runs: int | None = None,
    epochs: int | None = None,
    schemes: Sequence[str] = (),
    s: float | None = None,
) -> Protocol:
    """Return the protocol `name` with the changes of a profile and of the other arguments.

    `runs` takes the seeds 0 … runs - 1.
    `schemes` replaces the schemes, and `s` the order of the fractional one.
    Raises ValueError for unknown names and for values out of range.
    """
    from fracrepro.nn.protocols import PROTOCOLS
    from fracrepro.nn.schemes import SCHEMES, Scheme
    from fracrepro.theory import arguments

    if name not in PROTOCOLS:
        raise ValueError(unknown("experiment", name, PROTOCOLS))
    if profile not in PROFILES:
        raise ValueError(unknown("profile", profile, PROFILES))
    for scheme in schemes:
        if scheme not in SCHEMES:
            raise ValueError(unknown("scheme", scheme, SCHEMES))
    protocol = PROTOCOLS[name]
    changes = dict(PROFILES[profile])
    if runs is not None:
        changes["seeds"] = range(arguments.integer("runs", runs, "[1, inf)"))
    if epochs is not None:
        changes["epochs"] = arguments.integer("epochs", epochs, "[1, inf)")
    chosen = schemes or [scheme.name for scheme in protocol.schemes]
    if s is not None and "fractional" not in chosen:
        raise ValueError(f"s = {s!r}: need the scheme 'fractional' beside it, the only one with an order")
    order = 1.0 if s is None else arguments.real("s", s, "[0, 2]")
    if schemes or s is not None:
        changes["schemes"] = [
            Scheme(scheme, s=order, formula="published") if scheme == "fractional" else Scheme(scheme)
            for scheme in dict.fromkeys(chosen)
        ]
    return protocol.replace(**changes)


def run(
    protocol: Protocol, folder: Path, *, device: str = "auto", progress: bool | None = None
) -> pd.DataFrame:
    """Train a protocol and write `folder`/NAME.csv and NAME.json; continue an interrupted call.

    Checkpoints stand in `folder`/.NAME.checkpoints until both files are written.
    Raises ValueError, DataError and CheckpointError as `fracrepro.nn.train.train` does.
    """
    from fracrepro.nn import data
    from fracrepro.nn.train import train

    name = protocol.experiment
    checkpoints = folder / f".{name}.checkpoints"
    images = data.load(protocol.dataset)
    # The facts of now: a long training may outlive an edit of the code.
    commit, package = _commit(), records.package_digest()
    started, clock = datetime.now(UTC), time.perf_counter()
    resumed = checkpoints.is_dir()
    results = train(protocol, images, device=device, checkpoint=checkpoints, progress=progress)
    text = results.to_csv(index=False, lineterminator="\n")
    record = {
        "experiment": name,
        "protocol": protocol.to_dict(),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "data_digest": images.digest,
        "versions": records.versions(),
        "device": records.device() | {"training": _device_name(device)},
        "commit": commit,
        "package_digest": package,
        "started": started.isoformat(timespec="seconds"),
        "wall_seconds": round(time.perf_counter() - clock, 1),
        "resumed": resumed,
    }
    files.write_text(folder / f"{name}.csv", text)
    files.write_json(folder / f"{name}.json", record)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return results


def load_record(folder: Path, protocol: Protocol) -> pd.DataFrame:
    """Return a recorded experiment's results, after checking that they are what they say.

    Raises ValueError when a file is missing, when the CSV is not the one that the record describes, or when
    it is of another protocol; the message says which field differs.
    """
    import pandas as pd

    name = protocol.experiment
    table, record = folder / f"{name}.csv", folder / f"{name}.json"
    for path in (table, record):
        if not path.is_file():
            raise ValueError(f"{path.name}: no such record; make it with `fracrepro train {name}`")
    facts, content = json.loads(record.read_text()), table.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != facts["sha256"]:
        raise ValueError(f"{table.name}: expected sha256 {facts['sha256']}, found {found}")
    wanted = json.loads(json.dumps(protocol.to_dict()))
    for field, value in wanted.items():
        if facts["protocol"].get(field) != value:
            there = facts["protocol"].get(field)
            raise ValueError(f"{record.name}: {field} is {there!r} there and {value!r} in the protocol")
    return pd.read_csv(table)


def _device_name(device: str) -> str:
    import torch

    if device != "cpu" and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return "cpu"


def _commit() -> str:
    """The checkout's commit, marked when files differ from it; "unknown" outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
