"""Atomic writes: the old file survives whatever happens."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from fracrepro import errors, files


def test_write_makes_folders_and_replaces(tmp_path):
    path = tmp_path / "a" / "b.txt"
    files.write_text(path, "one")
    files.write_text(path, "two\n")
    assert path.read_text() == "two\n"
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "x", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_no_debris(tmp_path, monkeypatch, failure):
    path = tmp_path / "record.json"
    files.write_text(path, "old")

    def fail(_):
        raise failure

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(type(failure)):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_refuses_nan_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "x.json", {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []


def python(*lines, **environment):
    """Start a process of its own."""
    command = [sys.executable, "-c", "\n".join(lines)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment
    )


def inside(block):
    """Let another process enter `block`, a line with a context manager, and stay there."""
    lines = ["import time", "from fracrepro import files", f"with {block}:"]
    process = python(*lines, "    print(1, flush=True)", "    time.sleep(100)")
    assert process.stdout.readline() == "1\n", process.communicate()
    return process


def end(process):
    process.kill()
    process.communicate()


def test_a_killed_writer_leaves_the_old_file_and_a_stray_that_the_next_write_sweeps(tmp_path):
    path = tmp_path / "record.json"
    files.write_text(path, "old")
    writer = inside(f"files.atomic_writer({str(path)!r})")
    [stray] = set(tmp_path.iterdir()) - {path}
    files.write_text(path, "from here")
    assert stray.exists()  # its process lives and may finish
    end(writer)
    others = [tmp_path / name for name in ("data.gz.part", ".record.json.part", ".other.json.abcdefgh.part")]
    for other in others:
        other.write_text("not ours")
    files.write_text(path, "new")
    assert sorted(tmp_path.iterdir()) == sorted([path, *others])
    assert path.read_text() == "new"


def test_the_folder_of_a_killed_process_is_swept_and_that_of_a_living_one_is_not(tmp_path):
    processes = [inside(f"files.temporary_folder('work-', {str(tmp_path)!r})") for _ in range(2)]
    assert len(list(tmp_path.iterdir())) == 2
    end(processes[0])
    (tmp_path / "work-of-mine").mkdir()
    with files.temporary_folder("work-", tmp_path) as folder:
        (folder / "inside").write_text("x")
        assert len(list(tmp_path.iterdir())) == 3
    end(processes[1])
    with files.temporary_folder("work-", tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["work-of-mine"]


def test_many_writers_of_one_file_do_not_sweep_each_other(tmp_path):
    path = tmp_path / "shared.json"
    lines = [
        "from fracrepro import files",
        f"for i in range(150): files.write_text({str(path)!r}, str(i % 10) * 5000)",
    ]
    writers = [python(*lines) for _ in range(4)]
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            assert len(set(text := path.read_text())) == 1
            assert len(text) == 5000
    assert [writer.communicate()[1] for writer in writers] == [""] * 4
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_names_its_holder_and_goes_with_it(tmp_path):
    path = tmp_path / "folder" / ".lock"
    holder = inside(f"files.lock({str(path)!r}, 'the work')")
    with (
        pytest.raises(errors.BusyError, match=rf"^the work: process {holder.pid} on .* since 2"),
        files.lock(path, "the work"),
    ):
        pytest.fail("two hold it")
    end(holder)
    assert path.exists()  # a file without a holder means nothing
    with files.lock(path, "the work"):
        pass
    assert not path.exists()


def test_one_process_at_a_time_gets_a_lock(tmp_path):
    """Read, wait, write: without the lock increments are lost, which the second round shows."""
    count, lock = tmp_path / "count", tmp_path / ".lock"
    for guard in (f"files.lock({str(lock)!r}, 'x')", "contextlib.nullcontext()"):
        count.write_text("0")
        ready = tmp_path / guard.partition(".")[0]
        ready.mkdir()
        lines = [
            "import contextlib, os, pathlib, time",
            "from fracrepro import errors, files",
            f"count, done, ready = pathlib.Path({str(count)!r}), 0, pathlib.Path({str(ready)!r})",
            "(ready / str(os.getpid())).touch()",
            "while len(list(ready.iterdir())) < 3:",  # all at once, however slowly they start
            "    time.sleep(0.001)",
            "while done < 40:",
            f"    with contextlib.suppress(errors.BusyError), {guard}:",
            "        n = int(count.read_text() or 0)",
            "        time.sleep(0.001)",
            "        count.write_text(str(n + 1))",
            "        done += 1",
            "    time.sleep(0.0005)",
        ]
        workers = [python(*lines) for _ in range(3)]
        errors = [worker.communicate()[1] for worker in workers]
        if "lock" in guard:
            assert errors == [""] * 3
            assert count.read_text() == "120"
    assert count.read_text() != "120"


def test_two_folders_change_names_in_one_step(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    try:
        files.exchange(tmp_path / "a", tmp_path / "b")
    except NotImplementedError:
        pytest.skip("this file system cannot")
    assert (tmp_path / "a" / "b").read_text() == "b"
    assert (tmp_path / "b" / "a").read_text() == "a"
    with pytest.raises(FileNotFoundError, match="nowhere"):
        files.exchange(tmp_path / "nowhere", tmp_path / "b")


@pytest.mark.parametrize("failing", ["write", "fsync"])
def test_an_error_of_the_disk_names_the_file(tmp_path, monkeypatch, failing):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "record.json"
    if failing == "fsync":
        monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught, files.atomic_writer(path) as file:
        full() if failing == "write" else file.write(b"x")
    assert caught.value.filename == str(path)


def test_a_name_that_is_too_long_and_a_folder_that_is_none_are_named_as_given(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / ("x" * 250), tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=r"too long|Not a directory|File exists") as caught:
            files.write_text(path, "x")
        assert caught.value.filename in (str(path), str(path.parent))


@pytest.mark.parametrize("content", [b"\xff\xfe", b"{", b"[" * 100_000, b"", b"1" * 9999])
def test_a_damaged_json_file_is_named(tmp_path, content):
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(errors.ArgumentError, match=r"record\.json: not ") as caught:
        files.read_json(path)
    assert "\n" not in str(caught.value)
