"""The table of attacks says what the record says, and a record that was edited is refused."""

import json

import pytest

from fracrepro import files
from fracrepro.errors import ArgumentError
from fracrepro.workflow import attack_table, seals
from fracrepro.workflow.project import Project

RECORD = {
    "kill_points": 1200,
    "seed": 7,
    "started": "2026-01-02T03:04:05+00:00",
    "machine": {"cores": 2},
    "commit": "0123456789abcdef",
    "counts": {
        "kill points: build": {"right result": 1199, "lost": 1},
        "damaged inputs": {"right result": 5, "lost": 0},
    },
}


@pytest.fixture
def project(tmp_path):
    for name in ("book", "recorded"):
        (tmp_path / name).mkdir()
    (tmp_path / "book" / "cluster.md").write_text("# A page")
    files.write_json(tmp_path / "recorded" / "torture.json", seals.seal(RECORD))
    return Project(tmp_path)


def test_the_table_has_every_count(project):
    attack_table.write(project)
    text = (project.root / "book" / "_generated" / "attacks.md").read_text()
    assert "1,200 kill points" in text
    assert "| build | 1,199 | 1 |" in text
    assert "| damaged inputs | 5 | 0 |" in text


def test_an_edited_record_is_refused(project):
    path = project.root / "recorded" / "torture.json"
    path.write_text(path.read_text().replace('"lost": 1', '"lost": 0'))
    with pytest.raises(ArgumentError, match="torture"):
        attack_table.write(project)


@pytest.mark.parametrize("content", [[], {}, {"counts": {}}])
def test_what_is_no_record_is_refused(project, content):
    (project.root / "recorded" / "torture.json").write_text(json.dumps(content))
    with pytest.raises(ArgumentError, match="torture"):
        attack_table.write(project)


def test_a_project_without_the_page_needs_no_record(tmp_path):
    attack_table.write(Project(tmp_path))
    assert not (tmp_path / "book").exists()
