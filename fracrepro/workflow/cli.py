"""The `fracrepro` command."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fracrepro import files
from fracrepro._version import __version__
from fracrepro.errors import ArgumentError
from fracrepro.workflow import questions, teaching, work
from fracrepro.workflow.boundary import OneLineErrors
from fracrepro.workflow.choices import OneOf
from fracrepro.workflow.project import Project

_PROFILE = click.option("--profile", default="book", show_default=True, help="quick, book or paper.")
_FORCE = click.option("--force", is_flag=True, help="Run also what is unchanged.")
_JOBS = click.option(
    "--jobs", type=click.IntRange(min=1), help="Processes side by side [default: one a core]."
)
_SCHEDULER = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="A running Dask scheduler, such as tcp://host:8786 [default: $FRACREPRO_SCHEDULER].",
)
_WORKER_TIMEOUT = click.option(
    "--worker-timeout",
    type=float,
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a scheduler may have no worker.",
)


def _engine(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where its work is done."""
    for option in (_WORKER_TIMEOUT, _SCHEDULER, _JOBS):
        command = option(command)
    return command


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fracrepro")
def main() -> None:
    """Reproduce fractional moment-preserving initialization: notebooks, trainings, the book."""


@main.command("list")
def list_command() -> None:
    """List the notebooks with their parameters, defaults and allowed values."""
    from fracrepro.workflow import parameters

    project = Project.find()
    profiles = parameters.load_profiles(project.profiles)
    click.echo(f"profiles: {', '.join(profiles)}")
    for name in project.notebook_names():
        click.echo(f"\n{name}")
        contract = parameters.declared(
            parameters.parse_notebook(files.read_text(project.notebook_path(name)), name), name
        )
        for item in contract.values():
            click.echo(f"  {item.name:<14} {item.default!r:<12} {item.help}: {item.allowed}")


@main.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_PROFILE
@click.option(
    "-p",
    "pairs",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="Set a parameter of every named notebook; a list is typed as 1,2,3.",
)
@click.option("--output-dir", type=click.Path(path_type=Path), help="Write there, not into the book.")
@click.option(
    "--sweep",
    "axes",
    multiple=True,
    metavar="NAME=V1,V2,…",
    help="Run one notebook at each of these values, and at every combination where repeated.",
)
@click.option("--dry-run", is_flag=True, help="With --sweep: say what there is to do, and do nothing.")
@_engine
@_FORCE
def run(
    names: tuple[str, ...],
    profile: str,
    pairs: tuple[tuple[str, str], ...],
    output_dir: Path | None,
    axes: tuple[str, ...],
    dry_run: bool,
    **options: Any,
) -> None:
    """Execute notebooks (default: all) that have changed since their last run.

    With --sweep, the folder gets NAME.csv, a row a point: parameters, reported values, seconds and started.
    """
    if axes:
        from fracrepro.workflow.sweeps import NotebookSweep, parse_axes

        if len(names) != 1:
            raise ArgumentError(f"sweep: varies the parameters of one notebook, not of {len(names)}")
        sweep = NotebookSweep(Project.find(), names[0], parse_axes(axes), profile, dict(pairs))
        work.sweep_notebook(sweep, output_dir, dry_run, **options)
        return
    if dry_run:
        raise ArgumentError("dry_run: need a sweep")
    if pairs and not names:
        raise ArgumentError("-p sets a parameter of named notebooks: name at least one")
    work.run_notebooks(
        Project.find(), names, profile=profile, overrides=dict(pairs), output=output_dir, **options
    )


@main.command("sweep")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--output-dir", type=click.Path(path_type=Path), help="Folder of table and results.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda; for experiments.")
@click.option("--dry-run", is_flag=True, help="Say what there is to do, and do nothing.")
@_engine
@_FORCE
def sweep_command(file: Path, output_dir: Path | None, device: str, dry_run: bool, **options: Any) -> None:
    """Compute a notebook or an experiment at every combination of the values in a YAML file.

    A notebook leaves DIR/NAME.csv with a row for each point.
    An experiment leaves its record, DIR/NAME.csv and NAME.json, with a column for each varied setting.
    """
    from fracrepro.workflow import sweepfile
    from fracrepro.workflow.engine import Engine
    from fracrepro.workflow.sweeps import NotebookSweep

    sweep = sweepfile.load(file, Project.find())
    if isinstance(sweep, NotebookSweep):
        work.sweep_notebook(sweep, output_dir, dry_run, **options)
        return
    if output_dir is None:
        raise ArgumentError("output_dir: need --output-dir DIR, for the record")
    if options.pop("force"):
        raise ArgumentError("force: a record is not replaced; delete it, or name another folder")
    work.train(sweep, output_dir, device, dry_run, Engine(**options))


@main.command()
@_PROFILE
@_engine
@_FORCE
def build(profile: str, **options: Any) -> None:
    """Execute what has changed, then build the book into _build/html."""
    from fracrepro.workflow import site

    project = Project.find()
    work.run_notebooks(project, site.toc_notebooks(project), profile=profile, **options)
    try:
        site.build(project, profile)
    except site.BuildError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    click.echo(f"the book: {project.site / 'index.html'}")


@main.command()
@click.argument("name", type=OneOf("experiment", "experiments"))
@click.option("--profile", default="paper", show_default=True, help="quick, book or paper.")
@click.option("--runs", type=int, help="Seeds for each scheme.")
@click.option("--epochs", type=int, help="Passes over the training set.")
@click.option(
    "--scheme", "schemes", type=OneOf("scheme", "schemes"), multiple=True, help="Scheme to train; repeatable."
)
@click.option("--s", "s", type=float, help="Order of the schemes that have one, in [0, 2].")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the record.")
@click.option("--dry-run", is_flag=True, help="Say what there is to do, and do nothing.")
@_engine
def train(
    name: str,
    profile: str,
    device: str,
    out: Path | None,
    dry_run: bool,
    jobs: int | None,
    scheduler: str | None,
    worker_timeout: float,
    **changes: Any,
) -> None:
    """Carry out an experiment and record it as NAME.csv and NAME.json; continue an interrupted call.

    NAME is that of a data set for the comparison of schemes on it, or that of a sweep or a measurement.
    The full protocol goes to the project's recorded results; anything else needs --out.
    With --jobs or --scheduler its pieces train in processes or on a cluster, with the same results.
    Where plans/NAME.yml is, the full protocol is trained under that plan, which must be committed as it is.
    """
    from fracrepro.nn.experiments.registry import experiment
    from fracrepro.workflow.engine import Engine

    full = experiment(name)
    chosen = full.settle(profile, **changes)
    if out is None:
        if chosen != full:
            raise ArgumentError("out: need --out DIR, since recorded/ holds the full protocols only")
        out = Project.find().recorded
    engine = Engine(jobs, scheduler, worker_timeout)
    work.train(chosen, out, device, dry_run, engine if dry_run or jobs or engine.address else None)


@main.command("schemes")
def schemes_command() -> None:
    """List the initialization schemes: what each is, where it comes from, and its options."""
    from fracrepro.nn import schemes

    for row in schemes.table().to_dict("records"):
        marks = ("needs a batch" if row["needs_data"] else "", "" if row["random"] else "draws nothing")
        click.echo(f"{row['name']:<16} {'; '.join(filter(None, (row['label'], row['source'], *marks)))}")
        click.echo(f"{'':<16}   for {row['families']}")
        for option in filter(None, row["options"].split("; ")):
            click.echo(f"{'':<16}   {option}")


@main.group()
def data() -> None:
    """Find, download and verify the data sets."""


@data.command()
def status() -> None:
    """Say where each data set is, without reading it."""
    from fracrepro.nn.data import status

    for item in status():
        click.echo(f"{item['name']:<8} {item['where'] or 'missing: ' + str(item['advice'])}")


@data.command()
@click.argument("name", type=OneOf("name", "downloads"))
def fetch(name: str) -> None:
    """Download a data set into the cache, unless it is there."""
    from fracrepro.nn.data import fetch

    click.echo(fetch(name))


@data.command()
@click.argument("name", type=OneOf("name", "datasets"))
def verify(name: str) -> None:
    """Read a data set, check it, and print the digest of its content."""
    from fracrepro.nn.data import verify

    click.echo(verify(name))


for _command in (questions.critical, questions.diagnose, teaching.handout, teaching.check_answers):
    main.add_command(_command)


@main.command("claims")
@_PROFILE
@click.option("--json", "as_json", is_flag=True, help="Print the joined ledger as JSON.")
@click.option("--readme", is_flag=True, help="Rewrite what the README says of claims and findings.")
def claims_command(profile: str, as_json: bool, readme: bool) -> None:
    """Print the ledger of claims; exit with 1 when a claim lacks evidence or contradicts its verdict."""
    import json

    from fracrepro.workflow import claims, findings

    project = Project.find()
    if readme:
        claims.update_readme(project)
        findings.update_readme(project)
    judged = claims.judge(project, profile)
    if as_json:
        click.echo(json.dumps([entry.to_dict() for entry in judged], indent=1))
    else:
        click.echo(claims.as_text(judged))
    if any(entry.problem for entry in judged):
        sys.exit(1)


@main.command("copy-notebooks")
@click.argument("folder", type=click.Path(path_type=Path))
def copy_notebooks_command(folder: Path) -> None:
    """Copy notebooks, profiles, records and the book's sources into a folder; its commands then run there."""
    from fracrepro.workflow.bundle import copy_notebooks

    count = len(copy_notebooks(folder))
    click.echo(f"{count} files in {folder}; go there, then: fracrepro list")


@main.command("new-page")
@click.argument("name")
def new_page_command(name: str) -> None:
    """Make a page that passes the suite: notebook, test, place in the book, example of a claim."""
    from fracrepro.workflow.newpage import new_page

    project = Project.find()
    for path in new_page(project, name):
        click.echo(f"wrote {path.relative_to(project.root)}")


@main.command()
@_SCHEDULER
@_WORKER_TIMEOUT
def doctor(scheduler: str | None, worker_timeout: float) -> None:
    """Say what is installed, what is missing, and how to get it; or what a scheduler's workers have."""
    from fracrepro.workflow.doctor import examine, examine_workers

    for finding in examine_workers(scheduler, worker_timeout) if scheduler else examine():
        click.echo(str(finding))
