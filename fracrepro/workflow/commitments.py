"""Plans and the history: a plan is committed before its experiment runs, and the record says so."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fracrepro import files
from fracrepro.errors import ArgumentError
from fracrepro.stats.plans import ExperimentPlan, differing_field
from fracrepro.workflow.plans import load
from fracrepro.workflow.project import Project

if TYPE_CHECKING:
    from fracrepro.nn.experiments.base import Experiment

__all__ = ["Committed", "check_same", "committed", "plan_of", "recorded_plan", "sentence", "trouble"]

_BOUND = "a plan is committed before its experiment runs"


@dataclass(frozen=True)
class Committed:
    """A plan and the commit that holds it.

    Args:
        plan: what it says.
        file: its path within the project.
        sha256: of the file.
        commit: the last one that changed the file.
        committed: when that was.
    """

    plan: ExperimentPlan
    file: str
    sha256: str
    commit: str
    committed: str

    def to_dict(self) -> dict[str, Any]:
        """Return what a record keeps of it."""
        facts = {"file": self.file, "sha256": self.sha256, "commit": self.commit}
        return facts | {"committed": self.committed, "fields": self.plan.to_dict()}


def committed(experiment: Experiment) -> Committed | None:
    """Return the plan of an experiment, once it is sure that it was committed as it is.

    Only an experiment at full scale has a plan: its own settings, in the project that is at work.

    Args:
        experiment: what is to be trained.

    Returns:
        The plan; None where there is none.

    Raises:
        ArgumentError: for a plan that is wrong, not committed, or changed since; and where git or the history
            is missing, so that nobody could tell.
    """
    from fracrepro.nn.experiments.registry import EXPERIMENTS

    if EXPERIMENTS.get(experiment.name) != experiment:
        return None
    try:
        project = Project.find()
    except ArgumentError:  # an installed package without a checkout
        return None
    path = project.plans / f"{experiment.name}.yml"
    if not path.is_file():
        return None
    plan, file = load(path, experiment), path.relative_to(project.root).as_posix()
    missing = _no_history(project.root)
    if missing:
        raise ArgumentError(f"{file}: {_BOUND}, and {missing}")
    try:
        line = _git(project.root, "log", "-1", "--format=%H %cI", "--", file)
    except subprocess.CalledProcessError:  # no commit at all
        line = ""
    commit, _, date = line.strip().partition(" ")
    if not commit:
        raise ArgumentError(f"{file}: {_BOUND}; commit it")
    if _git(project.root, "status", "--porcelain", "--", file).strip():
        raise ArgumentError(f"{file}: has changed since commit {commit[:10]}; restore it, or commit it")
    return Committed(plan, file, files.file_digest(path), commit, date)


def check_same(there: Any, here: Committed | None, where: str) -> None:
    """Refuse to go on, or to replace, under another plan than the one there.

    Args:
        there: what a record or a started training keeps of its plan; None for none.
        here: the plan now.
        where: words for the message, such as the folder.

    Raises:
        ArgumentError: when they differ; names the field.
    """
    fields = here.to_dict() if here else None
    if there is None and fields is None:
        return
    if there is None or fields is None:
        words = "without a plan" if there is None else "under a plan that is gone"
        raise ArgumentError(f"{where} was made {words}; need another folder, or delete it")
    if there["sha256"] != fields["sha256"]:
        field = differing_field(there["fields"], fields["fields"]) or "its words only"
        raise ArgumentError(
            f"{where} is of another plan, which differs in {field}; restore {fields['file']}, or delete it"
        )


def trouble(project: Project, name: str) -> str:
    """Say what is wrong between a plan and its record; empty for nothing, and where there is no record.

    The stored facts are compared with the file, and with the history where there is one.

    Args:
        project: that holds both.
        name: of the experiment.
    """
    record, path = project.recorded / f"{name}.json", project.plans / f"{name}.yml"
    if not record.is_file():
        return ""
    try:
        facts = files.read_json(record)
        plan = plan_of(record, facts)
        if plan is None:
            return f"{record.name}: was not recorded under {path.name}" if path.is_file() else ""
        return next(_troubles(project, path, plan, facts["started"]), "")
    except (ArgumentError, OSError) as error:
        return f"damaged: {record.name}: {error}"


def sentence(folder: Path, name: str) -> str:
    """Return one sentence for a page: which plan the record was made under, and that it came first.

    Args:
        folder: of the record.
        name: of the experiment.

    Raises:
        ArgumentError: when the record is missing or damaged.
    """
    facts = _facts(folder, name)
    plan = plan_of(folder / f"{name}.json", facts)
    if plan is None:
        return f"No plan was written before the experiment `{name}` ran."
    return (
        f"The experiment `{name}` was planned first: its plan was committed on {_day(plan['committed'])}, "
        f"and its earliest training began on {_day(facts['started'])} "
        f"(`{plan['file']}`, sha256 {plan['sha256'][:12]}, commit {plan['commit'][:10]})."
    )


def recorded_plan(folder: Path, name: str) -> ExperimentPlan:
    """Return the plan that a record was made under, as the record keeps it.

    Args:
        folder: of the record.
        name: of the experiment.

    Raises:
        ArgumentError: when the record is missing or damaged, or was made without a plan.
    """
    path = folder / f"{name}.json"
    plan = plan_of(path, _facts(folder, name))
    if plan is None:
        raise ArgumentError(f"{path.name}: was made without a plan")
    try:
        return ExperimentPlan.from_dict(plan["fields"])
    except ArgumentError as error:
        raise ArgumentError(f"{path}: plan: {error}") from None


def plan_of(path: Path, facts: Any) -> dict[str, Any] | None:
    """Return what a record, or a started training, keeps of its plan, once it has the form of it.

    Args:
        path: of the file, for the message.
        facts: its content.

    Raises:
        ArgumentError: where they are no facts of a record: need ``started``, and a plan or none.
    """
    if not isinstance(facts, dict) or not _is_moment(facts.get("started")):
        raise ArgumentError(f"{path}: is damaged: need a record that says when it was started")
    plan = facts.get("plan")
    if plan is None:
        return None
    texts = ("file", "sha256", "commit")
    whole = isinstance(plan, dict) and all(isinstance(plan.get(name), str) for name in texts)
    if not whole or not _is_moment(plan.get("committed")) or not isinstance(plan.get("fields"), dict):
        needed = ", ".join((*texts, "committed"))
        raise ArgumentError(f"{path}: is damaged: need a plan with {needed} and fields")
    return dict(plan)


def _is_moment(value: Any) -> bool:
    """Whether this is a time of the calendar as records have it."""
    try:
        datetime.fromisoformat(value).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _facts(folder: Path, name: str) -> dict[str, Any]:
    record = folder / f"{name}.json"
    if not record.is_file():
        raise ArgumentError(f"{record.name}: no such record")
    facts = files.read_json(record)
    if not isinstance(facts, dict):
        raise ArgumentError(f"{record}: need a record")
    return facts


def _day(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%d at %H:%M UTC")


def _troubles(project: Project, path: Path, plan: dict[str, Any], started: str) -> Iterator[str]:
    if not path.is_file():
        yield f"{path.name}: is missing, and {path.stem}.json was recorded under it"
        return
    found = files.file_digest(path)
    if found != plan["sha256"]:
        yield f"{path.name} has changed since the record: expected sha256 {plan['sha256']}, found {found}"
    if datetime.fromisoformat(started) < datetime.fromisoformat(plan["committed"]):
        yield f"{path.stem}.json: began at {started}, before its plan was committed at {plan['committed']}"
    if _no_history(project.root):
        return
    try:
        _git(project.root, "merge-base", "--is-ancestor", plan["commit"], "HEAD")
        shown = _git(project.root, "show", f"{plan['commit']}:{plan['file']}")
        date = _git(project.root, "log", "-1", "--format=%cI", plan["commit"]).strip()
    except subprocess.CalledProcessError:
        yield f"{path.name}: commit {plan['commit'][:10]}, which should hold it, is not in the history"
        return
    if hashlib.sha256(shown.encode()).hexdigest() != plan["sha256"]:
        yield f"{path.name}: commit {plan['commit'][:10]} holds another one"
    if date != plan["committed"]:
        yield f"{path.stem}.json: commit {plan['commit'][:10]} is of {date}, not of {plan['committed']}"


def _no_history(root: Path) -> str:
    """Why the history cannot be read; "" where it can."""
    if not (root / ".git").exists():
        return "this is no git checkout"
    try:
        shallow = _git(root, "rev-parse", "--is-shallow-repository").strip()
    except OSError:
        return "git is not installed"
    except subprocess.CalledProcessError as error:
        return f"git says {error.stderr.strip().partition(chr(10))[0]}"
    return "" if shallow == "false" else "this clone is shallow; get the history with git fetch --unshallow"


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(  # git, by a list, without a shell  # noqa: S603  # nosec B603
        command, capture_output=True, text=True, encoding="utf-8", check=True
    )
    return done.stdout
