"""Experiments on the engine: their pieces side by side, the record in the driver's hands all the time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fracrepro import files
from fracrepro.errors import FracreproError
from fracrepro.nn.data.base import DataError, Dataset
from fracrepro.nn.training.pieces import Piece, State
from fracrepro.nn.training.trainer import training_device
from fracrepro.workflow import worker
from fracrepro.workflow.engine import Engine, Result, Task, duration

if TYPE_CHECKING:
    import pandas as pd

    from fracrepro.nn.experiments.base import Experiment


class UnfinishedError(FracreproError, RuntimeError):
    """Some pieces of a whole failed; the others are kept.

    Args:
        failures: a line for each piece that failed.
        pieces: how many there are.
    """

    def __init__(self, failures: Sequence[str], pieces: int) -> None:
        """Word the message after the first failure."""
        super().__init__(
            f"{len(failures)} of {pieces} pieces failed, first {failures[0]}; "
            "the others are kept, and the same command continues"
        )
        self.failures = list(failures)


@dataclass(frozen=True)
class Outlook:
    """What an experiment has to do.

    Args:
        name: of the experiment.
        pieces: how many there are.
        finished: how many of them have ended already.
        seconds: of work that are left, by an earlier record; NaN where none tells.
        workers: side by side; 0 where a scheduler decides.
    """

    name: str
    pieces: int
    finished: int
    seconds: float
    workers: int

    def __str__(self) -> str:
        """One line for people."""
        line = f"{self.name}: {self.pieces} pieces, {self.finished} finished, "
        line += f"{self.pieces - self.finished} to train"
        if self.pieces == self.finished:
            return line
        if math.isnan(self.seconds):
            return f"{line}; no earlier record tells how long they take"
        if not self.workers:
            return f"{line}, about {duration(self.seconds)} of work for the scheduler's workers"
        side = f"{self.workers} worker{'s' * (self.workers > 1)}"
        return f"{line}, about {duration(self.seconds / self.workers)} on {side}"


def device_type(device: str, engine: Engine) -> str:
    """Return "cpu" or "cuda" for what the command line calls a device.

    A scheduler's workers need not be like this machine: there "auto" is the CPU.

    Raises:
        ArgumentError: for another name, and for a GPU that this machine lacks and no scheduler has.
    """
    if engine.address and device in ("auto", "cpu", "cuda"):
        return "cuda" if device == "cuda" else "cpu"
    return training_device(device).type


def outlook(
    experiment: Experiment,
    dataset: Dataset,
    folder: Path,
    engine: Engine,
    device: str,
    record: Path | None = None,
    kept: Path | None = None,
) -> Outlook:
    """Say what is to do.

    Args:
        experiment: what.
        dataset: its data.
        folder: of the record that it will leave.
        engine: where.
        device: as on the command line.
        record: a table of the same kind of training, whose seconds are a measure; None for none.
        kept: the folder of the checkpoints; None for the one beside the record.

    Raises:
        ArgumentError: for an experiment that is one piece.
        CheckpointError: when a checkpoint is damaged, or of another experiment.
    """
    kind = device_type(device, engine)
    pieces = experiment.pieces(kind)
    states = _states(pieces, dataset, kept or checkpoints(folder, experiment), kind)
    left = [(p, p.protocol.epochs - (states[p.name].epoch if p.name in states else 0)) for p in pieces]
    due = [entry for entry in left if entry[1] > 0]
    runs = sum(epochs * len(piece.seeds) * len(piece.protocol.schemes) for piece, epochs in due)
    workers = 0 if engine.address else engine.workers(len(due))
    return Outlook(experiment.name, len(pieces), len(pieces) - len(due), runs * _each(record), workers)


def _each(record: Path | None) -> float:
    """The mean time of one run's epoch in a recorded table; NaN where there is none."""
    if record is None or not record.is_file():
        return math.nan
    import pandas as pd

    return float(pd.read_csv(record)["seconds"].mean())


def checkpoints(folder: Path, experiment: Experiment) -> Path:
    """Return the folder of the checkpoints of an experiment whose record goes to `folder`."""
    return folder / f".{experiment.name}.checkpoints"


def run(
    experiment: Experiment,
    dataset: Dataset,
    folder: Path,
    engine: Engine,
    *,
    device: str = "auto",
    interval: float = 300.0,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Carry out an experiment on the engine and return its results, those of `Experiment.run`.

    Each piece trains for about `interval` seconds at a time.
    Its state comes back then and is stored as its checkpoint, so that a worker that dies, or a driver that is
    killed, loses no more than that.

    Args:
        experiment: what to do.
        dataset: its data, which every worker must have or is sent.
        folder: of the checkpoints.
        engine: where.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``; with a scheduler, ``"cuda"`` asks for workers that offer
            the resource ``GPU``.
        interval: seconds.
        progress: as in `Experiment.run`.

    Raises:
        UnfinishedError: when pieces failed; it names them, and the others are kept.
        ArgumentError: for an experiment that is one piece; otherwise as `Engine.run`.
        CheckpointError: when a checkpoint is damaged, or of another experiment.
        OSError: when a checkpoint cannot be written.
    """
    kind = device_type(device, engine)
    pieces = experiment.pieces(kind)
    states = _states(pieces, dataset, folder, kind)
    known = {piece.name: piece for piece in pieces}

    def task(piece: Piece, state: State | None) -> Task:
        return Task(
            piece.name,
            train_piece,
            (piece, state, dataset.digest, kind, interval),
            resources={"GPU": 1} if kind == "cuda" else {},
            data=((dataset.name, dataset.digest),),
        )

    def store(result: Result) -> Task | None:
        if result.error is not None:
            return None
        piece, state = known[result.task.name], result.value
        with files.atomic_writer(folder / piece.folder / state.file) as file:
            file.write(state.content)
        return None if state.epoch == piece.protocol.epochs else task(piece, state)

    due = [piece for piece in pieces if not _ended(piece, states)]
    results = engine.run([task(piece, states.get(piece.name)) for piece in due], store, unit="piece")
    failed = [result for result in results if result.error is not None]
    for result in failed:
        if not isinstance(result.error, (FracreproError, OSError, RuntimeError, MemoryError)):
            raise result.error or AssertionError
    if failed:
        raise UnfinishedError([f"{result.task.name}: {result.problem}" for result in failed], len(pieces))
    return experiment.collect(dataset, folder, kind)


def train_piece(piece: Piece, state: State | None, digest: str, device: str, seconds: float) -> State:
    """Advance a piece on a worker, with the data that are there.

    Raises:
        fracrepro.nn.data.DataError: when the data are missing, damaged or others.
    """
    dataset = worker.dataset(piece.protocol.dataset)
    if dataset.digest != digest:
        raise DataError(f"{dataset.name}: expected data of sha256 {digest}, found {dataset.digest}")
    return piece.advance(dataset, state, device=device, seconds=seconds, check=worker.heed_stop)


def _states(pieces: list[Piece], dataset: Dataset, folder: Path, device: str) -> dict[str, State]:
    """What the checkpoints hold of each piece."""
    found = {piece.name: piece.read(folder, dataset, device) for piece in pieces}
    return {name: state for name, state in found.items() if state is not None}


def _ended(piece: Piece, states: Mapping[str, State]) -> bool:
    state = states.get(piece.name)
    return state is not None and state.epoch == piece.protocol.epochs
