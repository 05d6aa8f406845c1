"""What the benchmarks with a record have in common: two options, and where the numbers come from."""

import argparse
import json
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from fracrepro import files
from fracrepro.workflow import provenance, seals

SEED = 0


def options(words, names=()):
    """The options of a benchmark, from the words about it; with names it measures some of them, or all."""
    parser = argparse.ArgumentParser(description=words.splitlines()[0])
    if names:
        parser.add_argument("names", nargs="*", help=f"of {', '.join(names)}; all if left out")
    parser.add_argument("--trial", action="store_true", help="small sizes; the record says so")
    parser.add_argument("--out", type=Path, default=Path("recorded"), help="folder of the record")
    given = parser.parse_args()
    if unknown := set(vars(given).get("names", ())) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; need some of {', '.join(names)}")
    return given


def gpu(options):
    """The GPU that a benchmark is about, and what it is called; a trial takes a CPU where there is none."""
    import torch

    from fracrepro.nn.training.trainer import training_device

    device = training_device("auto" if options.trial else "cuda")
    return device, torch.cuda.get_device_name() if device.type == "cuda" else "cpu"


def note(found, options, name, row):
    """Append a row to what was found, show it, and keep all so far beside the record that is to be."""
    found.setdefault(name, []).append(row)
    print(name, row, flush=True)
    files.write_json(_part(found["benchmark"], options), json.loads(json.dumps(found)))


def _part(name, options):
    return options.out / f"{name}.part.json"


@contextmanager
def record(name, options):
    """A dictionary to fill; then `OUT/NAME.json` has it with its provenance, sealed."""
    clock, commit = time.perf_counter(), provenance.commit()
    facts = {"benchmark": name, "trial": options.trial, "seed": SEED}
    facts["started"] = datetime.now(UTC).isoformat(timespec="seconds")
    facts |= {"versions": provenance.versions(), "device": provenance.device(), "commit": commit}
    yield facts
    facts["wall_seconds"] = round(time.perf_counter() - clock, 1)
    files.write_json(options.out / f"{name}.json", seals.seal(json.loads(json.dumps(facts))))
    _part(name, options).unlink(missing_ok=True)
    print(f"the record: {options.out / name}.json, after {facts['wall_seconds']} s")
