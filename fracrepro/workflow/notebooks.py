"""Runs notebooks as functions: checked parameters, content hashes, only what changed, on the engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fracrepro import files
from fracrepro.arguments import choice
from fracrepro.errors import ArgumentError, FracreproError
from fracrepro.workflow import parameters, provenance, seals, sources
from fracrepro.workflow.engine import Engine, Result
from fracrepro.workflow.engine import Task as Work
from fracrepro.workflow.execution import FOLDERS, Outcome, Task, execute
from fracrepro.workflow.project import Project

DEFAULT_PROFILE = "book"
_FAILURES = (FracreproError, OSError, MemoryError)  # of a notebook; anything else is a defect


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
    data: tuple[tuple[str, str], ...] = ()
    recorded: tuple[str, ...] = ()

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


def plan(
    project: Project,
    name: str,
    profile: str,
    overrides: Mapping[str, Any] | None = None,
    digests: dict[str, str] | None = None,
) -> Run:
    """Settle a notebook's parameters and its content hash.

    Args:
        project: where the notebook is.
        name: which one.
        profile: a name in `notebooks/profiles.yml`.
        overrides: parameters in place of the profile's, as text or values.
        digests: of data sets that are known already, by name; what is read here is added.

    Raises:
        ArgumentError: for an unknown notebook, profile or parameter, and for a value that is not allowed;
            names the file that holds it.
    """
    path = project.notebook_path(name)
    profiles = parameters.load_profiles(project.profiles)
    choice(f"{project.profiles}: profile", profile, tuple(profiles))
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
    data, recorded = _data(values, uses.get("data_parameters", []), digests), tuple(uses.get("recorded", []))
    parts = [
        ("source", source.encode()),
        ("parameters", json.dumps(values, sort_keys=True).encode()),
        ("profile", profile.encode()),
        ("versions", json.dumps(provenance.versions(), sort_keys=True).encode()),
        *_recorded_parts(project, recorded),
        *((f"data {data_set}", digest.encode()) for data_set, digest in data),
    ]
    return Run(name, source, values, profile, provenance.digest(parts), data, recorded)


def _recorded_parts(project: Project, experiments: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for experiment in experiments:
        for path in (project.recorded / f"{experiment}{suffix}" for suffix in (".csv", ".json")):
            yield str(path.name), path.read_bytes() if path.is_file() else b"absent"


def _data(
    values: Mapping[str, Any], names: Sequence[str], digests: dict[str, str] | None
) -> tuple[tuple[str, str], ...]:
    """The content hash of each data set that a parameter names: other images mean another run."""
    digests = {} if digests is None else digests
    for name in names:
        if values[name] not in digests:
            from fracrepro.nn import data

            digests[values[name]] = data.load(values[name]).digest
    return tuple((values[name], digests[values[name]]) for name in names)


def run(
    project: Project,
    names: Sequence[str] = (),
    *,
    profile: str = DEFAULT_PROFILE,
    overrides: Mapping[str, Any] | None = None,
    output: Path | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    worker_timeout: float = 60.0,
    force: bool = False,
) -> list[Outcome]:
    """Execute the notebooks that are not current, and return what came of each, in their order.

    Every success leaves `NAME.ipynb` and `NAME.json`, written when it ends.
    A failure leaves `NAME.failed.ipynb` instead and touches no page.

    Args:
        project: where the notebooks are.
        names: which ones; none means all.
        profile: a name in `notebooks/profiles.yml`.
        overrides: parameters in place of the profile's, as text or values, for every notebook.
        output: where the results go; None means the book.
        jobs: as in `fracrepro.workflow.engine.Engine`, as are `scheduler` and `worker_timeout`.
        force: whether to execute also what is current.

    Raises:
        ArgumentError: before any kernel starts: for unknown names, for parameters that a contract refuses,
            for a folder that cannot be written, and where no scheduler answers.
        BusyError: when another process runs one of them into this folder.
    """
    engine = Engine(jobs, scheduler, worker_timeout)
    folder = output or project.executed
    runs = [plan(project, name, profile, overrides) for name in names or project.notebook_names()]
    files.writable_folder("output_dir", folder)
    with ExitStack() as held:
        for item in runs:  # all, so that a lock that a killed process left goes
            held.enter_context(own(folder, item.name))
        due = [item for item in runs if force or not item.is_current(folder)]
        return execute_all(project, due, engine, lambda _, outcome: _store(outcome, folder))


def own(folder: Path, name: str) -> AbstractContextManager[None]:
    """Keep a notebook's results in a folder for this process, so that no two compute the same.

    Raises:
        BusyError: when another process is computing them; names it.
    """
    return files.lock(folder / f".{name}.lock", f"output_dir = {str(folder)!r}: run of {name!r}")


def execute_all(
    project: Project,
    runs: Sequence[Run],
    engine: Engine,
    done: Callable[[Run, Outcome], None],
    *,
    labels: Sequence[str] | None = None,
    unit: str = "notebook",
) -> list[Outcome]:
    """Execute planned runs on the engine and return their outcomes, in their order.

    A worker that dies, or a disk that is full, fails its notebook and no other.

    Args:
        project: where the notebooks are.
        runs: what to do; a notebook may come several times, with other parameters.
        engine: where.
        done: is called with each outcome as it comes.
        labels: the name of each run in the progress; None takes those of the notebooks.
        unit: the word for one of them beside the bar.

    Raises:
        Exception: what no notebook may raise, after all have ended; and as `Engine.run`.
    """
    files.sweep_folders(FOLDERS)  # also where nothing is to be done
    names = labels or [item.name for item in runs]
    tasks = [_work(project, item, name) for item, name in zip(runs, names, strict=True)]
    items = {id(task): item for task, item in zip(tasks, runs, strict=True)}

    def store(result: Result) -> None:
        item = items[id(result.task)]
        done(item, _outcome(item, result))

    results = engine.run(tasks, store, unit=unit)
    for result in results:
        if result.error is not None and not isinstance(result.error, _FAILURES):
            raise result.error
    return [_outcome(item, result) for item, result in zip(runs, results, strict=True)]


def _work(project: Project, item: Run, label: str) -> Work:
    """The run as a task of the engine."""
    paths = [project.recorded / f"{name}{end}" for name in item.recorded for end in (".csv", ".json")]
    read = [project.profiles, *(path for path in paths if path.is_file())]
    task = Task(
        name=item.name,
        source=item.source,
        parameters=item.parameters,
        package_digest=provenance.package_digest(),
        root=str(project.root),
        facts={"profile": item.profile, "digest": item.digest},
        files={path.relative_to(project.root).as_posix(): files.read_text(path) for path in read},
    )
    return Work(label, execute, (task,), data=item.data, identity=item.digest)


def _outcome(item: Run, result: Result) -> Outcome:
    """What came of a notebook; one whose worker is lost has the source in place of what was executed."""
    if result.error is None:
        return result.value
    return Outcome(item.name, item.source, {}, result.problem)


def _store(outcome: Outcome, folder: Path) -> None:
    failed = folder / f"{outcome.name}.failed.ipynb"
    if outcome.error:
        files.write_text(failed, outcome.notebook)
        return
    files.write_text(folder / f"{outcome.name}.ipynb", outcome.notebook)
    files.write_json(folder / f"{outcome.name}.json", outcome.record)
    failed.unlink(missing_ok=True)
