"""Plans on disk: read, checked against their experiments, and followed in training.

`plans/NAME.yml` belongs to `recorded/NAME.csv` and `NAME.json`; an experiment may have none.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fracrepro.arguments import choice
from fracrepro.errors import ArgumentError
from fracrepro.stats.plans import ExperimentPlan, arm
from fracrepro.workflow.project import read_yaml

if TYPE_CHECKING:
    import pandas as pd

    from fracrepro.nn.experiments.base import Experiment

__all__ = ["load", "parts", "train", "verdicts"]


def load(path: Path, experiment: Experiment) -> ExperimentPlan:
    """Return the plan in a YAML file, checked against the experiment that it is of.

    Args:
        path: of the file.
        experiment: at full scale.

    Raises:
        ArgumentError: for a missing field, a seed used twice, an endpoint that nobody measures, an unknown
            scheme, and whatever else does not fit; names the file and the field.
    """
    try:
        plan = ExperimentPlan.from_dict(_fields(path))
        _check_against(plan, experiment)
    except ArgumentError as error:
        words = str(error)
        raise ArgumentError(words if words.startswith(str(path)) else f"{path}: {words}") from None
    return plan


def _fields(path: Path) -> Any:
    """What a file says; one that is `like` another plan has seeds of its own, and the rest is the other's."""
    fields = read_yaml(path)
    if not isinstance(fields, dict) or "like" not in fields:
        return fields
    like, own = fields["like"], {"seeds": fields["seeds"]} if "seeds" in fields else {}
    for name in fields:
        if name not in ("like", "seeds"):
            raise ArgumentError(f"{name}: a plan that is like another has only its seeds")
    other = path.parent / f"{like}.yml"
    if not isinstance(like, str) or Path(like).name != like or not other.is_file():
        raise ArgumentError(f"like = {like!r}: need the name of a plan beside this one")
    there = read_yaml(other)
    if not isinstance(there, dict) or "like" in there:
        raise ArgumentError(f"like = {like!r}: need a plan that is whole")
    return {name: value for name, value in there.items() if name not in ("seeds", "looks")} | own


def parts(experiment: Experiment, plan: ExperimentPlan | None, folder: Path) -> list[tuple[Experiment, Path]]:
    """Return what is trained until each look, and the folder of its checkpoints; all at once for one look.

    Args:
        experiment: at full scale.
        plan: of it; None for none.
        folder: of the experiment's checkpoints.
    """
    if plan is None or len(plan.looks) == 1:
        return [(experiment, folder)]
    seeds, counts = plan.seeds_of("main"), (0, *plan.looks)
    return [
        (experiment.replace(seeds=seeds[before:count]), folder / f"look-{k}")
        for k, (before, count) in enumerate(itertools.pairwise(counts), 1)
    ]


def train(
    experiment: Experiment,
    plan: ExperimentPlan | None,
    folder: Path,
    run: Callable[[Experiment, Path], pd.DataFrame],
) -> tuple[pd.DataFrame, Experiment]:
    """Train until the first look that leaves no comparison open, or to the end.

    Args:
        experiment: at full scale.
        plan: of it; None trains all.
        folder: of the checkpoints.
        run: trains a part of the experiment with checkpoints in a folder of its own.

    Returns:
        The results, and the experiment with the seeds that they have.
    """
    import pandas as pd

    from fracrepro.stats.judging import is_open, judge

    if plan is None:
        return run(experiment, folder), experiment
    tables: list[pd.DataFrame] = []
    for part, place in parts(experiment, plan, folder):
        tables.append(run(part, place))
        if len(tables) < len(plan.looks) and not is_open(judge(plan, pd.concat(tables))):
            break
    seeds = plan.seeds_of("main")[: plan.looks[len(tables) - 1]]
    return pd.concat(tables, ignore_index=True), experiment.replace(seeds=seeds)


def verdicts(plan: ExperimentPlan, results: pd.DataFrame) -> list[str]:
    """Return what the command line says of the results under their plan: a line for each comparison.

    Args:
        plan: what was planned.
        results: of the experiment.
    """
    from fracrepro.stats.judging import judge

    lines = []
    rows = judge(plan, results).to_dict("records")
    for row, (_, cell, first, second) in zip(rows, plan.comparisons(), strict=True):
        place = "".join(f", {name} {value}" for name, value in cell.items())
        lines.append(f"{row['endpoint']}{place}: {first} against {second}: {row['verdict']}")
    return lines


def _check_against(plan: ExperimentPlan, experiment: Experiment) -> None:
    """Refuse a plan that is not of this experiment; what it says of it is in the experiment's dictionary."""
    from fracrepro.nn import schemes

    facts = experiment.to_dict()
    names = (*schemes.names(), *(each["name"] for each in facts["schemes"]))  # arms have names of their own
    for scheme in plan.schemes:
        choice("schemes", str(scheme).partition(" s=")[0], names)
    axes, network = dict(facts.get("axes", {})), facts.get("network", {})
    _same("data", plan.data, facts["dataset"])
    _same(
        "schemes", sorted(plan.schemes), sorted(arm(each["name"], each.get("s")) for each in facts["schemes"])
    )
    _same("seeds: main", list(plan.seeds_of("main")), facts["seeds"])
    rates = axes.get("learning_rate", facts.get("learning_rate", facts.get("learning_rates", ())))
    if isinstance(rates, Mapping):  # a rate for each scheme
        rates = rates.values()
    for rate in rates if isinstance(rates, Iterable) else [rates]:
        if rate not in plan.rates:
            raise ArgumentError(f"rates = {list(plan.rates)}: the experiment trains at {rate}")
    named = dict(plan.networks) | dict(plan.settings)
    for name, values in axes.items():
        if name in named or name != "learning_rate":  # which `rates` has already
            _same(f"networks or settings: {name}", list(named.pop(name, ())), values)
    for name, values in named.items():
        # A measurement has a list of batch sizes, and one row for each batch size.
        listed = facts.get(f"{name}s", [network.get(name, facts.get(name))])
        _same(f"networks or settings: {name}", list(values), listed)
    for endpoint in plan.endpoints:
        words = f"endpoint {endpoint.name!r}"
        if endpoint.figure not in experiment.figures:
            known = ", ".join(experiment.figures)
            raise ArgumentError(f"{words}: figure = {endpoint.figure!r}: nobody measures it, but {known}")
        if endpoint.epochs and endpoint.epochs[1] > facts.get("epochs", 0):
            raise ArgumentError(f"{words}: epochs = {list(endpoint.epochs)}: the experiment has fewer")


def _same(name: str, here: Any, there: Any) -> None:
    if here != there:
        raise ArgumentError(f"{name} = {here!r}: the experiment has {there!r}")
