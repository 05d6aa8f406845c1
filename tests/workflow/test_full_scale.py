"""The notebooks at full scale: the ledger's conditions stand on the recorded values."""

import json
import shutil

import pytest
import yaml

from fracrepro.errors import ArgumentError
from fracrepro.workflow import full_scale, parameters, seals
from fracrepro.workflow.project import Project

PROJECT = Project.find()
PAGES = [name for name in PROJECT.notebook_names() if not name.startswith(("09", "10", "11"))]


@pytest.fixture
def copy(tmp_path):
    """A project with one record, that of page 02, and the ledger."""
    (tmp_path / "book").mkdir()
    (tmp_path / "recorded" / "full_scale").mkdir(parents=True)
    shutil.copy(PROJECT.root / "book" / "claims.yml", tmp_path / "book")
    name = "02_moment_preservation.json"
    shutil.copy(PROJECT.recorded / "full_scale" / name, tmp_path / "recorded" / "full_scale" / name)
    return Project(tmp_path)


def test_every_page_of_theory_has_its_record_and_every_condition_stands_there():
    entries = full_scale.judged(PROJECT)
    assert [entry.name for entry in entries] == PAGES, "run them as book/rerun.md says"
    assert {entry.name: entry.problems for entry in entries if entry.problems} == {}
    assert all(entry.standing for entry in entries)


@pytest.mark.parametrize("name", PAGES)
def test_a_record_has_the_parameters_of_the_profile(name):
    recorded = json.loads((PROJECT.recorded / "full_scale" / f"{name}.json").read_text())["parameters"]
    wanted = parameters.load_profiles(PROJECT.profiles)[full_scale.PROFILE][name]
    assert {key: recorded[key] for key in wanted} == wanted


def test_a_value_that_contradicts_its_row_is_named(copy):
    path = copy.recorded / "full_scale" / "02_moment_preservation.json"
    record = json.loads(path.read_text())
    before = full_scale.judged(copy)[0]
    record["values"]["largest_deviation"] = 0.01
    del record["values"]["gap_near_two"]
    path.write_text(json.dumps(record))
    with pytest.raises(ArgumentError, match=r"02_moment_preservation\.json: .* it was edited"):
        full_scale.judged(copy)
    path.write_text(json.dumps(seals.seal(record)))
    after = full_scale.judged(copy)[0]
    assert after.standing < before.standing
    assert any("largest_deviation = 0.01" in problem for problem in after.problems)
    assert any("gap_near_two = 'missing'" in problem for problem in after.problems)


@pytest.mark.parametrize(
    "damage", ["{", "[]", '{"notebook": "02_moment_preservation", "profile": "quick", "values": {}}']
)
def test_what_is_no_such_record_is_refused_with_its_name(copy, damage):
    path = copy.recorded / "full_scale" / "02_moment_preservation.json"
    path.write_text(damage)
    with pytest.raises(ArgumentError, match=r"02_moment_preservation\.json: no record"):
        full_scale.judged(copy)


def test_the_table_says_how_long_and_how_many(copy):
    table = full_scale.as_table(full_scale.judged(copy))
    rows = yaml.safe_load((copy.root / "book" / "claims.yml").read_text())
    total = sum(len(row.get("holds", {})) for row in rows if row.get("evidence") == "02_moment_preservation")
    assert f"| {total} of {total} |" in table
    assert "1,000,000\u00a0networks" in table


@pytest.mark.parametrize(
    ("parameters", "size"),
    [
        ({"width": 64, "networks": 2000, "seed": 1}, "2,000\u00a0networks"),
        (
            {"width": 64, "points": 5000, "s": 1.0, "seed": 1},
            "width\u00a064, points\u00a05,000",
        ),
        ({"activation": "relu", "shared": True, "seed": 1}, "–"),
    ],
)
def test_the_table_says_the_size_of_a_page_without_networks_too(parameters, size, copy):
    path = copy.recorded / "full_scale" / "02_moment_preservation.json"
    path.write_text(json.dumps(seals.seal(json.loads(path.read_text()) | {"parameters": parameters})))
    assert f"| {size} |" in full_scale.as_table(full_scale.judged(copy))
