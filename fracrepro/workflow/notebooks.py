"""Runs notebooks as functions: checked parameters, content hashes, only what changed, in parallel."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fracrepro import files
from fracrepro.arguments import choice
from fracrepro.errors import ArgumentError
from fracrepro.workflow import parameters, provenance, seals, sources
from fracrepro.workflow.execution import Outcome, Task, execute, stop_kernels
from fracrepro.workflow.project import Project

DEFAULT_PROFILE = "book"


@dataclass(frozen=True)
class Run:
    """One notebook with all parameters settled, and the hash of everything that is known before it runs.

    Which modules of the package it uses is known after it ran: `is_current` finds them in the record.
    """

    name: str
    source: str
    parameters: dict[str, Any]
    profile: str
    digest: str

    def is_current(self, folder: Path) -> bool:
        """Whether `folder` holds this run's page and record, made from the same content, unedited."""
        return not self.problem(folder)

    def problem(self, folder: Path) -> str:
        """Say why the page in `folder` is not this run's; "" when it is.

        Source, parameters, profile, versions, data and recorded files must be the same, and so must every
        module of the package that the page used; page and record must be what they were when they were made.
        """
        found, trouble = seals.edited_page(folder, self.name)
        if trouble:
            return trouble
        same = found.get("digest") == self.digest
        if same and sources.unchanged(found.get("modules", {}), sources.source_digests()):
            return ""
        return f"evidence is older than what {self.name} depends on"


def plan(project: Project, name: str, profile: str, overrides: Mapping[str, Any] | None = None) -> Run:
    """Settle a notebook's parameters and its content hash.

    Raises:
        ArgumentError: for an unknown notebook, profile or parameter, and for a value that is not allowed;
            names the file that holds it.
    """
    path = project.notebook_path(name)
    profiles = parameters.load_profiles(project.profiles)
    choice("profile", profile, tuple(profiles))
    source = files.read_text(path)
    notebook = parameters.parse_notebook(source, name)
    contract = parameters.declared(notebook, name)
    settings = profiles[profile].get(name, {})
    try:
        parameters.resolve(contract, settings, {})
    except ArgumentError as error:
        raise ArgumentError(f"{project.profiles}: profile {profile}: {name}: {error}") from None
    try:
        values = parameters.resolve(contract, settings, overrides or {})
    except ArgumentError as error:
        raise ArgumentError(f"{name}: {error}") from None
    uses = notebook["metadata"].get("fracrepro", {})
    for used in uses.get("data_parameters", []):
        choice(f"notebook {name}: metadata: data_parameters", used, tuple(contract))
    parts = [
        ("source", source.encode()),
        ("parameters", json.dumps(values, sort_keys=True).encode()),
        ("profile", profile.encode()),
        ("versions", json.dumps(provenance.versions(), sort_keys=True).encode()),
        *_recorded_parts(project, uses.get("recorded", [])),
        *_data_parts(values, uses.get("data_parameters", [])),
    ]
    return Run(name, source, values, profile, provenance.digest(parts))


def _recorded_parts(project: Project, experiments: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for experiment in experiments:
        for path in (project.recorded / f"{experiment}{suffix}" for suffix in (".csv", ".json")):
            yield str(path.name), path.read_bytes() if path.is_file() else b"absent"


def _data_parts(values: Mapping[str, Any], names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """The content hash of each data set that a parameter names: other images mean another run."""
    for name in names:
        from fracrepro.nn import data

        yield f"data {values[name]}", data.load(values[name]).digest.encode()


def run(
    project: Project,
    names: Sequence[str] = (),
    *,
    profile: str = DEFAULT_PROFILE,
    overrides: Mapping[str, Any] | None = None,
    output: Path | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    force: bool = False,
) -> list[Outcome]:
    """Execute the notebooks that are not current, and return what came of each.

    Every success leaves `NAME.ipynb` and `NAME.json`, written when it ends.
    A failure leaves `NAME.failed.ipynb` instead and touches no page.
    One notebook runs in this process; several run side by side on Dask.

    Args:
        project: where the notebooks are.
        names: which ones; none means all.
        profile: a name in `notebooks/profiles.yml`.
        overrides: parameters in place of the profile's, as text or values, for every notebook.
        output: where the results go; None means the book.
        jobs: workers of a local cluster; None means one a core.
        scheduler: the address of a cluster that is used instead.
        force: whether to execute also what is current.

    Raises:
        ArgumentError: before any kernel starts: for unknown names, for parameters that a contract refuses,
            for a folder that cannot be written, and where no scheduler answers.
    """
    folder = output or project.executed
    runs = [plan(project, name, profile, overrides) for name in names or project.notebook_names()]
    due = [item for item in runs if force or not item.is_current(folder)]
    files.writable_folder("output_dir", folder)
    outcomes = []
    run_id = uuid.uuid4().hex
    for outcome in _execute_all([_task(project, item, run_id) for item in due], jobs, scheduler):
        _store(outcome, folder)
        outcomes.append(outcome)
    return outcomes


def _task(project: Project, item: Run, run_id: str) -> Task:
    facts = {"profile": item.profile, "digest": item.digest}
    return Task(
        name=item.name,
        source=item.source,
        parameters=item.parameters,
        package_digest=provenance.package_digest(),
        root=str(project.root),
        run=run_id,
        facts=facts,
    )


def _store(outcome: Outcome, folder: Path) -> None:
    failed = folder / f"{outcome.name}.failed.ipynb"
    if outcome.error:
        files.write_text(failed, outcome.notebook)
        return
    files.write_text(folder / f"{outcome.name}.ipynb", outcome.notebook)
    files.write_json(folder / f"{outcome.name}.json", outcome.record)
    failed.unlink(missing_ok=True)


def _execute_all(tasks: Sequence[Task], jobs: int | None, scheduler: str | None) -> Iterator[Outcome]:
    """Yield outcomes as they come, with a progress bar where a person watches."""
    from tqdm import tqdm

    if not tasks:
        return
    alone = scheduler is None and (len(tasks) == 1 or jobs == 1)
    outcomes = map(execute, tasks) if alone else _on_dask(tasks, jobs, scheduler)
    with tqdm(outcomes, total=len(tasks), unit="notebook", disable=None, file=sys.stderr) as bar:
        for outcome in bar:
            bar.set_postfix_str(outcome.name)
            yield outcome


def _on_dask(tasks: Sequence[Task], jobs: int | None, scheduler: str | None) -> Iterator[Outcome]:
    """Yield outcomes from a Dask cluster: an existing one, or a local one that ends with this call."""
    import dask
    from distributed import Client, LocalCluster, as_completed

    with ExitStack() as stack:
        # A notebook that killed its worker would kill the next one too.
        stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": 0}))
        address = scheduler
        if scheduler is None:
            with _interruptions_ignored():
                cluster = LocalCluster(
                    n_workers=min(jobs or os.cpu_count() or 1, len(tasks)),
                    threads_per_worker=1,  # a kernel's environment is set per process
                    dashboard_address=None,
                    silence_logs="ERROR",
                )
            address = stack.enter_context(cluster)
        try:
            client = stack.enter_context(Client(address, timeout="10s"))
        except (OSError, ValueError) as error:  # nobody listens; or it is no address at all
            raise ArgumentError(
                f"scheduler = {scheduler!r}: no Dask scheduler answers there ({error})"
            ) from None
        futures = client.map(execute, tasks, pure=False)
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:  # an interruption, or a caller who stops: nobody waits for the rest
            client.cancel(futures)
            client.run(stop_kernels, tasks[0].run)
            raise


@contextmanager
def _interruptions_ignored() -> Iterator[None]:
    """Let processes that start here ignore Ctrl-C: a terminal sends it to all, and the caller acts."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
