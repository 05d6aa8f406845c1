"""A sweep of 60 points that loses a worker and its driver ends with the table of an undisturbed one."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from fracrepro.workflow.sweeps import TIMING

from .conftest import code, notebook

COMMAND = str(Path(sys.executable).with_name("fracrepro"))
NOTEBOOK = notebook(
    code("n: int = 1  # a number, in [0, 99]\ns: float = 1.0  # a factor, in (0, 2]", "parameters"),
    code(
        """
        import numpy as np
        from fracrepro.workflow import report
        sample = s * np.random.default_rng(n).normal(size=(200, 200))
        report(mean=sample.mean(), norm=np.linalg.norm(sample, 2), positive=bool(sample[0, 0] > 0))
        """
    ),
)
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


@pytest.mark.torture
def test_sixty_points_survive_a_killed_worker_and_a_killed_driver(project, make_cluster, tmp_path):
    (project.notebooks / "01_points.ipynb").write_text(NOTEBOOK)
    serial, disturbed = tmp_path / "serial", tmp_path / "disturbed"
    result = subprocess.run(
        sweep("--output-dir", serial, "--jobs", 1), capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert result.returncode == 0, result.stderr
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
    one, other = (pd.read_csv(folder / "01_points.csv", dtype=str) for folder in (serial, disturbed))
    assert len(one) == 60
    assert list(one.columns) == ["n", "s", "mean", "norm", "positive", *TIMING]
    pd.testing.assert_frame_equal(one.drop(columns=list(TIMING)), other.drop(columns=list(TIMING)))
