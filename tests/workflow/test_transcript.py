"""The transcript in the book, from a laptop to a cluster, is played again: its commands say what it says.

`UPDATE_TRANSCRIPTS=1 pytest tests/workflow/test_transcript.py` writes it anew, for a person to read.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from fracrepro.workflow.engine import SCHEDULER_VARIABLE

FOLDER = Path(__file__).resolve().parents[2] / "book" / "transcripts"
TRANSCRIPT = FOLDER / "cluster.txt"
# A queue that starts the tasks of an array right here takes the place of Slurm's.
SBATCH = """#!/bin/sh
for task in 1 2; do
    SLURM_ARRAY_TASK_ID=$task sh "$1" > worker-$task.log 2>&1 &
    echo $! >> pids
done
echo Submitted batch job 1
"""


@pytest.fixture
def here(project, tmp_path, monkeypatch):
    """A folder with the project's commands and the stand-in for the queue; what it started is ended."""
    folder = tmp_path / "here"
    folder.mkdir()
    shutil.copy(FOLDER / "workers.sh", folder)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "sbatch").write_text(SBATCH)
    (programs / "sbatch").chmod(0o755)
    places = [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(places))
    monkeypatch.delenv(SCHEDULER_VARIABLE, raising=False)
    yield folder
    pids = folder / "pids"
    for pid in pids.read_text().split() if pids.is_file() else []:
        subprocess.run(["kill", "-9", pid], check=False)


def played(commands, folder):
    """What a terminal shows, with times and addresses of this run replaced."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shown, background = [], []
    try:
        for command in commands:
            shown.append(f"$ {command}")
            local = command.replace("8786", port).replace("tcp://head", "tcp://127.0.0.1")
            if local.endswith("&"):
                local = local.removesuffix("&").replace("scheduler ", "scheduler --host 127.0.0.1 ", 1)
                with open(folder / "scheduler.log", "w") as log:
                    background.append(subprocess.Popen(local.split(), cwd=folder, stdout=log, stderr=log))
                wait_for(folder / "scheduler.json", background[0])
                continue
            result = subprocess.run(
                ["sh", "-c", local], cwd=folder, capture_output=True, text=True, check=False
            )
            assert result.returncode == 0, result.stdout + result.stderr
            said = result.stdout.replace(port, "8786").replace("127.0.0.1", "head")
            shown += re.sub(r"\d+(\.\d+)? (s|min)\b", "… s", said).splitlines()
    finally:
        for process in background:
            process.kill()
            process.wait()
    return "\n".join(shown) + "\n"


def wait_for(path, process):
    deadline = time.monotonic() + 120
    while not path.is_file():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)


def commands_of(text):
    return [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]


def test_five_commands_from_a_laptop_to_a_cluster(here):
    written = TRANSCRIPT.read_text(encoding="utf-8")
    commands = commands_of(written)
    assert len(commands) == 5
    found = played(commands, here)
    if os.environ.get("UPDATE_TRANSCRIPTS"):
        TRANSCRIPT.write_text(found, encoding="utf-8")
        return
    assert found == written
    # What the laptop had finished was kept, and the table is whole.
    assert list(pd.read_csv(here / "mine" / "01_good.csv")["product"]) == [32.0, 64.0, 96.0, 128.0]


def test_the_page_shows_the_files_that_are_played():
    page = (FOLDER.parent / "cluster.md").read_text(encoding="utf-8")
    section = page.partition("## Beyond one machine")[2].partition("\n## ")[0]
    shown = re.findall(r"{literalinclude} transcripts/(\S+)", section)
    assert shown == ["workers.sh", "cluster.txt"]
    assert "$ " not in section  # nothing that nobody has played
