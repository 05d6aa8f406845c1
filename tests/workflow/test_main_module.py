"""`python -m fracrepro` is the command line, for a copy that is not installed."""

import subprocess
import sys

import fracrepro


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "fracrepro", *arguments], capture_output=True, text=True, check=False
    )


def test_it_is_the_command():
    done = run("--version")
    assert (done.returncode, done.stdout.strip()) == (0, f"fracrepro, version {fracrepro.__version__}")


def test_a_wrong_name_is_refused_as_there():
    done = run("train", "nothing")
    assert done.returncode == 2
    assert "nothing" in done.stderr
    assert "Traceback" not in done.stderr
