"""A sweep of 60 points that loses a worker and its driver ends with the table of its points, bit for bit."""

import io
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from fracrepro.workflow.environment import THREADS
from fracrepro.workflow.sweeps import TIMING

from .conftest import code, notebook

COMMAND = str(Path(sys.executable).with_name("fracrepro"))
CELL = """
import numpy as np
from fracrepro.workflow import report
sample = s * np.random.default_rng(n).normal(size=(200, 200))
report(mean=sample.mean(), norm=np.linalg.norm(sample, 2), positive=bool(sample[0, 0] > 0))
"""
NOTEBOOK = notebook(
    code("n: int = 1  # a number, in [0, 99]\ns: float = 1.0  # a factor, in (0, 2]", "parameters"),
    code(CELL),
)
# The same without notebook, kernel, engine and sweep.  That an undisturbed sweep has the values of one worker
# for any number of them is in test_sweeps.py.
PLAIN = f"""
import itertools, fracrepro.workflow
rows = ["n,s,mean,norm,positive"]
fracrepro.workflow.report = lambda **values: rows.append(",".join(map(str, [n, s, *values.values()])))
for s, n in itertools.product((0.5, 1.0, 2.0), range(20)):
    exec({CELL!r})
print("\\n".join(rows))
"""
AXES = ["--sweep", "s=0.5,1,2", "--sweep", "n=" + ",".join(map(str, range(20)))]
SEED = 20261123  # of the moments; any other must do as well
LIMIT = 1200  # seconds for anything to happen


def sweep(*options):
    return [COMMAND, "run", "01_points", *AXES, *map(str, options)]


def wait_for(count, folder, process):
    """Wait until so many points are finished."""
    deadline = time.monotonic() + LIMIT
    while len(list(folder.glob(".01_points.points/*.json"))) < count:
        assert process.poll() is None, "the driver ended early"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def points():
    """The table without its times, computed in one process, on one thread like a kernel."""
    environment = os.environ | dict.fromkeys(THREADS, "1")
    result = subprocess.run([sys.executable, "-c", PLAIN], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    return pd.read_csv(io.StringIO(result.stdout), dtype=str)


@pytest.mark.torture
def test_sixty_points_survive_a_killed_worker_and_a_killed_driver(project, make_cluster, tmp_path):
    (project.notebooks / "01_points.ipynb").write_text(NOTEBOOK)
    disturbed = tmp_path / "disturbed"
    moments = random.Random(SEED)
    cluster = make_cluster(0)
    victim, _ = cluster.worker(), cluster.worker()
    command = sweep("--output-dir", disturbed, "--scheduler", cluster.address)
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_for(moments.randint(3, 18), disturbed, driver)
    time.sleep(moments.random())
    victim.kill()
    cluster.worker()
    wait_for(moments.randint(25, 50), disturbed, driver)
    time.sleep(moments.random())
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    kept = {path: path.read_bytes() for path in disturbed.glob(".01_points.points/*.json")}
    assert 25 <= len(kept) < 60
    result = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert result.returncode == 0, result.stderr
    assert f"60 points (s: 3 × n: 20), {len(kept)} finished, {60 - len(kept)} to compute" in result.stdout
    for path, content in kept.items():
        assert path.read_bytes() == content  # nothing that was finished is computed again
    table = pd.read_csv(disturbed / "01_points.csv", dtype=str)
    assert len(table) == 60
    assert list(table.columns) == ["n", "s", "mean", "norm", "positive", *TIMING]
    pd.testing.assert_frame_equal(table.drop(columns=list(TIMING)), points())
