"""The runner: what is executed, what is skipped, what a failure leaves, one engine for all machines."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fracrepro.workflow import notebooks, provenance
from fracrepro.workflow.cli import main

from .conftest import code, notebook

COMMAND = str(Path(sys.executable).with_name("fracrepro"))


def fracrepro(*arguments, **options):
    command = [COMMAND, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


def record(project, name="01_good"):
    return json.loads((project.executed / f"{name}.json").read_text())


def test_a_run_leaves_a_page_and_a_record(project):
    [outcome] = notebooks.run(project, ["01_good"], profile="quick", overrides={"s": "1.5"})
    assert outcome.error == ""
    stored = record(project)
    assert stored["parameters"] == {"s": 1.5, "width": 8, "gpu": False, "kind": "relu", "orders": [0.5, 1.0]}
    assert stored["values"]["product"] == 12.0
    assert stored["values"]["threads"] == "1"
    assert stored["versions"] == provenance.versions()
    assert stored["profile"] == "quick"
    page = json.loads((project.executed / "01_good.ipynb").read_text())
    assert page["metadata"]["fracrepro"] == stored
    assert str(project.root) not in json.dumps(page["metadata"])


def test_unchanged_is_skipped_and_each_kind_of_change_is_not(project, monkeypatch):
    run = lambda **options: len(notebooks.run(project, ["01_good"], profile="quick", **options))  # noqa: E731
    assert (run(), run(), run(force=True), run()) == (1, 0, 1, 0)
    assert run(overrides={"s": "0.5"}) == 1
    assert run() == 1  # the page in place is that of another s
    path = project.notebooks / "01_good.ipynb"
    path.write_text(path.read_text().replace("s * width", "2 * s * width"))
    assert (run(), run()) == (1, 0)
    (project.executed / "01_good.json").unlink()
    assert (run(), run()) == (1, 0)


def test_another_library_means_another_run(project, monkeypatch):
    before = notebooks.plan(project, "01_good", "quick").digest
    assert notebooks.plan(project, "01_good", "quick").digest == before
    monkeypatch.setattr(provenance, "versions", lambda: "other")
    assert notebooks.plan(project, "01_good", "quick").digest != before


def test_recorded_results_are_part_of_the_hash(project):
    path = project.notebooks / "01_good.ipynb"
    content = json.loads(path.read_text())
    content["metadata"]["fracrepro"] = {"recorded": ["mnist"]}
    path.write_text(json.dumps(content))
    digests = [notebooks.plan(project, "01_good", "quick").digest]
    project.recorded.mkdir()
    for text in ("a,b\n1,2\n", "a,b\n1,3\n"):
        (project.recorded / "mnist.csv").write_text(text)
        digests.append(notebooks.plan(project, "01_good", "quick").digest)
    assert len(set(digests)) == 3


def test_a_failing_notebook_names_its_cell_and_publishes_no_page(project):
    result = fracrepro("run", "02_broken")
    assert result.returncode == 1
    assert "02_broken: FAILED in cell [4]: ZeroDivisionError: division by zero" in result.stderr
    failed = json.loads((project.executed / "02_broken.failed.ipynb").read_text())
    [cell] = [cell for cell in failed["cells"] if "".join(cell["source"]) == "1 / (width - width)"]
    assert cell["execution_count"] == 4
    assert "before" in json.dumps(failed)
    assert not (project.executed / "02_broken.ipynb").exists()
    assert not (project.executed / "02_broken.json").exists()


def test_a_failure_keeps_the_last_good_page_and_is_not_taken_for_it(project):
    notebooks.run(project, ["01_good"], profile="quick")
    good = (project.executed / "01_good.ipynb").read_text()
    path = project.notebooks / "01_good.ipynb"
    source = path.read_text()
    path.write_text(source.replace("import os", "import os; 1 / 0"))
    for _ in range(2):  # a failure is never "unchanged"
        [outcome] = notebooks.run(project, ["01_good"], profile="quick")
        assert "ZeroDivisionError" in outcome.error
        assert (project.executed / "01_good.ipynb").read_text() == good
    path.write_text(source)
    assert notebooks.run(project, ["01_good"], profile="quick", force=True)[0].error == ""
    assert not (project.executed / "01_good.failed.ipynb").exists()


def test_a_cell_that_never_ends_is_a_failure(project, monkeypatch):
    from fracrepro.workflow import execution

    monkeypatch.setattr(execution, "CELL_TIMEOUT", 2)
    source = notebook(
        code("n: int = 1  # a number, in [0, 9]", "parameters"), code("import time; time.sleep(60)")
    )
    (project.notebooks / "03_slow.ipynb").write_text(source)
    [outcome] = notebooks.run(project, ["03_slow"])
    assert "CellTimeoutError" in outcome.error
    assert not (project.executed / "03_slow.ipynb").exists()


def test_a_kernel_that_dies_is_a_failure(project):
    source = notebook(code("n: int = 1  # a number, in [0, 9]", "parameters"), code("import os; os._exit(1)"))
    (project.notebooks / "03_dies.ipynb").write_text(source)
    [outcome] = notebooks.run(project, ["03_dies"])
    assert "DeadKernelError" in outcome.error


@pytest.mark.parametrize(("deaths", "error"), [(0, ""), (3, ""), (4, "4 attempts")])
def test_a_kernel_that_dies_before_its_first_cell_is_started_again(project, monkeypatch, deaths, error):
    import papermill

    execute, calls = papermill.execute_notebook, []

    def dying(*arguments, **options):
        calls.append(arguments)
        if len(calls) <= deaths:
            raise RuntimeError("Kernel died before replying to kernel_info")
        return execute(*arguments, **options)

    monkeypatch.setattr(papermill, "execute_notebook", dying)
    [outcome] = notebooks.run(project, ["01_good"], profile="quick")
    assert error in outcome.error
    assert (outcome.error == "") == (deaths < 4)
    assert len(calls) == min(deaths + 1, 4)


def test_reporting_nan_fails_the_notebook(project):
    source = notebook(
        code("n: int = 1  # a number, in [0, 9]", "parameters"),
        code("from fracrepro.workflow import report\nreport(x=float('nan'))"),
    )
    (project.notebooks / "03_nan.ipynb").write_text(source)
    [outcome] = notebooks.run(project, ["03_nan"])
    assert "x = nan" in outcome.error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "01_goood"], "did you mean '01_good'"),
        (["run", "01_good", "--profile", "qick"], "did you mean 'quick'"),
        (["run", "01_good", "-p", "widht", "3"], "did you mean 'width'"),
        (["run", "01_good", "-p", "gpu", "falsch"], "gpu = 'falsch': need true or false"),
        (["run", "01_good", "-p", "s", "nan"], "s = 'nan': need a number in (0, 2]"),
        (["run", "01_good", "-p", "width", "1.5"], "width = '1.5': need an integer in [1, 4096]"),
        (["run", "-p", "s", "1"], "name at least one"),
        (["run", "01_good", "--scheduler", "nonsense"], "scheduler = 'nonsense'"),
    ],
)
def test_a_refused_run_says_why_in_one_line_and_starts_nothing(project, monkeypatch, arguments, message):
    from click.testing import CliRunner

    def never(_):
        raise AssertionError("a kernel was started")

    if "--scheduler" not in arguments:
        monkeypatch.setattr(notebooks, "execute", never)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(project.root.glob("book/executed/*"))


def test_an_unwritable_output_folder_is_refused_before_the_run(project, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(ValueError, match="output_dir"):
        notebooks.run(project, ["01_good"], output=blocked / "below")


def test_output_dir_leaves_the_book_alone(project, tmp_path):
    notebooks.run(project, ["01_good"], profile="quick", output=tmp_path / "mine")
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == ["01_good.ipynb", "01_good.json"]
    assert not list(project.root.glob("book/executed/*"))


def test_several_notebooks_run_side_by_side_and_one_failure_stops_no_other(project):
    (project.notebooks / "03_good.ipynb").write_text((project.notebooks / "01_good.ipynb").read_text())
    result = fracrepro("run", "--jobs", "2")
    assert result.returncode == 1
    assert "01_good: executed" in result.stdout
    assert "03_good: executed" in result.stdout
    assert "02_broken: FAILED" in result.stderr
    assert "notebook/s" not in result.stderr  # no progress bar in a log
    one, three = (record(project, name)["values"] for name in ("01_good", "03_good"))
    assert one["process"] != three["process"]
    assert one["product"] == three["product"]


def test_an_existing_scheduler_with_two_workers(project):
    from distributed import LocalCluster

    (project.notebooks / "03_good.ipynb").write_text((project.notebooks / "01_good.ipynb").read_text())
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        assert cluster.scheduler_address.startswith("tcp://127.0.0.1")
        outcomes = notebooks.run(project, ["01_good", "03_good"], scheduler=cluster.scheduler_address)
        again = notebooks.run(project, ["01_good", "03_good"], scheduler=cluster.scheduler_address)
    assert sorted(outcome.name for outcome in outcomes) == ["01_good", "03_good"]
    assert not any(outcome.error for outcome in outcomes)
    assert again == []


def test_a_worker_with_other_code_is_refused(project):
    from fracrepro.workflow.execution import Task, execute

    with pytest.raises(RuntimeError, match="another version"):
        execute(Task("x", "{}", {}, package_digest="other", root=""))


def kernels(marker):
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if (
                marker.encode() in path.read_bytes()
                and b"ipykernel" in (path.parent / "cmdline").read_bytes()
            ):
                found.append(path.parent.name)
        except OSError:  # the process ended, or belongs to somebody else
            continue
    return found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds kernels through /proc")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interruption_ends_the_kernels_and_leaves_no_page(project, jobs):
    slow = notebook(
        code("n: int = 1  # a number, in [0, 9]", "parameters"),
        code("open('started', 'w').close()\nimport time\ntime.sleep(120)"),
    )
    for name in ("03_slow", "04_slow"):
        (project.notebooks / f"{name}.ipynb").write_text(slow)
    command = [COMMAND, "run", "03_slow", "04_slow", "--jobs", jobs]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_until(lambda: (project.root / "started").exists(), 60)
    assert kernels(str(project.root))
    os.killpg(process.pid, signal.SIGINT)  # what a terminal sends at Ctrl-C
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in stderr
    assert "KeyboardInterrupt" not in stderr
    wait_until(lambda: not kernels(str(project.root)), 30)
    assert not list(project.executed.glob("*"))


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds kernels through /proc")
@pytest.mark.parametrize("delay", [0.0, 0.2, 0.6, 1.2, 2.4])
def test_an_interruption_is_heeded_at_every_moment_of_a_parallel_run(project, delay):
    """Workers are starting, then kernels; the moment counts from the first worker."""
    import psutil

    slow = notebook(
        code("n: int = 1  # a number, in [0, 9]", "parameters"), code("import time\ntime.sleep(120)")
    )
    for name in ("03_slow", "04_slow"):
        (project.notebooks / f"{name}.ipynb").write_text(slow)
    command = [COMMAND, "run", "03_slow", "04_slow", "--jobs", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_until(lambda: psutil.Process(process.pid).children(), 60)
    time.sleep(delay)
    start = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert time.monotonic() - start < 30
    assert process.returncode == 130
    assert stderr == "interrupted: what was finished is kept, nothing is half-written\n"
    wait_until(lambda: not kernels(str(project.root)), 30)


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
