"""What growth costs: a model against a simulation without formulas, a page whose numbers are measured."""

import heapq
import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from fracrepro.errors import ArgumentError
from fracrepro.workflow import scaling, scaling_tables, seals
from fracrepro.workflow.project import Project

PROJECT = Project.find(Path(__file__))
PAGE = (PROJECT.root / "book" / "scaling.md").read_text(encoding="utf-8")


def simulated(tasks, workers, seconds, overhead):
    """From event to event: a queue of workers who ask, and a driver who serves one at a time.

    Args:
        seconds: of each task, in the order in which tasks are given.
    """
    asking = [(0.0, worker) for worker in range(workers)]
    free = ended = 0.0
    for task in range(tasks):
        asked, worker = heapq.heappop(asking)
        free = max(asked, free) + overhead
        ended = max(ended, free + seconds[task])
        heapq.heappush(asking, (free + seconds[task], worker))
    return ended


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 8, 9, 40])
@pytest.mark.parametrize(("seconds", "overhead"), [(1.75, 0.25), (1.0, 0.25), (0.1, 1.0), (3.0, 0.01)])
@pytest.mark.parametrize("tasks", [1, 2, 8, 41, 1000])
def test_equal_tasks_end_when_the_formula_says(tasks, workers, seconds, overhead):
    found = simulated(tasks, workers, [seconds] * tasks, overhead)
    assert scaling.makespan(tasks, workers, seconds, overhead) == pytest.approx(found, rel=1e-11)


@pytest.mark.parametrize("workers", [3, 8, 30])
def test_the_rate_is_that_of_a_long_run_and_a_bound_for_tasks_of_random_length(workers):
    rate, tasks = scaling.throughput(workers, 1.75, 0.25), 100_000
    assert tasks / simulated(tasks, workers, [1.75] * tasks, 0.25) == pytest.approx(rate, rel=1e-3)
    # The mean of 100,000 exponential lengths is within 2 per cent of 1.75 but for a chance below 1e-9.
    lengths = np.random.default_rng(0).exponential(1.75, tasks)
    assert tasks / simulated(tasks, workers, lengths, 0.25) < 1.02 * rate


def test_a_driver_that_costs_more_shows():
    """The control: the formula with another overhead misses the simulation."""
    found = simulated(1000, 9, [1.0] * 1000, 0.25)
    assert scaling.makespan(1000, 9, 1.0, 0.26) != pytest.approx(found, rel=1e-2)
    assert scaling.makespan(1000, 9, 1.0, 0.25) == pytest.approx(found, rel=1e-11)


def test_from_the_limit_on_a_worker_more_adds_nothing():
    for seconds, overhead in ((1.0, 0.25), (10.0, 0.1), (0.1, 0.2)):
        at = scaling.limit(seconds, overhead)
        assert scaling.throughput(math.ceil(at), seconds, overhead) == 1 / overhead
        if at >= 2:
            assert scaling.throughput(math.ceil(at) - 1, seconds, overhead) <= 1 / overhead
            assert scaling.throughput(math.floor(at) - 1, seconds, overhead) < 1 / overhead


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("seconds", [0.01, 0.1, 1.0, 100.0])
@pytest.mark.parametrize("overhead", [1e-5, 1e-3, 0.02])
def test_a_chunk_is_the_least_that_keeps_the_share(seconds, overhead, share):
    def taken(items):
        return overhead / (overhead + items * seconds)

    items = scaling.chunk(seconds, overhead, share)
    assert taken(items) <= share * (1 + 1e-6)
    assert items == 1 or taken(items - 1) > share


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scaling.throughput(0, 1.0, 1.0), "workers = 0"),
        (lambda: scaling.limit(0.0, 1.0), r"seconds = 0\.0"),
        (lambda: scaling.limit(1.0, math.nan), "overhead = nan"),
        (lambda: scaling.makespan(0, 1, 1.0, 1.0), "tasks = 0"),
        (lambda: scaling.chunk(1.0, 1.0, 1.0), r"share = 1\.0"),
    ],
)
def test_values_out_of_range_are_refused(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


def rounds_of(start, factor):
    """Equal tasks of a second; two workers start late and are slower by a factor."""
    found = []
    for k in range(3):
        for workers, tasks in ((1, 4), (1, 8), (2, 8)):
            times = [(i + 1.0) if workers == 1 else start + factor * (1 + i // 2) for i in range(tasks)]
            begun = start if workers == 2 else 0.0
            found.append({"round": k, "workers": workers, "tasks": tasks, "task": 1.0, "start": begun})
            found[-1]["times"] = times
    return found


def test_what_two_workers_lose_is_told_apart_from_their_start():
    ideal = scaling.efficiencies(rounds_of(0.0, 1.0))
    assert {ideal[key] for key in ("strong", "weak", "strong_after", "weak_after")} == {1.0}
    late = scaling.efficiencies(rounds_of(2.0, 1.0))
    assert (late["strong"], late["weak"], late["start"]) == (8 / 12, 4 / 6, 2.0)
    assert (late["strong_after"], late["weak_after"]) == (1.0, 1.0)
    slow = scaling.efficiencies(rounds_of(0.0, 1.25))
    assert (slow["strong"], slow["strong_after"], slow["weak_after"]) == pytest.approx((0.8, 0.8, 0.8))


@pytest.fixture
def copy(tmp_path):
    """A project with the two pages and all records."""
    (tmp_path / "book").mkdir()
    for name in ("scaling.md", "initialize.md"):
        shutil.copy(PROJECT.root / "book" / name, tmp_path / "book")
    shutil.copytree(PROJECT.recorded, tmp_path / "recorded")
    return Project(tmp_path)


def change(project, name, edit):
    path = project.recorded / f"{name}.json"
    record = json.loads(path.read_text())
    edit(record)
    path.write_text(json.dumps(seals.seal(record)))


def written(project):
    scaling_tables.write(project)
    return {path.stem: path.read_text() for path in (project.root / "book" / "_generated").glob("*.md")}


def test_the_page_includes_every_table_and_types_no_measured_number(copy):
    parts = set(written(copy))
    assert set(re.findall(r"{include} _generated/(\w+)\.md", PAGE)) == parts - {"large"}
    assert "_generated/large.md" in (copy.root / "book" / "initialize.md").read_text()
    assert not re.search(r"\d\s*(µs|ms|MiB|GiB|kB|hours|days|times)\b", PAGE)


def test_the_numbers_of_the_page_are_those_of_the_record(copy):
    before = written(copy)

    def slower(record):
        record["device"]["cores"], record["commit"], record["trial"] = 77, "f" * 40, False
        for row in record["empty"]:
            row |= {"seconds": 0.012345, "driver": 0.0067, "bytes": 8765.0}
        for entry in record["scaling"]:
            entry["runs"] = rounds_of(2.0, 1.25)

    change(copy, "scaling", slower)
    after = written(copy)
    assert {name for name in before if before[name] == after[name]} == {"large", "scaling_costs"}
    assert "77" in after["scaling_machine"]
    assert "`ffffffffff`" in after["scaling_machine"]
    assert "trial" not in after["scaling_machine"]
    assert "12,300\N{NO-BREAK SPACE}µs | 6,700\N{NO-BREAK SPACE}µs" in after["scaling_overhead"]
    assert "8,765\N{NO-BREAK SPACE}B" in after["scaling_overhead"]
    # A worker of two waits for twice the wall time of a task; 99 of that over the item's seconds.
    assert f"| {math.ceil(99 * 2 * 0.012345 / 0.01)} | " in after["scaling_chunks"].replace(",", "")
    assert "missed by Monte Carlo, training and notebooks" in after["scaling_kinds"]
    assert f"| {math.floor(1 + 300 / 0.012345)} |" in after["scaling_drivers"].replace(",", "")


def test_a_trial_says_so(copy):
    change(copy, "scaling", lambda record: record.update(trial=True))
    assert "**This was a trial**" in written(copy)["scaling_machine"]


def test_the_present_costs_are_those_of_the_records(copy):
    total = 0.0
    for path in (*copy.recorded.glob("*.json"), *(copy.recorded / "full_scale").glob("*.json")):
        record = json.loads(path.read_text())
        if "wall_seconds" in record and "benchmark" not in record and not record["resumed"]:
            total += record["wall_seconds"] * record["device"]["cores"]
        total += 0.0 if "kill_points" in record else record.get("seconds", 0.0)
    found = scaling.core_seconds(copy)
    resumed = [name for name in found if is_resumed(copy, name)]
    assert sum(found.values()) - sum(found[name] for name in resumed) == pytest.approx(total, rel=1e-12)
    assert not {"scaling", "large", "torture"} & set(found)
    table = written(copy)["scaling_hundredfold"]
    hours = re.search(r"\| work \| ([\d,.]+) hours", table)[1].replace(",", "")
    assert float(hours) == pytest.approx(100 * sum(found.values()) / 3600, rel=0.01)


def is_resumed(project, name):
    """Whether a record is of a training that was resumed, whose wall time is that of its last part."""
    path = project.recorded / f"{name}.json"
    return path.is_file() and json.loads(path.read_text()).get("resumed", False)


def test_what_is_no_such_record_is_refused_with_its_name(copy):
    path = copy.recorded / "large.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"rounds": 99}))
    with pytest.raises(ArgumentError, match=r"large\.json: it was edited"):
        scaling_tables.write(copy)
    path.write_text(json.dumps(seals.seal(record | {"benchmark": "other"})))
    with pytest.raises(ArgumentError, match=r"large\.json: no record of the benchmark large"):
        scaling_tables.write(copy)


def test_a_call_has_one_row_with_both_precisions_and_numbers_stand_on_the_right():
    row = {"call": "init.normal_", "beside": "a, b", "low": 0.97, "high": 1.03, "extra_bytes": -1}
    rows = [row | {"dtype": "float32", "ratio": 1.0}, row | {"dtype": "bfloat16", "ratio": 1.04}]
    rows += [row | {"call": "f, g", "dtype": "float32", "ratio": 2.0, "extra_bytes": 3 * 2**20}]
    said, table = scaling_tables.large({"rows": rows, "entries": 10**8, "rounds": 5}).split("\n\n")
    assert "the largest median is 2.00, above the 1.1 allowed" in said
    found = [line.replace("\N{NO-BREAK SPACE}", " ").strip("| ").split(" | ") for line in table.splitlines()]
    assert found[1] == ["---"] + 3 * ["---:"]
    assert found[2:] == [
        ["`normal_` beside `a`, `b`", "1.00 (0.97 to 1.03)", "1.04 (0.97 to 1.03)", "0 / 0"],
        ["`f`, `g` beside `a`, `b`", "2.00 (0.97 to 1.03)", "–", "3 / –"],
    ]


def test_a_project_without_the_pages_gets_no_tables(tmp_path):
    scaling_tables.write(Project(tmp_path))
    assert list(tmp_path.iterdir()) == []
