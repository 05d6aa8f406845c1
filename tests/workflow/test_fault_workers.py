"""Workers that hang, a second driver, a scheduler that ends, and what a kill leaves.

Each fault comes by itself, with real processes: what is finished stays, exit code and message say what
happened, and the next call ends with the files of an unbroken run, bit for bit but for times.
`torture` strikes at random. What takes more than a few seconds is marked `long`, and `make torture` runs it.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fracrepro import files
from fracrepro.workflow import notebooks, pool
from fracrepro.workflow.cli import main
from fracrepro.workflow.execution import FOLDERS
from torture import kills, targets
from torture.processes import Running

from .conftest import code, notebook
from .faulted import BY_NAME, POINTS, completed, ended, finished, start, wait_until

HERE = Path(__file__).parent


# A worker that hangs


HANG = """
import sys
sys.path.insert(0, {here!r})
import engine_tasks
from fracrepro.workflow import pool
from fracrepro.workflow.engine import Engine, Task
pool.LOOK, pool.LOOKS = 0.25, 8
if __name__ == "__main__":
    work = [Task("hangs", engine_tasks.{function}, (3, {folder!r})), Task("lives", engine_tasks.square, (4,))]
    for result in Engine(jobs=2, retries=1, progress=False).run(work):
        print(result.value, result.problem)
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="counts what processes use in /proc")
@pytest.mark.parametrize(
    ("function", "first"),
    [
        ("stops_once", "3 "),
        pytest.param("stops", "None its worker hung 2 times (exit code -9)", marks=pytest.mark.long),
    ],
)
def test_a_worker_that_hangs_is_replaced(tmp_path, function, first):
    script = tmp_path / "script.py"
    script.write_text(HANG.format(here=str(HERE), folder=str(tmp_path), function=function))
    environment = os.environ | {"PYTHONPATH": str(targets.ROOT)}
    result = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=environment,
    )
    assert result.stdout.splitlines() == [first, "16 "], result.stderr


def test_a_worker_that_waits_for_a_busy_processor_does_not_hang(monkeypatch):
    """Only looks that find nothing, one after the other, count."""
    monkeypatch.setattr(pool, "LOOK", 0.0)
    used = iter([1.0] * pool.LOOKS + [1.01] + [float("nan")] * 50 + [2.0] * (pool.LOOKS + 1))
    monkeypatch.setattr(pool, "_processor_seconds", lambda _: next(used))
    made = pool.Worker.__new__(pool.Worker)
    made.process = type("Process", (), {"pid": 0})
    made.looked, made.used, made.silent = 0.0, 0.0, 0
    seen = [made.hangs() for _ in range(2 * pool.LOOKS + 52)]
    assert seen == [False] * (2 * pool.LOOKS + 51) + [True]


@pytest.mark.long
def test_a_worker_of_a_scheduler_that_hangs_costs_nothing_but_time(
    case, references, make_cluster, monkeypatch
):
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL", "8s")  # 5 minutes by default
    cluster = make_cluster(1)
    victim = cluster.worker()
    running = start(POINTS, case, "--scheduler", cluster.address)
    wait_until(lambda: finished(POINTS, case), running)
    victim.send_signal(signal.SIGSTOP)
    code, said = ended(running)
    assert code == 0, said
    completed(POINTS, case, references)


# Two drivers on one folder


def test_a_second_run_into_one_folder_names_the_first(project):
    from click.testing import CliRunner

    folder = project.root / "mine"
    with files.lock(folder / ".01_good.lock", "x"):
        for options in (["--output-dir", str(folder)], ["--output-dir", str(folder), "--sweep", "width=1,2"]):
            result = CliRunner().invoke(main, ["run", "01_good", *options])
            assert result.exit_code == 2
            assert f"run of '01_good': process {os.getpid()} on" in result.stderr
            assert len(result.stderr.splitlines()) == 1


@pytest.mark.long
@pytest.mark.parametrize(
    "target", ["training, one process", "notebooks, two workers", "sweep, points", "build, book"]
)
def test_two_drivers_on_one_folder_compute_nothing_twice(case, references, target):
    target = BY_NAME[target]
    first = start(target, case)
    out = case / target.results
    # A lock names its holder as soon as it is held.
    wait_until(lambda: any(path.stat().st_size for path in out.rglob(".*lock")), first)
    first.process.send_signal(signal.SIGSTOP)  # so that it is still there, however slow the second one is
    code, said = ended(Running(target.command(target.arguments, case), case))
    first.process.send_signal(signal.SIGCONT)
    assert code == 2, said
    assert f"process {first.process.pid} on" in said
    assert len(said.splitlines()) == 1
    assert first.wait(600) == 0
    assert kills.tree(out) == references.of(target)[0]


# A scheduler that ends


@pytest.mark.long
def test_a_sweep_goes_on_under_the_next_scheduler(case, references, make_cluster):
    cluster = make_cluster(1)
    running = start(POINTS, case, "--scheduler", cluster.address)
    wait_until(lambda: finished(POINTS, case), running)
    kept = finished(POINTS, case)
    cluster.close()
    code, said = ended(running)
    assert code == 2
    assert said.splitlines()[-1].startswith(
        f"error: the scheduler at {cluster.address} has ended: what was finished"
    )
    again = make_cluster(1)
    completed(POINTS, case, references, "--scheduler", again.address)
    now = finished(POINTS, case)
    assert all(now[name] == kept[name] for name in kept)


# What a kill leaves


def test_the_key_of_a_kernel_lies_in_a_folder_that_the_next_run_sweeps(project):
    """A worker that is killed deletes nothing; what its kernel is talked to with must not stay."""
    (project.notebooks / "01_good.ipynb").write_text(
        notebook(
            code("n: int = 1  # a number, in [0, 9]", "parameters"),
            code(
                """
                from ipykernel.connect import get_connection_file
                from fracrepro.workflow import report
                report(file=get_connection_file())
                """
            ),
        )
    )
    (project.notebooks / "profiles.yml").write_text("quick: {}\n")
    [outcome] = notebooks.run(project, ["01_good"], profile="quick", jobs=1)
    assert outcome.error == ""
    file = Path(outcome.record["values"]["file"])
    assert file.parent.name.startswith(FOLDERS)
    assert not file.exists()
    stray = file.parent.with_name(f"{FOLDERS}abcd1234")  # its kernel made it again after it was swept
    stray.mkdir()
    assert notebooks.run(project, ["01_good"], profile="quick", jobs=1) == []  # nothing is left to do
    assert not stray.exists()


def test_a_kernel_that_has_just_begun_ends_with_its_run(project, monkeypatch):
    """Ctrl-C may come after the kernel's process began and before papermill knows of it."""
    import papermill

    begun = []

    def starting(*_, **__):
        begun.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(papermill, "execute_notebook", starting)
    with pytest.raises(KeyboardInterrupt):
        notebooks.run(project, ["01_good"], profile="quick", jobs=1)
    assert begun[0].wait(10) == -signal.SIGKILL


def test_a_worker_whose_caller_is_gone_ends_without_a_word():
    """A killed caller resets the line where it had something to read; else the line is at its end."""
    line = "class Line:\n def recv_bytes(self): raise {}\n"
    script = f"from fracrepro.workflow.pool import _serve\n{line}_serve(Line())"
    for error, ends in (("ConnectionResetError(104, 'x')", 0), ("EOFError", 0), ("ValueError", 1)):
        command = [sys.executable, "-c", script.format(error)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (result.returncode, bool(result.stderr)) == (ends, bool(ends))
