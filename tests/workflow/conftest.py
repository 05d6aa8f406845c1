"""A small project in a temporary folder, and a Dask cluster on this machine's loopback."""

import json
import os
import subprocess
import sys
import textwrap
import time
import zlib
from pathlib import Path

import pytest

from fracrepro.workflow.project import ENVIRONMENT_VARIABLE, Project


def code(source, *tags):
    return {
        "cell_type": "code",
        "id": f"c{zlib.crc32(source.encode())}",
        "metadata": {"tags": list(tags)},
        "source": textwrap.dedent(source).strip(),
        "outputs": [],
        "execution_count": None,
    }


def notebook(*cells, **metadata):
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    facts = {"kernelspec": kernel, "language_info": {"name": "python"}, **metadata}
    return json.dumps({"cells": list(cells), "metadata": facts, "nbformat": 4, "nbformat_minor": 5})


PARAMETERS = """
    s: float = 1.0  # order of the moment, in (0, 2]
    width: int = 64  # neurons, in [1, 4096]
    gpu: bool = False  # whether to use a GPU
    kind: str = "relu"  # activation, one of relu | linear
    orders: list[float] = [0.5, 1.0]  # several orders, in (0, 2]
    """

GOOD = notebook(
    code(PARAMETERS, "parameters"),
    code(
        """
        import os
        from fracrepro.workflow import report
        report(product=s * width, kind=kind, process=os.getpid(), threads=os.environ["OMP_NUM_THREADS"])
        """
    ),
)
BROKEN = notebook(
    code("width: int = 1  # neurons, in [0, 9]", "parameters"),
    code("print('before')"),
    code("1 / (width - width)"),
    code("print('after')"),
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    root = tmp_path / "project"
    (root / "notebooks").mkdir(parents=True)
    (root / "notebooks" / "01_good.ipynb").write_text(GOOD)
    (root / "notebooks" / "02_broken.ipynb").write_text(BROKEN)
    (root / "notebooks" / "profiles.yml").write_text("quick:\n  01_good: {width: 8}\nbook: {}\n")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(root))
    return Project(root)


class Cluster:
    """A scheduler and workers, started by hand as the recipe in the book says, and killed one by one."""

    def __init__(self, folder, *options):
        self.folder, self.options, self.processes = folder, options, []
        self.scheduler = self.start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", folder / "s"
        )
        deadline = time.monotonic() + 120
        while not (folder / "s").exists():
            assert time.monotonic() < deadline
            assert self.scheduler.poll() is None
            time.sleep(0.1)
        time.sleep(0.1)
        self.address = json.loads((folder / "s").read_text())["address"]

    def start(self, role, *arguments, **variables):
        here = str(Path(__file__).parent)
        path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = os.environ | {"PYTHONPATH": path} | variables
        program = str(Path(sys.executable).with_name("dask"))
        command = [program, role, *map(str, arguments), "--no-dashboard", *self.options]
        log = open(self.folder / f"{role}-{len(self.processes)}.log", "w")  # noqa: SIM115
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=self.folder)
        self.processes.append(process)
        return process

    def worker(self, *arguments, **variables):
        """Without a nanny, so that a kill is a death."""
        return self.start("worker", self.address, "--nthreads", "1", "--no-nanny", *arguments, **variables)

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two workers, shared by the tests of a module, which leave them alive."""
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    made.worker()
    made.worker()
    yield made
    made.close()


@pytest.fixture
def make_cluster(tmp_path):
    """Clusters of a test's own, to be killed."""
    made = []

    def make(workers=1, *options):
        folder = tmp_path / f"cluster-{len(made)}"
        folder.mkdir()
        made.append(Cluster(folder, *options))
        for _ in range(workers):
            made[-1].worker()
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def case(tmp_path):
    """A folder with what the attacks need; they are no part of the copy of the project that a test makes."""
    from torture import targets

    targets.prepare(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    """Unbroken runs, made when first asked for."""
    from torture import kills

    return kills.References(tmp_path_factory.mktemp("references"))
