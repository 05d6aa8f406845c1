"""A second route to every law that pages quote, in mpmath, with as many digits as asked for.

R² is the sum of C = A² z² over the coordinates, z standard normal, A the slope on the side where z falls.
Nothing comes from `fracrepro.theory`.  Values have `dps` digits, or more where the caller works with more.
An activation comes in as data, in one of three forms:

* an object whose ``slopes`` has the fields ``positive`` and ``negative``, each a pair (low, high): the slope
  on that side is uniform on [low, high], and fixed where both agree; ``kept``, if there, is the probability
  that no mask strikes;
* a pair ``(positive, negative)`` of such pairs or of plain numbers: ReLU is ``(1, 0)``;
* an object with the fields ``activation`` and ``p``: dropout with probability p after that activation.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter, namedtuple
from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath as mp
from mpmath import mpf

from fracrepro.arguments import choice
from fracrepro.errors import ArgumentError


class Piece(NamedTuple):
    """With probability `weight`, the slope is uniform on [low, high]."""

    weight: mpf
    low: mpf
    high: mpf


def pieces(activation: Any) -> list[Piece]:
    """Return the law of one coordinate's slope, as read from the activation's data.

    >>> [float(part.high) for part in pieces((1, 0))]   # ReLU: slope 1 above zero, 0 below
    [1.0, 0.0]
    """
    if hasattr(activation, "activation") and hasattr(activation, "p"):
        keep = 1 - mpf(activation.p)
        inner = [Piece(w * keep, a / keep, b / keep) for w, a, b in pieces(activation.activation)]
        return inner if keep == 1 else [Piece(1 - keep, mpf(0), mpf(0)), *inner]
    slopes = getattr(activation, "slopes", activation)
    sides = (slopes.positive, slopes.negative) if hasattr(slopes, "positive") else tuple(slopes)
    if len(sides) != 2:
        raise ArgumentError(f"activation = {activation!r}: need the slopes on two sides")
    bounds = [side if isinstance(side, tuple | list) else (side, side) for side in sides]
    kept = mpf(getattr(slopes, "kept", 1))
    return [Piece(1 - kept, mpf(0), mpf(0))] * (kept != 1) + [
        Piece(kept / 2, mpf(low), mpf(high)) for low, high in bounds
    ]


def transform(t: Any, activation: Any, derivative: int = 0) -> mpf:
    """Return ℓ(t) = E exp(-t C), the Laplace transform of one coordinate, or its first two derivatives.

    A slope a contributes (1 + 2a²t)^(-1/2), a uniform one on [a, b] (asinh(by) - asinh(ay))/((b - a)y),
    y = √(2t).  `t` is positive, or complex.

    >>> float(transform(4, (1, 0)))   # ReLU: (1/3 + 1)/2
    0.6666666666666666
    """
    return _transforms(t, pieces(activation), derivative + 1)[derivative]


def _transforms(t: Any, parts: list[Piece], number: int) -> list[mpf]:
    """The first `number` of ℓ(t), ℓ'(t), ℓ''(t), which share their roots."""
    found = [mpf(0)] * number
    for part in parts:
        for j, value in enumerate(_one(t, part, number)):
            found[j] += (1, -1, 3)[j] * part.weight * value
    return found


def _one(t: Any, part: Piece, number: int) -> list[mpf]:
    """What one piece adds to ℓ, -ℓ' and ℓ''/3, without its weight."""
    if part.low == part.high:
        square = part.low * part.low
        values = [1 / mp.sqrt(1 + 2 * square * t)]
        ratio = square * values[0] ** 2
        while len(values) < number:
            values.append(values[-1] * ratio)
        return values
    y = mp.sqrt(2 * t)
    # The primitive starts with the power 2j + 1 of y, below which its terms cancel.
    with mp.extraprec(max(0, -(2 * number - 1) * mp.mag(y * max(map(abs, part[1:]))))):
        high, low = (_primitives(bound * y, number) for bound in (part.high, part.low))
        return [
            (above - below) / ((part.high - part.low) * y ** (2 * j + 1))
            for j, (above, below) in enumerate(zip(high, low, strict=True))
        ]


def _primitives(z: mpf, number: int) -> list[mpf]:
    """∫ z^(2j) (1 + z²)^(-j - 1/2) dz from 0, for j = 0, 1, … below `number`."""
    sine = z / mp.sqrt(1 + z * z)
    values = [mp.asinh(z)]
    for j in range(number - 1):
        values.append(values[-1] - sine ** (2 * j + 1) / (2 * j + 1))
    return values


def death(width: int, activation: Any) -> mpf:
    """Return P(R = 0), the chance that every coordinate meets the slope 0.

    >>> float(death(2, (1, 0)))
    0.25
    """
    return mp.fsum(w for w, low, high in pieces(activation) if low == high == 0) ** width


def moment(s: Any, width: int, activation: Any, *, weights: str = "gaussian", dps: int = 30) -> mpf:
    """Return E[R^s; R > 0] for s < 4 above minus the order where the moment diverges.

    With L = ℓ^d the transform of R²: E R^s = (1/Γ(2 - s/2)) ∫ t^(1 - s/2) L''(t) dt over t > 0.
    Orthogonal weights divide by the moment of χ_d.

    >>> float(moment(2, 64, (1, 0)))
    32.0
    """
    with mp.workdps(max(dps, mp.mp.dps)):
        front, integral = _mellin(s, width, activation)
        return front * integral(0) / _law(weights).radius(s, width)


def tilted_log_mean(s: Any, width: int, activation: Any, *, weights: str = "gaussian", dps: int = 30) -> mpf:
    """Return E[R^s log R; R > 0], the derivative of `moment` in s, taken under its integral.

    >>> round(float(tilted_log_mean(0, 2, (1, 1))), 6)   # (log 2 - γ)/2
    0.057966
    """
    with mp.workdps(max(dps, mp.mp.dps)):
        front, integral = _mellin(s, width, activation)
        value, q = integral(0), mpf(s) / 2
        log_two, digamma, _ = _law(weights).logs(mpf(width) / 2 + q)
        level = mp.log(width * mean_square(activation)) + mp.digamma(2 - q) - (log_two + digamma)
        return front * (value * level + integral(1)) / 2 / _law(weights).radius(s, width)


def log_moments(width: int, activation: Any, *, weights: str = "gaussian", dps: int = 30) -> tuple[mpf, mpf]:
    """Return mean and variance of log R given R > 0, by integrals of Frullani's type.

    For Y of mean 1 with transform L: E log Y = ∫ (e^(-t) - L(t)) dt/t over t > 0, and
    E log² Y = 2 ∫ (L(t) - e^(-t)) log t dt/t - 2γ E log Y.

    >>> [round(float(value), 6) for value in log_moments(2, (1, 1))]   # (log 2 - γ)/2 and π²/24
    [0.057966, 0.411234]
    """
    with mp.workdps(max(dps, mp.mp.dps)):
        dead, parts = death(width, activation), pieces(activation)
        scale = width * mean_square(activation) / (1 - dead)

        @functools.cache  # both integrals take it at the same points
        def gap(x: mpf) -> mpf:
            t = mp.exp(x)
            return mp.exp(-t) - (_transforms(t / scale, parts, 1)[0] ** width - dead) / (1 - dead)

        ends = _ends(2, _order(width, activation) / 2)
        first = mp.quad(gap, ends)
        second = -2 * mp.quad(lambda x: gap(x) * x, ends) - 2 * mp.euler * first
        log_two, digamma, trigamma = _law(weights).logs(mpf(width) / 2)
        return (mp.log(scale) + first - log_two - digamma) / 2, (second - first**2 - trigamma) / 4


def _mellin(s: Any, width: int, activation: Any) -> tuple[mpf, Callable[[int], mpf]]:
    """The factor before the integral of `moment`, and ∫ (-x)^power t^(2 - q) L''(t) dx at t = e^x E R²."""
    q, order = mpf(s) / 2, _order(width, activation)
    if not -order < s < 4:
        raise ArgumentError(f"s = {s!r}: need a number in (-{order}, 4)")
    scale, parts = width * mean_square(activation), pieces(activation)

    @functools.cache  # the integrals of two powers take it at the same points
    def integrand(x: mpf) -> mpf:
        t = mp.exp(x) / scale
        value, slope, curve = _transforms(t, parts, 3)
        second = width * value ** (width - 2) * ((width - 1) * slope**2 + value * curve)
        return mp.exp((2 - q) * x) * second / scale**2

    ends = _ends(2 - q, mpf(order) / 2 + q)
    return scale**q / mp.gamma(2 - q), lambda power: mp.quad(lambda x: (-x) ** power * integrand(x), ends)


def _ends(left_rate: Any, right_rate: Any) -> list[mpf]:
    """Pieces of the line for an integrand about x = 0 with these exponential rates of decay."""
    far = (mp.mp.dps + 3) * mp.log(10)
    left, right = -9 - far / left_rate, 9 + far / right_rate
    return [left, (left - 9) / 2, -9, -3, -1, 1, 3, 5, 9, 9 + (right - 9) / 4, right]


def mean_square(activation: Any) -> mpf:
    """E C = E A²."""
    return mp.fsum(w * (a * a + a * b + b * b) / 3 for w, a, b in pieces(activation))


def _order(width: int, activation: Any) -> int:
    """The order at which negative moments of R diverge."""
    return 1 if death(1, activation) else width


def chi_moment(s: Any, n: int) -> mpf:
    """Return E χ_n^s = 2^(s/2) Γ((n + s)/2)/Γ(n/2), the moment of a linear layer.

    >>> float(chi_moment(2, 5))
    5.0
    """
    half = mpf(n) / 2
    return mpf(2) ** (mp.mpmathify(s) / 2) * mp.gammaprod([half + mp.mpmathify(s) / 2], [half])


def _chi_moments(s: Any, numbers: set[int]) -> dict[int, mpf]:
    """E χ_n^s from the smallest n on: the next but one is (n + s)/n times as large."""
    first = max(1, min(numbers, default=1))
    found = {n: chi_moment(s, n) for n in (*numbers, first, first + 1) if n <= first + 1}
    with mp.extraprec(10):  # a product of up to `width` rounded factors
        for n in range(first, max(numbers, default=1) - 1):
            found[n + 2] = found[n] * (n + mp.mpmathify(s)) / n
    return found


def mixture_moment(
    s: Any, width: int, activation: Any, *, weights: str = "gaussian", fewest: int = 1, dps: int = 30
) -> mpf:
    """Return E[R^s; R > 0] for fixed slopes, as a sum over the numbers of neurons on either side.

    With n slopes a and m slopes b, the larger in absolute value being a,
    ``E R^s = |a|^s E χ_(n+m)^s ₂F₁(-s/2, m/2; (n+m)/2; 1 - b²/a²)``.
    Any s, also complex, with a finite moment; with `fewest`, over the layers with so many neurons alive.

    >>> float(mixture_moment(4, 1, (1, 0.5)))   # 3 (1 + 1/16)/2
    1.59375
    """
    with mp.workdps(max(dps, mp.mp.dps)):
        large, small = _amplitudes(activation)
        ratio = 1 - (small[1] / large[1]) ** 2

        counts = [each for each in _counts(width, large[0], small[0]) if each[1] + each[2] >= fewest]
        chi = _chi_moments(s, {n + m for _, n, m in counts})

        def given(n: int, m: int) -> mpf:
            if not m:
                return chi[n]
            return chi[n + m] * mp.hyp2f1(-mp.mpmathify(s) / 2, mpf(m) / 2, mpf(n + m) / 2, ratio)

        total = mp.fsum(chance * given(n, m) for chance, n, m in counts)
        return total * large[1] ** s / _law(weights).radius(s, width)


def mixture_probability(
    x: Any, width: int, activation: Any, *, weights: str = "gaussian", upper: bool = False, dps: int = 30
) -> mpf:
    """Return P(R ≤ x | R > 0), or P(R > x | R > 0), as a mixture over the number n of neurons on one side.

    Gaussian weights and one amplitude a: R² is a² χ²_n.
    Orthogonal weights and two amplitudes a > b, 0 among them: R² is b² + (a² - b²) Beta(n/2, (d - n)/2).

    >>> round(float(mixture_probability(1, 2, (1, 1))), 12) == round(1 - math.exp(-0.5), 12)
    True
    """
    with mp.workdps(max(dps, mp.mp.dps)):
        return _law(weights).probability(mpf(x), width, activation, upper)


def _gamma_mixture(x: mpf, width: int, activation: Any, upper: bool) -> mpf:
    """`mixture_probability` of a Gaussian layer."""
    amplitude, live = _live_neurons(width, activation)
    z = (x / amplitude) ** 2 / 2
    ends = (z, mp.inf) if upper else (0, z)
    return mp.fsum(w * mp.gammainc(mpf(n) / 2, *ends, regularized=True) for n, w in live.items())


def _beta_mixture(x: mpf, width: int, activation: Any, upper: bool) -> mpf:
    """`mixture_probability` of an orthogonal layer."""
    large, small = _amplitudes(activation)
    rest = 1 - large[0] - small[0]
    if small[0] and rest:
        raise ArgumentError(f"activation = {activation!r}: need two amplitudes, 0 among them")
    share = (x**2 - small[1] ** 2) / (large[1] ** 2 - small[1] ** 2)

    def below(n: int) -> mpf:
        if share >= 1 or share < 0 or n in (0, width):  # the two ends are point masses
            return mpf(share >= (1 if n else 0))
        return mp.betainc(mpf(n) / 2, mpf(width - n) / 2, 0, share, regularized=True)

    chances = _binomial(width, large[0])
    dead = chances.pop(0, mpf(0)) if rest else mpf(0)
    value = mp.fsum(chance * below(n) for n, chance in chances.items()) / (1 - dead)
    return 1 - value if upper else value


_Law = namedtuple("_Law", "radius logs probability")


def _law(weights: str) -> _Law:
    """Moment of the norm not drawn, mean (two parts) and variance of its log, and the mixture that R² is."""
    laws = {
        "gaussian": _Law(lambda _s, _width: mpf(1), lambda _b: (mpf(0),) * 3, _gamma_mixture),
        "orthogonal": _Law(chi_moment, lambda b: (mp.log(2), mp.digamma(b), mp.psi(1, b)), _beta_mixture),
    }
    return laws[choice("weights", weights, tuple(laws))]


def _amplitudes(activation: Any) -> tuple[tuple[mpf, mpf], tuple[mpf, mpf]]:
    """(chance, amplitude) of the larger and the smaller amplitude that is not 0; (0, 0) if there is one."""
    chances: Counter[Any] = Counter()
    for weight, low, high in pieces(activation):
        if low != high:
            raise ArgumentError(f"activation = {activation!r}: need fixed slopes")
        if low:
            chances[abs(low)] += weight
    pairs = sorted(((chance, size) for size, chance in chances.items()), key=lambda pair: -pair[1])
    return pairs[0], pairs[1] if len(pairs) > 1 else (mpf(0), mpf(0))


def _live_neurons(width: int, activation: Any) -> tuple[mpf, dict[int, mpf]]:
    """The one amplitude, and P(N = n | N ≥ 1) for the number N of neurons that have it."""
    large, small = _amplitudes(activation)
    if small[0]:
        raise ArgumentError(f"activation = {activation!r}: need one amplitude, such as linear or ReLU")
    live = {n: chance for chance, n, _ in _counts(width, large[0], small[0]) if n}
    total = mp.fsum(live.values())
    return large[1], {n: chance / total for n, chance in live.items()}


def _counts(width: int, first: mpf, second: mpf) -> list[tuple[mpf, int, int]]:
    """(P(N = n, M = m), n, m) of the multinomial numbers, without those that the precision does not see."""
    return [
        (outer * inner, n, size - n)
        for size, outer in _binomial(width, first + second).items()
        for n, inner in _binomial(size, first / (first + second)).items()
    ]


def _binomial(n: int, chance: mpf) -> dict[int, mpf]:
    """P(N = k), N ~ Bin(n, chance), for all k that differ from 0 at twice the precision."""
    if chance == 1:
        return {n: mpf(1)}
    # Hoeffding: beyond this distance from the mean the probability is below 10^(-2 dps).
    reach = mp.sqrt(n * mp.mp.dps * mp.log(10)) + 1
    low, high = max(0, math.floor(n * chance - reach)), min(n, math.ceil(n * chance + reach))
    return {k: mp.binomial(n, k) * chance**k * (1 - chance) ** (n - k) for k in range(low, high + 1)}


def talbot_probability(x: Any, width: int, activation: Any, *, dps: int = 40) -> mpf:
    """Return P(R ≤ x) of one layer, dead layers included, by Talbot's inversion of ℓ(t)^d/t at x².

    Digits are lost like e^(width): 40 digits leave about 15 at width 128.

    >>> round(float(talbot_probability(1, 2, (1, 1))), 12) == round(1 - math.exp(-0.5), 12)
    True
    """
    with mp.workdps(max(dps, mp.mp.dps)):
        return mp.invertlaplace(lambda t: transform(t, activation) ** width / t, mpf(x) ** 2, method="talbot")


def product_probability(
    x: Any, depth: int, width: int, activation: Any, *, upper: bool = False, dps: int = 30
) -> mpf:
    """Return P(R_1 ⋯ R_k ≤ x | no R is 0), or P(… > x | …), for independent factors of one amplitude a.

    Given N_1 … N_k live neurons the product of squares is a^(2k) times a product of χ² variables, whose
    Mellin transform is Π 2^q Γ(N_i/2 + q)/Γ(N_i/2), so that with Meijer's function and z = x²/(2a²)^k
    P(… ≤ x) = G^(k,1)_(1,k+1)(z | 1; N_1/2 … N_k/2, 0)/Π Γ(N_i/2).
    The sum over all (N_1 … N_k) limits the width to a dozen unless the network is linear.

    >>> round(float(product_probability(1, 1, 2, (1, 1))), 12) == round(1 - math.exp(-0.5), 12)
    True
    """
    with mp.workdps(max(dps, mp.mp.dps)):
        amplitude, live = _live_neurons(width, activation)
        z = mpf(x) ** 2 / (2 * amplitude**2) ** depth
        total = mpf(0)
        for numbers in itertools.combinations_with_replacement(sorted(live), depth):
            orders = math.factorial(depth) // math.prod(map(math.factorial, Counter(numbers).values()))
            total += orders * mp.fprod(live[n] for n in numbers) * _chi_square_product(z, numbers, upper)
        return total


def _chi_square_product(z: mpf, numbers: tuple[int, ...], upper: bool) -> mpf:
    """P(Π χ²_{n_i}/2 ≤ z), or > z, as a G-function."""
    halves = [mpf(n) / 2 for n in numbers]
    parameters: tuple[Any, Any] = ([[], [1]], [[0, *halves], []]) if upper else ([[1], []], [halves, [0]])
    return mp.meijerg(*parameters, z) / mp.fprod(mp.gamma(half) for half in halves)
