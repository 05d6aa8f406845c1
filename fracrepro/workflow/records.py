"""Experiments with a record: a tidy CSV, and a JSON file that says where it comes from."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fracrepro import files
from fracrepro.errors import ArgumentError
from fracrepro.workflow import provenance
from fracrepro.workflow.project import unknown

if TYPE_CHECKING:
    import pandas as pd

    from fracrepro.nn.experiments.gradient_tails import GradientTails
    from fracrepro.nn.experiments.protocol import Protocol
    from fracrepro.nn.experiments.sweep import Sweep
    from fracrepro.nn.schemes.base import Scheme

    Experiment = Protocol | Sweep | GradientTails

# What a profile changes in an experiment that counts epochs, and in one that counts steps.
EPOCHS: dict[str, dict[str, Any]] = {
    "quick": {"seeds": range(2), "epochs": 1},
    "book": {"seeds": range(3), "epochs": 5},
    "paper": {},
}
STEPS: dict[str, dict[str, Any]] = {
    "quick": {"seeds": range(2), "steps": 50},
    "book": {"seeds": range(3), "steps": 500},
    "paper": {},
}


def experiments() -> dict[str, Experiment]:
    """Every experiment that can be recorded, by name."""
    from fracrepro.nn.experiments.gradient_tails import GRADIENT_TAILS
    from fracrepro.nn.experiments.protocol import PROTOCOLS
    from fracrepro.nn.experiments.sweep import SWEEPS

    return {**PROTOCOLS, **SWEEPS, GRADIENT_TAILS.experiment: GRADIENT_TAILS}


def settle(
    name: str,
    profile: str = "paper",
    *,
    runs: int | None = None,
    epochs: int | None = None,
    schemes: Sequence[str] = (),
    s: float | None = None,
) -> Experiment:
    """Return the experiment `name` with the changes of a profile and of the other arguments.

    `runs` takes the seeds 0 … runs - 1.
    `schemes` replaces the schemes of a protocol, and `s` the order of the fractional one.
    Raises ArgumentError for unknown names, for values out of range, and for what an experiment cannot change.
    """
    from fracrepro import arguments
    from fracrepro.nn.experiments.gradient_tails import GradientTails
    from fracrepro.nn.experiments.protocol import Protocol

    known = experiments()
    if name not in known:
        raise ArgumentError(unknown("experiment", name, known))
    if profile not in EPOCHS:
        raise ArgumentError(unknown("profile", profile, EPOCHS))
    experiment = known[name]
    counts_steps = isinstance(experiment, GradientTails)
    changes = dict((STEPS if counts_steps else EPOCHS)[profile])
    if runs is not None:
        changes["seeds"] = range(arguments.integer("runs", runs, "[1, inf)"))
    if epochs is not None:
        if counts_steps:
            raise ArgumentError(f"epochs = {epochs!r}: {name} counts steps, which only its profiles change")
        changes["epochs"] = arguments.integer("epochs", epochs, "[1, inf)")
    if schemes or s is not None:
        if not isinstance(experiment, Protocol):
            raise ArgumentError(f"scheme = {list(schemes)}, s = {s!r}: {name} has its own schemes and orders")
        changes["schemes"] = _schemes(experiment, schemes, s)
    return experiment.replace(**changes)


def _schemes(protocol: Protocol, names: Sequence[str], s: float | None) -> list[Scheme]:
    """The named schemes, or the protocol's, with the order `s` for the fractional one."""
    from fracrepro.nn import schemes

    chosen = names or [scheme.name for scheme in protocol.schemes]
    if s is not None and not any("s" in schemes.options(name) for name in chosen):
        ordered = ", ".join(repr(name) for name in schemes.names() if "s" in schemes.options(name))
        raise ArgumentError(f"s = {s!r}: need a scheme with an order beside it: {ordered}")
    return schemes.make_all(chosen, formula="published", **({} if s is None else {"s": s}))


def run(
    experiment: Experiment, folder: Path, *, device: str = "auto", progress: bool | None = None
) -> pd.DataFrame:
    """Carry out an experiment and write `folder`/NAME.csv and NAME.json; continue an interrupted call.

    Checkpoints stand in `folder`/.NAME.checkpoints until both files are written.
    Raises ArgumentError, DataError and CheckpointError as `fracrepro.nn.training.train.train` does.
    """
    from fracrepro.nn import data

    name = experiment.experiment
    checkpoints = folder / f".{name}.checkpoints"
    images = data.load(experiment.dataset)
    # The facts of now: a long training may outlive an edit of the code.
    commit, package = _commit(), provenance.package_digest()
    started, clock = datetime.now(UTC), time.perf_counter()
    resumed = checkpoints.is_dir()
    carry_out = _procedure(experiment)
    results = carry_out(experiment, images, device=device, checkpoint=checkpoints, progress=progress)
    text = results.to_csv(index=False, lineterminator="\n")
    record = {
        "experiment": name,
        "protocol": experiment.to_dict(),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "data_digest": images.digest,
        "versions": provenance.versions(),
        "device": provenance.device() | {"training": _device_name(device)},
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


def _procedure(experiment: Experiment) -> Callable[..., pd.DataFrame]:
    """What carries out an experiment of this kind."""
    from fracrepro.nn.experiments.gradient_tails import GradientTails, measure_gradient_tails
    from fracrepro.nn.experiments.sweep import Sweep, train_sweep
    from fracrepro.nn.training.train import train

    if isinstance(experiment, GradientTails):
        return measure_gradient_tails
    return train_sweep if isinstance(experiment, Sweep) else train


def load_record(folder: Path, experiment: Experiment) -> pd.DataFrame:
    """Return a recorded experiment's results, after checking that they are what they say.

    Raises ArgumentError when a file is missing, when the CSV is not the one of the record, or when it
    is of another protocol; the message says which field differs.
    """
    import pandas as pd

    name = experiment.experiment
    table, record = folder / f"{name}.csv", folder / f"{name}.json"
    for path in (table, record):
        if not path.is_file():
            raise ArgumentError(f"{path.name}: no such record; make it with `fracrepro train {name}`")
    facts, content = json.loads(record.read_text()), table.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != facts["sha256"]:
        raise ArgumentError(f"{table.name}: expected sha256 {facts['sha256']}, found {found}")
    wanted = json.loads(json.dumps(experiment.to_dict()))
    for field, value in wanted.items():
        if facts["protocol"].get(field) != value:
            there = facts["protocol"].get(field)
            raise ArgumentError(f"{record.name}: {field} is {there!r} there and {value!r} in the protocol")
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
