"""What is killed: commands on a tiny project, and which of the files that they leave are results.

Everything here reads the files by itself, without the package, so that a defect cannot hide behind itself.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import sys
import textwrap
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
#: What differs between two runs of one thing: times, digests over times, the commit, which may be made
#: meanwhile and is not the digest of the code, and the id of the cell that
#: papermill adds, which is drawn at random.
TIMES = {"seconds", "started", "wall_seconds", "resumed", "papermill", "execution"}
TIMES |= {"content", "page", "sha256", "id", "commit"}
#: Files that a kill may leave until the next run, and which nobody reads: their names say so.
TEMPORARY = re.compile(
    r"(^|/)\.([^/]+\.[a-z0-9_]{8}\.part|building-[a-z0-9_]{8}|([^/]+\.)?lock|html-before)(/|$)"
)
CELL = """
import numpy as np
from fracrepro.workflow import report
sample = s * np.random.default_rng(n).normal(size=(120, 120))
report(mean=sample.mean(), norm=np.linalg.norm(sample, 2), positive=bool(sample[0, 0] > 0))
"""
CONFIGURATION = """
title: Tiny
only_build_toc_files: true
execute: {execute_notebooks: "off"}
sphinx:
  config:
    extensions: [sphinx_togglebutton, sphinx_copybutton, myst_nb, jupyter_book, sphinx_comments,
      sphinx_external_toc, sphinx_design, sphinx_book_theme, sphinx_proof, fracrepro.workflow.access]
    html_static_path: [book/_static]
    html_last_updated_fmt: null  # a date would differ from day to day
"""
SWEEP = """
experiment: digits
settings: {runs: 2, epochs: 2, schemes: [kaiming]}
sweep: {depth: [2, 3], width: [8, 12]}
"""


@dataclass(frozen=True)
class Target:
    """A command that is killed.

    Args:
        name: the kind of work, a row of the table.
        variant: what tells it from others of its kind.
        arguments: of the command; OUT stands for the folder of the results.
        results: the folder of the results, below the case's folder.
        victims: which processes there are to kill.
        share: of all chains of its kind.
    """

    name: str
    variant: str
    arguments: tuple[str, ...]
    results: str
    victims: tuple[str, ...]
    share: int = 1

    @property
    def reference(self) -> tuple[str, ...]:
        """The same command in one process: the unbroken run that all others are compared with."""
        kept = list(self.arguments)
        if "--jobs" in kept:
            kept[kept.index("--jobs") + 1] = "1"
        return tuple(kept)

    def command(self, arguments: tuple[str, ...], folder: Path) -> list[str]:
        """The command line, of this interpreter."""
        program = "from fracrepro.workflow.cli import main; main()"
        words = [str(folder / "out") if word == "OUT" else word for word in arguments]
        return [sys.executable, "-c", program, *(word.replace("HERE", str(folder)) for word in words)]


TRAIN = ("train", "digits", "--profile", "quick", "--runs", "8", "--epochs", "2", "--scheme", "kaiming")
TRAIN = (*TRAIN, "--device", "cpu", "--out", "OUT")
POINTS = ("run", "03_three", "--profile", "quick", "--output-dir", "OUT", "--sweep", "n=1,2,3")
TARGETS = [
    Target("training", "one process", TRAIN, "out", ("driver",), 2),
    Target("training", "two workers", (*TRAIN, "--jobs", "2"), "out", ("driver", "worker"), 3),
    Target(
        "notebooks",
        "one process",
        ("run", "--profile", "quick", "--jobs", "1"),
        "project/book/executed",
        ("driver", "kernel"),
    ),
    Target(
        "notebooks",
        "two workers",
        ("run", "--profile", "quick", "--jobs", "2"),
        "project/book/executed",
        ("driver", "worker", "kernel"),
        2,
    ),
    Target("sweep", "points", (*POINTS, "--jobs", "2"), "out", ("driver", "worker", "kernel")),
    Target(
        "sweep",
        "trainings",
        ("sweep", "HERE/sweep.yml", "--device", "cpu", "--output-dir", "OUT", "--jobs", "2"),
        "out",
        ("driver", "worker"),
        2,
    ),
    Target("build", "book", ("build", "--profile", "quick", "--jobs", "1"), "project", ("driver", "builder")),
]


def prepare(folder: Path) -> None:
    """Make a tiny project in a folder: three pages, their profiles, a book of them, the file of a sweep."""
    project = folder / "project"
    for part in ("notebooks", "book/_static"):
        (project / part).mkdir(parents=True)
    (folder / "tmp").mkdir()
    for number, name in enumerate(("01_one", "02_two", "03_three"), 1):
        (project / "notebooks" / f"{name}.ipynb").write_text(_page(name, number))
    (project / "notebooks" / "profiles.yml").write_text("quick: {}\nbook: {}\n")
    (project / "book" / "claims.yml").write_text("[]\n")
    (project / "_config.yml").write_text(CONFIGURATION)
    (project / "intro.md").write_text("# Tiny\n\nA page of prose.\n")
    chapters = "".join(f"- file: book/executed/{name}\n" for name in ("01_one", "02_two"))
    (project / "_toc.yml").write_text(f"format: jb-book\nroot: intro\nchapters:\n{chapters}")
    (folder / "sweep.yml").write_text(SWEEP)


def _page(name: str, number: int) -> str:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": f"# Page {name}\n\nA sentence."},
        _code(
            f"n: int = {number}  # a number, in [0, 99]\ns: float = 1.0  # a factor, in (0, 2]", "parameters"
        ),
        _code(CELL),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    facts = {"kernelspec": kernel, "language_info": {"name": "python"}}
    for cell in cells:
        cell["id"] = f"c{zlib.crc32(str(cell['source']).encode())}"
    return json.dumps({"cells": cells, "metadata": facts, "nbformat": 4, "nbformat_minor": 5})


def _code(source: str, *tags: str) -> dict[str, Any]:
    cell = {"cell_type": "code", "metadata": {"tags": list(tags)}, "outputs": [], "execution_count": None}
    return {**cell, "source": textwrap.dedent(source).strip()}


def written(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file below a folder that is no temporary one, by its relative name."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            relative = path.relative_to(folder).as_posix()
            if not TEMPORARY.search(relative):
                yield relative, path


def temporary(folder: Path) -> list[str]:
    """The temporary files and folders below a folder: after a run that was not killed there are none."""
    found = []
    for place, folders, names in os.walk(folder):
        relative = [Path(place, name).relative_to(folder).as_posix() for name in (*folders, *names)]
        found += [name for name in relative if TEMPORARY.search(name)]
    return found


def plain(name: str, content: bytes) -> str:
    """The content of a result without its times, as text.

    Raises:
        ValueError: when it is not whole.
    """
    if name.endswith((".json", ".ipynb")):
        value = json.loads(content)
        if ".points/" in name and name.endswith(".json"):
            _check_point(value)
        return json.dumps(_without_times(value), sort_keys=True)
    if name.endswith(".csv"):
        return _table(content.decode())
    if name.endswith(".ckpt"):
        _, digest, rest = content.split(b"\n", 2)
        if digest.decode() != hashlib.sha256(rest).hexdigest():
            raise ValueError("the digest of the checkpoint is not that of its content")
        return digest.decode()
    if name.endswith((".html", ".svg", ".js", ".css", ".md", ".txt", ".yml")):
        text = content.decode()
        whole = {"<!doctype html": "</html>", "<svg": "</svg>", "<?xml": ">"}
        begins = text.lstrip().lower()
        if any(begins.startswith(start) and end not in text for start, end in whole.items()):
            raise ValueError("has no end")
        return text
    return hashlib.sha256(content).hexdigest()


def _check_point(value: Any) -> None:
    digest = hashlib.sha256(json.dumps(value["record"], sort_keys=True).encode()).hexdigest()
    if value["sha256"] != digest:
        raise ValueError("the digest of the point is not that of its record")


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key not in TIMES}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


def _table(text: str) -> str:
    if not text.endswith("\n"):
        raise ValueError("the last row has no end")
    rows = list(csv.reader(io.StringIO(text)))
    kept = [place for place, name in enumerate(rows[0]) if name not in TIMES]
    if any(len(row) != len(rows[0]) for row in rows):
        raise ValueError("rows of different lengths")
    return "\n".join(",".join(row[place] for place in kept) for row in rows)
