"""The table of measured errors of page numerics: every part of the computation against another route.

What the theory wing computes is compared with `fracrepro.oracle` at fixed points; an error above its budget
stops the build.  The budgets are what the docstrings promise, not what was measured.
"""

from __future__ import annotations

from collections.abc import Iterable

from fracrepro import files
from fracrepro.figures import numbers
from fracrepro.figures.headers import powered
from fracrepro.workflow.accuracy import many_layers, one_layer, several_inputs, shapes
from fracrepro.workflow.accuracy.rows import Row
from fracrepro.workflow.project import Project

ROWS: list[Row] = [*one_layer.ROWS, *many_layers.ROWS, *several_inputs.ROWS, *shapes.ROWS]


def as_table(rows: Iterable[Row]) -> str:
    """Return the table with the errors measured now; RuntimeError if one of them exceeds its budget."""
    lines = ["| quantity | other route | difference | largest | budget |", "|---|---|---|---:|---:|"]
    problems = []
    for row in rows:
        error = row.error()
        if not error <= row.budget:
            problems.append(f"{row.quantity}: {error:.1e} where {row.budget:.0e} is promised")
        link = f"{{ref}}`{row.quantity} <numerics-{row.target}>`"
        differ = powered(f"{numbers.error(error)} | {numbers.number(row.budget, '.0e')}")
        lines.append(f"| {link} | {row.route} | {row.measure} | {differ} |")
    if problems:
        raise RuntimeError("the laws miss their promised accuracy:\n" + "\n".join(problems))
    return "\n".join(lines) + "\n"


def write(project: Project) -> None:
    """Measure, and write the table that the book's page on numerics includes, if it has that page."""
    if (project.root / "book" / "numerics.md").is_file():
        files.write_text(project.root / "book" / "_generated" / "numerics.md", as_table(ROWS))
