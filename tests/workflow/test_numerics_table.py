"""The table of measured errors: every budget holds, and a law that misses its own stops the build."""

import dataclasses
from pathlib import Path

import pytest

from fracrepro.workflow import numerics_table as table
from fracrepro.workflow.project import Project


def test_every_row_has_a_paragraph_and_a_budget_worth_its_name():
    """That the budgets hold is what the build of the book checks."""
    page = (Path(__file__).parents[2] / "book" / "numerics.md").read_text(encoding="utf-8")
    assert all(f"(numerics-{row.target})=" in page and row.budget <= 1e-5 for row in table.ROWS)
    assert len({row.quantity for row in table.ROWS}) == len(table.ROWS) > 15


def test_an_error_above_its_budget_is_named():
    row = dataclasses.replace(table.ROWS[0], differences=lambda: [0.0, -2e-3, 1e-16])
    with pytest.raises(RuntimeError, match=r"exp\(y\) − 1 − y: 2\.0e-03 where 1e-14 is promised"):
        table.as_table([table.ROWS[0], row])
    not_a_number = dataclasses.replace(row, differences=lambda: [float("nan")])
    with pytest.raises(RuntimeError, match="nan"):
        table.as_table([not_a_number])


def test_is_written_where_the_book_has_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "ROWS", table.ROWS[:1])
    table.write(Project(tmp_path))
    assert not (tmp_path / "book").exists()
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "numerics.md").write_text("# Numerics\n")
    table.write(Project(tmp_path))
    written = (tmp_path / "book" / "_generated" / "numerics.md").read_text()
    assert written.count("\n") == 3
    assert "{ref}`log(1 + y) − y and exp(y) − 1 − y <numerics-cancellation>`" in written
