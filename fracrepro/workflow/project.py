"""Where the book's sources are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fracrepro import _moved, files
from fracrepro.arguments import choice
from fracrepro.errors import ArgumentError

ENVIRONMENT_VARIABLE = "FRACREPRO_PROJECT"


@dataclass(frozen=True)
class Project:
    """The folder that holds `notebooks/`, `book/` and `recorded/`, and the places inside it."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Project:
        """Return the project that `$FRACREPRO_PROJECT` names, else the nearest one at or above `start`.

        `start` defaults to the working directory; the last resort is the checkout that holds the package.

        Raises:
            ArgumentError: when none of them has `notebooks/profiles.yml`.
        """
        named = os.environ.get(ENVIRONMENT_VARIABLE)
        if named:
            candidates = [Path(named).resolve()]
        else:
            here = (start or Path.cwd()).resolve()
            candidates = [here, *here.parents, Path(__file__).resolve().parents[2]]
        for root in candidates:
            if (root / "notebooks" / "profiles.yml").is_file():
                return cls(root)
        raise ArgumentError(
            f"no project at {candidates[0]}: need a folder with notebooks/profiles.yml; "
            f"run inside a checkout of fracrepro or set {ENVIRONMENT_VARIABLE} to one, "
            "or make one with fracrepro copy-notebooks DIR"
        )

    @property
    def notebooks(self) -> Path:
        """The folder of notebook sources, which hold no outputs."""
        return self.root / "notebooks"

    @property
    def profiles(self) -> Path:
        """The file with each profile's parameters."""
        return self.notebooks / "profiles.yml"

    @property
    def executed(self) -> Path:
        """The folder of executed notebooks that the book publishes."""
        return self.root / "book" / "executed"

    @property
    def recorded(self) -> Path:
        """The folder of committed paper-scale results."""
        return self.root / "recorded"

    @property
    def plans(self) -> Path:
        """The folder of plans, one file an experiment, each committed before it runs."""
        return self.root / "plans"

    @property
    def site(self) -> Path:
        """The folder of the built book."""
        return self.root / "_build" / "html"

    def notebook_names(self) -> list[str]:
        """The names of all notebooks, in the book's order."""
        return sorted(path.stem for path in self.notebooks.glob("[0-9]*.ipynb"))

    def notebook_path(self, name: str) -> Path:
        """The source of one notebook.

        Raises:
            ArgumentError: when there is none of this name; suggests the nearest.
        """
        return self.notebooks / f"{choice('notebook', name, tuple(self.notebook_names()))}.ipynb"


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file, which can hold plain values only, and no key twice.

    Raises:
        ArgumentError: when it is missing or not valid; names it.
    """
    from fracrepro.workflow import yamlfile

    try:
        text = files.read_text(path)
    except FileNotFoundError:
        raise ArgumentError(f"{path}: no such file") from None
    try:
        return yamlfile.content(text)
    except ArgumentError as error:
        raise ArgumentError(f"{path}: {error}") from None


if not TYPE_CHECKING:  # a type checker that saw this would accept every name
    __getattr__ = _moved.getter(__name__)
