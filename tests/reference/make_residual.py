"""Write residual.json: moments of residual blocks' factors from `fracrepro.oracle.blocks`.

Kummer's function, averaged over the density of the branch, which is inverted from its transform: no formula
of `fracrepro.theory`.  A minute of one core, too much for every run of the tests, which repeat three cases.
Run: python tests/reference/make_residual.py
"""

import json
from pathlib import Path

import mpmath as mp

import fracrepro as fr
from fracrepro.oracle import blocks

# width, hidden, alpha, skip: square, narrow, a branch much larger and one much smaller than the skip
SHAPES = [(3, 2, 0.7, 1.0), (1, 1, 0.6, -0.8), (6, 2, 20.0, 0.5), (2, 1, 1e-3, 1.0)]
ORDERS = (-0.6, 0.5, 1.0, 1.9, 3.3, 4.0, 6.0, 7.5)
ACTIVATIONS = [fr.ReLU(), fr.LeakyReLU(0.3), fr.Dropout(fr.RReLU(), 0.2)]
LOGS = [(ACTIVATIONS[0], SHAPES[0]), (ACTIVATIONS[0], SHAPES[2])]
LOGS += [(ACTIVATIONS[1], SHAPES[0]), (ACTIVATIONS[1], SHAPES[2])]
# At twenty neurons the inversion keeps 18 of its 24 digits, and second differences of the moments only 6 of
# them: the mean alone is good to test with.
MEANS = [(ACTIVATIONS[0], (12, 20, 0.5, 1.0))]


def arguments(activation, shape):
    """What the oracle takes, with the variances 2/width and 1/hidden."""
    width, hidden, alpha, skip = shape
    return width, hidden, activation, alpha, (2 / width, 1 / hidden), skip


def moment_row(activation, shape, s):
    return mp.nstr(blocks.moment(s, *arguments(activation, shape)), 20)


def log_row(activation, shape):
    return [mp.nstr(value, 20) for value in blocks.log_moments(*arguments(activation, shape))]


def main():
    rows = [
        {"activation": repr(activation), "shape": shape, "s": s, "moment": moment_row(activation, shape, s)}
        for activation in ACTIVATIONS
        for shape in SHAPES
        for s in ORDERS
    ]
    rows += [
        {"activation": repr(activation), "shape": shape, "log_moments": log_row(activation, shape)}
        for activation, shape in LOGS
    ]
    rows += [
        {"activation": repr(activation), "shape": shape, "mean": log_row(activation, shape)[0]}
        for activation, shape in MEANS
    ]
    target = Path(__file__).with_name("residual.json")
    target.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
