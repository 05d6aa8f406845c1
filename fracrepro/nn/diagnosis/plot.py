"""A diagnosis as a figure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fracrepro.errors import ArgumentError, MissingPackageError
from fracrepro.nn import schemes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_diagnosis"]

GREY = "#808080"  # seen on white and on black
PANELS = (
    ("log_norm", "signal", "log rms"),
    ("gradient_log_norm", "gradient", "log rms"),
    ("dead", "dead units", "share"),
    ("cosine", "inputs look alike", "mean cosine"),
)


def plot_diagnosis(frame: pd.DataFrame | Mapping[str, pd.DataFrame]) -> Figure:
    """Draw what `diagnose` found: signal, gradient, dead units and cosines over the calls of layers.

    Norms are drawn as root mean squares, so that layers of different widths compare: a curve that climbs or
    falls is a network that explodes or vanishes.
    The band is one standard deviation over the inputs, the grey one what theory expects, where it does.
    A cross at the foot of a panel marks a signal, or a gradient, that is zero for every input.

    Args:
        frame: a diagnosis, or several by name, of models with the same layers; the name of a scheme brings
            its colour and label.

    Returns:
        A figure of matplotlib, which reads on light and on dark ground.

    Raises:
        ArgumentError: for anything but diagnoses.
        MissingPackageError: where matplotlib is not installed.
    """
    frames = dict(frame) if isinstance(frame, Mapping) else {"": frame}
    for name, each in frames.items():
        if not isinstance(each, pd.DataFrame) or not {"shape", *(key for key, *_ in PANELS)} <= set(each):
            raise ArgumentError(f"frame = {type(each).__name__} {name}: need what `diagnose` returns")
    try:
        import matplotlib.pyplot as plt
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ModuleNotFoundError as error:
        raise MissingPackageError("matplotlib", "book") from error
    layout = ConstrainedLayoutEngine(h_pad=0.1)
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.2), sharex=True, layout=layout)
    for number, (name, each) in enumerate(frames.items()):
        for ax, (key, _, _) in zip(axes.flat, PANELS, strict=True):
            _draw(ax, each, key, _style(name, number, len(frames)), expected=len(frames) == 1)
    for ax, (_, title, label) in zip(axes.flat, PANELS, strict=True):
        ax.set(title=title, ylabel=label)
    axes[1, 0].set_ylim(-0.03, 1.03)
    axes[1, 1].set_ylim(top=1.03)
    for ax in axes[1]:
        ax.set_xlabel("layer, in order of execution")
        ax.xaxis.get_major_locator().set_params(integer=True)
    if len(frames) > 1 or frames[next(iter(frames))]["expected"].notna().any():
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=min(5, len(labels)),
            columnspacing=1.2,
            frameon=False,
        )
    return figure


def _style(name: str, number: int, count: int) -> dict[str, Any]:
    """Colour, label and width of one diagnosis; curves that coincide are seen behind one another."""
    width = 1.4 + 0.9 * (count - 1 - number)
    style = {"linewidth": width, "markersize": 2.5 + width}
    if name in schemes.names():
        kind = schemes.get(name)
        return {"color": kind.colour, "label": kind.label, **style}
    return {"color": f"C{number}", "label": name or "measured", **style}


def _draw(ax: Axes, frame: pd.DataFrame, key: str, style: dict[str, Any], expected: bool) -> None:
    """One curve with its band, and what theory expects of it."""
    layers = np.arange(1, len(frame) + 1)
    norms = key in ("log_norm", "gradient_log_norm")
    shift = np.array([0.5 * math.log(max(math.prod(shape), 1)) for shape in frame["shape"]]) * norms
    values = frame[key].to_numpy(dtype=float) - shift
    seen = np.where(np.isfinite(values), values, np.nan)
    if expected and key == "log_norm" and frame["expected"].notna().any():
        centre = frame["expected"].to_numpy(dtype=float) - shift
        sd = frame["expected_sd"].to_numpy(dtype=float)
        ax.fill_between(layers, centre - sd, centre + sd, color=GREY, alpha=0.3, linewidth=0)
        ax.plot(layers, centre, color=GREY, linestyle="--", label="expected, ± one sd over weights")
    if norms:
        sd = frame[f"{key}_sd"].to_numpy(dtype=float)
        ax.fill_between(layers, seen - sd, seen + sd, color=style["color"], alpha=0.2, linewidth=0)
    ax.plot(layers, seen, marker="o", **style)
    silent = layers[np.isneginf(values)]
    if len(silent):
        foot = ax.get_xaxis_transform()
        ax.plot(silent, np.full(len(silent), 0.04), "x", color=style["color"], transform=foot)
