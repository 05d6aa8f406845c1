"""Real processes: a command with all that it starts, who of them is who, and signals to them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from torture.targets import ROOT

MARK = "FRACREPRO_TORTURE"  # in the environment of a command and of all that it starts
ROLES = {"worker": (b"multiprocessing.spawn",), "kernel": (b"ipykernel",), "builder": (b"jupyter_book.cli",)}
TICK = 0.002  # seconds between two looks
_alive: set[Running] = set()
_CLOCK = os.sysconf("SC_CLK_TCK")


class Running:
    """A command that runs in a session of its own, with its outputs in files.

    Args:
        command: its words.
        folder: of the case; `project` and `tmp` are in it.
        logs: the folder of its outputs; None for that of the case.
        first: what the new process does before its program begins, such as to take a limit.
        variables: of its environment, beside this process's own.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        first: Callable[[], object] = lambda: None,
        logs: Path | None = None,
        **variables: str,
    ) -> None:
        """Start it."""
        self.mark, self.said = uuid.uuid4().hex, (logs or folder) / "said"
        environment = {
            **os.environ,
            MARK: self.mark,
            "PYTHONPATH": str(ROOT),
            "FRACREPRO_PROJECT": str(folder / "project"),
            "TMPDIR": str(folder / "tmp"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            **variables,
        }
        environment.pop("FRACREPRO_SCHEDULER", None)
        with open(self.said, "w") as errors, open(self.said.with_name("printed"), "w") as printed:
            self.process = subprocess.Popen(
                command,
                stdout=printed,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                env=environment,
                cwd=folder,
                start_new_session=True,
                preexec_fn=lambda: (_heed_interrupts(), first()),
            )
        self.started = time.monotonic()
        _alive.add(self)

    @property
    def errors(self) -> str:
        """What it has written to standard error."""
        return self.said.read_text(errors="replace")

    @property
    def printed(self) -> str:
        """What it has written to standard output."""
        return self.said.with_name("printed").read_text(errors="replace")

    def seconds(self) -> float:
        """Since its start."""
        return time.monotonic() - self.started

    def processor_seconds(self) -> float:
        """What the command itself, without what it started, has used of a processor."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return float("inf")
        return (int(fields[11]) + int(fields[12])) / _CLOCK

    def family(self) -> dict[int, bytes]:
        """The living processes that it has started, itself included: their command lines by number."""
        found = {}
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() not in (place / "environ").read_bytes():
                    continue
                if ") Z " not in (place / "stat").read_text():
                    found[int(place.name)] = (place / "cmdline").read_bytes()
            except OSError:  # it has ended, or belongs to somebody else
                continue
        return found

    def those(self, role: str) -> list[int]:
        """The processes with a role."""
        if role == "driver":
            return [self.process.pid] if self.process.poll() is None else []
        return [pid for pid, line in sorted(self.family().items()) if any(w in line for w in ROLES[role])]

    def wait(self, limit: float) -> int | None:
        """The exit code; None where it has not ended in time."""
        try:
            code = self.process.wait(timeout=limit)
            _alive.discard(self)
            return code
        except subprocess.TimeoutExpired:
            return None

    def left_behind(self, limit: float) -> list[str]:
        """Command lines of what has not ended in time after the command, and ends now."""
        deadline = time.monotonic() + limit
        while (family := self.family()) and time.monotonic() < deadline:
            time.sleep(0.05)
        words = {pid: line.replace(b"\0", b" ").decode(errors="replace") for pid, line in family.items()}
        found = [f"{said[:120]} ({_does(pid)})" for pid, said in words.items()]
        for pid in family:
            send(pid, signal.SIGKILL)
        return found

    def end(self) -> None:
        """Kill whatever is left of it."""
        for pid in self.family():
            send(pid, signal.SIGKILL)
        self.process.wait()
        _alive.discard(self)


def end_all() -> None:
    """Kill all commands that run."""
    for running in list(_alive):
        running.end()


def send(pid: int, number: int) -> bool:
    """Send a signal, Ctrl-C to the whole group as a terminal does; False where the process has ended."""
    try:
        os.killpg(pid, number) if number == signal.SIGINT else os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _does(pid: int) -> str:
    """The state of a process, and what it waits for in the system."""
    found = []
    for name in ("stat", "wchan"):
        try:
            found.append(Path(f"/proc/{pid}/{name}").read_text().rpartition(") ")[2].split()[0])
        except (OSError, IndexError):
            found.append("?")
    return ", ".join(found)


def _heed_interrupts() -> None:
    """In a child before its program: Ctrl-C is heeded as in a terminal, also in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
