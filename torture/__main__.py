"""Attack the commands and print what came of it: `python -m torture --kills 200 --damaged 2000`.

A run that is interrupted goes on where it was, for the same seed and the same code.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fracrepro import files
from fracrepro.workflow import provenance, seals
from torture import columns, kills, processes
from torture.targets import ROOT

SEED = 20261128


def main() -> int:
    """Attack, print the table, write the record; 1 when anything bad was seen."""
    parser = argparse.ArgumentParser(prog="python -m torture", description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200, help="kill points, at least so many")
    parser.add_argument("--damaged", type=int, default=2000, help="damaged inputs")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--lanes", type=int, default=os.cpu_count() or 1, help="chains side by side")
    parser.add_argument("--folder", type=Path, default=ROOT / "_build" / "torture")
    parser.add_argument("--record", type=Path, help="file that keeps the counts")
    options = parser.parse_args()
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    chains = attack(options.kills, options.seed, options.lanes, options.folder)
    rows: dict[str, Mapping[str, int]] = {}
    rows |= {f"kill points: {name}": found for name, found in kills.counts(chains).items() if found}
    damaged = damage(options.damaged, options.seed)
    if damaged:
        rows["damaged inputs"] = damaged
    print(columns.table(rows))
    bad = [
        (chain, strike)
        for chain in chains
        for strike in chain["strikes"]
        if strike["column"] not in columns.GOOD
    ]
    for chain, strike in bad:
        print(f"\nchain {chain['index']}, {chain['target']}, {chain['variant']}:", file=sys.stderr)
        print(json.dumps(strike, indent=1), file=sys.stderr)
    if options.record:
        facts = {"seed": options.seed, "started": started, "seconds": round(time.monotonic() - clock, 1)}
        files.write_json(options.record, seals.seal(facts | record(chains, rows)))
        print(f"the record: {options.record}")
    return 1 if any(columns.bad(found) for found in rows.values()) else 0


def attack(wanted: int, seed: int, lanes: int, folder: Path) -> list[dict[str, Any]]:
    """Carry out chains until there are so many kill points; those that an earlier call has done are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    journal = folder / "kills.jsonl"
    head = {"seed": seed, "package": provenance.package_digest(), "attack": _own_digest()}
    chains = _earlier(journal, head)
    if not chains:
        journal.write_text(json.dumps(head) + "\n")
    references, lock, begun = kills.References(folder), threading.Lock(), time.monotonic()
    todo = iter(sorted(set(range(wanted + 1)) - {chain["index"] for chain in chains}))
    before = sum(len(chain["strikes"]) for chain in chains)

    def work() -> None:
        while True:
            with lock:
                index = next(todo, None) if sum(len(c["strikes"]) for c in chains) < wanted else None
            if index is None:
                return
            chain = kills.run(seed, index, folder, references).as_dict()
            with lock, open(journal, "a") as file:
                chains.append(chain)
                file.write(json.dumps(chain) + "\n")
                done = sum(len(c["strikes"]) for c in chains)
                each = (time.monotonic() - begun) / max(done - before, 1)
                found = Counter(strike["column"] for strike in chain["strikes"])
                words = ", ".join(f"{n} {columns.COLUMNS[name]}" for name, n in found.items())
                print(
                    f"{done} of {wanted} kill points; {chain['target']}, {chain['variant']}: "
                    f"{words or 'none'}; about {max(wanted - done, 0) * each / 60:.0f} min left",
                    file=sys.stderr,
                    flush=True,
                )

    threads = [threading.Thread(target=work, daemon=True) for _ in range(lanes)]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        processes.end_all()  # none but after Ctrl-C
    if sum(len(chain["strikes"]) for chain in chains) < wanted:
        raise RuntimeError("a lane ended before its work was done; the message is above")
    return sorted(chains, key=lambda chain: chain["index"])


def damage(cases: int, seed: int) -> dict[str, int]:
    """Carry out the attack by damaged inputs: the counts of its columns; none where it is not there."""
    if not cases or importlib.util.find_spec("torture.damage") is None:
        return {}
    print(f"{cases} damaged inputs", file=sys.stderr, flush=True)
    found = importlib.import_module("torture.damage").run(cases, seed, processes=min(40, cases))
    for failure in found["failures"]:
        print(json.dumps(failure), file=sys.stderr)
    return {name: found["outcomes"].get(heading, 0) for name, heading in columns.COLUMNS.items()}


def record(chains: list[dict[str, Any]], rows: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """What a page can show: counts by attack and by kind of strike, the machine, and the code."""
    strikes = [strike for chain in chains for strike in chain["strikes"]]
    kinds = Counter(f"{strike['victim']}, {signal_name(strike['number'])}" for strike in strikes)
    return {
        "commit": provenance.commit(),
        "package_digest": provenance.package_digest(),
        "machine": machine(),
        "versions": provenance.versions(),
        "kill_points": len(strikes),
        "strikes": dict(sorted(kinds.items())),
        "moments": dict(Counter(strike["moment"] for strike in strikes)),
        "counts": {
            name: {head: found.get(key, 0) for key, head in columns.COLUMNS.items()}
            for name, found in rows.items()
        },
        "bad": [strike | {"chain": c["index"]} for c in chains for strike in c["strikes"] if strike["notes"]],
    }


def signal_name(number: int) -> str:
    """The name of a signal.

    >>> signal_name(9)
    'SIGKILL'
    """
    return signal.Signals(number).name


def machine() -> dict[str, Any]:
    """The class of this machine: system, processor, cores and memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = {
        "system": platform.system(),
        "processor": platform.machine(),
        "python": platform.python_version(),
    }
    return {**system, "cores": os.cpu_count(), "memory_gib": round(memory)}


def _earlier(journal: Path, head: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The chains that an earlier call of the same attack on the same code has done."""
    try:
        first, *lines = journal.read_text().splitlines()
        return [json.loads(line) for line in lines] if json.loads(first) == head else []
    except (OSError, ValueError):  # none, or half a line of a call that was killed
        return []


def _own_digest() -> str:
    return provenance.digest(
        (path.name, path.read_bytes()) for path in sorted(Path(__file__).parent.glob("*.py"))
    )


if __name__ == "__main__":
    sys.exit(main())
