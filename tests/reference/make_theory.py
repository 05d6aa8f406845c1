"""Write theory.json: values of the one-layer factor from formulas that the package does not use.

Linear: a ratio of gamma functions.  ReLU and its dropout: the sum over the number N of live neurons.
Leaky: the sum over N of Gauss hypergeometric functions.
Randomized leaky, width 1 and 2: integrals over the slopes.
All in 40 digits.  Run: python tests/reference/make_theory.py
"""

import json
from pathlib import Path

import mpmath as mp

mp.mp.dps = 40


def linear(s, d):
    return mp.exp(s / 2 * mp.log(2) + mp.loggamma((d + s) / mp.mpf(2)) - mp.loggamma(mp.mpf(d) / 2))


def binomial(d, n, p):
    log = mp.loggamma(d + 1) - mp.loggamma(n + 1) - mp.loggamma(d - n + 1)
    return mp.exp(log + n * mp.log(p) + (d - n) * mp.log(1 - p))


def thinned(s, d, keep, scale):
    """The sum over live neurons; terms beyond 13 standard deviations are below 1e-36 of the total."""
    half = 13 * mp.sqrt(d * keep * (1 - keep)) + 20
    first, last = max(1, int(d * keep - half)), min(d, int(d * keep + half))
    return scale**s * mp.fsum(binomial(d, n, keep) * linear(s, n) for n in range(first, last + 1))


def relu(s, d):
    return thinned(s, d, mp.mpf(1) / 2, mp.mpf(1))


def relu_dropout(s, d, p):
    return thinned(s, d, (1 - p) / 2, 1 / (1 - p))


def leaky(s, d, a):
    """χ²_d times B + a²(1 - B) with B beta distributed given N."""
    half = mp.mpf(1) / 2
    terms = (
        binomial(d, n, half) * mp.hyp2f1(-s / 2, mp.mpf(d - n) / 2, mp.mpf(d) / 2, 1 - a * a)
        for n in range(d + 1)
    )
    return linear(s, d) * mp.fsum(terms)


def rrelu(s, d, low, high):
    if d == 1:
        slope = (high ** (s + 1) - low ** (s + 1)) / ((s + 1) * (high - low))
        return linear(s, 1) * (1 + slope) / 2

    def pair(a, b):
        return a**s * mp.hyp2f1(-s / 2, mp.mpf(1) / 2, 1, 1 - (b / a) ** 2)

    one = mp.quad(lambda b: pair(mp.mpf(1), b), [low, high]) / (high - low)
    two = mp.quad(lambda a: mp.quad(lambda b: pair(a, b), [low, high]), [low, high]) / (high - low) ** 2
    return linear(s, 2) * (1 + 2 * one + two) / 4


def cases():
    orders = ["0.001", "0.05", "0.5", "1", "1.5", "1.999", "2", "3", "3.999", "4", "6", "-0.3", "-0.9"]
    for text in orders:
        s = mp.mpf(text)
        for d in (1, 2, 3, 10, 64, 1000, 10**6):
            yield "linear", [], text, d, linear(s, d)
        for d in (1, 2, 3, 10, 64, 1000):
            yield "relu", [], text, d, relu(s, d)
            yield "relu_dropout", ["0.25"], text, d, relu_dropout(s, d, mp.mpf("0.25"))
        for a in ("0.01", "0.5", "0.9", "-2"):
            for d in (1, 2, 3, 10, 64):
                yield "leaky", [a], text, d, leaky(s, d, mp.mpf(a))
        yield "rrelu", ["0.125", "0.5"], text, 1, rrelu(s, 1, mp.mpf("0.125"), mp.mpf("0.5"))
    for text in ("0.001", "1", "-0.9"):
        yield "relu", [], text, 10**6, relu(mp.mpf(text), 10**6)
        mp.mp.dps = 20
        yield "rrelu", ["0.125", "0.5"], text, 2, rrelu(mp.mpf(text), 2, mp.mpf("0.125"), mp.mpf("0.5"))
        mp.mp.dps = 40
    for text in ("-5", "-30", "-60"):
        for d in (64, 1000):
            yield "linear", [], text, d, linear(mp.mpf(text), d)
        yield "leaky", ["0.5"], text, 64, leaky(mp.mpf(text), 64, mp.mpf("0.5"))


def main():
    rows = [
        {"activation": name, "arguments": args, "s": s, "width": d, "log_moment": mp.nstr(mp.log(value), 30)}
        for name, args, s, d, value in cases()
    ]
    target = Path(__file__).with_name("theory.json")
    target.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
