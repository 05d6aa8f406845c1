"""Kill points: a command is struck at random moments, repeated, and compared with an unbroken run.

A chain strikes one command several times in one folder, each time from where the last one was struck, and
then lets it end.  All that is drawn comes from the seed and the number of the chain.
"""

from __future__ import annotations

import random
import re
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torture import targets
from torture.columns import worst
from torture.processes import TICK, Running, send
from torture.targets import TARGETS, Target

STRIKES = 5  # of a chain, at most
FROM = 0.5  # seconds of the driver's processor time from which on Ctrl-C and SIGTERM come
ORPHANS = 20.0  # seconds that a process may live longer than its command
LIMIT = 40.0  # times the seconds of an unbroken run, at least `SHORTEST`, that a command may take
SHORTEST = 120.0
WORDS = {
    signal.SIGINT: (130, "interrupted: what was finished is kept, nothing is half-written\n"),
    signal.SIGTERM: (143, "terminated: what was finished is kept, nothing is half-written\n"),
}
Snapshot = dict[str, tuple[int, int, str]]
_PROBE = re.compile(r"[a-z0-9_]{8}")  # its name: see _get_default_tempdir in Python's tempfile.py


@dataclass
class Strike:
    """One kill point.

    Args:
        victim: the role of the process.
        number: the signal.
        moment: how it was chosen: by the clock, at a file that is being written, or after a result.
        place: a number in [0, 1) that says when.
        columns: what came of it, before the last run.
        notes: what was seen, for people.
    """

    victim: str
    number: int
    moment: str
    place: float
    columns: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    after: float = 0.0
    hit: bool = False

    @property
    def column(self) -> str:
        """The column that counts it."""
        return worst(self.columns)

    def blame(self, column: str, note: str) -> None:
        """Enter something bad."""
        self.columns.append(column)
        self.notes.append(f"{column}: {note}")


@dataclass
class Chain:
    """What came of one chain.

    Args:
        index: its number.
        target: what was struck.
        strikes: when and how.
        seconds: that it took.
    """

    index: int
    target: Target
    strikes: list[Strike]
    seconds: float = 0.0

    def as_dict(self) -> dict[str, object]:
        """The chain as plain values."""
        hits = [asdict(strike) | {"column": strike.column} for strike in self.strikes if strike.hit]
        where = {"index": self.index, "target": self.target.name, "variant": self.target.variant}
        return {**where, "seconds": round(self.seconds, 1), "strikes": hits}


def draw(seed: int, index: int) -> tuple[Target, list[Strike]]:
    """Return what a chain strikes and when, for a seed and its number."""
    rng = random.Random(f"{seed}-{index}")
    kinds = list(dict.fromkeys(target.name for target in TARGETS))
    kind = kinds[index % len(kinds)]
    among = [target for target in TARGETS if target.name == kind for _ in range(target.share)]
    target = rng.choice(among)
    strikes = []
    for _ in range(rng.randint(3, STRIKES)):
        victim = rng.choice((*target.victims, "driver"))
        signs = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
        number = rng.choice(signs) if victim == "driver" else signal.SIGKILL
        moment = rng.choice(("clock", "clock", "writing", "result"))
        strikes.append(Strike(victim, int(number), moment, rng.random()))
    return target, strikes


class References:
    """Unbroken runs in one process, one a command, made when first needed.

    Args:
        folder: where they are made.
    """

    def __init__(self, folder: Path) -> None:
        """None yet."""
        self.folder, self.lock = folder, threading.Lock()
        self.known: dict[tuple[str, ...], tuple[dict[str, str], float]] = {}

    def of(self, target: Target) -> tuple[dict[str, str], float]:
        """Return the files that the command leaves, without their times, and how long it took.

        Raises:
            RuntimeError: when the command fails without being struck.
        """
        with self.lock:
            if target.reference not in self.known:
                place = self.folder / f"reference-{len(self.known)}"
                shutil.rmtree(place, ignore_errors=True)
                targets.prepare(place)
                running = Running(target.command(target.reference, place), place)
                code, seconds = running.wait(3600), running.seconds()
                if code != 0:
                    raise RuntimeError(f"{target.reference}: ends with {code}: {running.errors}")
                self.known[target.reference] = tree(place / target.results), seconds
            return self.known[target.reference]


def tree(folder: Path) -> dict[str, str]:
    """All files of a folder but temporary ones, without their times."""
    return {name: targets.plain(name, path.read_bytes()) for name, path in targets.written(folder)}


def run(seed: int, index: int, folder: Path, references: References) -> Chain:
    """Carry out one chain in a folder of its own, which goes when all is well."""
    clock = time.monotonic()
    target, strikes = draw(seed, index)
    expected, usual = references.of(target)
    place = folder / f"chain-{index}"
    shutil.rmtree(place, ignore_errors=True)
    targets.prepare(place)
    chain, limit = Chain(index, target, strikes), max(SHORTEST, LIMIT * usual)
    out, kept = place / target.results, Snapshot()
    for strike in strikes:
        running = Running(target.command(target.arguments, place), place)
        _strike(running, strike, out, usual, limit)
        _judge_end(running, strike, limit)
        kept = _judge_files(out, strike, kept, expected)
        if not strike.hit and running.process.returncode == 0:
            break
    last = next((strike for strike in reversed(strikes) if strike.hit), None)
    if last is not None:
        _judge_completion(target, place, last, kept, expected, limit)
    if all(strike.column in ("right", "error") for strike in strikes):
        shutil.rmtree(place, ignore_errors=True)
    chain.seconds = time.monotonic() - clock
    return chain


def _strike(running: Running, strike: Strike, out: Path, usual: float, limit: float) -> None:
    """Wait for the moment and send the signal; nothing happens to a command that has ended before."""
    before = len(results(out))
    due: Callable[[], bool]
    delay = 0.0
    if strike.moment == "writing":
        due = lambda: bool(targets.temporary(out)) and _is_writing(out)  # noqa: E731
    elif strike.moment == "result":
        delay = 0.5 * strike.place
        due = lambda: len(results(out)) > before  # noqa: E731
    else:
        due = lambda: running.seconds() >= usual * strike.place  # noqa: E731
    early = strike.number != signal.SIGKILL
    seen = None
    while running.process.poll() is None and running.seconds() < limit:
        if not (early and running.processor_seconds() < FROM) and (seen or due()):
            seen = seen or time.monotonic()
            pids = running.those(strike.victim) if time.monotonic() - seen >= delay else []
            if pids:
                pid = pids[int(strike.place * 997) % len(pids)]
                strike.after = round(running.seconds(), 3)
                if running.process.poll() is None and send(pid, strike.number):
                    strike.hit = True
                    return
        time.sleep(TICK)


def _is_writing(out: Path) -> bool:
    return any(name.endswith(".part") or "building-" in name for name in targets.temporary(out))


def results(out: Path) -> Snapshot:
    """What is finished, checkpoints, points, pages with their records, and what tells a file from another."""
    found = {}
    names = dict(targets.written(out)) if out.is_dir() else {}
    for name, path in names.items():
        page = name.endswith(".ipynb") and ".failed." not in name and name.replace(".ipynb", ".json") in names
        point = ".points/" in name and name.endswith(".json")
        if not point and not name.endswith(".ckpt") and not (page and "notebooks/" not in name):
            continue
        try:
            facts, content = path.stat(), targets.plain(name, path.read_bytes())
        except (OSError, ValueError):  # gone meanwhile, or not whole, which is judged elsewhere
            continue
        found[name] = (facts.st_ino, facts.st_mtime_ns, content)
    return found


def _judge_end(running: Running, strike: Strike, limit: float) -> None:
    """Judge how the command ended: code, message, and that nothing lives on."""
    code = running.wait(limit)
    if code is None:
        strike.blame("hang", f"does not end within {limit:.0f} s; {running.errors[-300:]}")
        running.end()
        return
    orphans = running.left_behind(ORPHANS)
    if orphans:
        strike.blame("hang", f"outlived its command: {orphans}")
    said = running.errors
    if "Traceback (most recent call last)" in said or "Exception ignored" in said:
        strike.blame("traceback", said[-2000:])
    struck = strike.hit and strike.victim == "driver"
    if struck and strike.number == signal.SIGKILL and code != -signal.SIGKILL and code != 0:
        strike.blame("wrong", f"exit code {code}")
    elif struck and strike.number in WORDS and code != 0:
        expected, words = WORDS[signal.Signals(strike.number)]
        last = said.replace("\r", "\n").splitlines(keepends=True)[-1:] or [""]
        if (code, last[0]) != (expected, words):
            strike.blame("wrong", f"exit code {code}, message {said[-300:]!r}")
        else:
            strike.columns.append("error")
    elif not struck and code != 0:
        named = code == 1 and ("FAILED" in said or "error:" in said)
        strike.columns.append("error") if named else strike.blame("wrong", f"exit code {code}: {said[-300:]}")


def _judge_files(out: Path, strike: Strike, kept: Snapshot, expected: dict[str, str]) -> Snapshot:
    """Judge what is there now: every file whole, nothing finished lost or computed again."""
    names = dict(targets.written(out)) if out.is_dir() else {}
    for name, path in names.items():
        try:
            targets.plain(name, path.read_bytes())
        except ValueError as error:
            strike.blame("half", f"{name}: {error}")
    now = results(out)
    _compare(now, kept, strike, set(names))
    for name, (*_, content) in now.items():
        if name in expected and content != expected[name]:
            strike.blame("wrong", f"{name} differs from that of an unbroken run")
    return kept | now


def _compare(now: Snapshot, kept: Snapshot, strike: Strike, names: set[str]) -> None:
    recorded = any(name.endswith("digits.json") for name in names)
    for name, before in kept.items():
        if name not in now and not (recorded and name.endswith(".ckpt")):
            strike.blame("lost", name)
        elif name in now and now[name] != before and not recorded:
            strike.blame("twice", name)


def _judge_completion(
    target: Target, place: Path, strike: Strike, kept: Snapshot, expected: dict[str, str], limit: float
) -> None:
    """Repeat the command to its end, and compare all that it leaves with the unbroken run."""
    out = place / target.results
    running = Running(target.command(target.arguments, place), place)
    code = running.wait(limit)
    if code is None:
        strike.blame("hang", "the command that continues does not end")
        running.end()
        return
    if code != 0:
        strike.blame("wrong", f"the command that continues ends with {code}: {running.errors[-1000:]}")
        return
    found = {}
    for name, path in targets.written(out):
        try:
            found[name] = targets.plain(name, path.read_bytes())
        except ValueError as error:
            strike.blame("half", f"{name}: {error}")
    _compare(results(out), kept, strike, set(found))
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            strike.blame("lost", f"{name} is missing at the end")
        elif name not in expected:
            strike.blame("half", f"{name} is left at the end")
        elif found[name] != expected[name]:
            strike.blame("wrong", f"{name} differs from that of an unbroken run")
    left = [path.name for path in (place / "tmp").iterdir() if not _is_probe(path)]
    strays = [*targets.temporary(out), *left]
    if strays:
        strike.blame("half", f"left at the end: {strays}")


def _is_probe(path: Path) -> bool:
    """Whether Python left this file, by which it tries a folder for temporary files before it uses it."""
    return bool(_PROBE.fullmatch(path.name)) and path.is_file() and path.read_bytes() in (b"", b"blat")


def counts(chains: list[dict[str, object]]) -> dict[str, Counter[str]]:
    """The columns by kind of work."""
    found: dict[str, Counter[str]] = {target.name: Counter() for target in TARGETS}
    for chain in chains:
        found[str(chain["target"])].update(strike["column"] for strike in chain["strikes"])  # type: ignore[attr-defined]
    return found
