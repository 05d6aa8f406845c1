"""The static book: executed notebooks and prose in, pages that ask no other host for anything out."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from fracrepro import files
from fracrepro.arguments import shown
from fracrepro.errors import ArgumentError, FracreproError, MissingPackageError
from fracrepro.workflow import (
    attack_table,
    claims,
    device_tables,
    findings,
    full_scale,
    pictures,
    scaling_tables,
)
from fracrepro.workflow.interactive import tables
from fracrepro.workflow.project import Project, read_yaml

_MATHJAX_FILES = ("tex-mml-chtml.js", "output/chtml/fonts/woff-v2")  # 1.5 of the 24 MB of the carrier package
# The builder ends when the command does, however that ends: the pipe between them then closes.
_BUILDER = """
import os, sys, threading

def follow(pipe):
    os.read(pipe, 1)
    os._exit(1)

threading.Thread(target=follow, args=(int(sys.argv.pop(1)),), daemon=True).start()
from jupyter_book.cli.main import main
main()
"""
_OS_ERROR = re.compile(r"\[Errno (\d+)\] [^:\n]+(?:: '([^'\n]*)')?")


class BuildError(FracreproError):
    """The book cannot be built: a verdict does not stand, or the builder complains."""

    several_lines = True


def toc_notebooks(project: Project) -> list[str]:
    """The names of the executed notebooks that `_toc.yml` lists, in its order."""
    prefix = "book/executed/"
    return [file.removeprefix(prefix) for file in toc_files(project) if file.startswith(prefix)]


def toc_files(project: Project) -> list[str]:
    """Every source that `_toc.yml` lists, without endings, in its order.

    Raises:
        ArgumentError: when the file is no table of contents; names it.
    """

    def walk(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [node[key] for key in ("root", "file") if key in node]
            for name in own:
                if not isinstance(name, str):
                    raise ArgumentError(f"{path}: file = {shown(name)}: need text")
            return own + [name for key, child in node.items() if key != "defaults" for name in walk(child)]
        if isinstance(node, list):
            return [name for child in node for name in walk(child)]
        return []

    path = project.root / "_toc.yml"
    content = read_yaml(path)
    if not isinstance(content, dict) or "root" not in content:
        raise ArgumentError(f"{path}: need a table of contents, a mapping with the key root")
    return walk(content)


def install_mathjax(project: Project) -> None:
    """Copy MathJax out of the package that carries it into the book's static files."""
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise MissingPackageError("sphinx-mathjax-offline", "book")
    source = Path(spec.origin).parent / "static" / "mathjax"
    target = project.root / "book" / "_static" / "mathjax"
    for name in _MATHJAX_FILES:
        wanted = source / name
        for path in sorted(wanted.rglob("*")) if wanted.is_dir() else [wanted]:
            with files.atomic_writer(target / path.relative_to(source)) as copy:
                copy.write(path.read_bytes())


def install_tables(project: Project) -> None:
    """Write what the interactive figures of all pages read into the book's static files."""
    found = [project.root / f"{name}{ending}" for name in toc_files(project) for ending in (".ipynb", ".md")]
    tables.write(project, [path for path in found if path.is_file()])


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
    """Build the book from current executed notebooks; a reader of the site finds the old one or the new one.

    A verdict that the evidence contradicts stops the build, as does a law that misses its promised accuracy,
    and any warning is an error.
    An incremental build would keep stale numbers, so each build is a full one.

    Raises:
        BuildError: when the builder fails, with the end of its output, or when a verdict does not stand.
        MissingPackageError: without the packages that build it.
        ArgumentError: when the folder of the site cannot be written.
        BusyError: when another process builds this book.
        OSError: when the disk is full, for example; the old site then stays.
    """
    from fracrepro.workflow import numerics_table  # here, because only a build needs mpmath

    site = project.site
    files.writable_folder("project", site.parent)
    with files.lock(site.parent / ".lock", f"build of {site}"):
        recover(site)
        write_ledger(project, profile)
        findings.write(project)
        full_scale.write(project)
        scaling_tables.write(project)
        attack_table.write(project)
        device_tables.write(project)
        pictures.write(project)
        numerics_table.write(project)
        install_mathjax(project)
        install_tables(project)
        if importlib.util.find_spec("jupyter_book") is None:
            raise MissingPackageError("jupyter-book", "book")
        with files.temporary_folder(".building-", site.parent) as folder:
            publish(built(project, folder), site)


def built(project: Project, folder: Path, *, strict: bool = True) -> Path:
    """Let the builder write into `folder`, and return the folder of the pages there.

    Args:
        project: whose book it is.
        folder: for what the builder makes.
        strict: whether a warning is an error.

    Raises:
        BuildError: when the builder fails; with the end of its output.
        OSError: when the disk is full, for example.
    """
    options = ["--path-output", str(folder), "--all", "-q", *(("-W", "-n", "--keep-going") if strict else ())]
    theirs, ours = os.pipe()
    try:
        command = [sys.executable, "-P", "-c", _BUILDER, str(theirs), "build", str(project.root), *options]
        result = subprocess.run(  # this Python, by a list, without a shell  # noqa: S603  # nosec B603
            command, capture_output=True, text=True, check=False, pass_fds=[theirs]
        )
    finally:
        os.close(theirs)
        os.close(ours)
    made = folder / "_build" / "html"
    if result.returncode or not (made / "index.html").is_file():
        said = result.stdout + result.stderr
        disk = _OS_ERROR.search(said)
        if disk and int(disk[1]) in files.DISK_ERRORS:
            raise OSError(int(disk[1]), os.strerror(int(disk[1])), disk[2] or str(folder))
        raise BuildError(f"jupyter-book failed ({result.returncode}):\n{_tail(said)}")
    return made


def publish(built: Path, site: Path) -> None:
    """Put a built site in the place of the old one, which is left where the new one was, or deleted.

    The two folders change names in one step, so that the place always holds one of them.
    Where the file system cannot do that, the old one stands aside for a moment; :func:`recover` brings it
    back if the process is killed in it.

    Args:
        built: the new site, on the same file system.
        site: its place.

    Raises:
        OSError: when it cannot be put there; the old site then stays.
    """
    try:
        if not site.exists():
            built.rename(site)
        else:
            files.exchange(built, site)
    except NotImplementedError:
        aside = _aside(site)
        site.rename(aside)
        try:
            built.rename(site)
        except BaseException:
            aside.rename(site)
            raise
        shutil.rmtree(aside, ignore_errors=True)


def recover(site: Path) -> None:
    """Bring back a site that a killed build had put aside, or delete it when the new one is in place."""
    aside = _aside(site)
    if aside.exists() and not site.exists():
        aside.rename(site)
    shutil.rmtree(aside, ignore_errors=True)


def _aside(site: Path) -> Path:
    return site.with_name(f".{site.name}-before")


def _tail(text: str, lines: int = 60) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])
