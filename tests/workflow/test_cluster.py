"""The engine on a Dask scheduler: the same results, one line for what goes wrong, and who is odd there."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fracrepro.errors import ArgumentError
from fracrepro.nn import data
from fracrepro.nn.data import transfer
from fracrepro.nn.experiments import DIGITS
from fracrepro.workflow import cluster as clusters
from fracrepro.workflow import doctor, notebooks, training_tasks, worker
from fracrepro.workflow.engine import SCHEDULER_VARIABLE, Engine, Task

from .conftest import code, notebook

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(autouse=True)
def tasks(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    import engine_tasks

    return engine_tasks


def on(cluster, **options):
    return Engine(scheduler=cluster.address, progress=False, **options)


def here():
    return Engine(jobs=1, progress=False)


def test_grids_and_draws_have_the_bits_of_this_process(tasks, cluster):
    for one, other in zip(
        here().map(tasks.matrix, range(4)), on(cluster).map(tasks.matrix, range(4)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    draws = [engine.draws(tasks.normals, 10, 3.0, seed=7, block=4) for engine in (here(), on(cluster))]
    np.testing.assert_array_equal(*draws)


def test_errors_come_back_and_stop_no_other(tasks, cluster):
    results = on(cluster).run([Task(f"{x}", tasks.fails, (x,)) for x in range(3)])
    assert [result.problem for result in results] == ["", "ValueError: 1 is odd", ""]
    assert "engine_tasks.py" in results[1].details


def test_a_training_has_the_bits_of_this_process(cluster, tmp_path):
    protocol = DIGITS.settle("quick", runs=2, epochs=2, schemes=("kaiming",))
    images = data.load("digits")
    there = training_tasks.run(protocol, images, tmp_path, on(cluster), interval=0.0)
    direct = protocol.run(images, device="cpu", progress=False)
    pd.testing.assert_frame_equal(there.drop(columns="seconds"), direct.drop(columns="seconds"))


def test_notebooks_run_where_the_project_is_not(project, cluster, monkeypatch):
    [local] = notebooks.run(project, ["01_good"], jobs=1)
    work = notebooks._work(project, notebooks.plan(project, "01_good", "book"), "01_good")
    elsewhere = work.arguments[0].__class__(**{**vars(work.arguments[0]), "root": "/nowhere/at/all"})
    [result] = on(cluster).run([Task("01_good", work.function, (elsewhere,))])
    assert result.value.error == ""
    assert result.value.record["values"]["product"] == local.record["values"]["product"]


def test_a_task_that_needs_what_no_worker_offers_ends_in_one_line(tasks, cluster):
    work = [Task("x", tasks.square, (1,), resources={"GPU": 1})]
    with pytest.raises(
        clusters.SchedulerError, match="no worker with GPU=1 came to the scheduler at tcp"
    ) as raised:
        on(cluster, worker_timeout=1.0).run(work)
    assert "\n" not in str(raised.value)


def test_the_doctor_lists_each_worker(cluster):
    report = [str(finding) for finding in doctor.examine_workers(cluster.address)]
    for subject in ("fracrepro", "versions", "cores", "device", "resources", "data"):
        assert sum(f" {subject}:" in line for line in report) == 2
    assert "all have this code" in report[-1]


def test_nobody_at_the_address_is_one_line(monkeypatch):
    monkeypatch.setattr(clusters, "CONNECT_TIMEOUT", 1.0)  # it tries for that long, and nobody comes
    for address in ("tcp://127.0.0.1:9", "nonsense", "tls://127.0.0.1:9"):
        with pytest.raises(ArgumentError, match="no Dask scheduler answers there") as raised:
            Engine(scheduler=address, progress=False).map(abs, [1])
        assert "\n" not in str(raised.value)


def test_a_killed_worker_costs_an_attempt_and_nobody_left_is_one_line(tasks, make_cluster, tmp_path):
    cluster = make_cluster(0)
    start = time.monotonic()
    with pytest.raises(clusters.SchedulerError, match=r"worker_timeout = 1: .* no worker came"):
        on(cluster, worker_timeout=1.0).map(tasks.square, [1])
    assert time.monotonic() - start < 30
    cluster.worker("--resources", "GPU=1")
    cluster.worker()
    work = [Task("dies", tasks.dies_once, (1, str(tmp_path))), Task("lives", tasks.square, (3,))]
    assert [result.value for result in on(cluster).run(work)] == [1, 9]
    assert (tmp_path / "died-1").exists()
    with pytest.raises(clusters.SchedulerError, match=r"worker_timeout = 2: .* no worker came"):
        on(cluster, worker_timeout=2.0).map(tasks.dies, [1])


def test_a_worker_with_other_code_is_refused_by_name(tasks, make_cluster, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(Path(worker.__file__).parents[1], other / "fracrepro")
    with open(other / "fracrepro" / "__init__.py", "a") as file:
        file.write("# edited\n")
    cluster = make_cluster(1)
    cluster.worker(PYTHONPATH=os.pathsep.join([str(other), str(HERE)]))
    with clusters.connect(cluster.address) as client:
        client.wait_for_workers(2, timeout=240)
    with pytest.raises(worker.OtherCodeError, match="has other code of fracrepro") as raised:
        on(cluster).map(tasks.square, [1])
    assert "tcp://127.0.0.1" in str(raised.value)


def test_the_doctor_names_the_odd_one_out():
    alike = {
        "package": "a" * 64,
        "versions": {"torch": "2.13.0", "numpy": "2.4.6"},
        "cores": 2,
        "threads": 1,
        "resources": {"GPU": 1.0},
        "device": "cpu",
        "data": {"digits": "b" * 64, "mnist": ""},
    }
    here = doctor._words(alike)
    assert list(doctor._odd_ones({"one": here, "two": here}, here)) == []
    changes = {
        "package": "c" * 64,
        "versions": {"torch": "2.12.0", "numpy": "2.4.6"},
        "device": "H200",
        "data": {"digits": "d" * 64, "mnist": "e" * 64},
    }
    words = {
        "package": "fracrepro cccccccccccc, here aaaaaaaaaaaa",
        "versions": "versions torch 2.12.0, here torch 2.13.0",
        "device": "device H200, most have another",
        "data": "data digits dddddddddddd, here digits bbbbbbbbbbbb",
    }
    for key, value in changes.items():
        workers = {"one": here, "two": doctor._words(alike | {key: value}), "three": here}
        [finding] = doctor._odd_ones(workers, here)
        assert finding.subject == "differs: two"
        assert finding.state == words[key]


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[2])
import engine_tasks
from fracrepro.errors import FracreproError
from fracrepro.workflow.engine import Engine
try:
    Engine(scheduler=sys.argv[1]).map(engine_tasks.sleeps, [60.0] * 4, sys.argv[3])
except FracreproError as error:
    sys.exit(f"error: {error}")
"""


def test_a_scheduler_that_dies_is_one_line(make_cluster, tmp_path):
    cluster = make_cluster(2)
    command = [sys.executable, "-c", SCRIPT, cluster.address, str(HERE), str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: list(tmp_path.glob("pid-*")), 120)
    cluster.scheduler.kill()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert stderr.startswith(
        f"error: the scheduler at {cluster.address} has ended: what was finished is kept"
    )
    assert len(stderr.splitlines()) == 1


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds kernels through /proc")
def test_an_interruption_ends_the_kernels_on_the_workers(project, cluster):
    slow = notebook(
        code("n: int = 1  # a number, in [0, 9]", "parameters"),
        code("open('started', 'w').close()\nimport time\ntime.sleep(120)"),
    )
    for name in ("03_slow", "04_slow"):
        (project.notebooks / f"{name}.ipynb").write_text(slow)
    command = [str(Path(sys.executable).with_name("fracrepro")), "run", "03_slow", "04_slow"]
    environment = os.environ | {SCHEDULER_VARIABLE: cluster.address}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    wait_until(lambda: (project.root / "started").exists(), 120)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr == "interrupted: what was finished is kept, nothing is half-written\n"
    wait_until(lambda: not kernels_of(project), 30)
    assert not list(project.executed.glob("*"))


def kernels_of(project):
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            ours = f"FRACREPRO_PROJECT={project.root}".encode() in path.read_bytes()
            if ours and b"ipykernel" in (path.parent / "cmdline").read_bytes():
                found.append(path.parent.name)
        except OSError:  # the process ended, or belongs to somebody else
            continue
    return found


def test_data_travel_to_a_worker_that_lacks_them(tasks, make_cluster, tmp_path, monkeypatch):
    """A set of our own in place of MNIST, which a machine of a tester need not have."""
    content = b"not really images"
    cluster = make_cluster(0)
    cluster.worker(XDG_CACHE_HOME=str(tmp_path / "there"), FRACREPRO_DATA=str(tmp_path / "nothing"))
    with clusters.connect(cluster.address) as client:
        client.wait_for_workers(1, timeout=120)
        [address] = client.scheduler_info()["workers"]
        monkeypatch.setattr(transfer, "packed", lambda name: [("train-labels-idx1-ubyte.gz", content)])
        crew = clusters._Crew(client, cluster.address, 60.0)
        clusters._deliver(crew, "mnist", "tcp://127.0.0.1:9")  # a worker that has gone meanwhile
        clusters._deliver(crew, "mnist", address)
        assert client.run(worker.has_data, "mnist", "any") == {address: False}  # one file of four
    assert (tmp_path / "there" / "fracrepro" / "mnist" / "train-labels-idx1-ubyte.gz").read_bytes() == content


@pytest.mark.mnist
def test_mnist_travels_and_a_task_finds_it(make_cluster, tmp_path):
    cluster = make_cluster(0)
    cluster.worker(XDG_CACHE_HOME=str(tmp_path / "there"), FRACREPRO_DATA=str(tmp_path / "nothing"))
    digest = data.load("mnist").digest
    work = Task("mnist", worker.has_data, ("mnist", digest), data=(("mnist", digest),))
    [result] = on(cluster).run([work])
    assert result.value is True
    assert len(list((tmp_path / "there" / "fracrepro" / "mnist").iterdir())) == 4


def test_official_files_are_named_or_refused():
    with pytest.raises(ArgumentError, match="name = 'digits'"):
        transfer.official_files("digits")
    with pytest.raises(ArgumentError, match="name = 'x'"):
        transfer.receive("x", "file", b"")


def test_addresses_with_certificates(make_cluster, tasks, tmp_path, monkeypatch):
    openssl = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    try:
        subprocess.run([*openssl, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("makes its certificate with openssl, which is not installed")
    options = ("--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", key)
    cluster = make_cluster(1, *map(str, options), "--protocol", "tls")
    assert cluster.address.startswith("tls://")
    import dask

    tls = {"ca-file": str(certificate)} | {
        f"client.{name}": str(path) for name, path in (("cert", certificate), ("key", key))
    }
    with pytest.raises(ArgumentError, match="no Dask scheduler answers there"):
        on(cluster).map(tasks.square, [3])
    with dask.config.set({f"distributed.comm.tls.{name}": value for name, value in tls.items()}):
        assert on(cluster).map(tasks.square, [3]) == [9]


def recipe(name):
    """The block of the book after a comment with this name, a command on one line."""
    text = (ROOT / "book" / "cluster.md").read_text()
    block = re.search(rf"<!-- recipe: {name} -->\n```\w+\n(.*?)```", text, flags=re.S)[1]
    return block.replace("\\\n", "")


def test_the_recipe_for_one_machine_works_as_it_is_printed(project, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = recipe("loopback").replace("8786", str(port)).replace("02_moment_preservation", "01_good")
    scheduler, workers, doctors, sweep = (
        line.replace(".venv/bin", str(Path(sys.executable).parent)).split() for line in text.splitlines()
    )
    with open(tmp_path / "log", "w") as log:
        running = [subprocess.Popen(scheduler, stderr=log, cwd=tmp_path)]
        wait_until(lambda: "Scheduler at" in (tmp_path / "log").read_text(), 120)
        running.append(subprocess.Popen(workers, stderr=log, cwd=tmp_path))
    try:
        examined = subprocess.run(doctors, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert "all have this code" in examined.stdout, examined.stderr
        result = subprocess.run(sweep, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait()
    assert list(pd.read_csv(tmp_path / "mine" / "01_good.csv")["product"]) == [32.0, 64.0]


def test_the_recipe_for_slurm_submits_workers_that_work(tasks, tmp_path, monkeypatch):
    """A queue that runs a job right here takes the place of Slurm's."""
    job = tmp_path / "job"  # a copy, because the script is deleted as soon as the command returns
    (tmp_path / "sbatch").write_text(
        f"#!/bin/sh\ncp $1 {job}\nsh {job} > {tmp_path}/log 2>&1 &\necho Submitted batch job $!\n"
    )
    (tmp_path / "scancel").write_text("#!/bin/sh\nkill $@ || true\n")
    for program in ("sbatch", "scancel"):
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(HERE)]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dask.config.PATH", str(tmp_path))  # where dask-jobqueue puts its example settings
    source = recipe("slurm")
    for old, new in {
        "/shared/fracrepro/.venv/bin/python": sys.executable,
        "jobs=4": "jobs=1",
        "cores=8": "cores=1",
        "processes=8": "processes=1",
        'input("Enter ends the cluster. ")\n': "",
    }.items():
        assert old in source
        source = source.replace(old, new)
    names = {}
    try:
        exec(compile(source, "recipe", "exec"), names)
        script = names["cluster"].job_script()
        for line in ("#SBATCH -p cpu", "#SBATCH --cpus-per-task=1", "#SBATCH -t 08:00:00", "--nthreads 1"):
            assert line in script
        assert f"{sys.executable} -m distributed.cli.dask_worker tcp://" in script
        assert script.index("export FRACREPRO_DATA=/shared/data") < script.index("dask_worker")
        engine = Engine(scheduler=names["cluster"].scheduler_address, progress=False, worker_timeout=120.0)
        assert engine.map(tasks.square, [1, 2]) == [1, 4]
        assert "distributed.cli.dask_worker" in (tmp_path / "job").read_text()
    finally:
        if "cluster" in names:
            names["cluster"].close()


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
