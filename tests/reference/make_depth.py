"""Write depth.json: the law of log(r_k/r_0) given survival, σ² = 1, by direct convolution.

For points as amplitudes the density f of y = log R² is a mixture of gamma densities and of Kummer functions.
It is analytic in the strip |Im y| < π/2, so that on a lattice of step h the trapezoidal rule for

    f_k = f ∗ f_{k-1},    F_k(x) = h Σ_j f_k(y_j) [1/2 + Si(π (x - y_j)/h)/π]

errs only by what the transform of f_k leaves beyond the frequency π/h.
The convolution has positive terms alone: its relative error stays that of extended floats, 1e-18.
No moment, contour or transform of the package is used.  `main` repeats every case with h/2 and stops
unless all agree to 1e-8 relatively, small tails included, and to 1e-13 absolutely.

Run: python tests/reference/make_depth.py   (some minutes)
"""

import json
from pathlib import Path

import mpmath as mp
import numpy as np

mp.mp.dps = 30
LEVELS = (1e-12, 1e-9, 1e-6, 1e-3, 0.1, 0.5, 0.9, 1 - 1e-3, 1 - 1e-6, 1 - 1e-9)
# activation, its arguments, width, depth, 1/h
CASES = [
    ("linear", [], 3, 2, 8),
    ("linear", [], 64, 20, 16),
    ("relu", [], 2, 5, 8),
    ("relu", [], 64, 20, 16),
    ("relu_dropout", ["0.25"], 16, 10, 8),
    ("leaky", ["0.25"], 2, 20, 8),
    ("leaky", ["0.25"], 8, 5, 8),
    ("leaky", ["-0.5"], 16, 2, 16),
    ("leaky_dropout", ["0.25", "0.25"], 6, 4, 8),
]


def parts(name, arguments, d):
    """[(mass, n, m)] such that R² is scale·(χ²_n + a² χ²_m) with that mass given survival; a² and scale."""
    numbers = [mp.mpf(value) for value in arguments]
    slope = numbers[0] if name.startswith("leaky") else mp.mpf(0)
    keep = 1 - numbers[-1] if name.endswith("dropout") else mp.mpf(1)
    up = keep if name == "linear" else keep / 2
    low = keep / 2 if slope else mp.mpf(0)
    dead = 1 - up - low
    rows = []
    for n in range(d + 1):
        for m in range(d + 1 - n):
            mass = mp.binomial(d, n) * mp.binomial(d - n, m) * up**n * low**m * dead ** (d - n - m)
            if n + m and mass:
                rows.append((mass, n, m))
    total = mp.fsum(mass for mass, _, _ in rows)
    return [(mass / total, n, m) for mass, n, m in rows], slope**2, keep**-2


def density(z, n, m, square):
    """z times the density of χ²_n + a² χ²_m at z."""
    if n == 0:
        z, n, m = z / square, m, 0
    b = mp.mpf(n + m) / 2
    value = (z / 2) ** b * mp.exp(-z / 2) / mp.gamma(b)
    if m == 0:
        return value
    rate = (1 / square - 1) * z / 2
    return value * square ** (-mp.mpf(m) / 2) * mp.exp(-rate) * mp.hyp1f1(mp.mpf(n) / 2, b, rate)


def one_layer(name, arguments, d, inverse):
    """First index and values of the density on the lattice j/inverse."""
    rows, square, scale = parts(name, arguments, d)
    order = 1 if "relu" in name or "dropout" in name else d
    first, last = -inverse * (20 + 120 // order), inverse * 8
    values = []
    for j in range(first, last):
        z = mp.exp(mp.mpf(j) / inverse) / scale
        small = z / 2 < 500 + d
        values.append(mp.fsum(p * density(z, n, m, square) for p, n, m in rows) if small else mp.mpf(0))
    return trim(first, np.array([np.longdouble(mp.nstr(value, 25)) for value in values]))


def trim(first, values):
    """Drop both ends where the density is below 1e-32 of its maximum."""
    kept = np.flatnonzero(values > values.max() * np.longdouble(1e-32))
    return first + int(kept[0]), values[kept[0] : kept[-1] + 1]


def many_layers(layer, depth, inverse):
    first, values = layer
    for _ in range(depth - 1):
        first, values = trim(first + layer[0], np.convolve(values, layer[1]) / inverse)
    return first, values


def tails(first, values, inverse, index):
    """(F, 1 - F) at the lattice point `index`."""
    below = above = mp.mpf(0)
    for j, value in enumerate(values, start=first):
        share = mp.si(mp.pi * (index - j)) / mp.pi
        exact = mp.mpf(str(value))
        below += exact * (mp.mpf(1) / 2 + share)
        above += exact * (mp.mpf(1) / 2 - share)
    return below / inverse, above / inverse


def levels(first, values, inverse):
    """The lattice points of step 1/8 nearest to the wanted levels."""
    rough = np.cumsum(values) / inverse
    picks = np.searchsorted(rough, LEVELS)
    step = inverse // 8
    return sorted({round((first + int(pick)) / step) for pick in picks})


def compute(name, arguments, d, depth, inverse, eighths):
    law = many_layers(one_layer(name, arguments, d, inverse), depth, inverse)
    eighths = levels(*law, inverse) if eighths is None else eighths
    rows = []
    for eighth in eighths:
        index = eighth * (inverse // 8)
        cdf, sf = tails(*law, inverse, index)
        pdf = 2 * mp.mpf(str(law[1][index - law[0]]))  # of log R = y/2
        rows.append((eighth, cdf, sf, pdf))
    return rows


def main():
    rows = []
    for name, arguments, d, depth, inverse in CASES:
        coarse = compute(name, arguments, d, depth, inverse, None)
        fine = compute(name, arguments, d, depth, 2 * inverse, [row[0] for row in coarse])
        for one, two in zip(coarse, fine, strict=True):
            gaps = [abs(a - b) for a, b in zip(one[1:], two[1:], strict=True)]
            relative = max(gap / b for gap, b in zip(gaps, two[1:], strict=True))
            print(
                name,
                d,
                depth,
                one[0],
                mp.nstr(two[1], 5),
                "steps differ by",
                mp.nstr(relative, 2),
                flush=True,
            )
            if max(gaps) > 1e-13 or relative > 1e-8:
                raise SystemExit("the step is too coarse")
            cdf, sf, pdf = (mp.nstr(value, 20) for value in two[1:])
            row = {"activation": name, "arguments": arguments, "width": d, "depth": depth}
            rows.append({**row, "x": two[0] / 16, "cdf": cdf, "sf": sf, "pdf": pdf})
    target = Path(__file__).with_name("depth.json")
    target.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
