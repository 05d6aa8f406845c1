"""Trials: schemes compared in several networks, each with a learning rate of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from fracrepro.arguments import distinct
from fracrepro.errors import ArgumentError
from fracrepro.nn.experiments.protocol import Protocol, accuracies
from fracrepro.nn.experiments.several import SeveralProtocols
from fracrepro.nn.schemes.base import Scheme
from fracrepro.nn.training.network import NetworkDescription

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Trial", "Trials"]

# What all trials of an experiment have in common; the rest is each one's own.
_COMMON = ("dataset", "seeds", "epochs", "batch_size", "weight_decay", "decay_every", "augment", "needs")


@dataclass(frozen=True)
class Trial:
    """One scheme in one network at one learning rate.

    Args:
        cell: what the results call the network, the same for every scheme that is compared in it.
        arm: what the results call the scheme.
        network: what is trained.
        scheme: how it starts.
        learning_rate: positive.

    Raises:
        ArgumentError: for an arm without a name.
    """

    cell: str | float
    arm: str
    network: NetworkDescription
    scheme: Scheme
    learning_rate: float

    def __post_init__(self) -> None:
        """Check the names; the protocol checks the rest."""
        if not isinstance(self.arm, str) or not self.arm:
            raise ArgumentError(f"arm = {self.arm!r}: need a name")
        if isinstance(self.cell, bool) or not isinstance(self.cell, (str, int, float)) or self.cell == "":
            raise ArgumentError(f"cell = {self.cell!r}: need a name or a number")

    @property
    def label(self) -> str:
        """The trial's name, and that of the folder of its checkpoints."""
        order = "" if self.scheme.order is None else f" s={self.scheme.order:g}"
        return f"{self.cell}, {self.arm}{order}, {self.learning_rate:g}"


@dataclass(frozen=True)
class Trials(SeveralProtocols):
    """Several schemes in several networks; runs at one seed are paired within a cell, as in a protocol.

    Args:
        base: gives all settings but `network`, `schemes` and `learning_rate`, which are each trial's own.
        axis: name of the column that tells the cells apart, such as ``"depth"``.
        trials: no two alike in cell, arm, order and learning rate.

    Raises:
        ArgumentError: for two trials alike, and for what a protocol refuses.

    >>> from fracrepro.nn import schemes
    >>> from fracrepro.nn.experiments import DIGITS
    >>> kaiming = schemes.make("kaiming")
    >>> trial = Trial(20, "kaiming", DIGITS.network, kaiming, 0.05)
    >>> Trials(DIGITS.replace(name="one"), "depth", [trial]).to_dict()["learning_rate"]
    {'20, kaiming, 0.05': 0.05}
    """

    base: Protocol
    axis: str
    trials: tuple[Trial, ...]

    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = Protocol.profiles

    def __post_init__(self) -> None:
        """Check every trial, before any training."""
        object.__setattr__(self, "trials", tuple(self.trials))
        for trial in self.trials:
            if not isinstance(trial, Trial):
                raise ArgumentError(f"trials = {trial!r}: need a Trial")
        if not isinstance(self.axis, str) or not self.axis.isidentifier():
            raise ArgumentError(f"axis = {self.axis!r}: need a name for a column")
        distinct("trials", [trial.label for trial in self.trials])
        self.protocols()
        # What the base has of a trial's own settings means nothing; equal experiments have it alike.
        object.__setattr__(self, "base", self.protocols()[0][1])

    @property
    def name(self) -> str:
        """The name of the experiment."""
        return self.base.name

    @property
    def dataset(self) -> str:
        """The name of the data set."""
        return self.base.dataset

    def protocols(self) -> list[tuple[list[Trial], Protocol]]:
        """Return what trains together, and how: trials of one network at one rate see the same batches."""
        groups: list[list[Trial]] = []
        for trial in self.trials:
            for group in groups:
                if _fits(trial, group):
                    group.append(trial)
                    break
            else:
                groups.append([trial])
        return [(group, self._protocol(group)) for group in groups]

    def _protocol(self, group: Sequence[Trial]) -> Protocol:
        first, starts = group[0], tuple(each.scheme for each in group)
        return self.base.replace(network=first.network, schemes=starts, learning_rate=first.learning_rate)

    def parts(self) -> list[tuple[str, Protocol]]:
        """Return what trains together, named by its first trial."""
        return [(group[0].label, protocol) for group, protocol in self.protocols()]

    def table(self, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """Return the rows of the trials in their order, with cell, rate, and the arm as ``scheme``."""
        import pandas as pd

        found: dict[Trial, pd.DataFrame] = {}
        for (group, protocol), table in zip(self.protocols(), tables, strict=True):
            rows = len(protocol.seeds) * protocol.epochs  # of each scheme, one after the other
            for k, trial in enumerate(group):
                part = table.iloc[k * rows : (k + 1) * rows].assign(scheme=trial.arm)
                part.insert(1, self.axis, trial.cell)
                part.insert(2, "learning_rate", trial.learning_rate)
                found[trial] = part
        return pd.concat([found[trial] for trial in self.trials], ignore_index=True)

    def summary(self, results: pd.DataFrame) -> list[str]:
        """Return a line for each scheme in each cell: its test accuracy after the last epoch."""
        return accuracies(results, [self.axis, "learning_rate"])

    def over_rates(self, rates: Sequence[float], **changes: Any) -> Self:
        """Return the search that chooses the rates: every trial at each of them.

        Args:
            rates: the grid, positive, no two alike.
            **changes: other fields of the base, such as `name`, `seeds` and `epochs`.
        """
        distinct("rates", list(rates))
        trials = [dataclasses.replace(each, learning_rate=rate) for each in self.trials for rate in rates]
        return type(self)(self.base.replace(**changes), self.axis, tuple(trials))

    def replace(self, **changes: Any) -> Self:
        """Return trials with other `trials` or another `axis`, or other values in fields of the base."""
        axis, trials = changes.pop("axis", self.axis), changes.pop("trials", self.trials)
        for name in changes:
            if name in ("network", "schemes", "learning_rate"):
                raise ArgumentError(f"{name}: each trial has its own")
        return type(self)(self.base.replace(**changes), axis, trials)

    def to_dict(self) -> dict[str, Any]:
        """Return what trials have in common, each of them, and the schemes, rates and cells of a plan."""
        described = self.base.to_dict()
        record = {name: described[name] for name in ("experiment", *_COMMON) if name in described}
        arms = dict.fromkeys((each.arm, each.scheme.order) for each in self.trials)
        return record | {
            "axes": {self.axis: list(dict.fromkeys(each.cell for each in self.trials))},
            "schemes": [{"name": name, "s": order} for name, order in arms],
            "learning_rate": {each.label: each.learning_rate for each in self.trials},
            "trials": [
                {
                    "cell": each.cell,
                    "arm": each.arm,
                    "network": each.network.to_dict(),
                    "scheme": each.scheme.to_dict(),
                    "learning_rate": each.learning_rate,
                }
                for each in self.trials
            ],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return the trials that :meth:`to_dict` described; ArgumentError for anything else."""
        from fracrepro.nn import schemes

        try:
            trials = [
                Trial(
                    each["cell"],
                    each["arm"],
                    NetworkDescription.from_dict(each["network"]),
                    schemes.from_dict(each["scheme"]),
                    each["learning_rate"],
                )
                for each in record["trials"]
            ]
            common = {name: record[name] for name in _COMMON if name in record}
            first = trials[0]
            base = Protocol(
                name=record["experiment"],
                network=first.network,
                schemes=(first.scheme,),
                learning_rate=first.learning_rate,
                **common,
            )
            (axis,) = record["axes"]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ArgumentError(f"record: describes no {cls.__name__} ({error})") from error
        made = cls(base, axis, tuple(trials))
        if made.to_dict() != dict(record):
            raise ArgumentError("record: its schemes, rates or cells are not those of its trials")
        return made


def _fits(trial: Trial, group: Sequence[Trial]) -> bool:
    """Whether a trial can train beside those of a group; a protocol tells schemes apart by name and order."""
    same = (trial.cell, trial.network, trial.learning_rate)
    if same != (group[0].cell, group[0].network, group[0].learning_rate):
        return False
    key = (trial.scheme.name, trial.scheme.order)
    return key not in [(each.scheme.name, each.scheme.order) for each in group]
