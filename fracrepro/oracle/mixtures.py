"""Laws of one layer and of products of layers, as sums over the numbers of neurons on either side."""

from __future__ import annotations

import itertools
import math
from collections import Counter, namedtuple
from typing import Any

import mpmath as mp
from mpmath import mpf

from fracrepro.arguments import choice
from fracrepro.errors import ArgumentError
from fracrepro.oracle.transforms import chi_moment, chi_moments, pieces, transform

__all__ = [
    "live_neurons",
    "mixture_moment",
    "mixture_probability",
    "product_probability",
    "talbot_probability",
    "weight_law",
]


def mixture_moment(
    s: Any, width: int, activation: Any, *, weights: str = "gaussian", fewest: int = 1, dps: int = 30
) -> mpf:
    r"""Return E[R^s; R > 0] for fixed slopes, as a sum over the numbers of neurons on either side.

    With n slopes a and m slopes b, the larger in absolute value being a,

    .. math:: E R^s = |a|^s \, E \chi_{n+m}^s \, {}_2F_1\Bigl(-\frac{s}{2}, \frac{m}{2}; \frac{n + m}{2};
              1 - \frac{b^2}{a^2}\Bigr).

    Any s, also complex, with a finite moment; with `fewest`, over the layers with so many neurons alive.

    >>> float(mixture_moment(4, 1, (1, 0.5)))   # 3 (1 + 1/16)/2
    1.59375
    """
    with mp.workdps(max(dps, mp.mp.dps)):
        large, small = _amplitudes(activation)
        ratio = 1 - (small[1] / large[1]) ** 2

        counts = [each for each in _counts(width, large[0], small[0]) if each[1] + each[2] >= fewest]
        chi = chi_moments(s, {n + m for _, n, m in counts})

        def given(n: int, m: int) -> mpf:
            if not m:
                return chi[n]
            return chi[n + m] * mp.hyp2f1(-mp.mpmathify(s) / 2, mpf(m) / 2, mpf(n + m) / 2, ratio)

        total = mp.fsum(chance * given(n, m) for chance, n, m in counts)
        return total * large[1] ** s / weight_law(weights).radius(s, width)


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
        return weight_law(weights).probability(mpf(x), width, activation, upper)


def _gamma_mixture(x: mpf, width: int, activation: Any, upper: bool) -> mpf:
    """`mixture_probability` of a Gaussian layer."""
    amplitude, live = live_neurons(width, activation)
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


Law = namedtuple("Law", "radius logs probability")


def weight_law(weights: str) -> Law:
    """Moment of the norm not drawn, mean (two parts) and variance of its log, and the mixture that R² is."""
    laws = {
        "gaussian": Law(lambda _s, _width: mpf(1), lambda _b: (mpf(0),) * 3, _gamma_mixture),
        "orthogonal": Law(chi_moment, lambda b: (mp.log(2), mp.digamma(b), mp.psi(1, b)), _beta_mixture),
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


def live_neurons(width: int, activation: Any) -> tuple[mpf, dict[int, mpf]]:
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
        amplitude, live = live_neurons(width, activation)
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
