"""The engine on this machine: order, bits, retries, errors, interruptions; nothing depends on the workers."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from fracrepro.errors import ArgumentError
from fracrepro.workflow import worker
from fracrepro.workflow.engine import SCHEDULER_VARIABLE, Engine, Task, duration

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def tasks(monkeypatch):
    """The module of tasks, where workers find it too: they get this process's path."""
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.delenv(SCHEDULER_VARIABLE, raising=False)
    import engine_tasks

    return engine_tasks


def here(jobs):
    return Engine(jobs=jobs, progress=False)


def test_results_have_the_order_of_the_tasks_and_come_as_they_are_ready(tasks, tmp_path):
    seen = []
    work = [Task(f"{x}", tasks.waits_for, (x, str(tmp_path))) for x in (0, 1)]
    results = here(2).run(work, lambda result: seen.append(result.task.name))
    assert [result.value for result in results] == [0, 1]
    assert seen == ["1", "0"]
    assert results[0].worker != results[1].worker


@pytest.mark.parametrize("jobs", [2, 4])
def test_a_map_has_the_same_bits_for_any_number_of_workers(tasks, jobs):
    serial = here(1).map(tasks.matrix, range(6))
    for one, other in zip(serial, here(jobs).map(tasks.matrix, range(6)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_draws_in_blocks_have_the_same_bits_for_any_number_of_workers(tasks, jobs):
    blocks = [
        tasks.normals(size, 3.0, rng=np.random.default_rng([7, 1, k])) for k, size in enumerate([4, 4, 2])
    ]
    found = here(jobs).draws(tasks.normals, 10, 3.0, seed=[7, 1], block=4)
    np.testing.assert_array_equal(found, np.concatenate(blocks))
    assert not np.array_equal(found[:4], found[4:8])  # a stream each


def test_a_lost_worker_costs_its_task_another_attempt(tasks, tmp_path):
    assert here(2).map(tasks.dies_once, [0, 1, 2], str(tmp_path)) == [0, 1, 2]
    assert len(list(tmp_path.glob("died-*"))) == 3


def test_a_task_that_kills_its_worker_fails_and_stops_no_other(tasks):
    work = [Task("bad", tasks.dies, (0,)), *(Task(f"{x}", tasks.square, (x,)) for x in range(3))]
    bad, *good = Engine(jobs=2, retries=1, progress=False).run(work)
    assert bad.problem == "its worker died 2 times (exit code -9)"
    assert [result.value for result in good] == [0, 1, 4]


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_first_error_is_raised_after_all_with_its_traceback(tasks, jobs):
    with pytest.raises(ValueError, match="1 is odd") as raised:
        here(jobs).map(tasks.fails, [0, 1, 2, 3])
    assert "engine_tasks.py" in raised.value.__notes__[0]
    results = here(jobs).run([Task(f"{x}", tasks.fails, (x,)) for x in range(4)])
    assert [result.problem for result in results] == ["", "ValueError: 1 is odd", "", "ValueError: 3 is odd"]


def test_what_does_not_pickle_is_an_error_and_no_death(tasks):
    results = here(2).run([Task("a", tasks.stubborn, (1,)), Task("b", tasks.unpicklable, (1,))])
    assert results[0].problem == "RuntimeError: Stubborn: 1"
    assert "lambda" in results[1].problem


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_task_goes_on_where_the_last_piece_ended(tasks, jobs):
    def further(result):
        return Task(result.task.name, tasks.count, (result.value, 0)) if result.value < 5 else None

    results = here(jobs).run([Task(f"{n}", tasks.count, (n, 0)) for n in (0, 3, 9)], further)
    assert [(result.task.name, result.value) for result in results] == [("0", 5), ("3", 5), ("9", 10)]


def test_a_task_within_a_task_gets_no_workers_of_its_own(tasks):
    pids = {pid for _, pid in here(2).map(tasks.nested, [1, 2])}
    assert os.getpid() not in pids
    assert [value for value, _ in here(2).map(tasks.nested, [1, 2])] == [[1, 4], [4, 9]]


@pytest.mark.parametrize("jobs", [1, 2])
def test_chunks_change_nothing_but_the_number_of_tasks(tasks, jobs):
    for chunk in (1, 2, 3, 9):
        assert here(jobs).map(tasks.square, range(7), chunk=chunk) == [x * x for x in range(7)]
    assert here(jobs).map(tasks.square, [], chunk=3) == []
    with pytest.raises(ValueError, match="1 is odd"):
        here(jobs).map(tasks.fails, range(5), chunk=2)
    with pytest.raises(ArgumentError, match="chunk = 0"):
        here(jobs).map(tasks.square, [1], chunk=0)


def test_the_matrix_libraries_are_looked_for_again_only_after_an_import(tasks, monkeypatch):
    def looked():
        return worker._thread_controller.cache_info().misses

    here(1).map(tasks.threads, [0])
    before = looked()
    found = here(1).map(tasks.threads, range(20))
    assert looked() == before
    assert {number for each in found for number in each} == {1}
    monkeypatch.setitem(sys.modules, "a_module_that_comes_late", worker)
    here(1).map(tasks.threads, [0])
    assert looked() == before + 1


def test_workers_keep_the_memory_that_a_task_frees(tasks):
    assert Engine(jobs=2).map(tasks.keeps_memory, range(2)) == [True, True]


def test_functions_that_workers_cannot_import_are_refused():
    for function in (lambda x: x, test_duration.__get__(1)):
        with pytest.raises(ArgumentError, match="need one that a module defines"):
            Task("x", function)


def test_the_key_is_that_of_the_work(tasks):
    key = Task("a", tasks.square, (1,)).key
    assert Task("b", tasks.square, (1,)).key == key
    assert Task("a", tasks.square, (2,)).key != key
    assert Task("a", tasks.fails, (1,)).key != key
    assert Task("a", tasks.square, (1,), identity="x").key == Task("a", tasks.square, (2,), identity="x").key


def test_a_scheduler_comes_from_the_option_or_the_environment(monkeypatch):
    assert Engine().address == ""
    monkeypatch.setenv(SCHEDULER_VARIABLE, "tcp://there:1")
    assert Engine().address == "tcp://there:1"
    assert Engine(jobs=2).address == ""
    assert Engine(scheduler="").address == ""
    assert Engine(scheduler="tls://other:2").address == "tls://other:2"
    monkeypatch.setenv(worker.INSIDE_VARIABLE, "1")
    assert Engine(scheduler="tls://other:2").address == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jobs": 0}, "jobs = 0"),
        ({"worker_timeout": 0.0}, r"worker_timeout = 0\.0"),
        ({"worker_timeout": float("nan")}, "worker_timeout = nan"),
        ({"retries": -1}, "retries = -1"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        Engine(**options)


def test_code_that_is_not_the_callers_is_refused_by_the_worker(tasks):
    job = worker.Job(tasks.square, (1,), (), package="other", run="x")
    assert "another version" in str(worker.call(job).error)


def test_duration():
    assert [duration(s) for s in (0.4, 119, 120, 7199, 7200)] == ["0 s", "119 s", "2 min", "120 min", "2.0 h"]


SCRIPT = """
import sys
sys.path.insert(0, {here!r})
import engine_tasks
from fracrepro.workflow.engine import Engine
if __name__ == "__main__":
    Engine(jobs=2, progress=False).map(engine_tasks.sleeps, [120.0] * 2, {folder!r})
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_a_driver_that_is_killed(tmp_path, number):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT.format(here=str(HERE), folder=str(tmp_path))))
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL)
    wait_until(lambda: len(list(tmp_path.glob("pid-*"))) == 2, 120)
    pids = [path.name.removeprefix("pid-") for path in tmp_path.glob("pid-*")]
    process.send_signal(number)
    process.wait(timeout=30)
    wait_until(lambda: not any(running(pid) for pid in pids), 30)


def running(pid):
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
