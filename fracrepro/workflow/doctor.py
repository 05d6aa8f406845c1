"""What this machine has, what it lacks, and how to get that."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fracrepro._version import __version__
from fracrepro.errors import ArgumentError
from fracrepro.workflow import provenance, worker
from fracrepro.workflow.project import Project

_INSTALL = "pip install -c constraints.txt -e '.[book]'"
_TOOLS = {
    "jupyter-book": _INSTALL,
    "distributed": _INSTALL,
    "sphinx-mathjax-offline": _INSTALL,
    "pooch": "pip install -c constraints.txt -e '.[nn]'",
}


@dataclass(frozen=True)
class Finding:
    """One line of the report; `remedy` says how to get what is missing."""

    subject: str
    state: str
    remedy: str = ""

    def __str__(self) -> str:
        """`subject: state`, and the remedy after an arrow."""
        line = f"{self.subject + ':':<24} {self.state}"
        return f"{line}  -> {self.remedy}" if self.remedy else line


def examine() -> Iterator[Finding]:
    """Yield what there is to say of this machine, in the order in which a user needs it."""
    yield Finding("fracrepro", __version__)
    yield from _packages()
    machine = provenance.device()
    yield Finding("cores", f"{machine['cores']} ({machine['machine']}, {platform.platform()})")
    yield _cuda()
    yield from _project()
    yield from _data()
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    yield Finding(
        "browser for tests", browser or "none", "" if browser else "install Chromium; the browser tests skip"
    )


def examine_workers(address: str, timeout: float = 60.0) -> Iterator[Finding]:
    """Yield what there is to say of a scheduler and each of its workers, the odd one out last.

    Args:
        address: of the scheduler.
        timeout: seconds that it may take until there is a worker.

    Raises:
        ArgumentError: where no scheduler answers.
        fracrepro.workflow.cluster.SchedulerError: when no worker comes in time, or one gives no answer.
    """
    from fracrepro.workflow import cluster

    workers = cluster.examine(address, timeout)
    yield Finding("scheduler", f"{address}, {len(workers)} worker{'s' * (len(workers) > 1)}")
    here = _words(worker.facts() | {"threads": 1, "resources": {}})
    facts = {where: _words(found) for where, found in workers.items()}
    for where, words in facts.items():
        for subject, state in words.items():
            yield Finding(f"{where} {subject}", ", ".join(state))
    odd = list(_odd_ones(facts, here))
    yield from odd or [Finding("workers", "all have this code, these versions and these data")]


def _words(found: Mapping[str, Any] | Exception) -> dict[str, list[str]]:
    """What a worker says of itself, as lists of texts that can be compared."""
    if isinstance(found, Exception):
        return {"fracrepro": [f"does not answer: {str(found).partition(chr(10))[0]}"]}
    offers = [f"{name}={n:g}" for name, n in sorted(found["resources"].items())]
    return {
        "fracrepro": [found["package"][:12] + found["package"][64:]],
        "versions": [f"{package} {version}" for package, version in found["versions"].items()],
        "cores": [str(found["cores"]), f"{found['threads']} for tasks"],
        "device": [found["device"] or "unknown without torch"],
        "resources": offers or ["none"],
        "data": [f"{name} {digest[:12] or 'missing'}" for name, digest in found["data"].items()],
    }


def _odd_ones(
    facts: Mapping[str, Mapping[str, list[str]]], here: Mapping[str, list[str]]
) -> Iterator[Finding]:
    """Say where a worker differs from this machine in what decides a result, and from the most in its device.

    Data that are missing there are sent, and data that are missing here are not needed.
    """
    devices = Counter(words["device"][0] for words in facts.values() if "device" in words)
    for where, words in facts.items():
        for subject in ("fracrepro", "versions", "data"):
            mine = {entry.partition(" ")[0]: entry for entry in here[subject]}
            for entry in words.get(subject, []):
                own = mine.get(entry.partition(" ")[0], "none" if subject == "versions" else here[subject][0])
                if entry == own or (subject == "data" and "missing" in entry + own):
                    continue
                remedy = "install this version there, and start it again" if subject != "data" else ""
                yield Finding(f"differs: {where}", f"{subject} {entry}, here {own}", remedy)
        device = words.get("device", [""])[0]
        if device and devices[device] * 2 < sum(devices.values()):
            yield Finding(f"differs: {where}", f"device {device}, most have another")


def _packages() -> Iterator[Finding]:
    found = provenance.versions()
    yield Finding("python", found.pop("python"))
    for package in (*provenance.PACKAGES, *_TOOLS):
        version = found.get(package) or _version(package)
        remedy = "" if version else _TOOLS.get(package, _INSTALL)
        yield Finding(package, version or "missing", remedy)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cuda() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("cuda", "unknown without torch", _TOOLS["pooch"])
    import torch

    if torch.cuda.is_available():
        return Finding("cuda", torch.cuda.get_device_name())
    return Finding("cuda", "none; everything runs on the CPU")


def _project() -> Iterator[Finding]:
    try:
        project = Project.find()
    except ArgumentError as error:
        yield Finding("project", "none", str(error))
        return
    yield Finding("project", str(project.root))
    ready = [name for name in project.notebook_names() if (project.executed / f"{name}.ipynb").is_file()]
    yield Finding("executed notebooks", ", ".join(ready) or "none", "" if ready else "fracrepro run")
    built = (project.site / "index.html").is_file()
    yield Finding("book", str(project.site) if built else "not built", "" if built else "fracrepro build")


def _data() -> Iterator[Finding]:
    named = os.environ.get("FRACREPRO_DATA")
    yield Finding("FRACREPRO_DATA", named or "not set")
    if importlib.util.find_spec("torch") is None:
        return
    from fracrepro.nn import data

    for item in data.status():
        yield Finding(f"data set {item['name']}", item["where"] or "missing", item["advice"] or "")
