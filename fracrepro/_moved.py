"""Modules that have moved: the old path works for one version, warns, and says where to go."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# Old path: where its names are now.
MOVED: dict[str, tuple[str, ...]] = {
    "fracrepro.nn.batches": ("fracrepro.nn.training.batches",),
    "fracrepro.nn.checkpoints": ("fracrepro.nn.training.checkpoints",),
    "fracrepro.nn.compare": ("fracrepro.stats.paired",),
    "fracrepro.nn.ensemble": ("fracrepro.nn.training.ensemble",),
    "fracrepro.nn.gradient_tails": ("fracrepro.nn.experiments.gradient_tails",),
    "fracrepro.nn.gradients": ("fracrepro.nn.training.gradients",),
    "fracrepro.nn.graphs": ("fracrepro.nn.training.graphs",),
    "fracrepro.nn.lanes": ("fracrepro.nn.training.lanes",),
    "fracrepro.nn.protocols": ("fracrepro.nn.experiments.protocol",),
    "fracrepro.nn.sweeps": ("fracrepro.nn.experiments.sweep",),
    "fracrepro.nn.train": ("fracrepro.nn.training.trainer",),
    "fracrepro.theory.arguments": ("fracrepro.arguments",),
    "fracrepro.theory.checks": ("fracrepro.stats.means",),
    "fracrepro.theory.tails": ("fracrepro.stats.tails",),
    "fracrepro.workflow.activations": ("fracrepro.theory.activations",),
    "fracrepro.workflow.plots": ("fracrepro.figures.style", "fracrepro.figures.training"),
    "fracrepro.workflow.tables": ("fracrepro.figures.tables",),
    "fracrepro.workflow.trainings": ("fracrepro.workflow.records",),
}
# Names that have left a module which there still is, or is again: where each is now.
NAMES: dict[str, dict[str, str]] = {
    "fracrepro.nn.networks": {
        "Network": "fracrepro.nn.training.network",
        "build_module": "fracrepro.nn.training.network",
        "initial_parameters": "fracrepro.nn.training.start",
        "stream": "fracrepro.nn.training.streams",
    },
    "fracrepro.workflow.records": {
        "device": "fracrepro.workflow.provenance",
        "digest": "fracrepro.workflow.provenance",
        "environment_line": "fracrepro.workflow.provenance",
        "package_digest": "fracrepro.workflow.provenance",
        "report": "fracrepro.workflow.reports",
        "reported_values": "fracrepro.workflow.reports",
        "versions": "fracrepro.workflow.provenance",
    },
}
# Names that are gone for good: where to look instead.
GONE: dict[str, dict[str, str]] = {
    "fracrepro.nn.init": {
        "FORMULAS": "fracrepro.nn.scale.FORMULAS",
        "MODES": "fracrepro.nn.scale.MODES",
        "NONLINEARITIES": "fracrepro.theory.activations.names()",
    },
    "fracrepro.nn.networks": {"STREAMS": "fracrepro.nn.training.streams.STREAMS"},
    "fracrepro.theory.layer": {"WEIGHTS": "fracrepro.theory.weights.NAMES"},
    "fracrepro.workflow.activations": {
        "NAMES": "fracrepro.theory.activations.names()",
        "named_activation": "fracrepro.theory.activations.named",
    },
    "fracrepro.workflow.plots": {"SCHEME_COLOURS": "fracrepro.nn.schemes.get(name).colour"},
    "fracrepro.workflow.project": {"unknown": "fracrepro.arguments.choice"},
    "fracrepro.workflow.records": {"PACKAGES": "fracrepro.workflow.provenance.PACKAGES"},
    "fracrepro.workflow.trainings": {
        "EPOCHS": "fracrepro.nn.experiments",
        "STEPS": "fracrepro.nn.experiments",
        "experiments": "fracrepro.nn.experiments",
        "settle": "fracrepro.nn.experiments.base.Experiment.settle",
    },
}


class _Moved(MetaPathFinder, Loader):
    """Finds an old path after every other finder has failed, and fills it from the new ones."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module that has moved."""
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        """Warn at the line that imports the old path, and take over every name of the new ones."""
        targets = MOVED[module.__name__]
        place = " and ".join(targets)
        warnings.warn(
            f"{module.__name__} has moved to {place}; the old path goes with the next version",
            DeprecationWarning,
            stacklevel=2,  # the frames of importlib do not count
        )
        for target in targets:
            names = vars(importlib.import_module(target))
            module.__dict__.update(
                {name: value for name, value in names.items() if not name.startswith("__")}
            )
        module.__dict__["__getattr__"] = getter(module.__name__)


def getter(module: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module that names have left."""

    def __getattr__(name: str) -> Any:
        target = NAMES.get(module, {}).get(name)
        if target is None:
            instead = GONE.get(module, {}).get(name)
            hint = f": use {instead}" if instead else ""
            raise AttributeError(f"module {module!r} has no attribute {name!r}{hint}")
        warnings.warn(
            f"{module}.{name} has moved to {target}; the old name goes with the next version",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(importlib.import_module(target), name)

    return __getattr__


def install() -> None:
    """Let Python ask for old paths, after it has looked for real modules; once, however often called."""
    if not any(type(finder) is _Moved for finder in sys.meta_path):
        sys.meta_path.append(_Moved())
