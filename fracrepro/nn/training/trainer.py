"""The trainer: every run of a protocol, in lanes that share the machine's cores."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING

import numpy as np
import torch

from fracrepro.arguments import choice, integer, real
from fracrepro.errors import ArgumentError
from fracrepro.nn import data
from fracrepro.nn.data.base import Dataset
from fracrepro.nn.training.checkpoints import Checkpoints
from fracrepro.nn.training.lanes import FIGURES, Images, Lane, split
from fracrepro.nn.training.settings import DEVICES, Settings
from fracrepro.nn.training.start import check_scheme

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "diverged", "table", "train", "training_device"]

#: The columns of every result and record of a training; a sweep adds one for each of its axes.
COLUMNS = ("experiment", "scheme", "s", "seed", "epoch", *FIGURES)


def train(
    protocol: Settings,
    dataset: Dataset | None = None,
    *,
    device: str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
    interval: float = 300.0,
    progress: bool | None = None,
    threads: int | None = None,
) -> pd.DataFrame:
    """Train every scheme of a protocol at every seed and return the figures of every epoch.

    A run is decided by its scheme, its seed and the data; which runs train beside it changes nothing.
    On a CPU fully connected nets keep this bit for bit if batches are multiples of 8, as in the protocols.
    Other batches leave stacked models differently aligned, which a matrix library may round differently.
    Convolutions with another set of schemes beside them, and a GPU, agree to rounding.

    Args:
        protocol: the experiment.
        dataset: the data; None loads the protocol's own.
        device: ``"auto"`` (a GPU if there is one), ``"cpu"``, or ``"cuda"``.
        checkpoint: a folder; training continues from what it holds and saves there. The results are those of
            an uninterrupted run, bit for bit on a CPU, but for `seconds`.
        interval: at least so many seconds between two checkpoints of a lane; they are made between epochs.
        progress: True shows a bar, False none, None one in a terminal only.
        threads: how many lanes train at a time on the CPU; None takes torch's number of threads.

    Returns:
        One row per run and epoch, with the columns in :data:`COLUMNS`.
        Epochs count from 1; train figures are means over the epoch, each batch before its own step.
        Accuracies are in [0, 1]; `seconds` is the epoch's wall time, shared equally by the runs of a lane.
        s is NaN for a scheme without an order.
        A run that diverged has the loss NaN and counts its answers as wrong (see :func:`diverged`).

    Raises:
        ArgumentError: for arguments that do not fit, before any work.
        fracrepro.nn.data.DataError: when the data are missing or damaged.
        CheckpointError: when a checkpoint is damaged or of another experiment.
        OSError: when a checkpoint cannot be written; the last good ones stay.

    Source:
        The authors' code for the procedure, our choice for training all runs together.
    """
    if not isinstance(protocol, Settings):
        raise ArgumentError(f"protocol = {protocol!r}: need a Protocol, or other Settings")
    where = training_device(device)
    protocol.check_device(where.type)
    real("interval", interval, "[0, inf)")
    for scheme in protocol.schemes:
        check_scheme(protocol.network, scheme)
    workers = integer("threads", torch.get_num_threads() if threads is None else threads, "[1, inf)")
    workers = lanes_at_a_time(where, workers)
    dataset = data.load(protocol.dataset) if dataset is None else dataset
    _check_fit(protocol, dataset)
    images = Images(dataset, where)
    lanes = [Lane(protocol, seeds, images, where) for seeds in split(protocol, where)]
    saved = None if checkpoint is None else Checkpoints(checkpoint, protocol, dataset.digest, where.type)
    if saved:
        for lane in lanes:
            saved.restore(lane)
    _run(lanes, protocol, workers, progress, saved, interval)
    return table(protocol, lanes)


def diverged(results: pd.DataFrame) -> pd.DataFrame:
    """Return the runs whose loss stopped being finite: ``scheme, s, seed`` and the first such ``epoch``.

    Args:
        results: what :func:`train` returned.
    """
    lost = results[~np.isfinite(results[["train_loss", "test_loss"]]).all(axis=1)]
    return lost.groupby(["scheme", "s", "seed"], dropna=False, sort=False)["epoch"].min().reset_index()


def training_device(name: str) -> torch.device:
    """Return the device of a name: ``"auto"``, ``"cpu"`` or ``"cuda"``; ArgumentError where there is none."""
    choice("device", name, ("auto", *DEVICES))
    have_cuda = torch.cuda.is_available()
    if name == "cuda" and not have_cuda:
        raise ArgumentError("device = 'cuda': this machine, or this build of torch, has none; 'cpu' works")
    return torch.device("cuda" if have_cuda and name != "cpu" else "cpu")


def lanes_at_a_time(device: torch.device, threads: int) -> int:
    """Return how many lanes train side by side: on a GPU one, since nothing else may use it in a capture."""
    return 1 if device.type == "cuda" else threads


def _check_fit(protocol: Settings, dataset: Dataset) -> None:
    """Refuse data other than the protocol's: the results would carry the wrong name."""
    if dataset.name != protocol.dataset:
        raise ArgumentError(f"dataset = {dataset.name!r}: the protocol trains on {protocol.dataset!r}")
    if dataset.image_shape != protocol.network.image_shape:
        shape = protocol.network.image_shape
        raise ArgumentError(f"dataset has images of shape {dataset.image_shape}: the network takes {shape}")


def _run(
    lanes: list[Lane],
    protocol: Settings,
    workers: int,
    progress: bool | None,
    saved: Checkpoints | None,
    interval: float,
) -> None:
    """Train all lanes to the end, each in one thread, `workers` at a time."""
    from tqdm import tqdm

    before, stop = torch.get_num_threads(), threading.Event()
    runs = len(protocol.schemes) * len(protocol.seeds)
    done = sum(lane.epoch * lane.size for lane in lanes)
    bar = tqdm(
        total=protocol.epochs * runs,
        initial=done,
        unit="epoch",
        desc=protocol.name,
        disable=None if progress is None else not progress,  # None: tqdm looks for a terminal
    )

    def check() -> None:
        if stop.is_set():
            raise CancelledError

    def work(lane: Lane) -> None:
        if lane.device.type == "cpu":
            torch.set_num_threads(1)  # lanes side by side beat two threads on one small matrix
        last = time.monotonic()
        while lane.epoch < protocol.epochs:
            lane.advance(check)
            if saved and (lane.epoch == protocol.epochs or time.monotonic() - last >= interval):
                saved.save(lane)
                last = time.monotonic()
            bar.update(lane.size)
        lane.release()

    try:
        with bar, ThreadPoolExecutor(workers) as pool:
            try:
                for finished in as_completed([pool.submit(work, lane) for lane in lanes]):
                    finished.result()
            except BaseException:  # an error in a lane, or Ctrl-C here: the others end at their next step
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        torch.set_num_threads(before)


def table(protocol: Settings, lanes: list[Lane]) -> pd.DataFrame:
    """Return one row per scheme, seed and epoch, in this order, from lanes in the order of their seeds."""
    import pandas as pd

    # figures of shape (schemes, seeds, epochs, figures)
    per_lane = [lane.figures.unflatten(2, (len(lane.seeds), -1)).permute(3, 2, 0, 1) for lane in lanes]
    figures = torch.cat(per_lane, 1).numpy()
    runs = [(scheme, seed) for scheme in protocol.schemes for seed in protocol.seeds]
    frame = pd.DataFrame(figures.reshape(-1, len(FIGURES)), columns=list(FIGURES))
    frame.insert(0, "experiment", protocol.name)
    repeated = [run for run in runs for _ in range(protocol.epochs)]
    frame.insert(1, "scheme", [scheme.name for scheme, _ in repeated])
    orders = [np.nan if scheme.order is None else scheme.order for scheme, _ in repeated]
    frame.insert(2, "s", np.array(orders))
    frame.insert(3, "seed", [seed for _, seed in repeated])
    frame.insert(4, "epoch", np.tile(np.arange(1, protocol.epochs + 1), len(runs)))
    return frame
