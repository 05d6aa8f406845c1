"""What a teacher hands out: exercises without solutions as one page to print, and a sheet to fill in."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from fracrepro import files
from fracrepro.errors import ArgumentError
from fracrepro.workflow import answers, exercises
from fracrepro.workflow.exercises import Exercise, Posed
from fracrepro.workflow.project import Project

__all__ = ["PAGE", "SHEET", "write"]

#: The page to print.
PAGE = "exercises.html"
#: The sheet to fill in.
SHEET = "answers.yml"
_HEAD = f"""\
# Write each answer behind the colon of its label, with a space between.
# What you leave open counts as not answered.
# Numbers may be written as 31, 0.5, 1/2, 5e-1, 50 % or 1,400.
# Check them with: fracrepro check-answers {SHEET}

{answers.NAME}:
"""
_INTRODUCTION = f"""\
# Exercises

Name: ____________________________

Levels: {"; ".join(f"{level} is {words}" for level, words in exercises.LEVELS.items())}.
Answers go into the file `{SHEET}`, each behind the label of its exercise.
"""
# On paper an exercise stays on one sheet, and nothing is grey.
_STYLE = """
@media print{.admonition{break-inside:avoid;box-shadow:none;border:1px solid #777}
.admonition,.admonition>.admonition-title{background:none!important;color:#000}
body,main{color:#000;background:#fff}a{color:#000;text-decoration:none}.toggle-button{display:none}}
"""


def write(project: Project, names: Sequence[str], folder: Path) -> list[Path]:
    """Write the page and the sheet into a folder, and return both files.

    Args:
        project: whose exercises they are.
        names: of pages, or labels of single exercises; none means all.
        folder: is made if it is missing; nothing in it is replaced, since a sheet may be filled in.

    Raises:
        ArgumentError: for unknown names, a key that does not fit the pages, and a folder that has one of the
            files or cannot be written.
        BuildError: when Sphinx makes no page.
        MissingPackageError: without the packages that build the book.
    """
    chosen = exercises.chosen(project, names)
    from fracrepro.workflow import standalone  # here and below: they need what builds the book

    for name in (PAGE, SHEET):
        if (folder / name).exists():
            raise ArgumentError(f"out = '{folder}': has {name} already: need another folder")
    files.writable_folder("out", folder)
    note = "Exercises of the book, without their solutions."
    files.write_text(
        folder / PAGE, standalone.from_text(project, "handout", text(project, chosen), note, _STYLE)
    )
    files.write_text(folder / SHEET, sheet(project, chosen))
    return [folder / PAGE, folder / SHEET]


def text(project: Project, chosen: Sequence[tuple[Exercise, Posed]]) -> str:
    """Return the page in Markdown: each exercise with level, goal, label and what is to be answered."""
    parts, page = [_INTRODUCTION], ""
    for entry, box in chosen:
        if entry.page != page:
            page = entry.page
            parts.append(f"## {_title(project, page)}\n")
        asked = f"Answer: {entry.ask.rstrip('.')}." if entry.ask else "To be handed in on paper."
        parts.append(
            f"`````{{exercise}} {box.title}\n:label: {entry.label}\n\n"
            f"*Level {entry.level}. Goal: {entry.goal}.*\n\n{box.statement}\n\n"
            f"{asked} Label: `{entry.label}`.\n`````\n"
        )
    return "\n".join(parts)


def sheet(project: Project, chosen: Sequence[tuple[Exercise, Posed]]) -> str:
    """Return the sheet: a line for each exercise whose answer can be checked, with what is asked above it."""
    lines, page = [_HEAD], ""
    for entry, box in chosen:
        if entry.page != page:
            page = entry.page
            lines.append(f"\n# {_title(project, page)}\n")
        asked = entry.ask.rstrip(".") or f"on paper, under {entry.label}"
        about = f"“{box.title}”, level {entry.level}: {asked}".replace("$", "")
        lines += [f"# {line}" for line in textwrap.wrap(about, 100)]
        if entry.ask:
            lines.append(f"{entry.label}:")
        lines.append("")
    return "\n".join(lines)


def _title(project: Project, page: str) -> str:
    """Number and title of a page, as the book says them: ``page 07, “Dropout”`` with a capital."""
    from fracrepro.workflow import elsewhere

    words = elsewhere.labels(project.root)[page]
    return words[0].upper() + words[1:]
