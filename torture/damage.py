"""Damaged inputs by the thousand: each is refused by a clear error that names the file, or read right.

``python -m torture.damage --cases 2000 --seed 1`` prints how many ended how; any but the first two columns
is a defect, and the exit code is then 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from torture.subject import Subject, same

OUTCOMES = ("clear error", "right result", "wrong", "hang", "traceback")
LIMIT = 5.0  # seconds of the processor for a case; the longest good one takes a twentieth
WAIT = 60.0  # seconds on the clock, of a machine that may be busy
MEMORY = 3 * 2**30  # bytes that a case may take more than there are
LONGEST = 2000  # characters of a message


class Hang(BaseException):
    """A case took too long; no `except Exception` catches it."""


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """Within the block a case ends by an error where it takes too long, or too much memory."""

    def ring(*_: Any) -> None:
        raise Hang

    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    handlers = {number: signal.signal(number, ring) for number in (signal.SIGALRM, signal.SIGPROF)}
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, before[1]))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def _clock(run: bool) -> None:
    signal.setitimer(signal.ITIMER_PROF, LIMIT * run)
    signal.setitimer(signal.ITIMER_REAL, WAIT * run)


def judge(subject: Subject, folder: Path, path: Path, content: bytes) -> tuple[str, str]:
    """Say how the reading of damaged bytes ended, and the words of it."""
    subject.put(path, content)
    _clock(True)
    try:
        value = subject.read(folder)
    except Hang:
        return "hang", "".join(traceback.format_exc()[-600:])
    except Exception as error:
        _clock(False)
        return _refusal(error, subject.words or (path.name,))
    finally:
        _clock(False)
    _clock(True)
    try:
        truth = subject.truth(content)
    except (Exception, Hang) as error:
        return (
            "wrong",
            f"{str(value)[:300]} was read, and cannot be: {type(error).__name__}: {str(error)[:200]}",
        )
    finally:
        _clock(False)
    if same(value, truth):
        return "right result", ""
    return "wrong", f"{str(value)[:1000]} was read, and there is {str(truth)[:1000]}"


def _refusal(error: Exception, words: Sequence[str]) -> tuple[str, str]:
    """Whether an error is a clear one."""
    from fracrepro.errors import FracreproError

    if not isinstance(error, FracreproError) and not (isinstance(error, OSError) and error.filename):
        frames = traceback.extract_tb(error.__traceback__)[-4:]
        where = "; ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
        return "traceback", f"{type(error).__name__}: {str(error)[:300]} at {where}"
    said = str(error)
    if not any(word in said for word in words):
        return "wrong", f"names no file: {said[:300]}"
    if len(said) > LONGEST or not said.isprintable():
        return "wrong", f"no line for people ({len(said)} characters): {said[:300]!r}"
    return "clear error", said


def subjects() -> tuple[Subject, ...]:
    """Everything that is read."""
    from torture import archives, checkpoints, project, records, results, written

    kept = (*records.RECORDS, *results.RESULTS, *checkpoints.CHECKPOINTS, *archives.ARCHIVES)
    return (*project.WORKFLOW, *written.WRITTEN, *kept)


def run(
    cases: int,
    seed: int,
    *,
    chosen: Sequence[Subject] | None = None,
    processes: int = 0,
    keep: Path | None = None,
) -> dict[str, Any]:
    """Damage, read, judge, and return the counts and what went wrong.

    Args:
        cases: how many, over all subjects in turn.
        seed: of every choice.
        chosen: what is read; None for everything.
        processes: how many of the cases are done again by a real command.
        keep: a folder for the bytes of what went wrong; None for none.
    """
    chosen = subjects() if chosen is None else chosen
    counts: dict[str, Counter[str]] = {subject.name: Counter() for subject in chosen}
    failures: list[dict[str, Any]] = []
    began = time.process_time()
    able = [case for case in range(cases) if chosen[case % len(chosen)].command]
    commands = {able[k * len(able) // processes] for k in range(processes if able else 0)}
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(_bait(Path(place))), limits():
        good = {subject.name: _prepared(subject, Path(place) / f"in-{k}") for k, subject in enumerate(chosen)}
        for case in range(cases):
            subject = chosen[case % len(chosen)]
            folder, path, content = good[subject.name]
            random = Random(f"{seed} {case} {subject.name}")
            way, damaged = subject.spoil(content, subject.kind, random)
            outcome, words = judge(subject, folder, path, damaged)
            if outcome in OUTCOMES[:2] and (trouble := _outside(Path(place))):
                outcome, words = "wrong", trouble
            if outcome in OUTCOMES[:2] and case in commands and subject.command:
                outcome, words = command(subject, folder, path, damaged, outcome)
            counts[subject.name][outcome] += 1
            if outcome not in OUTCOMES[:2]:
                failures.append(
                    {"subject": subject.name, "case": case, "way": way, "outcome": outcome, "words": words}
                )
                if keep:
                    (keep / f"{case}.bin").write_bytes(damaged)
            subject.make(folder)
    total = sum(counts.values(), Counter())
    return {
        "seed": seed,
        "cases": cases,
        "processes": len(commands),
        "outcomes": {outcome: total[outcome] for outcome in OUTCOMES},
        "subjects": {
            name: {outcome: found[outcome] for outcome in OUTCOMES} for name, found in counts.items()
        },
        "failures": failures,
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def _prepared(subject: Subject, folder: Path) -> tuple[Path, Path, bytes]:
    """The folder of a subject, its file and its good content, which is read right."""
    folder.mkdir()
    path = subject.make(folder)
    content = path.read_bytes()
    _clock(False)
    subject.read(folder)  # imports take their time
    outcome, words = judge(subject, folder, path, content)
    if outcome != "right result":
        raise AssertionError(f"{subject.name}, undamaged: {outcome}: {words}")
    return folder, path, content


def _bait(place: Path) -> Path:
    """A working folder in which nothing may appear, beside another one."""
    (place / "work").mkdir()
    (place / "work" / "etc").mkdir()
    return place / "work"


def _outside(place: Path) -> str:
    """What was written where nothing may be."""
    found = [path for path in (place / "work").rglob("*") if path.name != "etc"]
    strange = [path for path in place.iterdir() if path.name != "work" and not path.name.startswith("in-")]
    for path in (*found, *strange):
        path.unlink()
    return f"{', '.join(map(str, (*found, *strange)))} was written" if found or strange else ""


def command(subject: Subject, folder: Path, path: Path, content: bytes, outcome: str) -> tuple[str, str]:
    """Do a case again by the real command: its exit code and its one line must say the same."""
    subject.put(path, content)
    root = str(Path(__file__).resolve().parents[1])
    environment = os.environ | {
        "PYTHONPATH": root,
        "FRACREPRO_PROJECT": str(folder),
        "FRACREPRO_DATA": str(folder),
    }
    words = [sys.executable, "-c", "from fracrepro.workflow.cli import main; main()", *subject.command]
    try:
        done = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", timeout=60
        )
    except subprocess.TimeoutExpired:
        return "hang", f"{' '.join(subject.command)}: no end"
    if "Traceback" in done.stderr or done.returncode not in (0, 1, 2):
        return "traceback", done.stderr[-600:]
    refused = outcome == "clear error"
    named = any(word in done.stderr for word in subject.words or (path.name,))
    if refused and (done.returncode != 2 or len(done.stderr.splitlines()) != 1 or not named):
        return "wrong", f"exit code {done.returncode}: {done.stderr[:600]}"
    if not refused and done.returncode == 2:
        return "wrong", f"the command refuses what the package reads: {done.stderr[:600]}"
    return outcome, done.stderr


def table(record: dict[str, Any]) -> str:
    """The counts for a terminal."""
    width = max(map(len, record["subjects"]))
    rows = [(name, found) for name, found in record["subjects"].items()]
    lines = [f"{'':{width}}  {'  '.join(OUTCOMES)}"]
    for name, found in [*rows, ("all", record["outcomes"])]:
        lines.append(f"{name:{width}}  {'  '.join(f'{found[each]:>{len(each)}}' for each in OUTCOMES)}")
    return "\n".join(lines)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=40, help="cases that a real command does again")
    parser.add_argument("--only", help="subjects whose names hold this")
    parser.add_argument("--keep", type=Path, help="folder for the bytes of what went wrong")
    parser.add_argument("--record", type=Path, help="file for the counts, as JSON")
    given = parser.parse_args()
    chosen = [subject for subject in subjects() if (given.only or "") in subject.name]
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
    record = run(given.cases, given.seed, chosen=chosen, processes=given.processes, keep=given.keep)
    for failure in record["failures"]:
        print(json.dumps(failure))
    print(table(record))
    print(f"{record['cases']} cases, seed {record['seed']}, {record['cpu_seconds']} s of CPU")
    if given.record:
        given.record.write_text(json.dumps(record, indent=1) + "\n")
    sys.exit(any(record["outcomes"][each] for each in OUTCOMES[2:]))


if __name__ == "__main__":
    main()
