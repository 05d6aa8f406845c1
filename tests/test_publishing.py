"""What publishes the book: the workflow, the lowest versions, the release notes, the manifest of outputs."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from fracrepro.workflow.cli import main
from fracrepro.workflow.project import Project

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROGRAMS = {"python", "python3", "sudo", "make", "twine", "check-wheel-contents", "gh", "touch", "fracrepro"}
PYPI = {"build", "check-wheel-contents", "jupytext", "nbmake", "twine"}  # which only the workflow needs


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def workflow():
    [path] = WORKFLOWS
    content = yaml.safe_load(path.read_text())
    content["on"] = content.pop(True)  # YAML 1.1 reads the key "on" as true
    return content


def steps():
    return [step for job in workflow()["jobs"].values() for step in job["steps"]]


def commands(text):
    """The commands of one step, as lists of words."""
    return [shlex.split(part) for line in text.splitlines() for part in line.split("&&") if part.strip()]


def wrong(words, root=ROOT):
    """Say what a command of the workflow needs that is not there; "" when all is there."""
    program, *arguments = words
    if program not in PROGRAMS:
        return f"{program}: unknown program"
    targets = re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.M)
    if program == "make" and not set(arguments) <= set(targets):
        return f"make: no target {arguments}"
    if program == "fracrepro" and arguments[0] not in main.commands:
        return f"fracrepro: no command {arguments[0]}"
    made = ("dist", "lowest.txt", "none.txt", "notes.md")
    for word in arguments:
        is_file = re.fullmatch(r"[\w.-]+(/[\w.-]+)+|[\w-]+\.(txt|py)", word)
        if is_file and not word.startswith(made) and not (root / word).exists():
            return f"{word}: no such file"
        if word.startswith(".[") and word[2:-1] not in extras():
            return f"{word}: no such extra"
    if arguments[:3] == ["-m", "pip", "install"]:
        rest = [word for word in arguments[3:] if re.fullmatch(r"[a-z][\w-]*", word)]
        return f"pip: {set(rest) - PYPI}" if set(rest) - PYPI else ""
    return ""


def extras():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_every_command_of_the_workflow_exists():
    found = [words for step in steps() if "run" in step for words in commands(step["run"])]
    assert len(found) > 10
    assert [problem for words in found if (problem := wrong(words))] == []


@pytest.mark.parametrize(
    "command",
    [
        "make boook",
        "fracrepro buidl",
        "python -m pytest tests/theroy",
        "python .ci/lowst.py",
        "python -m pip install -e .[tests]",
        "python -m pip install -c constraint.txt -e .[test]",
        "python -m pip install jupytex",
        "tox",
    ],
)
def test_a_command_that_does_not_exist_is_found(command):
    assert wrong(shlex.split(command))


def test_the_marks_that_the_workflow_leaves_out_exist():
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    marks = {mark.partition(":")[0] for mark in options["markers"]}
    chosen = [
        words[words.index("-m", 2) + 1]
        for step in steps()
        for words in commands(step.get("run", ""))
        if words[:3] == ["python", "-m", "pytest"] and "-m" in words[2:]
    ]
    assert chosen
    assert all(set(re.findall(r"\w+", text)) - {"not", "and"} <= marks for text in chosen)


def test_the_workflow_does_what_it_says():
    content = workflow()
    assert content["on"]["schedule"] == [{"cron": "17 4 * * 1"}]  # once a week
    assert {"push", "pull_request", "workflow_dispatch"} <= content["on"].keys()
    assert content["permissions"] == {"contents": "read"}  # more only where a job needs it
    jobs = content["jobs"]
    assert set(jobs) == {"test", "versions", "tools", "build", "publish", "release"}
    for job in jobs.values():
        assert job["timeout-minutes"] <= 120
        assert set(job.get("needs", [])) <= set(jobs)
    assert [entry["python"] for entry in jobs["versions"]["strategy"]["matrix"]["include"]] == ["3.11", "3.x"]
    assert jobs["publish"]["needs"] == ["test", "build"]
    assert "pull_request" in jobs["publish"]["if"]


def test_every_action_has_a_version():
    used = [step["uses"] for step in steps() if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", name) for name in used)


def test_every_job_that_compares_with_the_history_has_it():
    for name, job in workflow()["jobs"].items():
        runs = " ".join(step.get("run", "") for step in job["steps"])
        [checkout] = [s for s in job["steps"] if s.get("uses", "").startswith("actions/checkout")] or [{}]
        if "pytest" in runs or "make" in runs:
            assert checkout["with"]["fetch-depth"] == 0, name


def test_the_lowest_versions_are_those_of_the_declaration():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [declared["dependencies"], *declared["optional-dependencies"].values()]
    expected = {}
    for requirement in (Requirement(line) for group in groups for line in group):
        for part in requirement.specifier:
            if part.operator in (">=", "=="):
                expected[requirement.name] = part.version
    found = dict(line.split("==") for line in script("lowest").lowest((ROOT / "pyproject.toml").read_text()))
    assert found == expected
    assert found["python" if "python" in found else "numpy"] == "2.0"


CHANGES = """# Changelog

## 0.3.0 (unreleased)

- Not yet.

## 0.2.0 (2026-12-01)

One house.

### Added

- A thing.

## 0.1.0 (2026-11-22)

- First.
"""


def test_release_notes_are_the_section_of_the_version():
    notes = script("release_notes").notes
    assert notes(CHANGES, "0.2.0") == "One house.\n\n### Added\n\n- A thing.\n"
    assert notes(CHANGES, "0.1.0") == "- First.\n"
    with pytest.raises(SystemExit, match="unreleased"):
        notes(CHANGES, "0.3.0")
    with pytest.raises(SystemExit, match=r"no version 0\.2, but 0\.3\.0, 0\.2\.0, 0\.1\.0"):
        notes(CHANGES, "0.2")


def test_the_changelog_has_a_section_that_the_script_finds_for_every_heading():
    text = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## (.*)$", text, re.M)
    found = [match[0][3:] for match in script("release_notes").HEADING.finditer(text)]
    assert found == headings
    command = [sys.executable, str(ROOT / ".ci" / "release_notes.py")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    unknown = subprocess.run([*command, "v9.9.9"], capture_output=True, text=True, check=False)
    assert unknown.returncode == 1
    assert unknown.stderr.startswith("the changelog has no version 9.9.9")


def test_the_manifest_names_every_output_with_a_command_that_exists():
    text = (ROOT / "codecheck.yml").read_text()
    assert text == script("codecheck").content(Project(ROOT)), "run python .ci/codecheck.py"
    entries = yaml.safe_load(text)["manifest"]
    names = [entry["file"] for entry in entries]
    recorded = {path.relative_to(ROOT).as_posix() for path in (ROOT / "recorded").rglob("*.*")}
    recorded = {name for name in recorded if name.endswith(".csv") or "/full_scale/" in name}
    assert (
        recorded - set(names) - {name for name in recorded if not name.endswith((".csv", ".json"))} == set()
    )
    assert len(names) == len(set(names))
    for entry in entries:
        words = shlex.split(entry["comment"].rpartition("; ")[2])
        assert not wrong(words), entry
        if words[:2] == ["fracrepro", "run"]:
            assert words[2] in Project(ROOT).notebook_names()
        if words[:2] == ["fracrepro", "train"]:
            from fracrepro.nn.experiments.registry import experiment

            assert experiment(words[2]).name == words[2]


def test_the_scripts_of_the_workflow_need_no_package_before_it_is_installed():
    """The two that run before pip, or without it, import the standard library only."""
    for name in ("lowest", "release_notes"):
        command = [sys.executable, "-I", "-S", str(ROOT / ".ci" / f"{name}.py"), "9.9.9"]
        result = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
        assert "ModuleNotFoundError" not in result.stderr
