"""The files that describe the environment agree with each other."""

import os
import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fracrepro import __version__

ROOT = Path(__file__).resolve().parents[1]


def pins(lines):
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    for requirement in requirements:
        [specifier] = requirement.specifier
        assert specifier.operator == "==", requirement
    return {canonicalize_name(r.name): str(r.specifier) for r in requirements}


def constraints():
    return pins((ROOT / "constraints.txt").read_text().splitlines())


def extras():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group if not line.startswith("fracrepro[")]


def test_conda_users_get_the_same_packages():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert [re.split("[=<>]", entry)[0] for entry in conda] == ["python", "pip"]
    assert pins(pip["pip"]) == constraints()


def test_every_direct_dependency_is_pinned_within_its_range():
    pinned = constraints()
    for requirement in extras():
        version = pinned[canonicalize_name(requirement.name)].removeprefix("==")
        assert requirement.specifier.contains(version, prereleases=True), requirement


def test_the_installed_environment_is_the_pinned_one():
    from importlib.metadata import version

    for requirement in extras():
        name = canonicalize_name(requirement.name)
        assert version(name).split("+")[0] == constraints()[name].removeprefix("=="), name


def test_jupyter_book_stays_below_two():
    assert constraints()["jupyter-book"].startswith("==1.")


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_no_module_is_longer_than_350_lines():
    lengths = {path: len(path.read_text().splitlines()) for path in (ROOT / "fracrepro").rglob("*.py")}
    assert [str(path.relative_to(ROOT)) for path, length in lengths.items() if length > 350] == []


def test_nothing_names_a_path_of_a_machine():
    pattern = re.compile(r"(?<![\w.])/(root|home|tmp|opt)/\w")
    suffixes = {".py", ".md", ".yml", ".toml", ".txt", ".cff", ".ipynb", ".json", ".csv", ".css"}
    skipped = {".venv", "_build", "executed", ".git", "_generated"}
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in skipped]
        for path in (Path(folder) / name for name in names):
            if path.suffix in suffixes:
                assert not pattern.search(path.read_text()), path
