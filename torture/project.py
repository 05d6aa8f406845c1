"""A project of one notebook, its sweeps, and what a command line has instead of a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import yaml

from torture.spoil import spoil
from torture.subject import Subject, plain_yaml

# A project of one notebook.

PARAMETERS = """\
s: float = 1.0  # order of the moment, in (0, 2]
width: int = 64  # neurons, in [1, 4096]
gpu: bool = False  # whether to use a GPU
kind: str = "relu"  # activation, one of relu | linear
orders: list[float] = [0.5, 1.0]  # several orders, in (0, 2]
"""
PROFILES = """\
quick:
  01_good: {width: 8, s: 0.5, kind: linear}
book: {}
paper:
  01_good:
    orders: [0.25, 2.0]
"""
DEFAULTS = {"s": 1.0, "width": 64, "gpu": False, "kind": "relu", "orders": [0.5, 1.0]}
NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "metadata": {}, "source": ["# A page\n", "Text."]},
        {
            "cell_type": "code",
            "metadata": {"tags": ["parameters"]},
            "source": PARAMETERS,
            "outputs": [],
            "execution_count": None,
        },
        {"cell_type": "code", "metadata": {}, "source": "print(s)", "outputs": [], "execution_count": None},
    ],
    "metadata": {
        "kernelspec": {"name": "python3"},
        "fracrepro": {"recorded": ["mnist"], "data_parameters": []},
    },
    "nbformat": 4,
    "nbformat_minor": 5,
}


def project(folder: Path) -> Path:
    """A project of one notebook; returns its profiles."""
    (folder / "notebooks").mkdir(parents=True, exist_ok=True)
    (folder / "notebooks" / "01_good.ipynb").write_text(json.dumps(NOTEBOOK, indent=1))
    (folder / "notebooks" / "profiles.yml").write_text(PROFILES)
    (folder / "book").mkdir(exist_ok=True)
    return folder / "notebooks" / "profiles.yml"


def allowed(name: str, value: Any) -> Any:
    """The value of a parameter of the notebook as its type has it; ValueError unless its line allows it."""
    if name == "orders":
        if not isinstance(value, list) or not value:
            raise ValueError(name)
        return [allowed("s", each) for each in value]
    kind = type(DEFAULTS[name])
    if kind is float and type(value) is int:
        value = float(value)
    fine = {
        "s": lambda: 0 < value <= 2,
        "width": lambda: 1 <= value <= 4096,
        "gpu": lambda: True,
        "kind": lambda: value in ("relu", "linear"),
    }
    if type(value) is not kind or not fine[name]():
        raise ValueError(name)
    return value


def typed(name: str, value: Any) -> Any:
    """The value that a text stands for, as on the command line and in a sweep."""
    if not isinstance(value, str) or name == "kind":
        return allowed(name, value)
    if name == "orders":
        entries = value.strip().removeprefix("[").removesuffix("]").split(",")
        return allowed(name, [float(yaml.safe_load(each)) for each in entries])
    found = yaml.safe_load(value)
    return allowed(name, float(found) if name == "s" and type(found) in (str, int) else found)


def _settled(folder: Path, profile: str = "quick") -> dict[str, Any]:
    from fracrepro.workflow import notebooks
    from fracrepro.workflow.project import Project

    return notebooks.plan(Project(folder), "01_good", profile).parameters


def _profiles(folder: Path) -> Any:
    from fracrepro.workflow import parameters

    given = parameters.load_profiles(folder / "notebooks" / "profiles.yml")
    return [given, _settled(folder)]


def _profiles_truth(content: bytes) -> Any:
    tree = plain_yaml(content)
    for name, notebooks in tree.items():
        if (
            type(name) is not str
            or set(notebooks) - {"01_good"}
            or not all(isinstance(each, dict) for each in notebooks.values())
        ):
            raise ValueError("profiles")
    given = tree["quick"].get("01_good", {})
    return [tree, {**DEFAULTS, **{name: allowed(name, value) for name, value in given.items()}}]


def _notebook(folder: Path) -> Path:
    project(folder)
    return folder / "notebooks" / "01_good.ipynb"


def _notebook_truth(content: bytes) -> Any:
    tree = json.loads(content)
    cells = [
        cell
        for cell in tree["cells"]
        if cell["cell_type"] == "code" and "parameters" in cell["metadata"].get("tags", [])
    ]
    (cell,) = cells
    names: dict[str, Any] = {
        "__builtins__": {"float": float, "int": int, "bool": bool, "str": str, "list": list}
    }
    exec("".join(cell["source"]), names)  # what the package has accepted: literals with a type
    given = {name: value for name, value in names.items() if not name.startswith("__")}
    kinds = {name: names["__annotations__"][name] for name in given}
    given = {name: float(value) if kinds[name] is float else value for name, value in given.items()}
    given |= {"width": 8, "s": 0.5, "kind": "linear"}
    if set(given) < {"width", "s", "kind"}:
        raise ValueError("a parameter of the profile is missing")
    return given


# Sweeps.

SWEEP = """\
notebook: 01_good
profile: quick
parameters: {kind: relu, gpu: true}
sweep:
  s: [0.5, 1, "1.5"]
  width: [8, 64]
"""
TRAINING = """\
experiment: digits
profile: quick
settings: {runs: 2, epochs: 1, schemes: [kaiming, fractional], s: 1.0}
sweep:
  depth: [5, 10]
  learning_rate: [0.01, 0.02]
"""


def with_file(text: str, name: str) -> Callable[[Path], Path]:
    """What writes the project and one more file, which it returns."""

    def make(folder: Path) -> Path:
        project(folder)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return make


def _sweep(folder: Path) -> Any:
    from fracrepro.workflow import sweepfile
    from fracrepro.workflow.project import Project

    found = sweepfile.load(folder / "points.yml", Project(folder))
    if hasattr(found, "points"):
        return [dict(found.axes), [item.parameters for _, item in found.points]]
    described = found.to_dict()
    return [
        described["axes"],
        described["seeds"],
        described["epochs"],
        [each["name"] for each in described["schemes"]],
    ]


def _sweep_truth(content: bytes) -> Any:
    import itertools

    tree = plain_yaml(content)
    if set(tree) - {"notebook", "profile", "parameters", "sweep"} or tree["notebook"] != "01_good":
        raise ValueError("keys")
    axes = {name: [typed(name, value) for value in values] for name, values in tree["sweep"].items()}
    profile = yaml.safe_load(PROFILES)[tree.get("profile", "book")].get("01_good", {})
    fixed = {name: typed(name, value) for name, value in tree.get("parameters", {}).items()}
    points = [
        {**DEFAULTS, **profile, **fixed, **dict(zip(axes, values, strict=True))}
        for values in itertools.product(*axes.values())
    ]
    return [axes, points]


def _training_truth(content: bytes) -> Any:
    tree = plain_yaml(content)
    settings = tree.get("settings", {})
    profile = {"quick": (2, 1), "book": (3, 5)}.get(tree.get("profile", "paper"))
    runs, epochs = profile or (None, None)
    from fracrepro.nn.experiments import DIGITS, PROTOCOLS

    full = PROTOCOLS[tree["experiment"]] if tree["experiment"] != "digits" else DIGITS
    schemes = settings.get("schemes") or [each.name for each in full.schemes]
    return [
        tree["sweep"],
        list(range(settings.get("runs", runs)))
        if settings.get("runs", runs) is not None
        else list(full.seeds),
        settings.get("epochs", epochs) if settings.get("epochs", epochs) is not None else full.epochs,
        schemes,
    ]


# What a command line has instead of a file.


def _parameter_texts(content: bytes, kind: str, random: Random) -> tuple[str, bytes]:
    name, _, text = content.decode().partition("=")
    name = random.choice(list(DEFAULTS))
    others = (
        "0.5",
        "1e-3",
        "[0.5, 1]",
        "0.5,1",
        "8",
        "true",
        "relu",
        "2001-99-99",
        "{[]: 1}",
        "[" * 5000,
        "!!set {a}",
    )
    more = (
        "0x" + "f" * 9000,
        "9" * 5000,
        "9" * 400,
        "*a",
        "&a [*a]",
        "1:30",
        "1_0",
        "\udcff",
        "nan",
        ".inf",
        "1e999",
    )
    text = random.choice([text, *others, *more, *map(str, _texts())])
    way, damaged = spoil(text.encode(errors="replace") or b" ", "bytes", random)
    if random.random() < 0.5:
        way, damaged = "another value", text.encode("utf-8", "surrogatepass")
    return way, f"{name}=".encode() + damaged


def _texts() -> list[Any]:
    from torture.spoil import VALUES

    return [value for value in VALUES if not isinstance(value, int) or abs(value) < 10**300]


def _given(folder: Path) -> Any:
    from fracrepro.workflow import parameters

    name, _, text = (folder / "given.txt").read_bytes().decode(errors="surrogateescape").partition("=")
    contract = parameters.declared(parameters.parse_notebook(json.dumps(NOTEBOOK), "01_good"), "01_good")
    return parameters.resolve(contract, {}, {name: text})[name]


def _given_truth(content: bytes) -> Any:
    name, _, text = content.decode(errors="surrogateescape").partition("=")
    return typed(name, text)


_PLANNED = ("run", "01_good", "--profile", "quick", "--sweep", "s=0.5", "--dry-run", "--output-dir", "out")
WORKFLOW = (
    Subject("profiles", "yaml", project, _profiles, _profiles_truth, command=_PLANNED),
    Subject("notebook", "json", _notebook, _settled, _notebook_truth, ("01_good",), command=_PLANNED),
    Subject(
        "sweep of a notebook",
        "yaml",
        with_file(SWEEP, "points.yml"),
        _sweep,
        _sweep_truth,
        command=("sweep", "points.yml", "--dry-run", "--output-dir", "out"),
    ),
    Subject(
        "sweep of an experiment",
        "yaml",
        with_file(TRAINING, "points.yml"),
        _sweep,
        _training_truth,
        command=("sweep", "points.yml", "--dry-run", "--output-dir", "out"),
    ),
    Subject(
        "parameter",
        "text",
        with_file("s=0.5", "given.txt"),
        _given,
        _given_truth,
        tuple(DEFAULTS),
        spoil=_parameter_texts,
    ),
)
