"""Disks that are full, files that may not grow, folders that become read-only.

Each fault comes by itself, with real processes: what is finished stays, exit code and message say what
happened, and the next call ends with the files of an unbroken run, bit for bit but for times.
`torture` strikes at random. What takes more than a few seconds is marked `long`, and `make torture` runs it.
"""

import os
import resource
import subprocess

import pytest

from torture import kills, targets

from .faulted import BY_NAME, PAGES, TRAINING, completed, ended, finished, start, wait_until


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
