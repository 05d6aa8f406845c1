"""What every experiment has in common: data that decide its result, and the way to carry it out."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from fracrepro.arguments import choice, integer
from fracrepro.errors import ArgumentError
from fracrepro.nn.data.base import Dataset
from fracrepro.stats.paired import FIGURES

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from fracrepro.nn.training.pieces import Piece

__all__ = ["Experiment", "lines"]


class Experiment(ABC):
    """An experiment that can be carried out, changed, and written as JSON.

    A subclass is a frozen dataclass: two experiments with the same fields are the same experiment.
    """

    profiles: ClassVar[Mapping[str, Mapping[str, Any]]]  # the fields that a profile changes
    figures: ClassVar[tuple[str, ...]] = FIGURES  # the columns of the results that are measured

    if TYPE_CHECKING:  # a field in some subclasses, which a property here would hide

        @property
        def name(self) -> str:
            """The name of the experiment and of its record."""

        @property
        def dataset(self) -> str:
            """The name of the data set."""

    @abstractmethod
    def run(
        self,
        dataset: Dataset | None = None,
        *,
        device: str = "auto",
        checkpoint: str | os.PathLike[str] | None = None,
        interval: float = 300.0,
        progress: bool | None = None,
    ) -> pd.DataFrame:
        """Carry out the experiment and return its results, a tidy table.

        Args:
            dataset: the data; None loads the experiment's own.
            device: ``"auto"`` (a GPU if there is one), ``"cpu"``, or ``"cuda"``.
            checkpoint: a folder; the work continues from what it holds and saves there.
            interval: at least so many seconds between two checkpoints.
            progress: True shows a bar, False none, None one in a terminal only.

        Raises:
            ArgumentError: for arguments that do not fit, before any work.
            fracrepro.nn.data.DataError: when the data are missing or damaged.
            CheckpointError: when a checkpoint is damaged or of another experiment.
            OSError: when a checkpoint cannot be written; the last good ones stay.
        """

    def pieces(self, device: str) -> list[Piece]:
        """Return the parts that can be carried out side by side, on machines with such a device.

        Args:
            device: ``"cpu"`` or ``"cuda"``.

        Raises:
            ArgumentError: for an experiment that is one piece.
        """
        raise ArgumentError(f"{self.name}: is one piece of work; leave out jobs and scheduler")

    def collect(self, dataset: Dataset, checkpoint: Path, device: str) -> pd.DataFrame:
        """Return what :meth:`run` does, from the checkpoints of pieces that have all ended.

        Args:
            dataset: the data.
            checkpoint: the folder.
            device: ``"cpu"`` or ``"cuda"``, where the pieces were.

        Raises:
            ArgumentError: when a piece has not ended.
            CheckpointError: when a checkpoint is damaged or of another experiment.
        """
        raise NotImplementedError

    @abstractmethod
    def replace(self, **changes: Any) -> Self:
        """Return a copy with other values in some fields, checked like a new one."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return plain dictionaries, lists and numbers, ready for JSON; ``experiment`` is the name."""

    @classmethod
    @abstractmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return the experiment that :meth:`to_dict` described; ArgumentError for anything else."""

    @abstractmethod
    def summary(self, results: pd.DataFrame) -> list[str]:
        """Return what the command line says of the results of :meth:`run`, line by line."""

    def settle(
        self,
        profile: str = "paper",
        *,
        runs: int | None = None,
        epochs: int | None = None,
        schemes: Sequence[str] = (),
        s: float | None = None,
    ) -> Self:
        """Return the experiment at the scale of a profile, with what the command line may change.

        Args:
            profile: ``"quick"``, ``"book"`` or ``"paper"``; the last one changes nothing.
            runs: takes the seeds 0 … runs − 1, in [1, 1000000].
            epochs: passes over the training set, at least 1.
            schemes: names of schemes, in place of the experiment's own.
            s: order of those schemes that have one.

        Raises:
            ArgumentError: for unknown names, values out of range, and for what this experiment cannot change.
        """
        changes = dict(self.profiles[choice("profile", profile, tuple(self.profiles))])
        if runs is not None:
            changes["seeds"] = range(integer("runs", runs, "[1, 1000000]"))
        if epochs is not None:
            changes |= self._with_epochs(epochs)
        if schemes or s is not None:
            changes |= self._with_schemes(schemes, s)
        return self.replace(**changes)

    def _with_epochs(self, epochs: int) -> dict[str, Any]:
        """The change that other epochs make; a subclass without epochs refuses."""
        return {"epochs": integer("epochs", epochs, "[1, inf)")}

    def _with_schemes(self, names: Sequence[str], s: float | None) -> dict[str, Any]:
        """The change that other schemes make; a subclass that compares any schemes allows it."""
        given = f"scheme = {list(names)}, s = {s!r}"
        raise ArgumentError(f"{given}: {self.name} has its own schemes and orders")


def lines(results: pd.DataFrame, labels: Sequence[str], say: Callable[[pd.DataFrame], str]) -> Iterator[str]:
    """Yield a line for each group of rows that agree in the columns `labels`: what `say` says of its runs.

    A label without a value, such as the order of a scheme that has none, is left out.
    """
    for values, group in results.groupby(list(labels), sort=False, dropna=False):
        words = (f"{label}={value}" for label, value in zip(labels, values, strict=True) if value == value)
        runs = "1 run" if len(group) == 1 else f"{len(group)} runs"
        yield f"{' '.join(words)}: {say(group)} over {runs}"
