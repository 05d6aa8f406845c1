"""An experiment under a plan: committed, trained, killed, resumed, judged, and refused after a change."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from fracrepro.errors import ArgumentError
from fracrepro.nn.experiments import BATCH_SIZE, DIGITS, EXPERIMENTS, GRADIENT_TAILS, Sweep
from fracrepro.nn.training.network import Network
from fracrepro.stats.judging import judge
from fracrepro.workflow import commitments, plans, records, seals
from fracrepro.workflow.cli import main
from fracrepro.workflow.project import ENVIRONMENT_VARIABLE, Project

TINY = DIGITS.replace(
    name="tiny",
    network=Network((1, 8, 8), depth=2, width=8),
    schemes=DIGITS.schemes[:2],
    seeds=range(100, 108),
    epochs=3,
    batch_size=64,
    learning_rate=0.1,
)
FIELDS = {
    "question": "Does the order change how well a small network learns the digits?",
    "data": "digits",
    "schemes": ["fractional s=1", "kaiming"],
    "networks": {"depth": [2], "width": [8]},
    "settings": {"epochs": [3], "batch_size": [64]},
    "rates": [0.1],
    "seeds": {"pilot": "0-9", "main": "100-107"},
    "endpoints": [
        {
            "name": "accuracy at the end",
            "measure": "end",
            "figure": "test_accuracy",
            "better": "higher",
            "margin": 0.6,
            "failed": 0.1,
            "compare": [["fractional s=1", "kaiming"]],
            "power": {"difference": 0.5, "deviation": 0.2, "pairs": 10, "wanted": 0.8},
        }
    ],
    "level": 0.05,
    "multiplicity": "holm",
    "stopping": "all seeds",
}
# A process of its own with the experiment in the registry; SLOW makes it train long enough to be killed.
SCRIPT = f"""
import os, time
from fracrepro.nn.experiments import DIGITS, EXPERIMENTS
from fracrepro.nn.training.lanes import Lane
from fracrepro.nn.training.network import Network
EXPERIMENTS["tiny"] = DIGITS.replace(
    name="tiny", network=Network((1, 8, 8), depth=2, width=8), schemes=DIGITS.schemes[:2],
    seeds=range({TINY.seeds[0]}, {TINY.seeds[-1] + 1}), epochs=3, batch_size=64, learning_rate=0.1,
)
if os.environ.get("SLOW"):
    advance = Lane.advance
    def slow(lane, *rest):
        advance(lane, *rest)
        time.sleep(0.5 if lane.epoch == 1 else 60)
    Lane.advance = slow
    from fracrepro.workflow import records
    run = records.run
    records.run = lambda *given, **named: run(*given, **named, interval=0.0)
from fracrepro.workflow.cli import main
main()
"""


def git(root, *arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(root), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def write(root, **changes):
    (root / "plans").mkdir(exist_ok=True)
    (root / "plans" / "tiny.yml").write_text(yaml.safe_dump(FIELDS | changes, sort_keys=False))


def commit(root, message="A plan"):
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)
    return git(root, "rev-parse", "HEAD")


def train(*more):
    return CliRunner().invoke(main, ["train", "tiny", "--device", "cpu", *more])


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A checkout with a plan that is committed."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    root = tmp_path / "project"
    (root / "notebooks").mkdir(parents=True)
    (root / "recorded").mkdir()
    (root / "notebooks" / "profiles.yml").write_text("quick: {}\nbook: {}\n")
    (root / ".gitignore").write_text(".*.checkpoints/\n.*.lock\n")
    write(root)
    git(tmp_path, "init", "-q", str(root))
    commit(root)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(root))
    monkeypatch.setitem(EXPERIMENTS, "tiny", TINY)
    return Project(root)


@pytest.fixture
def no_training(monkeypatch):
    monkeypatch.setattr(
        "fracrepro.nn.training.lanes.Lane.advance", lambda *_: pytest.fail("training has begun")
    )


def wait_for(folder, pattern, process):
    deadline = time.monotonic() + 120
    while not list(folder.glob(pattern)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_whole_way(project, no_training, monkeypatch):
    """Trained and killed, refused under another plan, resumed, judged, and refused again when it is there."""
    held = git(project.root, "rev-parse", "HEAD")
    command = [sys.executable, "-c", SCRIPT, "train", "tiny", "--device", "cpu"]
    process = subprocess.Popen(
        command,
        env=os.environ | {"SLOW": "1", "PYTHONUNBUFFERED": "1"},
        cwd=project.root,
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for(project.recorded, ".tiny.checkpoints/*.ckpt", process)
    process.send_signal(signal.SIGKILL)
    assert f"the plan: plans/tiny.yml, commit {held[:10]}" in process.communicate()[0]
    started = json.loads((project.recorded / ".tiny.checkpoints" / "start.json").read_text())["started"]

    # Another plan, though committed, is not the one that the training began under.
    write(project.root, level=0.049, endpoints=[FIELDS["endpoints"][0] | {"margin": 0.5}])
    commit(project.root, "Another margin")
    refused = train()
    assert refused.exit_code == 2
    assert (
        "is of another plan, which differs in endpoints[0].margin; restore plans/tiny.yml" in refused.stderr
    )
    assert len(refused.stderr.strip().splitlines()) == 1
    git(project.root, "revert", "--no-edit", "HEAD")

    monkeypatch.undo()
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(project.root))
    monkeypatch.setitem(EXPERIMENTS, "tiny", TINY)
    time.sleep(1.1)  # so that a beginning taken now would differ
    resumed = train()
    assert resumed.exit_code == 0, resumed.output
    line = "accuracy at the end: fractional s=1 against kaiming: "
    assert line in resumed.stdout
    facts = json.loads((project.recorded / "tiny.json").read_text())
    assert facts["resumed"]
    assert facts["started"] == started
    assert facts["plan"]["commit"] == held  # the one that it began under, not the revert
    assert facts["plan"]["fields"]["level"] == 0.05
    assert seals.is_intact(facts)
    assert not (project.recorded / ".tiny.checkpoints").exists()

    results = records.load_record(project.recorded, TINY)
    pd.testing.assert_frame_equal(
        results.drop(columns="seconds"), TINY.run(progress=False).drop(columns="seconds")
    )
    plan = plans.load(project.plans / "tiny.yml", TINY)
    verdict = judge(plan, results)["verdict"][0]
    assert f"{line}{verdict}" in resumed.stdout
    assert commitments.trouble(project, "tiny") == ""
    sentence = commitments.sentence(project.recorded, "tiny")
    assert f"(`plans/tiny.yml`, sha256 {facts['plan']['sha256'][:12]}, commit {held[:10]})" in sentence
    assert "was committed on " in sentence
    assert "and its earliest training began on " in sentence
    kept = commitments.recorded_plan(project.recorded, "tiny")
    assert kept == plans.load(project.plans / "tiny.yml", TINY)

    # The record stays what it is under another plan.
    write(project.root, level=0.049)
    commit(project.root, "Another level")
    again = train()
    assert again.exit_code == 2
    assert "the record of 'tiny' is of another plan, which differs in level" in again.stderr
    assert "tiny.yml has changed since the record" in commitments.trouble(project, "tiny")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: git(root, "rm", "-q", "--cached", "plans/tiny.yml"), "has changed since commit"),
        (lambda root: write(root, level=0.049), "has changed since commit"),
        (lambda root: (write(root, level=0.049), git(root, "add", "-A")), "has changed since commit"),
        (lambda root: shutil.rmtree(root / ".git"), "this is no git checkout"),
        (lambda root: (shutil.rmtree(root / ".git"), git(root, "init", "-q")), "experiment runs; commit it"),
    ],
)
def test_a_plan_that_is_not_committed_is_refused(project, no_training, spoil, message):
    spoil(project.root)
    result = train()
    assert result.exit_code == 2
    assert result.stderr.startswith("error: plans/tiny.yml: ")
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(project.recorded.iterdir())
    assert train("--dry-run").exit_code == 2


def test_without_git_or_history_it_is_refused(project, no_training, tmp_path, monkeypatch):
    write(project.root, level=0.04)
    commit(project.root, "Another level")
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{project.root}", str(shallow))
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(shallow))
    assert "this clone is shallow; get the history with git fetch --unshallow" in train().stderr
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(project.root))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "experiment runs, and git is not installed" in train().stderr


ENDPOINT = FIELDS["endpoints"][0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schemes": ["fractional s=1", "kaimin"]}, "compare = 'kaiming': need one of"),
        ({"schemes": ["fractional s=1", "kaiming", "kaimin"]}, "schemes = 'kaimin': need one of"),
        ({"schemes": ["fractional s=1", "kaiming", "xavier"]}, "schemes = .* the experiment has"),
        ({"data": "mnist"}, "data = 'mnist': the experiment has 'digits'"),
        ({"networks": {"depth": [3]}}, r"networks or settings: depth = \[3\]: the experiment has \[2\]"),
        ({"networks": {"dpth": [2]}}, r"networks or settings: dpth = \[2\]: the experiment has \[None\]"),
        ({"rates": [0.2]}, r"rates = \[0.2\]: the experiment trains at 0.1"),
        ({"seeds": {"pilot": "0-9", "main": "200-207"}}, "seeds: main = .*: the experiment has"),
        ({"seeds": {"pilot": "93-102", "main": "100-107"}}, "seeds: main = 100: is used in pilot already"),
        (
            {"endpoints": [ENDPOINT | {"figure": "tset_accuracy"}]},
            "figure = 'tset_accuracy': nobody measures it",
        ),
        ({"endpoints": [ENDPOINT | {"margin": 0}]}, "endpoint 'accuracy at the end': margin = 0"),
        (
            {"endpoints": [ENDPOINT | {"measure": "mean", "epochs": [1, 9]}]},
            "epochs = .1, 9.: the experiment has fewer",
        ),
        ({"level": None}, "level = None"),
        ({"extra": 1}, "field = 'extra'"),
    ],
)
def test_a_bad_plan_is_one_line_before_any_training(project, no_training, changes, message):
    write(project.root, **changes)
    commit(project.root)
    result = train()
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {project.plans / 'tiny.yml'}: ")
    with pytest.raises(ArgumentError, match=message):
        plans.load(project.plans / "tiny.yml", TINY)
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(project.recorded.iterdir())


def test_missing_fields_and_broken_files_are_named(project, no_training):
    path = project.plans / "tiny.yml"
    for name in FIELDS:
        if name != "settings":
            path.write_text(yaml.safe_dump({key: value for key, value in FIELDS.items() if key != name}))
            with pytest.raises(ArgumentError, match=rf"tiny\.yml: {name} is missing$"):
                plans.load(path, TINY)
    for content, words in (
        ("level: 1\nlevel: 2", "not valid YAML: the key 'level' comes twice"),
        ("a: [", "not valid YAML"),
        ("", "the plan = None: need a mapping"),
        ("- 1", r"the plan = \[1\]: need a mapping"),
    ):
        path.write_text(content)
        with pytest.raises(ArgumentError, match=rf"tiny\.yml: {words}"):
            plans.load(path, TINY)


def test_other_scales_and_other_experiments_have_no_plan(project, tmp_path):
    """The plan is of the experiment at full scale; the old experiments have none and stay as they are."""
    small = tmp_path / "small"
    result = train("--profile", "quick", "--out", str(small))
    assert result.exit_code == 0, result.output
    facts = json.loads((small / "tiny.json").read_text())
    assert "plan" not in facts
    assert commitments.committed(DIGITS) is None
    assert commitments.sentence(small, "tiny") == "No plan was written before the experiment `tiny` ran."
    with pytest.raises(ArgumentError, match=r"tiny.json: was made without a plan"):
        commitments.recorded_plan(small, "tiny")
    with pytest.raises(ArgumentError, match=r"nothing\.json: no such record"):
        commitments.sentence(small, "nothing")
    # A record beside a plan that it was not made under is no evidence.
    shutil.copy(small / "tiny.json", project.recorded)
    assert commitments.trouble(project, "tiny") == "tiny.json: was not recorded under tiny.yml"
    assert commitments.trouble(project, "digits") == ""


def test_a_training_that_began_without_the_plan_is_not_continued_under_it(project, no_training):
    kept = project.recorded / ".tiny.checkpoints"
    kept.mkdir()
    (kept / "start.json").write_text(json.dumps({"started": "2026-01-01T00:00:00+00:00", "plan": None}))
    (kept / "seeds.ckpt").write_text("")
    assert "was made without a plan; need another folder, or delete it" in train().stderr
    (kept / "start.json").unlink()  # as an older version left it
    assert "was made without a plan" in train().stderr
    (kept / "start.json").write_text("[]")
    assert "start.json: is damaged" in train().stderr


def recorded(project, **changes):
    """A record as `train` would leave it, with other facts about its plan."""
    held = commitments.committed(TINY)
    facts = {"protocol": TINY.to_dict(), "sha256": "", "started": "2100-01-01T00:00:00+00:00"}
    facts |= {"plan": held.to_dict() | changes.pop("plan", {})} | changes
    (project.recorded / "tiny.json").write_text(json.dumps(seals.seal(facts)))
    return commitments.trouble(project, "tiny")


def test_the_build_compares_the_facts_with_file_and_history(project):
    assert recorded(project) == ""
    assert "before its plan was committed" in recorded(project, started="2000-01-01T00:00:00+00:00")
    assert "is not in the history" in recorded(project, plan={"commit": "0" * 40})
    first = git(project.root, "rev-parse", "HEAD")
    write(project.root, level=0.04)
    commit(project.root, "Another level")
    assert recorded(project) == ""
    assert f"commit {first[:10]} holds another one" in recorded(project, plan={"commit": first})
    assert "not of 2001" in recorded(project, plan={"committed": "2001-01-01T00:00:00+00:00"})
    assert "has changed since the record: expected sha256 x" in recorded(project, plan={"sha256": "x"})
    assert "damaged: tiny.json" in recorded(project, plan={"committed": "yesterday"})
    recorded(project)
    (project.plans / "tiny.yml").unlink()
    assert commitments.trouble(project, "tiny") == "tiny.yml: is missing, and tiny.json was recorded under it"


def test_a_shallow_clone_compares_with_the_file_only(project, tmp_path):
    recorded(project, plan={"commit": "0" * 40})
    commit(project.root, "A record")
    assert "is not in the history" in commitments.trouble(project, "tiny")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{project.root}", str(tmp_path / "shallow"))
    shallow = Project(tmp_path / "shallow")
    assert commitments.trouble(shallow, "tiny") == ""
    write(shallow.root, level=0.04)
    assert "has changed since the record" in commitments.trouble(shallow, "tiny")


LOOKS = {"looks": [4, 8], "stopping": "decided"}


def looks(project, margin, monkeypatch):
    wide = ENDPOINT | {"margin": margin, "power": ENDPOINT["power"] | {"difference": 0.8}}
    write(project.root, endpoints=[wide], **LOOKS)
    commit(project.root, "Looks")
    calls = []
    run = type(TINY).run
    monkeypatch.setattr(
        type(TINY), "run", lambda self, *a, **k: calls.append(self.seeds) or run(self, *a, **k)
    )
    result = train()
    assert result.exit_code == 0, result.output
    return calls, json.loads((project.recorded / "tiny.json").read_text())


def test_a_training_stops_at_the_first_look_that_decides(project, monkeypatch):
    # Accuracies differ by far less than a hundred, so the first four pairs show equivalence.
    calls, facts = looks(project, 100.0, monkeypatch)
    assert calls == [(100, 101, 102, 103)]
    assert facts["protocol"]["seeds"] == [100, 101, 102, 103]
    results = records.load_record(project.recorded, TINY)  # the experiment at full scale knows its record
    assert set(results["seed"]) == {100, 101, 102, 103}
    assert commitments.trouble(project, "tiny") == ""
    assert train().exit_code == 0  # and may be recorded again


def test_a_training_goes_on_while_a_comparison_is_open(project, monkeypatch):
    forgotten = []
    monkeypatch.setattr(
        "fracrepro.nn.training.checkpoints.forget_parameters", lambda folder: forgotten.append(folder.name)
    )
    calls, facts = looks(project, 1e-6, monkeypatch)
    assert forgotten == ["look-1", "look-2"]
    assert calls == [(100, 101, 102, 103), (104, 105, 106, 107)]
    assert facts["protocol"]["seeds"] == list(TINY.seeds)
    results = records.load_record(project.recorded, TINY)
    alone = TINY.run(progress=False)
    keys = ["scheme", "seed", "epoch"]
    pd.testing.assert_frame_equal(
        results.sort_values(keys).reset_index(drop=True).drop(columns="seconds"),
        alone.sort_values(keys).reset_index(drop=True).drop(columns="seconds"),
    )


def test_looks_on_the_engine(project):
    wide = ENDPOINT | {"margin": 100.0, "power": ENDPOINT["power"] | {"difference": 0.8}}
    write(project.root, endpoints=[wide], **LOOKS)
    commit(project.root, "Looks")
    result = train("--dry-run", "--jobs", "1")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("tiny: ") == 2
    # Two workers train what one process does, look by look.
    assert train("--jobs", "2").exit_code == 0
    results = records.load_record(project.recorded, TINY)
    alone = TINY.replace(seeds=TINY.seeds[:4]).run(progress=False)
    pd.testing.assert_frame_equal(results.drop(columns="seconds"), alone.drop(columns="seconds"))


def test_sweeps_and_measurements_can_be_planned(project, monkeypatch):
    sweep = Sweep(TINY, [("depth", (2, 3)), ("learning_rate", (0.1, 0.2))])
    fields = FIELDS | {"networks": {"depth": [2, 3], "width": [8]}, "rates": [0.1, 0.2, 0.4]}
    fields |= {"seeds": {"pilot": "0-9", "rates": "10-12", "main": "100-107"}, "rate_choice": "lowest loss"}
    path = project.plans / "tiny.yml"
    path.write_text(yaml.safe_dump(fields))
    assert plans.load(path, sweep).cells() == [{"depth": 2}, {"depth": 3}]
    with pytest.raises(
        ArgumentError, match=r"networks or settings: depth = \[2, 3\]: the experiment has \[2\]"
    ):
        plans.load(path, TINY)
    tails = GRADIENT_TAILS.replace(
        layer=0, dataset="digits", network=TINY.network, seeds=TINY.seeds, learning_rate=0.1
    )
    schemes = [
        f"{each.name}" if each.order is None else f"{each.name} s={each.order:g}" for each in tails.schemes
    ]
    endpoint = ENDPOINT | {"figure": "noise_evi", "where": {"stage": "end"}, "compare": [schemes[:2]]}
    fields = FIELDS | {"settings": {"batch_size": list(tails.batch_sizes)}, "schemes": schemes}
    fields |= {"endpoints": [endpoint], "seeds": {"pilot": "0-9", "main": list(tails.seeds)}}
    path.write_text(yaml.safe_dump(fields))
    if len(schemes) > 1:
        assert len(plans.load(path, tails).comparisons()) == len(tails.batch_sizes)


def test_a_measurement_with_a_rate_for_each_batch_size_can_be_planned_across_them(project):
    tails = BATCH_SIZE.replace(
        layer=0,
        dataset="digits",
        network=TINY.network,
        seeds=TINY.seeds,
        batch_sizes=(4, 16),
        learning_rates=(0.1, 0.2),
    )
    schemes = ["fractional s=1", "kaiming"]
    ends = {"figure": "pre_kurtosis", "where": {"stage": "end"}, "better": "lower"}
    endpoint = ENDPOINT | ends | {"compare": [schemes]}
    between = endpoint | {"name": "sizes", "across": "batch_size", "compare": [[4, 16]]}
    fields = FIELDS | {"settings": {"batch_size": [4, 16], "epochs": [2]}, "schemes": schemes}
    fields |= {"endpoints": [endpoint, between], "rates": [0.1, 0.2], "rate_choice": "lowest loss"}
    fields |= {"seeds": {"pilot": "0-9", "rates": "10-12", "main": list(tails.seeds)}}
    path = project.plans / "tiny.yml"
    path.write_text(yaml.safe_dump(fields))
    plan = plans.load(path, tails)
    cells = [cell for _, cell, *_ in plan.comparisons()]
    assert cells == [{"batch_size": 4}, {"batch_size": 16}, *({"scheme": name} for name in schemes)]
    lines = plans.verdicts(plan, tails.run(progress=False))
    assert lines[2].startswith("sizes, scheme fractional s=1: 4 against 16: ")
    with pytest.raises(ArgumentError, match=r"rates = \[0.1, 0.2\]: the experiment trains at 0.3"):
        plans.load(path, tails.replace(learning_rates=(0.1, 0.3)))


def test_files_of_this_project_are_plans_of_its_experiments():
    root = Path(__file__).resolve().parents[2]
    project = Project(root)
    for path in sorted(project.plans.glob("*.yml")):
        plans.load(path, EXPERIMENTS[path.stem])
        assert commitments.trouble(project, path.stem) == ""
