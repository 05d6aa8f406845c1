"""The static book: executed notebooks and prose in, pages that ask no other host for anything out."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from fracrepro import files
from fracrepro.errors import FracreproError, MissingPackageError
from fracrepro.workflow import claims, full_scale
from fracrepro.workflow.project import Project

_MATHJAX_FILES = ("tex-mml-chtml.js", "output/chtml/fonts/woff-v2")  # 1.5 of the 24 MB of the carrier package


class BuildError(FracreproError):
    """The book cannot be built: a verdict does not stand, or the builder complains."""


def toc_notebooks(project: Project) -> list[str]:
    """The names of the executed notebooks that `_toc.yml` lists, in its order."""
    prefix = "book/executed/"
    return [file.removeprefix(prefix) for file in toc_files(project) if file.startswith(prefix)]


def toc_files(project: Project) -> list[str]:
    """Every source that `_toc.yml` lists, without endings, in its order."""

    def walk(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [str(node[key]) for key in ("root", "file") if key in node]
            return own + [name for key, child in node.items() if key != "defaults" for name in walk(child)]
        if isinstance(node, list):
            return [name for child in node for name in walk(child)]
        return []

    return walk(yaml.safe_load((project.root / "_toc.yml").read_text()))


def install_mathjax(project: Project) -> None:
    """Copy MathJax out of the package that carries it into the book's static files."""
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise MissingPackageError("sphinx-mathjax-offline", "book")
    source = Path(spec.origin).parent / "static" / "mathjax"
    target = project.root / "book" / "_static" / "mathjax"
    for name in _MATHJAX_FILES:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)


def write_ledger(project: Project, profile: str) -> None:
    """Judge the claims and write them for the book, which makes its ledger and its boxes of them.

    Raises:
        BuildError: when a verdict does not stand.
    """
    judged = claims.judge(project, profile)
    problems = [f"{entry.claim.id}: {entry.problem}" for entry in judged if entry.problem]
    if problems:
        raise BuildError("the ledger of claims does not stand:\n" + "\n".join(problems))
    content = json.dumps([entry.to_dict() for entry in judged], indent=1)
    files.write_text(project.root / "book" / "_generated" / "claims.json", content)


def build(project: Project, profile: str) -> None:
    """Build the book from current executed notebooks; the old site stands until the new one is whole.

    A verdict that the evidence contradicts stops the build, as does a law that misses its promised accuracy,
    and any warning is an error.
    An incremental build would keep stale numbers, so each build is a full one.

    Raises:
        BuildError: when the builder fails, with the end of its output, or when a verdict does not stand.
        MissingPackageError: without the packages that build it.
        ArgumentError: when the folder of the site cannot be written.
    """
    from fracrepro.workflow import numerics_table  # here, because only a build needs mpmath

    site = project.site
    files.writable_folder("project", site.parent)
    write_ledger(project, profile)
    full_scale.write(project)
    numerics_table.write(project)
    install_mathjax(project)
    script = shutil.which("jupyter-book", path=str(Path(sys.executable).parent)) or shutil.which(
        "jupyter-book"
    )
    if script is None:
        raise MissingPackageError("jupyter-book", "book")
    with tempfile.TemporaryDirectory(dir=site.parent, prefix=".building-") as folder:
        command = [script, "build", str(project.root), "--path-output", folder]
        command += ["--all", "-W", "-n", "--keep-going", "-q"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        built = Path(folder) / "_build" / "html"
        if result.returncode or not (built / "index.html").is_file():
            raise BuildError(
                f"jupyter-book failed ({result.returncode}):\n{_tail(result.stdout + result.stderr)}"
            )
        if site.exists():
            site.rename(Path(folder) / "replaced")
        built.rename(site)


def _tail(text: str, lines: int = 60) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])
