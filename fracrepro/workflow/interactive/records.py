"""Tables of recorded trainings: every run of every scheme, for curves and paired differences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fracrepro.figures.style import arm_label, scheme_of
from fracrepro.stats.paired import FIGURES
from fracrepro.workflow.project import Project

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["training"]

_DIGITS = 6  # significant ones of every number: half a unit in the sixth is 5e-6 of it at most
_MOST_RUNS = 100
_FIRST_ON = 5  # of many arms, so that curves can be told apart; the first one is on too


def training(project: Project, name: str) -> dict[str, Any]:
    """Return the runs of a recorded experiment, and the Student quantiles that intervals need.

    Args:
        project: whose record it is.
        name: of the experiment, in `fracrepro.nn.experiments.registry.EXPERIMENTS`.

    Returns:
        ``schemes``, ``seeds``, ``epochs`` (their number), ``quantiles`` (two-sided 95 %, by degrees of
        freedom from 1) and ``runs``: by figure and scheme one list a seed with one number an epoch, None
        where it is not finite.
        Trials have several networks: ``axis`` names what tells them apart, ``cells`` are its values, ``runs``
        has one more level, by cell, and ``arms`` says of each scheme that was compared its ``scheme``, its
        ``label`` and whether it is ``on`` at first.
    """
    from fracrepro.nn.experiments.registry import EXPERIMENTS  # here, because they import torch
    from fracrepro.nn.experiments.trials import Trials
    from fracrepro.workflow.records import load_record

    experiment = EXPERIMENTS[name]
    results = load_record(project.recorded, experiment)
    return by_cell(results, experiment.axis) if isinstance(experiment, Trials) else as_table(results)


def by_cell(results: pd.DataFrame, axis: str) -> dict[str, Any]:
    """Return results of trials as :func:`training` does."""
    parts = {str(cell): as_table(part) for cell, part in results.groupby(axis, sort=False)}
    first = next(iter(parts.values()))
    order = first["schemes"]
    last = results[results["epoch"] == results["epoch"].max()]
    best = last.groupby("scheme")["test_accuracy"].mean().sort_values(ascending=False)
    on = {order[0], *best.index[:_FIRST_ON]}
    arms = {name: {"scheme": scheme_of(name), "label": arm_label(name), "on": name in on} for name in order}
    return first | {
        "axis": axis,
        "cells": list(parts),
        "arms": arms,
        "runs": {cell: part["runs"] for cell, part in parts.items()},
    }


def as_table(results: pd.DataFrame) -> dict[str, Any]:
    """Return results of a training in one network as :func:`training` does."""
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
