"""The site while it is built: there is one at every moment, whatever ends the build."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from fracrepro import files
from fracrepro.workflow import site
from fracrepro.workflow.project import Project

# Stands in for jupyter-book: writes a site whose pages name their build, as fast as the test asks for.
FAKE = """
import os, pathlib, sys, time

def main():
    options = sys.argv[sys.argv.index("--path-output") + 1 :]
    pages = pathlib.Path(options[0], "_build", "html")
    pages.mkdir(parents=True)
    (pages.parent.parent / "builder").write_text(str(os.getpid()))
    time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
    if trouble := os.environ.get("FAKE_TROUBLE"):
        sys.exit(trouble)
    for name in ("index.html", "page.html"):
        (pages / name).write_text(os.environ.get("FAKE_BUILD", "new") * 1000)
"""
# The build without the ledger and the other tables, which take seconds and are tested elsewhere.
BUILD = """
import pathlib, sys, types
from fracrepro.workflow import site
from fracrepro.workflow.project import Project
site.write_ledger = lambda *_: None
site.install_mathjax = lambda *_: None
site.install_tables = lambda *_: None
site.full_scale = types.SimpleNamespace(write=lambda _: None)
sys.modules["fracrepro.workflow.numerics_table"] = types.SimpleNamespace(write=lambda _: None)
import fracrepro.workflow
fracrepro.workflow.numerics_table = sys.modules["fracrepro.workflow.numerics_table"]
site.build(Project(pathlib.Path(sys.argv[1])), "quick")
"""


@pytest.fixture
def root(tmp_path):
    """A project with an old site, and the builder that stands in."""
    (tmp_path / "fake" / "jupyter_book" / "cli").mkdir(parents=True)
    for name in ("__init__.py", "cli/__init__.py"):
        (tmp_path / "fake" / "jupyter_book" / name).write_text("")
    (tmp_path / "fake" / "jupyter_book" / "cli" / "main.py").write_text(FAKE)
    html = tmp_path / "project" / "_build" / "html"
    html.mkdir(parents=True)
    for name in ("index.html", "page.html"):
        (html / name).write_text("old" * 1000)
    return tmp_path / "project"


def build(root, **environment):
    """Start a build in a process of its own."""
    for note in (root / "_build").glob(".building-*/builder"):
        note.unlink()  # of a killed one
    path = os.pathsep.join([str(root.parent / "fake"), str(Path(site.__file__).parents[2])])
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, str(root)],
        env=os.environ | {"PYTHONPATH": path} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def shown(root):
    """Which build each page is of."""
    texts = [(root / "_build" / "html" / name).read_text() for name in ("index.html", "page.html")]
    assert {len(text) for text in texts} == {3000}
    return [text[:3] for text in texts]


def builder(root, process):
    """The id of the builder's process, once it works."""
    for _ in range(3000):
        for note in (root / "_build").glob(".building-*/builder"):
            with contextlib.suppress(OSError, ValueError):  # being written
                return int(note.read_text())
        if process.poll() is not None:
            break
        time.sleep(0.01)
    raise AssertionError(process.communicate())


def gone(pid, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


@contextlib.contextmanager
def watched(path):
    """Read a file again and again; the block gets the list of what went wrong."""
    trouble, stop = [], threading.Event()

    def look():
        while not stop.is_set():
            try:
                if len(path.read_text()) != 3000:
                    trouble.append("a part")
            except OSError as error:
                trouble.append(repr(error))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield trouble
    finally:
        stop.set()
        thread.join()


def made(folder, word):
    folder.mkdir()
    for name in ("index.html", "page.html"):
        (folder / name).write_text(word * 1000)
    return folder


def test_a_build_puts_the_new_site_in_place_and_leaves_nothing_else(root):
    process = build(root)
    assert process.communicate()[1] == ""
    assert shown(root) == ["new", "new"]
    assert [path.name for path in (root / "_build").iterdir()] == ["html"]


def test_a_reader_finds_a_whole_site_while_it_changes_again_and_again(tmp_path):
    place, other = made(tmp_path / "html", "old"), made(tmp_path / "built", "new")
    try:
        files.exchange(place, other)
    except NotImplementedError:
        pytest.skip("this file system cannot exchange two names")
    with watched(place / "index.html") as trouble:
        for _ in range(5000):
            site.publish(other, place)  # leaves what it replaced under the other name
    assert trouble == []
    # The control: two renames, as it was done before, leave moments without a site.
    with watched(place / "index.html") as trouble:
        for _ in range(100_000):
            place.rename(tmp_path / "aside")
            other.rename(place)
            (tmp_path / "aside").rename(other)
            if trouble:
                break
    assert trouble


def test_a_build_that_is_killed_leaves_the_old_site_or_the_new_one(root):
    """Kills at twelve moments from the start of the builder to after the end."""
    seen = set()
    for number in range(12):
        process = build(root, FAKE_SECONDS="0.1", FAKE_BUILD=f"b{number:02}")
        pid = builder(root, process)
        time.sleep(0.05 * number)
        process.kill()
        process.communicate()
        assert gone(pid), "the builder outlived its command"
        left, other = shown(root)
        assert left == other
        seen.add(left)
    assert len(seen) > 2, "no build lived long enough"
    assert build(root).communicate()[1] == ""
    assert shown(root) == ["new", "new"]
    assert [path.name for path in (root / "_build").iterdir()] == ["html"]  # strays are swept


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_builder_outlives_its_command(root, sign):
    process = build(root, FAKE_SECONDS="60")
    pid = builder(root, process)
    os.kill(process.pid, sign)
    process.communicate(timeout=20)
    assert gone(pid)
    assert shown(root) == ["old", "old"]


def test_a_second_build_names_the_first(root):
    first = build(root, FAKE_SECONDS="60")
    pid = builder(root, first)
    second = build(root)
    message = second.communicate()[1].splitlines()[-1]
    assert f"BusyError: build of {root / '_build' / 'html'}: process {first.pid} on" in message
    assert psutil.pid_exists(pid)  # and sweeps nothing of it
    first.kill()
    first.communicate()
    assert gone(pid)
    assert build(root).communicate()[1] == ""


def without_exchange(*_):
    raise NotImplementedError


def test_where_names_cannot_be_exchanged_a_failure_brings_the_old_site_back(root, monkeypatch):
    monkeypatch.setattr(files, "exchange", without_exchange)
    place, built = root / "_build" / "html", made(root / "_build" / "built", "new")
    rename, count = Path.rename, itertools.count()

    def second_fails(self, target):
        if next(count) == 1:
            raise OSError(28, "No space left on device", str(target))
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", second_fails)
        with pytest.raises(OSError, match="No space"):
            site.publish(built, place)
    assert shown(root) == ["old", "old"]
    site.publish(built, place)
    assert shown(root) == ["new", "new"]
    assert [path.name for path in (root / "_build").iterdir()] == ["html"]


def test_where_names_cannot_be_exchanged_the_next_build_brings_back_what_a_kill_put_aside(root):
    place = root / "_build" / "html"
    place.rename(site._aside(place))  # the state between the two renames
    assert build(root, FAKE_TROUBLE="it fails").communicate()[1].splitlines()[-1] == "it fails"
    assert shown(root) == ["old", "old"]
    made(site._aside(place), "bad")  # the state after them
    assert build(root).communicate()[1] == ""
    assert shown(root) == ["new", "new"]
    assert [path.name for path in (root / "_build").iterdir()] == ["html"]


def test_a_disk_that_is_full_for_the_builder_is_an_error_of_the_disk(root):
    said = "Traceback\\nOSError: [Errno 28] No space left on device: '/book/_build/page.html'"
    message = build(root, FAKE_TROUBLE=said.replace("\\n", "\n")).communicate()[1].splitlines()[-1]
    assert message == "OSError: [Errno 28] No space left on device: '/book/_build/page.html'"
    assert shown(root) == ["old", "old"]


def test_a_complaint_of_the_builder_about_another_file_is_no_error_of_the_disk(root):
    said = build(root, FAKE_TROUBLE="WARNING: [Errno 2] No such file or directory: 'x'").communicate()[1]
    assert "BuildError: jupyter-book failed (1):" in said
    assert "WARNING: [Errno 2] No such file" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("root: [", "not valid YAML"),
        ("null", "need a table of contents"),
        ("- file: a", "need a table of contents"),
        ("root: &a [*a]", "contains itself"),
        ("date: 2001-99-99", "not valid YAML"),
        ("[" * 5000, "not valid YAML"),
        ("a: !!python/object/apply:os.system [echo]", "not valid YAML"),
    ],
)
def test_a_damaged_table_of_contents_is_named(tmp_path, text, message):
    if text is not None:
        (tmp_path / "_toc.yml").write_text(text)
    with pytest.raises(ValueError, match=rf"_toc\.yml: .*{message}|_toc\.yml: {message}") as caught:
        site.toc_files(Project(tmp_path))
    assert "\n" not in str(caught.value)
