"""Commands for a course: what is handed out, and what comes back."""

from __future__ import annotations

import sys
from pathlib import Path

import click

__all__ = ["check_answers", "handout"]


@click.command()
@click.argument("names", nargs=-1, metavar="[PAGE]...")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the files.")
def handout(names: tuple[str, ...], out: Path) -> None:
    """Write exercises without solutions, as a page to print and a sheet to fill in.

    PAGE is a page such as 07_dropout, or the label of a single exercise; without one, all are written.
    """
    from fracrepro.workflow import bundle
    from fracrepro.workflow.handout import write

    for path in write(bundle.project(), names, out):
        click.echo(f"wrote {path}")


@click.command("check-answers")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--show-answers", is_flag=True, help="Say also what is right, after the class.")
def check_answers(file: Path, show_answers: bool) -> None:
    """Say which answers of a filled-in sheet are right; exit with 1 when one is not.

    A line of the sheet is a label, a colon and an answer, which may be typed as 0.5, 1/2, 50 % or 1,400.
    """
    from fracrepro.workflow import answers, bundle, exercises

    key = exercises.load(bundle.project())
    given = answers.read(file, key)
    if given.get(answers.NAME):
        click.echo(given[answers.NAME])
    checked = answers.check(given, key)
    for each in checked:
        click.echo(each.line(show_answers))
    found = [each.verdict for each in checked]
    counts = ", ".join(f"{found.count(verdict)} {verdict}" for verdict in answers.VERDICTS)
    click.echo(f"{len(checked)} exercise{'s' * (len(checked) != 1)}: {counts}")
    if "not right" in found:
        sys.exit(1)
