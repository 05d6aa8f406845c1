"""Faults, each with real processes: what is finished stays, exit code and message say what happened, and the
next call ends with the files of an unbroken run, bit for bit but for times.

`torture` strikes at random; here each fault comes by itself.  What takes more than a few seconds is marked
`long`, and `make torture` runs it.
"""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import torture.__main__
from fracrepro import files
from fracrepro.errors import is_out_of_memory
from fracrepro.workflow import interruptions, notebooks, pool, provenance, seals
from fracrepro.workflow.cli import main
from torture import kills, targets
from torture.processes import Running

from .conftest import code, notebook

HERE = Path(__file__).parent
KEPT = ": what was finished is kept, nothing is half-written\n"
BY_NAME = {f"{target.name}, {target.variant}": target for target in targets.TARGETS}
TRAINING, PAGES, POINTS = (
    BY_NAME[name] for name in ("training, one process", "notebooks, one process", "sweep, points")
)


@pytest.fixture
def case(tmp_path):
    targets.prepare(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    """Unbroken runs, made when first asked for."""
    return kills.References(tmp_path_factory.mktemp("references"))


def start(target, case, *extra, **options):
    return Running(target.command((*target.arguments, *extra), case), case, **options)


def ended(running, limit=600):
    """The exit code and what was said; nothing may live on."""
    code = running.wait(limit)
    assert code is not None, "does not end"
    assert running.left_behind(20) == []
    assert "Traceback" not in running.errors
    return code, running.errors


def completed(target, case, references, *extra):
    """The next call ends with the files of an unbroken run, and leaves no other."""
    code, said = ended(start(target, case, *extra))
    assert code == 0, said
    out = case / target.results
    assert kills.tree(out) == references.of(target)[0]
    assert targets.temporary(out) == []
    assert list((case / "tmp").iterdir()) == []


def wait_until(condition, running, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert running.process.poll() is None, f"ended early: {running.errors}"
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def finished(target, case):
    return kills.results(case / target.results)


# Signals


@pytest.mark.parametrize(
    ("number", "how", "code"),
    [
        (signal.SIGTERM, "terminated", 143),
        pytest.param(signal.SIGINT, "interrupted", 130, marks=pytest.mark.long),  # the suite has others
    ],
)
def test_a_signal_ends_a_training_in_one_line(case, number, how, code):
    running = start(TRAINING, case, "--epochs", "500")
    wait_until(lambda: running.processor_seconds() >= kills.FROM, running)
    running.process.send_signal(number)
    assert ended(running) == (code, how + KEPT)
    assert targets.temporary(case / "out") == []


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("seconds", [0.5, 0.8, 1.2, 1.8, 2.6, 3.5])
@pytest.mark.parametrize("target", ["training, two workers", "notebooks, two workers", "build, book"])
def test_a_signal_at_any_time_is_one_line_and_the_next_call_completes(
    case, references, target, seconds, number
):
    target = BY_NAME[target]
    running = start(target, case)
    while running.processor_seconds() < seconds and running.process.poll() is None:
        time.sleep(0.01)
    if running.process.poll() is None:
        running.process.send_signal(number)
    code, said = ended(running)
    how = {0: "", 130: "interrupted" + KEPT, 143: "terminated" + KEPT}[code]
    assert said.replace("\r", "\n").endswith(how)
    completed(target, case, references)


def test_a_signal_after_all_work_changes_no_exit_code(tmp_path):
    """The interpreter takes a moment to end, here made longer by a module that ends slowly."""
    program = """
import atexit, os, signal, sys
atexit.register(lambda: [os.kill(os.getpid(), number) for number in (signal.SIGINT, signal.SIGTERM)])
from fracrepro.workflow.cli import main
main(["critical", "--width", "8", "--s", "1"])
"""
    environment = os.environ | {"PYTHONPATH": str(targets.ROOT)}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_signal_that_is_ignored_or_handled_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN), signal.signal(signal.SIGTERM, print)
    try:
        with interruptions.ending() as came:
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is print
            assert came() == 0
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


def test_a_signal_that_falls_into_another_error_is_not_lost(monkeypatch):
    """An import that Ctrl-C breaks in its middle raises what it likes."""
    from click.testing import CliRunner

    import fracrepro as fr

    def broken(*_):
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise ImportError("numpy failed to import") from None

    monkeypatch.setattr(fr, "critical_variance", broken)
    result = CliRunner().invoke(main, ["critical", "--width", "8", "--s", "1"])
    assert (result.exit_code, result.stderr) == (143, "terminated" + KEPT)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    with interruptions.heeded() as check:
        check()  # the next one begins anew


def test_sigterm_waits_while_workers_start_or_end():
    came = []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append("now"))
    try:
        with interruptions.blocked():
            signal.raise_signal(signal.SIGTERM)
            assert came == []
        assert came == ["now"]
    finally:
        signal.signal(signal.SIGTERM, before)


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


# Disks


@pytest.fixture
def disk(tmp_path):
    """A disk of this many bytes, which can grow, for whoever may mount one."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(size):
        remount = ["-o", f"remount,size={size}", str(place)] if os.path.ismount(place) else None
        new = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        if subprocess.run(["mount", *(remount or new)], capture_output=True, check=False).returncode:
            pytest.skip("may not mount a file system")
        return place

    yield mount
    subprocess.run(["umount", "-l", str(place)], check=False)


FULL = "No space left on device"


@pytest.mark.long
@pytest.mark.parametrize(
    ("target", "size", "codes"),
    [
        ("training, two workers", 250_000, (1, 2)),
        ("sweep, trainings", 90_000, (1, 2)),
        ("notebooks, two workers", 90_000, (1, 2)),
        ("sweep, points", 90_000, (1, 2)),
        ("build, book", 1_500_000, (2,)),
    ],
)
def test_on_a_full_disk_a_line_says_so_and_with_room_the_next_call_completes(
    disk, references, target, size, codes
):
    target, case = BY_NAME[target], disk(size)
    targets.prepare(case)
    running = start(target, case, logs=case.parent, TMPDIR=str(case.parent))
    code, said = ended(running)
    assert code in codes, said
    assert FULL in said
    kept = finished(target, case)
    disk(2**26)
    completed(target, case, references)
    now = finished(target, case)
    assert all(now[name] == kept[name] for name in kept if name in now)


def file_limit():
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))


@pytest.mark.long
def test_a_limit_on_the_size_of_files_is_one_line(case):
    """A checkpoint has more bytes; this stands in for a full disk where nobody may mount one."""
    code, said = ended(start(TRAINING, case, first=file_limit))
    assert code == 2
    assert "File too large" in said
    assert len(said.splitlines()) == 1
    assert kills.tree(case / "out") == {}


@pytest.fixture
def read_only():
    """What makes a folder read-only, and undoes it; root may write to every other folder."""
    frozen = []

    def freeze(folder):
        if os.geteuid() != 0:
            folder.chmod(0o555)
            return
        for options in (["--bind", folder, folder], ["-o", "remount,bind,ro", folder]):
            if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
                pytest.skip("may not mount a folder")
            frozen.append(folder)

    def thaw(folder):
        if folder in frozen:
            subprocess.run(["umount", "-l", folder], check=True)
        frozen.clear()
        folder.chmod(0o755)

    yield freeze, thaw
    for folder in set(frozen):
        subprocess.run(["umount", "-l", folder], check=False)


@pytest.mark.long
def test_a_folder_that_becomes_read_only_is_one_line_and_the_next_call_completes(case, references, read_only):
    freeze, thaw = read_only
    folder = case / PAGES.results
    running = start(PAGES, case)
    wait_until(lambda: finished(PAGES, case), running)
    freeze(folder)
    code, said = ended(running)
    assert code == 2
    assert said.splitlines()[-1].startswith(f"error: {folder}/")
    assert said.endswith(("Permission denied\n", "Read-only file system\n"))
    kept = finished(PAGES, case)
    code, said = ended(start(PAGES, case))
    assert code == 2
    assert "need a folder that can be written to" in said
    thaw(folder)
    completed(PAGES, case, references)
    assert all(finished(PAGES, case)[name] == kept[name] for name in kept)


# A clock that jumps


JUMPS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

/* Seconds to add to the time of day: it jumps back by a day after 1.5 s, and on by a year after 3 s. */
static long jump(void) {
    static int (*real)(clockid_t, struct timespec *);
    static long first = -1;
    struct timespec now;
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    real(CLOCK_MONOTONIC, &now);
    long ms = now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (first < 0) first = ms;
    return ms - first < 1500 ? 0 : ms - first < 3000 ? -86400 : 31536000;
}
int clock_gettime(clockid_t id, struct timespec *out) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(id, out);
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) out->tv_sec += jump();
    return code;
}
int gettimeofday(struct timeval *out, void *zone) {
    static int (*real)(struct timeval *, void *);
    if (!real) real = dlsym(RTLD_NEXT, "gettimeofday");
    int code = real(out, zone);
    out->tv_sec += jump();
    return code;
}
time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"""


@pytest.fixture(scope="module")
def jumping(tmp_path_factory):
    """A library before all others, which makes the time of day jump in every process."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and Linux")
    folder = tmp_path_factory.mktemp("clock")
    (folder / "jumps.c").write_text(JUMPS)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", folder / "jumps.so", folder / "jumps.c", "-ldl"], check=True
    )
    line = (
        "import time; seen = [(time.sleep(0.05), time.time())[1] for _ in range(80)]; "
        "print(any(later < earlier for earlier, later in zip(seen, seen[1:])))"
    )
    environment = os.environ | {"LD_PRELOAD": str(folder / "jumps.so")}
    command = [sys.executable, "-c", line]
    seen = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert seen.stdout == "True\n"  # the control: time does run backwards
    return str(folder / "jumps.so")


@pytest.mark.long
@pytest.mark.parametrize(
    "target",
    ["training, two workers", "notebooks, two workers", "sweep, points", "sweep, trainings", "build, book"],
)
def test_a_clock_that_jumps_changes_no_bit(case, references, jumping, target):
    target = BY_NAME[target]
    code, said = ended(start(target, case, LD_PRELOAD=jumping))
    assert code == 0, said
    assert kills.tree(case / target.results) == references.of(target)[0]


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
    assert file.parent.name.startswith("fracrepro-page-")
    assert not file.exists()


# Memory


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 1 GiB"), True),
        (RuntimeError("size mismatch"), False),
    ],
)
def test_out_of_memory_is_one_line(monkeypatch, error, words):
    from click.testing import CliRunner

    import fracrepro as fr

    def raising(*_):
        raise error

    monkeypatch.setattr(fr, "critical_variance", raising)
    result = CliRunner().invoke(main, ["critical", "--width", "8", "--s", "1"])
    if words:
        assert (result.exit_code, result.stderr) == (2, "error: out of memory; what was finished is kept\n")
        assert is_out_of_memory(error) or isinstance(error, OSError)
    else:
        assert result.exception is error


def memory_limit():
    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, resource.RLIM_INFINITY))


@pytest.mark.long
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_piece_that_needs_too_much_memory_is_named_and_the_others_are_kept(case, jobs):
    (case / "sweep.yml").write_text(targets.SWEEP.replace("[8, 12]", "[8, 40000]"))
    target = BY_NAME["sweep, trainings"]
    command = target.command((*target.arguments[:-1], jobs), case)
    code, said = ended(Running(command, case, first=memory_limit))
    assert code == 1, said
    assert "width=40000" in said
    assert "the others are kept, and the same command continues" in said
    kept = finished(target, case)
    assert {name.split("/")[-2] for name in kept} == {
        "depth=2,width=8",
        "depth=2,width=40000",
        "depth=3,width=8",
    }


@pytest.mark.long
def test_a_page_that_needs_too_much_memory_fails_by_name_and_no_other(case):
    path = case / "project" / "notebooks" / "02_two.ipynb"
    path.write_text(path.read_text().replace("size=(120, 120)", "size=(120_000, 120_000)"))
    running = start(PAGES, case, first=memory_limit)
    code, said = ended(running)
    assert code == 1
    assert "02_two: FAILED in cell" in said
    assert "MemoryError" in said
    assert "01_one: executed" in running.printed
    assert "03_three: executed" in running.printed


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


# Kill points


def test_kill_points_of_a_training(tmp_path, monkeypatch):
    """A chain of the long attack; more kill points of the suite are those of checkpoints and of the site."""
    moments = ("result", "writing")
    strikes = [kills.Strike("driver", int(signal.SIGKILL), moment, 0.3) for moment in moments]
    monkeypatch.setattr(kills, "draw", lambda *_: (TRAINING, strikes))
    kills.run(0, 0, tmp_path, kills.References(tmp_path))
    assert strikes[0].hit
    assert [(strike.column, strike.notes) for strike in strikes] == [("right", [])] * 2


def test_the_program_keeps_its_counts(tmp_path, monkeypatch, capsys):
    """Chains of an earlier call are kept, counted and recorded; nothing is struck again."""
    strike = {"victim": "driver", "number": 9, "moment": "clock", "column": "right", "notes": []}
    chain = {"index": 0, "target": "build", "variant": "book", "seconds": 1.0}
    bad = strike | {"column": "lost", "notes": ["lost: a"]}
    monkeypatch.setattr(kills, "run", lambda *_: pytest.fail("a chain was struck"))
    head = {"seed": 7, "package": provenance.package_digest(), "attack": torture.__main__._own_digest()}
    for strikes, ends in (([strike, strike], 0), ([strike, bad], 1)):
        lines = [json.dumps(line) for line in (head, chain | {"strikes": strikes})]
        (tmp_path / "kills.jsonl").write_text("\n".join(lines) + "\n")
        options = ["--kills", "2", "--damaged", "0", "--seed", "7", "--folder", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", ["torture", *options, "--record", str(tmp_path / "record.json")])
        assert torture.__main__.main() == ends
        record = files.read_json(tmp_path / "record.json")
        assert seals.is_intact(record)
        assert record["kill_points"] == 2
        assert record["counts"]["kill points: build"]["lost"] == ends
        assert record["strikes"] == {"driver, SIGKILL": 2}
        assert "kill points: build" in capsys.readouterr().out


def point_of(record):
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    return json.dumps({"sha256": digest, "record": record})


def test_the_judge_sees_what_is_bad(tmp_path):
    """The control: files that are broken, lost, computed again or left are counted as that."""
    out = tmp_path / "out"
    (out / ".x.points").mkdir(parents=True)
    point = out / ".x.points" / "a.json"
    point.write_text(point_of(1))

    def judged(expected, kept):
        strike = kills.Strike("driver", 9, "clock", 0.5)
        kills._judge_files(out, strike, kept, expected)
        return strike.column

    good, name = {".x.points/a.json": '{"record": 1}'}, ".x.points/a.json"
    kept = kills.results(out)
    assert list(kept) == [name]
    assert judged(good, kept) == "right"
    assert judged({name: '{"record": 2}'}, kept) == "wrong"
    assert judged(good, kept | {".x.points/b.json": kept[name]}) == "lost"
    again = out / "again"
    again.write_text(point_of(1))
    os.replace(again, point)
    assert judged(good, kept) == "twice"
    point.write_text('{"record":')
    assert judged(good, {}) == "half"
    point.write_text(point_of(1).replace('"record": 1', '"record": 2'))
    assert judged(good, {}) == "half"
