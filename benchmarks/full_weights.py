"""The exact law at scale, with every weight drawn: writes `recorded/full_weights.json`.

    python benchmarks/full_weights.py           # width 4096, 1000 layers, on a GPU: minutes
    python benchmarks/full_weights.py --trial   # width 64, 20 layers, on a CPU too, to see that it runs

Networks are drawn weight by weight in float64 at the variance that preserves the order 1, and the log-norm of
a unit vector is noted after some of the layers.
Kolmogorov's test compares it with the exact law there, and with two negative controls: the law at Kaiming's
variance, and a normal law of the same mean and twice the variance.
Each must be rejected as often as its stated power says, a lower bound computed from the laws before anything
is drawn; the first shows only after many layers.
"""

from __future__ import annotations

import time

import numpy as np
import recording
import torch
from scipy import stats

import fracrepro as fr
from fracrepro.nn.propagate import forward_log_norms
from fracrepro.stats import kolmogorov_power_bound, kolmogorov_test

FULL = {"width": 4096, "depths": [10, 100, 1000], "networks": 1000, "in_a_row": 50}
TRIAL = {"width": 64, "depths": [1, 5, 20], "networks": 200, "in_a_row": 100}
ORDER, WRONG_ORDER, LEVEL = 1.0, 2.0, 0.001
ACTIVATION = fr.ReLU()
GRID = np.linspace(-6.0, 6.0, 2001)  # standard deviations, where the laws are compared


def laws(width, depth):
    """The exact law of the log-norm after so many layers, and distribution functions of controls by name."""
    true, wrong = (
        fr.LogNormLaw(depth, width, ACTIVATION, fr.critical_variance(order, width, ACTIVATION))
        for order in (ORDER, WRONG_ORDER)
    )
    wide = stats.norm(true.mean(), np.sqrt(2 * true.var()))
    return true, {"the law of order 2": wrong.cdf, "twice the variance": wide.cdf}


def powers(width, depth, networks):
    """Lower bounds of the probability that a control is rejected, by its name."""
    true, controls = laws(width, depth)
    points = true.mean() + np.sqrt(true.var()) * GRID
    at = true.cdf(points)
    return {
        name: kolmogorov_power_bound(cdf(points), at, networks, level=LEVEL) for name, cdf in controls.items()
    }


def drawn(settings, device):
    """Log-norms of all networks at the noted depths, and the seconds that they took."""
    widths = (settings["width"],) * (max(settings["depths"]) + 1)
    variance = fr.critical_variance(ORDER, settings["width"], ACTIVATION)
    generator = torch.Generator(device).manual_seed(recording.SEED)
    parts, start = [], time.perf_counter()
    for first in range(0, settings["networks"], settings["in_a_row"]):
        count = min(settings["in_a_row"], settings["networks"] - first)
        logs = forward_log_norms(count, widths, ACTIVATION, variance, generator=generator)
        parts.append(logs[:, settings["depths"]])
        print(f"{first + count} networks after {time.perf_counter() - start:.0f} s", flush=True)
    return np.concatenate(parts), time.perf_counter() - start


def main():
    options = recording.options(__doc__)
    settings = TRIAL if options.trial else FULL
    device, name = recording.gpu(options)
    with recording.record("full_weights", options) as found:
        found["device"] |= {"training": name}
        promised = [powers(settings["width"], depth, settings["networks"]) for depth in settings["depths"]]
        logs, seconds = drawn(settings, device)
        for depth, values, bounds in zip(settings["depths"], logs.T, promised, strict=True):
            true, controls = laws(settings["width"], depth)
            test = kolmogorov_test(values, true.cdf, level=LEVEL)
            row = {"depth": depth, "mean": float(values.mean()), "exact_mean": float(true.mean())}
            row |= {"deviation": float(values.std(ddof=1)), "exact_deviation": float(np.sqrt(true.var()))}
            row |= {"distance": test.distance, "p_value": test.p_value, "rejected": test.rejected}
            row["controls"] = {
                name: {"p_value": control.p_value, "rejected": control.rejected, "power": bounds[name]}
                for name, cdf in controls.items()
                for control in [kolmogorov_test(values, cdf, level=LEVEL)]
            }
            recording.note(found, options, "rows", row)
        found |= settings | {"order": ORDER, "wrong_order": WRONG_ORDER, "level": LEVEL}
        found |= {"activation": ACTIVATION.name, "seconds": seconds}
        found |= {"weights": settings["networks"] * settings["width"] ** 2 * max(settings["depths"])}


if __name__ == "__main__":
    main()
