"""Memory that is not there.

Each fault comes by itself, with real processes: what is finished stays, exit code and message say what
happened, and the next call ends with the files of an unbroken run, bit for bit but for times.
`torture` strikes at random. What takes more than a few seconds is marked `long`, and `make torture` runs it.
"""

import resource

import pytest

from fracrepro.errors import is_out_of_memory
from fracrepro.workflow.cli import main
from torture import targets
from torture.processes import Running

from .faulted import BY_NAME, PAGES, ended, finished, start


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 1 GiB"), True),
        (RuntimeError("size mismatch"), False),
    ],
)
def test_out_of_memory_is_one_line(monkeypatch, error, words):
    from click.testing import CliRunner

    import fracrepro as fr

    def raising(*_):
        raise error

    monkeypatch.setattr(fr, "critical_variance", raising)
    result = CliRunner().invoke(main, ["critical", "--width", "8", "--s", "1"])
    if words:
        assert (result.exit_code, result.stderr) == (2, "error: out of memory; what was finished is kept\n")
        assert is_out_of_memory(error) or isinstance(error, OSError)
    else:
        assert result.exception is error


def memory_limit():
    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, resource.RLIM_INFINITY))


@pytest.mark.long
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_piece_that_needs_too_much_memory_is_named_and_the_others_are_kept(case, jobs):
    (case / "sweep.yml").write_text(targets.SWEEP.replace("[8, 12]", "[8, 40000]"))
    target = BY_NAME["sweep, trainings"]
    command = target.command((*target.arguments[:-1], jobs), case)
    code, said = ended(Running(command, case, first=memory_limit))
    assert code == 1, said
    assert "width=40000" in said
    assert "the others are kept, and the same command continues" in said
    kept = finished(target, case)
    assert {name.split("/")[-2] for name in kept} == {
        "depth=2,width=8",
        "depth=2,width=40000",
        "depth=3,width=8",
    }


@pytest.mark.long
def test_a_page_that_needs_too_much_memory_fails_by_name_and_no_other(case):
    path = case / "project" / "notebooks" / "02_two.ipynb"
    path.write_text(path.read_text().replace("size=(120, 120)", "size=(120_000, 120_000)"))
    running = start(PAGES, case, first=memory_limit)
    code, said = ended(running)
    assert code == 1
    assert "02_two: FAILED in cell" in said
    assert "MemoryError" in said
    assert "01_one: executed" in running.printed
    assert "03_three: executed" in running.printed
