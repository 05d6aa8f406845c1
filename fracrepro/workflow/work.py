"""What the commands that compute say and do: notebooks, sweeps, trainings."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fracrepro import files
from fracrepro.errors import ArgumentError
from fracrepro.workflow.project import Project

if TYPE_CHECKING:
    from fracrepro.nn.experiments.base import Experiment
    from fracrepro.workflow.engine import Engine
    from fracrepro.workflow.sweeps import NotebookSweep


def run_notebooks(project: Project, names: Sequence[str], **options: Any) -> None:
    """Run notebooks, say what happened to each, and exit with 1 when one failed."""
    from fracrepro.workflow import notebooks

    names = list(names) or project.notebook_names()
    outcomes = notebooks.run(project, names, **options)
    folder = options.get("output") or project.executed
    broken = {outcome.name for outcome in outcomes if outcome.error}
    for outcome in outcomes:
        if outcome.error:
            click.echo(f"{outcome.name}: FAILED in {outcome.error}", err=True)
            click.echo(f"  the notebook so far: {folder / outcome.name}.failed.ipynb", err=True)
        else:
            click.echo(f"{outcome.name}: executed in {outcome.record['seconds']:.1f} s")
    ran = {outcome.name for outcome in outcomes}
    for name in names:
        if name not in ran:
            click.echo(f"{name}: unchanged")
    if options.get("output"):
        missing = [name for name in names if name in ran or not (folder / f"{name}.html").is_file()]
        _write_html(project, folder, [name for name in missing if name not in broken])
    if broken:
        sys.exit(1)


def _write_html(project: Project, folder: Path, names: Sequence[str]) -> None:
    """Write the pages of a run for reading; one that cannot be made fails no run."""
    from fracrepro.workflow import site, standalone

    if not standalone.has_book(project):
        return
    try:
        for path in standalone.write(project, folder, names):
            click.echo(f"to read: {path}")
    except site.BuildError as error:
        click.echo(f"no page to read: {error}", err=True)


def sweep_notebook(
    sweep: NotebookSweep, folder: Path | None, dry_run: bool, force: bool, **options: Any
) -> None:
    """Say what there is to do, do it, list what failed, and exit with 1 if anything did."""
    from fracrepro.workflow import sweeps
    from fracrepro.workflow.engine import Engine

    engine = Engine(**options)
    if folder is None:
        raise ArgumentError("output_dir: need --output-dir DIR, for the table and the finished points")
    click.echo(str(sweeps.outlook(sweep, folder, engine, force)))
    if dry_run:
        return
    failures = sweeps.run(sweep, folder, engine, force=force)
    click.echo(f"the table: {folder / sweep.name}.csv")
    try:
        figure = sweeps.draw(sweep, folder)
        click.echo(f"the figure: {figure}" if figure else "no figure: no reported number changes")
    except ArgumentError as refusal:  # more curves than a figure can hold; the table is there
        click.echo(f"no figure: {refusal}", err=True)
    for label, error, path in failures:
        click.echo(f"FAILED {label}: {error}", err=True)
        click.echo(f"  the notebook so far: {path}", err=True)
    if failures:
        click.echo(f"{len(failures)} of {len(sweep.points)} points failed; their rows are missing", err=True)
        sys.exit(1)


def train(chosen: Experiment, out: Path, device: str, dry_run: bool, engine: Engine | None) -> None:
    """Record an experiment, under its plan where it has one, and exit with 1 if pieces failed."""
    from fracrepro.nn import data
    from fracrepro.workflow import commitments, plans, records
    from fracrepro.workflow.training_tasks import UnfinishedError

    planned = commitments.committed(chosen)
    plan = planned.plan if planned else None
    if planned:
        click.echo(f"the plan: {planned.file}, commit {planned.commit[:10]}")
    if engine is not None:
        from fracrepro.workflow import training_tasks

        measure = Project.find().recorded / f"{chosen.name}.csv"
        images = data.load(chosen.dataset)
        for part, kept in plans.parts(chosen, plan, training_tasks.checkpoints(out, chosen)):
            click.echo(str(training_tasks.outlook(part, images, out, engine, device, measure, kept)))
    if dry_run:
        return
    files.writable_folder("out", out)
    try:
        results = records.run(chosen, out, device=device, engine=engine, planned=planned)
    except UnfinishedError as error:
        for line in error.failures:
            click.echo(f"FAILED {line}", err=True)
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    for line in chosen.summary(results):
        click.echo(line)
    for line in plans.verdicts(plan, results) if plan else ():
        click.echo(line)
    click.echo(f"the record: {out / chosen.name}.csv")
