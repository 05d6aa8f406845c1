"""The tables of a GPU have what the records have, and say where there is none; trials run on a CPU too."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fracrepro import files
from fracrepro.errors import ArgumentError
from fracrepro.nn.training.lanes import MODELS_PER_GPU_LANE
from fracrepro.workflow import device_tables, seals
from fracrepro.workflow.project import Project

ROOT = Path(__file__).resolve().parents[2]
FACTS = {
    "trial": False,
    "started": "2026-01-02T03:04:05+00:00",
    "versions": {"torch": "9.9"},
    "device": {"training": "Made up 9000"},
    "commit": "0123456789abcdef",
}
DEVICE = FACTS | {
    "benchmark": "device",
    "limits": {"operations": 4e13, "bytes": 2.5e12, "launch": 2e-6, "launch_by_host": 7e-6},
    "steps": [
        {
            "experiment": "mnist",
            "models": 1080,
            "shares": {"arithmetic": 0.5, "memory": 0.25, "launches": 0.125},
            "rows": [
                {"way": "ours, replayed", "seconds": 0.0025, "ratio": 1.0},
                {"way": "compiled", "seconds": 0.005, "ratio": 2.0},
            ],
        },
        {
            "experiment": "cifar10",
            "models": 30,
            "shares": {"arithmetic": 0.75, "memory": 0.1, "launches": 0.01},
            "rows": [
                {"way": "ours, replayed", "seconds": 0.02, "ratio": 1.0},
                {"way": "grouped", "refused": "RuntimeError: no engine"},
            ],
        },
    ],
    "epochs": [
        {
            "experiment": "mnist",
            "models": 80,
            "start": 3.0,
            "seconds": 1.9,
            "all_epochs": 30,
            "peak_bytes": 2**30,
        },
        {
            "experiment": "cifar10",
            "models": 30,
            "start": 3.0,
            "seconds": 9.9,
            "all_epochs": 50,
            "peak_bytes": None,
        },
    ],
}
WEIGHTS = FACTS | {
    "benchmark": "full_weights",
    "networks": 1000,
    "width": 4096,
    "weights": 16_777_216_000_000,
    "seconds": 180.0,
    "level": 0.001,
    "rows": [
        {
            "depth": depth,
            "distance": 0.02,
            "p_value": 0.7,
            "rejected": rejected,
            "controls": {"a wrong law": {"p_value": 1e-9, "rejected": True, "power": 0.995}},
        }
        for depth, rejected in ((10, False), (1000, True))
    ],
}


@pytest.fixture
def project(tmp_path):
    for name in ("book", "recorded"):
        (tmp_path / name).mkdir()
    (tmp_path / "book" / device_tables.PAGE).write_text("# A page")
    return Project(tmp_path)


def written(project, name):
    return (project.root / "book" / "_generated" / f"gpu_{name}.md").read_text()


def test_the_tables_have_every_number(project):
    for record in (DEVICE, WEIGHTS):
        files.write_json(project.recorded / f"{record['benchmark']}.json", seals.seal(record))
    device_tables.write(project)
    text = written(project, "device").replace("\N{NO-BREAK SPACE}", " ")
    assert "Measured on Made up 9000 on 2026-01-02 with torch 9.9, at commit `0123456789`." in text
    assert "40 TFLOP/s" in text
    assert "2.5 TB/s" in text
    assert "2 µs for a launch in a recording, 7 µs for one by the host" in text
    assert "| a step | MNIST, 1,080 | CIFAR-10, 30 |" in text
    assert "| **ours, replayed**, ms | 2.5 | 20 |" in text
    assert "| compiled, ratio | 2.00 | – |" in text
    assert "| grouped, ratio | – | refused |" in text
    assert "| share of the rate of products | 50 % | 75 % |" in text
    assert "| share of the rate of a copy | 25 % | 10 % |" in text
    assert "| share of the time of launches | 12 % | 1 % |" in text
    assert "| MNIST | 80 | 1.9 | 30 | 1.0 | 1.0 |" in text
    assert "| CIFAR-10 | 30 | 9.9 | 50 | 8.3 | – |" in text
    assert "trial" not in text
    text = written(project, "full_weights").replace("\N{NO-BREAK SPACE}", " ")
    assert "1,000 networks of width 4,096, 1.7×10¹³ weights in 3 minutes" in text
    assert "rejected at 1 of 2 depths at the level 0.001" in text
    assert "| 1,000 | 0.0200 | 0.7 | 10⁻⁹ (0.995) |" in text


def test_what_nobody_measured_is_said(project):
    device_tables.write(project)
    for name in ("device", "full_weights"):
        assert written(project, name).startswith("Nobody has measured this yet")


def test_the_page_knows_how_large_lanes_are():
    dense, convolutions = (MODELS_PER_GPU_LANE[kind] for kind in ("fully connected", "convolutions"))
    page = (ROOT / "book" / device_tables.PAGE).read_text()
    assert f"up to {dense} fully connected networks, or {convolutions} with convolutions" in page


def test_a_trial_is_called_one(project):
    files.write_json(project.recorded / "device.json", seals.seal(DEVICE | {"trial": True}))
    device_tables.write(project)
    assert "**This was a trial**" in written(project, "device")


@pytest.mark.parametrize("name", ["device", "full_weights"])
@pytest.mark.parametrize("content", [[], {}, {"benchmark": "other"}])
def test_what_is_no_record_is_refused(project, name, content):
    (project.recorded / f"{name}.json").write_text(json.dumps(content))
    with pytest.raises(ArgumentError, match=name):
        device_tables.write(project)


def test_an_edited_record_is_refused(project):
    path = project.recorded / "device.json"
    files.write_json(path, seals.seal(DEVICE))
    path.write_text(path.read_text().replace("Made up 9000", "Made up 9001"))
    with pytest.raises(ArgumentError, match="was edited"):
        device_tables.write(project)


def test_a_project_without_the_page_needs_no_record(tmp_path):
    device_tables.write(Project(tmp_path))
    assert not (tmp_path / "book").exists()


@pytest.mark.parametrize("name", ["device", "full_weights"])
def test_a_trial_of_the_benchmark_leaves_a_record_that_the_tables_take(name, project):
    command = [sys.executable, ROOT / "benchmarks" / f"{name}.py", "--trial", "--out", project.recorded]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert not list(project.recorded.glob("*.part.json"))
    device_tables.write(project)
    text = written(project, name)
    assert "**This was a trial**" in text
    assert "nan" not in text.lower()
    record = files.read_json(project.recorded / f"{name}.json")
    if name == "device":
        assert {row["experiment"] for row in record["steps"]} == {"mnist", "cifar10"}
        rows = [row for step in record["steps"] for row in step["rows"]]
        assert not [row for row in rows if "refused" in row]
        assert max(row.get("apart", 0.0) for row in rows) < 1e-4
    else:  # at these sizes the exact law stands, and the controls have next to no power
        assert not any(row["rejected"] for row in record["rows"])


@pytest.mark.parametrize("name", ["device", "full_weights"])
def test_without_a_gpu_only_a_trial_runs(name, tmp_path):
    command = [sys.executable, ROOT / "benchmarks" / f"{name}.py", "--out", tmp_path]
    hidden = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300, env=hidden
    )
    assert done.returncode == 1
    assert "device = 'cuda'" in done.stderr
    assert not list(tmp_path.iterdir())
