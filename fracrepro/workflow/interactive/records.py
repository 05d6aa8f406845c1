"""Tables of recorded trainings: every run of every scheme, for curves and paired differences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fracrepro.stats.paired import FIGURES
from fracrepro.workflow.project import Project

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["training"]

_DIGITS = 6  # significant ones of every number: half a unit in the sixth is 5e-6 of it at most
_MOST_RUNS = 100


def training(project: Project, name: str) -> dict[str, Any]:
    """Return the runs of a recorded experiment, and the Student quantiles that intervals need.

    Args:
        project: whose record it is.
        name: of the experiment, in `fracrepro.nn.experiments.PROTOCOLS`.

    Returns:
        ``schemes``, ``seeds``, ``epochs`` (their number), ``quantiles`` (two-sided 95 %, by degrees of
        freedom from 1) and ``runs``: by figure and scheme one list a seed with one number an epoch, None
        where it is not finite.
    """
    from fracrepro.nn.experiments import PROTOCOLS  # here, because they import torch
    from fracrepro.workflow.records import load_record

    return as_table(load_record(project.recorded, PROTOCOLS[name]))


def as_table(results: pd.DataFrame) -> dict[str, Any]:
    """Return results of a training as :func:`training` does."""
    from scipy import stats

    order = [str(scheme) for scheme in dict.fromkeys(results["scheme"])]
    seeds = sorted(int(seed) for seed in results["seed"].unique())
    runs: dict[str, dict[str, list[list[float | None]]]] = {figure: {} for figure in FIGURES}
    for figure in FIGURES:
        for scheme in order:
            chosen = results[results["scheme"] == scheme]
            by_seed = chosen.pivot(index="seed", columns="epoch", values=figure).loc[seeds]
            runs[figure][scheme] = [[_rounded(value) for value in row] for row in by_seed.to_numpy()]
    degrees = range(1, min(len(seeds), _MOST_RUNS))
    quantiles = [float(stats.t.isf(0.025, degree)) for degree in degrees]
    epochs = int(results["epoch"].max())
    return {"schemes": order, "seeds": seeds, "epochs": epochs, "quantiles": quantiles, "runs": runs}


def _rounded(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
