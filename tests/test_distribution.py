"""The source distribution holds what the repository holds, and nothing that was made from it."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MADE = [
    "book/executed/01_page.ipynb",
    "book/_generated/claims.md",
    "book/_static/mathjax/tex.js",
    "book/_static/interactive/tables/activations.js",
    "_build/html/index.html",
    "fracrepro/__pycache__/errors.cpython-311.pyc",
    "notebooks/.ipynb_checkpoints/01_page.ipynb",
    ".venv/bin/python",
    "notebooks/.ruff_cache/CACHEDIR.TAG",
    "recorded/.mnist.checkpoints/0.ckpt",
    "recorded/mnist.csv.part",
    "recorded/full_scale/01_page.ipynb",
    "recorded/full_scale/01_page.html",
]


def tracked():
    """The files of the checkout; a copy without git cannot say which these are."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    return {name for name in names if name and (ROOT / name).is_file()}


def test_the_source_distribution_is_the_repository(tmp_path):
    names = tracked()
    tree = tmp_path / "tree"
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    for name in MADE:
        assert name not in names
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("made")
    script = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"
    command = [sys.executable, "-c", script, str(tmp_path)]
    output = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True).stdout
    with tarfile.open(tmp_path / output.splitlines()[-1]) as archive:
        found = {member.name.partition("/")[2] for member in archive if member.isfile()}
    added = {"PKG-INFO", "setup.cfg"} | {name for name in found if name.startswith("fracrepro.egg-info/")}
    assert found - added == names
