"""What this machine has, what it lacks, and how to get that."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from fracrepro._version import __version__
from fracrepro.errors import ArgumentError
from fracrepro.workflow import provenance
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
