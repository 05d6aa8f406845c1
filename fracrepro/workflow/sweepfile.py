"""Sweeps described by a file: which experiment or notebook, and the values that its parameters take.

A file for a notebook, and one for an experiment::

    notebook: 02_moment_preservation        experiment: mnist
    profile: quick                          profile: quick
    parameters: {activation: relu}          settings: {runs: 4, schemes: [kaiming, fractional], s: 1.0}
    sweep:                                  sweep:
      s: [0.5, 1, 2]                          depth: [5, 10]
      width: [8, 64]                          learning_rate: [0.01, 0.02]

`profile` and the line below it may be left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fracrepro.arguments import choice
from fracrepro.errors import ArgumentError
from fracrepro.workflow.notebooks import DEFAULT_PROFILE
from fracrepro.workflow.project import Project, read_yaml
from fracrepro.workflow.sweeps import NotebookSweep

if TYPE_CHECKING:
    from fracrepro.nn.experiments.sweep import Sweep

_KEYS = {
    "notebook": ("notebook", "profile", "parameters", "sweep"),
    "experiment": ("experiment", "profile", "settings", "sweep"),
}
_SETTINGS: dict[str, tuple[tuple[type, ...], str]] = {
    "runs": ((int,), "an integer"),
    "epochs": ((int,), "an integer"),
    "schemes": ((list,), "a list of names"),
    "s": ((int, float), "a number"),
}


def load(path: Path, project: Project) -> NotebookSweep | Sweep:
    """Return the sweep that a file describes, settled and checked.

    Raises:
        ArgumentError: for whatever is wrong; the message names the file and the key.
    """
    content = _read(path)
    kinds = [kind for kind in _KEYS if kind in content]
    if len(kinds) != 1:
        raise ArgumentError(f"{path}: need exactly one of the keys {' and '.join(_KEYS)}")
    kind = kinds[0]
    try:
        for key in content:
            choice("key", key, _KEYS[kind])
        _check_kinds(content, kind)
        make = _of_a_notebook if kind == "notebook" else _of_an_experiment
        return make(content, project)
    except ArgumentError as error:
        raise ArgumentError(f"{path}: {error}") from None


def _read(path: Path) -> dict[str, Any]:
    """The mapping in a file."""
    try:
        content = read_yaml(path)
    except OSError as error:
        raise ArgumentError(f"{path}: cannot be read ({error.strerror})") from None
    if not isinstance(content, dict):
        raise ArgumentError(f"{path}: need a mapping with the keys notebook or experiment, and sweep")
    return content


def _check_kinds(content: Mapping[str, Any], kind: str) -> None:
    """Check the form of each key; what the values may be is checked by what they belong to."""
    for key in (kind, "profile"):
        if not isinstance(content.get(key, ""), str):
            raise ArgumentError(f"{key} = {content[key]!r}: need a name")
    for key in ("sweep", "parameters", "settings"):
        value = content.get(key, {})
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise ArgumentError(f"{key} = {value!r}: need a mapping from names to values")
    if not content.get("sweep"):
        raise ArgumentError("sweep: need at least one parameter with a list of values")
    for name, values in content["sweep"].items():
        if not isinstance(values, list) or not values:
            raise ArgumentError(f"sweep: {name} = {values!r}: need a list of values")


def _of_a_notebook(content: Mapping[str, Any], project: Project) -> NotebookSweep:
    return NotebookSweep(
        project,
        content["notebook"],
        content["sweep"],
        content.get("profile", DEFAULT_PROFILE),
        content.get("parameters", {}),
    )


def _of_an_experiment(content: Mapping[str, Any], project: Project) -> Sweep:
    from fracrepro.nn.experiments.protocol import PROTOCOLS
    from fracrepro.nn.experiments.sweep import Sweep

    protocol = PROTOCOLS[choice("experiment", content["experiment"], tuple(PROTOCOLS))]
    settings = dict(content.get("settings", {}))
    for name, value in settings.items():
        wanted, words = _SETTINGS[choice("settings: key", name, tuple(_SETTINGS))]
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise ArgumentError(f"settings: {name} = {value!r}: need {words}")
        if isinstance(value, list) and not all(isinstance(each, str) for each in value):
            raise ArgumentError(f"settings: {name} = {value!r}: need {words}")
    chosen = protocol.settle(content.get("profile", "paper"), **settings)
    return Sweep(chosen, tuple((name, tuple(values)) for name, values in content["sweep"].items()))
