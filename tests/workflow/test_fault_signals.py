"""Signals: the end of a command is one line, whenever they come.

Each fault comes by itself, with real processes: what is finished stays, exit code and message say what
happened, and the next call ends with the files of an unbroken run, bit for bit but for times.
`torture` strikes at random. What takes more than a few seconds is marked `long`, and `make torture` runs it.
"""

import os
import signal
import subprocess
import sys
import time

import pytest

from fracrepro.workflow import interruptions
from fracrepro.workflow.cli import main
from torture import kills, targets

from .faulted import BY_NAME, TRAINING, completed, ended, start, wait_until

KEPT = ": what was finished is kept, nothing is half-written\n"


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
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whatever a test before this one left
    try:
        result = CliRunner().invoke(main, ["critical", "--width", "8", "--s", "1"])
        assert (result.exit_code, result.stderr) == (143, "terminated" + KEPT)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
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
