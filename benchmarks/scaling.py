"""What the engine costs, and how work scales from one worker to two: writes `recorded/scaling.json`.

    OMP_NUM_THREADS=1 python benchmarks/scaling.py           # on an idle machine, about five minutes
    OMP_NUM_THREADS=1 python benchmarks/scaling.py --trial   # small, to see that it runs

The page "What growth costs" reads the record.  Kinds of work are measured in turns, so that other work on the
machine disturbs all alike; the record has every round.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import recording
import scaling_tasks as tasks

from fracrepro.workflow import notebooks
from fracrepro.workflow.engine import Engine, Task
from fracrepro.workflow.project import Project

NOTEBOOK = "02_moment_preservation"
GOAL = 1.5  # seconds of a task of Monte Carlo or training
FULL = {"rounds": 3, "tasks": 4, "notebooks": 2, "goal": GOAL, "empty": (1000, 10_000, 100_000)}
FULL |= {"cluster": (300, 3000)}
TRIAL = {"rounds": 1, "tasks": 2, "notebooks": 1, "goal": 0.1, "empty": (100, 1000), "cluster": (50, 200)}


def finished(engine, work):
    """Do the work; the seconds from the call to each result, as they come, and the first, and all results."""
    start, times, first = time.perf_counter(), [], []

    def note(result):
        times.append(time.perf_counter() - start)
        if not first:
            first.append(result)

    results = engine.run(work, note)
    broken = [result.problem or result.value.error for result in results if failed(result)]
    assert not broken, broken
    return times, first[0], results


def failed(result):
    """Whether a task failed, or the notebook that it ran."""
    return bool(result.error or getattr(result.value, "error", ""))


def calibrated(function, goal):
    """How many rounds of a function take about `goal` seconds in this process."""
    function(0, 1)  # imports and tables
    clock = time.perf_counter()
    function(0, 1)
    return max(1, round(goal / (time.perf_counter() - clock)))


def work_of(kind, rounds, number):
    """So many tasks of one kind that differ in their seed."""
    if kind != "notebooks":
        return [Task(f"{kind} {k}", getattr(tasks, kind), (k, rounds)) for k in range(number)]
    project = Project.find()
    plans = [notebooks.plan(project, NOTEBOOK, "quick", {"seed": 1 + k}) for k in range(number)]
    return [notebooks._work(project, plan, f"notebook {k}") for k, plan in enumerate(plans)]


def scaled(kind, settings):
    """One worker with m tasks and with 2m, two workers with 2m, in turns."""
    rounds = 0 if kind == "notebooks" else calibrated(getattr(tasks, kind), settings["goal"])
    each = settings["notebooks" if kind == "notebooks" else "tasks"]
    runs = []
    for repeat in range(min(settings["rounds"], 2 if kind == "notebooks" else settings["rounds"])):
        for workers, number in ((1, each), (1, 2 * each), (2, 2 * each)):
            engine = Engine(jobs=workers, progress=False)
            times, first, results = finished(engine, work_of(kind, rounds, number))
            seconds = statistics.median(result.seconds for result in results)
            runs.append({"round": repeat, "workers": workers, "tasks": number})
            runs[-1] |= {"task": seconds, "start": times[0] - first.seconds, "times": times}
            print(kind, {key: value for key, value in runs[-1].items() if key != "times"}, flush=True)
    return {"kind": kind, "rounds_a_task": rounds, "runs": runs}


def empty(backend, engine, number, processes=()):
    """The cost of an empty task: wall time after the first result, processor time, memory of this process."""
    this = psutil.Process()
    before, busy, memory = times_of(processes), time.process_time(), this.memory_info().rss
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    times, _, kept = finished(engine, [Task(str(k), tasks.nothing, (k,)) for k in range(number)])
    grown = this.memory_info().rss - memory
    busy = time.process_time() - busy
    after, ended = times_of(processes), resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = ended.ru_utime + ended.ru_stime - children.ru_utime - children.ru_stime
    row = {"backend": backend, "tasks": len(kept), "start": times[0]}
    row |= {
        "seconds": (times[-1] - times[0]) / (number - 1),
        "driver": busy / number,
        "bytes": grown / number,
    }
    if processes:  # the scheduler first, then the workers
        row |= {"scheduler": (after[0] - before[0]) / number, "workers": sum(after[1:]) - sum(before[1:])}
        row["workers"] /= number
    elif backend == "processes":
        row["workers"] = worked / number  # the start of the processes included
    print(row, flush=True)
    return row


def times_of(processes):
    """Processor time of processes that live, by process."""
    return [sum(psutil.Process(each.pid).cpu_times()[:2]) for each in processes]


@contextmanager
def cluster():
    """A scheduler and two workers on this machine's loopback."""
    program = str(Path(sys.executable).with_name("dask"))
    here = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment, running = os.environ | {"PYTHONPATH": here}, []
    with tempfile.TemporaryDirectory() as folder, open(Path(folder) / "log", "w") as log:

        def start(*arguments):
            command = [program, *arguments, "--no-dashboard"]
            running.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment))

        try:
            file = Path(folder) / "scheduler.json"
            start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
            while not file.is_file() or not file.read_text():
                time.sleep(0.1)
            address = json.loads(file.read_text())["address"]
            for _ in range(2):
                start("worker", address, "--nthreads", "1", "--no-nanny")
            yield address, running
        finally:
            for process in reversed(running):
                process.kill()
                process.wait()


def overheads(settings):
    """Empty tasks in this process, in two processes and on a cluster."""
    rows = []
    for number in settings["empty"]:
        for backend, jobs in (("this process", 1), ("processes", 2)):
            rows.append(empty(backend, Engine(jobs=jobs, progress=False), number))
    with cluster() as (address, processes):
        engine = Engine(scheduler=address, progress=False, worker_timeout=120.0)
        engine.map(tasks.nothing, range(20))  # both workers have imported everything
        for number in settings["cluster"]:
            rows.append(empty("cluster", engine, number, processes))
    return rows


def main():
    options = recording.options(__doc__)
    settings = TRIAL if options.trial else FULL
    with recording.record("scaling", options) as found:
        found["settings"] = settings | {"notebook": NOTEBOOK}
        found["empty"] = overheads(settings)
        found["scaling"] = [scaled(kind, settings) for kind in ("monte_carlo", "training", "notebooks")]


if __name__ == "__main__":
    main()
