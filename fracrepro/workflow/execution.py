"""One notebook, executed once: text in, text out, so that any machine with the same code can do it."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fracrepro.errors import FracreproError
from fracrepro.figures import downloads
from fracrepro.files import temporary_folder
from fracrepro.workflow import provenance, reports, seals, sources
from fracrepro.workflow.environment import THREADS, variables
from fracrepro.workflow.project import ENVIRONMENT_VARIABLE
from fracrepro.workflow.worker import RUN_VARIABLE, OtherCodeError, current_run, heed_stop, stop_kernels

START_ATTEMPTS = 4
CELL_TIMEOUT = 3600  # seconds; a cell that hangs must end some day, and no cell at any profile needs an hour
FOLDERS = "fracrepro-page-"  # how the temporary folder of a notebook that runs is called

_alone = threading.Lock()  # folder and environment of a kernel are those of the process that starts it


@dataclass(frozen=True)
class Task:
    """What a worker needs to execute one notebook; `facts` go into the record as they are.

    Where `root` is no folder, on another machine, `files` take its place: text by relative path.
    """

    name: str
    source: str
    parameters: dict[str, Any]
    package_digest: str
    root: str
    facts: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came of a task: the notebook (partial after a failure), its record, and the error if any."""

    name: str
    notebook: str
    record: dict[str, Any]
    error: str = ""


def execute(task: Task) -> Outcome:
    """Execute `task` in a fresh kernel and return the notebook with its record in the metadata.

    A failing cell gives an Outcome whose `error` names the cell and the exception.

    Raises:
        OtherCodeError: when this machine's package differs from the one that made the task.
    """
    if provenance.package_digest() != task.package_digest:
        raise OtherCodeError(
            f"the worker on {os.uname().nodename} runs another version of the fracrepro code; "
            "install the caller's version there"
        )
    digests = sources.source_digests()  # before the kernel: what is edited meanwhile makes the page stale
    started, clock = datetime.now(UTC), time.perf_counter()
    with _alone, temporary_folder(FOLDERS) as folder:
        root = _root(task, folder)
        try:
            with variables(_kernel_environment(task, root)):
                error = _run_papermill(task, folder, root)
        except BaseException:  # Ctrl-C: a kernel may have begun of which papermill does not know yet
            stop_kernels(current_run())
            raise
        executed = json.loads((folder / "executed.ipynb").read_text())
    notebook = sources.without_probe(executed)
    error = error or _problem(notebook)
    record: dict[str, Any] = {
        "notebook": task.name,
        **task.facts,
        "parameters": task.parameters,
        "seed": task.parameters.get("seed"),
        "versions": provenance.versions(),
        "device": provenance.device(),
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - clock, 2),
    }
    if not error:
        try:
            record["modules"] = sources.used(sources.loaded(executed), digests)
            record["values"] = reports.reported_values(notebook)
        except FracreproError as problem:
            error = str(problem)
    # Papermill's own metadata hold times and a temporary path: the record says all of it.
    notebook["metadata"].pop("papermill", None)
    record = seals.seal(record, notebook["cells"])
    notebook["metadata"]["fracrepro"] = record
    return Outcome(task.name, json.dumps(notebook, indent=1) + "\n", record, error)


def _root(task: Task, folder: Path) -> Path:
    """The project's folder: the caller's where this machine has it, else one with what the notebook reads."""
    if Path(task.root).is_dir():
        return Path(task.root)
    for relative, text in task.files.items():
        path = folder / "project" / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "project").mkdir(exist_ok=True)
    return folder / "project"


def _kernel_environment(task: Task, root: Path) -> dict[str, str]:
    """What the kernel inherits: one thread, whatever the number of jobs, so that no bit changes."""
    return {**dict.fromkeys(THREADS, "1"), ENVIRONMENT_VARIABLE: str(root), RUN_VARIABLE: current_run()}


def _run_papermill(task: Task, folder: Path, root: Path) -> str:
    """Run papermill inside `folder`; return "" or a description of the failure."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from traitlets.config import Config

    logging.getLogger("papermill").setLevel(logging.ERROR)  # failures come back as the outcome, once
    source, executed = folder / "source.ipynb", folder / "executed.ipynb"
    source.write_text(json.dumps(sources.with_probe(json.loads(task.source))))
    executed.write_text(task.source)  # what is left to read when no kernel starts
    # The file that says how to talk to the kernel, with its key, goes with the folder also after a kill.
    connection = Config({"KernelManager": {"connection_file": str(folder / "kernel.json")}})
    for attempts_left in reversed(range(START_ATTEMPTS)):
        heed_stop()  # a kernel that was killed while it started is not started again
        try:
            papermill.execute_notebook(
                source,
                executed,
                parameters=task.parameters,
                cwd=root,
                kernel_name="python3",
                progress_bar=False,
                log_output=False,
                execution_timeout=CELL_TIMEOUT,
                config=connection,
                extra_arguments=[
                    "--IPKernelApp.log_level=50",  # what a kernel has to say stands in the notebook
                    f"--IPKernelApp.extra_extensions={downloads.__name__}",
                ],
            )
        except papermill.PapermillExecutionError as failure:
            return f"cell [{failure.exec_count}]: {failure.ename}: {failure.evalue}"
        except (CellTimeoutError, DeadKernelError) as failure:
            return f"{type(failure).__name__}: {str(failure).splitlines()[0]}"
        except RuntimeError as failure:
            # Two kernels that start at one moment may choose the same port; one dies before any cell.
            if "before replying to kernel_info" not in str(failure):
                raise
            if not attempts_left:
                return f"{failure} ({START_ATTEMPTS} attempts)"
        else:
            return ""
    raise AssertionError("the loop returns at its last attempt")


def _problem(notebook: Mapping[str, Any]) -> str:
    """What is wrong with a notebook that papermill calls completed, as it does even after a timeout."""
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] != "code" or not "".join(cell["source"]).strip():
            continue
        for output in cell["outputs"]:
            if output["output_type"] == "error":
                return f"cell [{cell['execution_count']}]: {output['ename']}: {output['evalue']}"
        if cell["execution_count"] is None:
            return f"cell {number} of {len(notebook['cells'])} was not executed"
    return ""
