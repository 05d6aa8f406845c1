"""Forked kernels: what a page computes in one is what it computes in one that was started."""

import json
import os
import time

import psutil
import pytest

from fracrepro.workflow import notebooks
from fracrepro.workflow.project import Project

from . import forked

PAGE = "07_dropout"  # one of the cheapest
STATE = """
import os, sys
import matplotlib as mpl, mpmath as mp, numpy as np, torch
from fracrepro.workflow import report
report(
    digits=mp.mp.dps, dtype=str(torch.get_default_dtype()), size=str(mpl.rcParams["figure.figsize"]),
    threads=torch.get_num_threads(), random=np.random.rand(), left=hasattr(sys, "left"), process=os.getpid(),
)
mp.mp.dps = 40
torch.set_default_dtype(torch.float64)
mpl.rcParams["figure.figsize"] = (1, 1)
sys.left = True
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "profiles.yml").write_text("quick: {}\nbook: {}\n")
    for name, source in {"01_state": STATE, "02_dies": "import os; os._exit(3)"}.items():
        cells = [
            {"source": text, "metadata": {"tags": tags}, "id": f"c{len(tags)}"}
            for text, tags in (("n: int = 1  # a number, in [0, 9]", ["parameters"]), (source, []))
        ]
        code = {"cell_type": "code", "outputs": [], "execution_count": None}
        facts = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        cells = [cell | code for cell in cells]
        page = {"cells": cells, "metadata": facts, "nbformat": 4, "nbformat_minor": 5}
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text(json.dumps(page))
    return Project(tmp_path)


def test_a_page_is_what_a_started_kernel_makes_of_it(book, kernels, tmp_path):
    if kernels is None:
        pytest.skip("kernels are started here")
    [outcome] = notebooks.run(book.project, [PAGE], profile="quick", output=tmp_path)
    record = book.record(PAGE)
    assert outcome.record["values"] == record["values"]
    assert outcome.record["modules"] == record["modules"]
    page = (book.project.executed / f"{PAGE}.ipynb").read_text()
    assert outcome.notebook.count('"image/png"') == page.count('"image/png"') > 0


def test_no_kernel_sees_what_another_left(project, tmp_path):
    one, two = (
        notebooks.run(project, ["01_state"], overrides={"n": n}, output=tmp_path / "out")[0].record["values"]
        for n in ("1", "2")
    )
    changing = ("process", "random")
    assert {name: value for name, value in one.items() if name not in changing} == {
        "digits": 15,
        "dtype": "torch.float32",
        "size": "[6.4, 4.8]",
        "threads": 1,
        "left": False,
    }
    for name, value in two.items():
        assert (value == one[name]) is (name not in changing), name
    assert os.getpid() not in (one["process"], two["process"])


def test_a_kernel_that_dies_is_a_failure_and_the_next_one_runs(project, tmp_path):
    [dead] = notebooks.run(project, ["02_dies"], output=tmp_path / "out")
    assert "DeadKernelError" in dead.error
    [alive] = notebooks.run(project, ["01_state"], output=tmp_path / "out")
    assert alive.error == ""


def runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_no_kernel_outlives_its_server(tmp_path):
    server = forked.Server(["ipykernel.kernelapp"])
    command = ["python", "-m", "ipykernel_launcher", "-f"]
    kernels = [
        server.launch([*command, str(tmp_path / f"{n}.json")], env=dict(os.environ), cwd=tmp_path)
        for n in range(2)
    ]
    assert [os.getpgid(kernel.pid) for kernel in kernels] == [kernel.pid for kernel in kernels]
    server.process.kill()
    server.process.wait()
    deadline = time.monotonic() + 120
    while any(runs(kernel.pid) for kernel in kernels):
        assert time.monotonic() < deadline
        time.sleep(0.1)
