"""What the tests of faults share: real processes, started, waited for and compared with unbroken runs."""

import time

from torture import kills, targets
from torture.processes import Running

BY_NAME = {f"{target.name}, {target.variant}": target for target in targets.TARGETS}
TRAINING, PAGES, POINTS = (
    BY_NAME[name] for name in ("training, one process", "notebooks, one process", "sweep, points")
)


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
