"""The book, built once at the quick profile in a folder of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fracrepro.workflow.project import ENVIRONMENT_VARIABLE, Project

ROOT = Path(__file__).resolve().parents[2]
COMMAND = str(Path(sys.executable).with_name("fracrepro"))


def pytest_itemcollected(item):
    """Let the tests of the built book share one worker, so that it is built once."""
    # Here and not later: xdist reads the groups as soon as all tests are collected.
    if "book" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.xdist_group("book"))


class Book:
    """A built copy of the project."""

    def __init__(self, root):
        self.project = Project(root)
        self.site = self.project.site

    def fracrepro(self, *arguments):
        environment = os.environ | {ENVIRONMENT_VARIABLE: str(self.project.root)}
        return subprocess.run(
            [COMMAND, *arguments], capture_output=True, text=True, env=environment, timeout=300, check=False
        )

    def record(self, name):
        return json.loads((self.project.executed / f"{name}.json").read_text())


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, root)
    for name in ("notebooks", "recorded"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name)
    shutil.copytree(ROOT / "book", root / "book", ignore=shutil.ignore_patterns("executed", "mathjax"))
    built = Book(root)
    result = built.fracrepro("build", "--profile", "quick")
    assert result.returncode == 0, result.stdout + result.stderr
    return built
