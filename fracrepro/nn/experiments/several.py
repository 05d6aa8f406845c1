"""What experiments have in common that train several protocols: one after the other, or piece by piece."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fracrepro.nn import data
from fracrepro.nn.data.base import Dataset
from fracrepro.nn.experiments.base import Experiment
from fracrepro.nn.experiments.protocol import Protocol
from fracrepro.nn.training.pieces import Piece, pieces

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SeveralProtocols"]


class SeveralProtocols(Experiment):
    """An experiment that is a number of protocols on one data set, each with checkpoints of its own."""

    @abstractmethod
    def parts(self) -> list[tuple[str, Protocol]]:
        """Return each protocol with its name, which is that of the folder of its checkpoints too."""

    @abstractmethod
    def table(self, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """Return the results of the experiment from those of its parts, in their order."""

    def run(
        self,
        dataset: Dataset | None = None,
        *,
        device: str = "auto",
        checkpoint: str | os.PathLike[str] | None = None,
        interval: float = 300.0,
        progress: bool | None = None,
    ) -> pd.DataFrame:
        """Train every part, one after the other, and return the figures of every epoch.

        Args:
            dataset: as in :meth:`.base.Experiment.run`, as are `device`, `interval` and `progress`.
            checkpoint: a folder; each part keeps its checkpoints in a folder of its own there.

        Returns:
            The rows of :func:`fracrepro.nn.training.train`, with the columns that tell the parts apart after
            `experiment`.
        """
        dataset = data.load(self.dataset) if dataset is None else dataset
        tables = []
        for label, protocol in self.parts():
            folder = None if checkpoint is None else Path(checkpoint) / label
            tables.append(
                protocol.run(dataset, device=device, checkpoint=folder, interval=interval, progress=progress)
            )
        return self.table(tables)

    def pieces(self, device: str) -> list[Piece]:
        """Return the lanes of every part."""
        return [piece for label, part in self.parts() for piece in pieces(part, device, label, label)]

    def collect(self, dataset: Dataset, checkpoint: Path, device: str) -> pd.DataFrame:
        """Return what :meth:`run` does, from the checkpoints of every part."""
        return self.table([part.collect(dataset, checkpoint / label, device) for label, part in self.parts()])
