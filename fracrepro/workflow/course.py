"""Tables for a course: a Sphinx extension that makes them of the key to the exercises and of the runs."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from fracrepro.errors import ArgumentError
from fracrepro.figures import numbers
from fracrepro.workflow import elsewhere, exercises, ledger
from fracrepro.workflow.exercises import Exercise, Posed
from fracrepro.workflow.project import Project

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["setup"]

_FOLDER = "book/executed"
_MINUTES = re.compile(r"\*\*Time to read:\*\* (?P<words>[^\n]+?)\.?\n")
_KINDS = {int: "number", float: "number", str: "word"}


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directives."""
    app.add_directive("exercise-table", ExerciseTable)
    app.add_directive("exercise-counts", ExerciseCounts)
    app.add_directive("page-table", PageTable)
    return {"parallel_read_safe": False, "parallel_write_safe": True}


class _OfExercises(SphinxDirective):
    """What all directives here share."""

    def exercises(self, names: Sequence[str] = ()) -> list[tuple[Exercise, Posed]]:
        """The exercises of some pages, or of all; what does not fit is an error of the page."""
        self.env.note_dependency(str(Path(self.env.srcdir) / "book" / "exercises.yml"))
        try:
            return exercises.chosen(self.project, names)
        except ArgumentError as error:
            raise self.error(f"{self.name}: {error}") from None

    @property
    def project(self) -> Project:
        """The project that is built."""
        return Project(Path(self.env.srcdir))

    def text(self, text: str) -> list[nodes.Node]:
        """Words with formulas."""
        found, messages = self.parse_inline(text, lineno=self.lineno)
        return [*found, *messages]

    def link(self, page: str, anchor: str, words: str) -> nodes.reference:
        """A link to a page of the book, or to an exercise on it."""
        document = f"{_FOLDER}/{page}"
        if document not in self.env.found_docs:
            raise self.error(f"{self.name}: the page {page} is not in the book")
        uri = self.env.app.builder.get_relative_uri(self.env.docname, document)
        address = f"{uri}#{anchor}" if anchor else uri
        return nodes.reference("", "", *self.text(words), internal=True, refuri=address)


class ExerciseTable(_OfExercises):
    """``{exercise-table} [pages or labels]``: one row an exercise, easy ones first; all without a name."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Make the table; a narrow screen shows its rows as cards."""
        chosen = self.exercises(self.arguments[0].split() if self.arguments else ())
        pages = {entry.page for entry, _ in chosen}
        if self.arguments:
            chosen = sorted(chosen, key=lambda pair: pair[0].level)
        head = ("exercise", "level", "goal", "answer", "page")[: None if len(pages) > 1 else 4]
        rows = [self.row(entry, box)[: len(head)] for entry, box in chosen]
        return [ledger.table(head, rows, classes=["cards"])]

    def row(self, entry: Exercise, box: Posed) -> list[list[nodes.Node]]:
        """The cells of one exercise."""
        kind = _KINDS.get(type(entry.answer), "on paper")
        return [
            [self.link(entry.page, entry.label, box.title)],
            [nodes.Text(str(entry.level))],
            self.text(entry.goal[:1].upper() + entry.goal[1:]),
            [nodes.Text(kind)],
            [self.link(entry.page, "", entry.page[:2])],
        ]


class ExerciseCounts(_OfExercises):
    """``{exercise-counts}``: how many exercises there are, and of which kinds."""

    def run(self) -> list[nodes.Node]:
        """Make one sentence."""
        found = self.exercises()
        levels = Counter(entry.level for entry, _ in found)
        each = [f"{levels[level]} of level {level} ({words})" for level, words in exercises.LEVELS.items()]
        checked = sum(entry.answer is not None for entry, _ in found)
        code = sum(bool(box.code) for _, box in found)
        text = (
            f"There are {len(found)} exercises: {', '.join(each[:-1])} and {each[-1]}. "
            f"The answers to {checked} can be checked by a command; the rest are proofs and small projects. "
            f"Every exercise has a worked solution; {code} of them show code that this build has executed."
        )
        return [nodes.paragraph("", text)]


class PageTable(_OfExercises):
    """``{page-table}``: each page with its time to read, its exercises and what its run took."""

    def run(self) -> list[nodes.Node]:
        """Make the table, below a line that says which profile the seconds are of."""
        counts = Counter(entry.page for entry, _ in self.exercises())
        words = elsewhere.labels(self.project.root)
        rows, profiles = [], set()
        for page in self.project.notebook_names():
            record = self.record(page)
            profiles.add(record["profile"])
            link = self.link(page, "", words[page])
            posed = f"{counts[page]}\u00a0exercise{'s' * (counts[page] != 1)}"
            cells = (self.minutes(page), posed, f"{numbers.number(record['seconds'], '.0f')}\u00a0s")
            rows.append([[link], *([nodes.Text(cell)] for cell in cells)])
        head = ("page", "to read", "to solve", "to run")
        note = f"The seconds are those of this build, at the profile {' and '.join(sorted(profiles))}."
        return [nodes.paragraph("", note), ledger.table(head, rows, classes=["cards"])]

    def record(self, page: str) -> dict[str, Any]:
        """What the run of a page left in its notebook."""
        path = self.project.executed / f"{page}.ipynb"
        if not path.is_file():
            raise self.error(f"{self.name}: the page {page} has not been executed")
        self.env.note_dependency(str(path))
        return json.loads(path.read_text())["metadata"]["fracrepro"]

    def minutes(self, page: str) -> str:
        """The time to read that the page states, on one line."""
        first = "".join(json.loads(self.project.notebook_path(page).read_text())["cells"][0]["source"])
        match = _MINUTES.search(f"{first}\n")
        return match["words"].replace("minutes", "min").replace(" ", "\u00a0") if match else ""
