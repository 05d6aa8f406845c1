"""Paired differences at many points at once, such as epochs: a joint band and one test for the curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fracrepro.arguments import choice, integer, real, reals
from fracrepro.errors import ArgumentError
from fracrepro.stats.paired import FIGURES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CurveDifference", "curve_difference", "curve_power", "epoch_differences"]

_TIE = 1e-12  # two sign patterns with the same statistic differ by rounding only
_BLOCK = 1 << 22  # numbers held at a time


@dataclass(frozen=True)
class CurveDifference:
    """The mean curve of paired differences, its joint band, and the sign-flip test of its largest t.

    Attributes:
        mean: at every point.
        low: end of the band at every point; minus infinity where the pairs are too few for the level.
        high: the other end.
        t: Student's statistic at every point; infinite where all pairs agree on a mean other than zero.
        adjusted: p-value of every point, adjusted for having looked at all of them.
        p_value: of the whole curve, the least of `adjusted`.
        critical: the band is ``mean ± critical · standard error``.
        pairs: complete ones.
        lost: pairs left out because a number of theirs is not finite.
        flips: how many patterns of signs stand behind the p-value.
        exact: whether these are all there are.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    t: np.ndarray
    adjusted: np.ndarray
    p_value: float
    critical: float
    pairs: int
    lost: int
    flips: int
    exact: bool


def epoch_differences(results: pd.DataFrame, figure: str, first: str, second: str) -> pd.DataFrame:
    """Return `first` minus `second` in one figure: one row per seed, one column per epoch.

    Args:
        results: one row per run and epoch, as the trainer returns them.
        figure: ``"train_loss"``, ``"train_accuracy"``, ``"test_loss"`` or ``"test_accuracy"``.
        first: a scheme.
        second: another scheme with the same seeds.

    Raises:
        ArgumentError: for another figure, and for a scheme that the results lack.
    """
    choice("figure", figure, FIGURES)
    known = tuple(dict.fromkeys(results["scheme"]))
    choice("first", first, known)
    choice("second", second, known)
    curves = results.pivot(index="seed", columns=["scheme", "epoch"], values=figure)
    return curves[first] - curves[second]


def curve_difference(
    differences: ArrayLike, *, confidence: float = 0.95, draws: int = 100_000, seed: int = 0
) -> CurveDifference:
    r"""Return the mean curve with a joint band, and test that the whole curve is zero.

    If no point has a difference, the curves of the pairs are as likely with the other sign, so the maximum of
    :math:`|t|` over the points has an exact law given the data: that over all :math:`2^{n-1}` patterns of
    signs, up to a common one.
    The p-value is the share of patterns with at least the observed maximum.
    The band leaves out zero at a point exactly if the adjusted p-value there is at most 1 - confidence.
    Among the points without a difference, the probability that it leaves out any is at most 1 - confidence,
    whatever happens at the others.
    Around a curve other than zero its coverage is approximate.

    Args:
        differences: one row per pair, one column per point.
        confidence: of the band, in (0, 1).
        draws: all patterns are taken if there are at most so many; else the observed one and so many drawn
            at random, which keeps the false-alarm rate. At least 1.
        seed: of these draws.

    Raises:
        ArgumentError: for another shape, or fewer than two complete pairs.

    Source:
        Fisher (1935) for sign flips, Westfall and Young (1993) for the maximum.

    >>> found = curve_difference([[1.0, 0.0], [2.0, 1.0], [3.0, -1.0]])
    >>> found.p_value, found.flips    # of 4 patterns only (+, +, +) reaches the first column's t
    (0.25, 4)
    """
    confidence = real("confidence", confidence, "(0, 1)")
    draws, seed = integer("draws", draws, "[1, inf)"), integer("seed", seed, "[0, inf)")
    values, lost = _complete(differences)
    n = len(values)
    exact = 2 ** (n - 1) <= draws
    signs = _all_signs(n) if exact else _drawn_signs(n, draws, np.random.default_rng(seed))
    cosines, maxima = _cosines(values, np.ones((1, n)))[0], np.sort(_maxima(values, signs))
    reached = len(maxima) - np.searchsorted(maxima, cosines - _TIE)
    adjusted = reached / len(maxima)
    critical = _students_t(np.array(_critical_cosine(maxima, 1 - confidence)), n).item()
    mean, error = values.mean(0), values.std(0, ddof=1) / math.sqrt(n)
    half = np.full_like(error, math.inf) if math.isinf(critical) else critical * error
    return CurveDifference(
        mean=mean,
        low=mean - half,
        high=mean + half,
        t=np.sign(mean) * _students_t(cosines, n),
        adjusted=adjusted,
        p_value=float(adjusted.min()),
        critical=critical,
        pairs=n,
        lost=lost,
        flips=len(maxima),
        exact=exact,
    )


def curve_power(
    differences: ArrayLike,
    alternative: ArrayLike,
    *,
    level: float = 0.05,
    repeats: int = 200,
    draws: int = 2000,
    seed: int = 0,
) -> float:
    """Return how often the test finds a curve of differences of a given shape, by simulation.

    The deviations of the pairs from their mean get random signs and are drawn anew with replacement; the
    alternative is added in units of the standard deviation at each point.

    Args:
        differences: one row per pair, one column per point, as in :func:`curve_difference`.
        alternative: the mean at every point in standard deviations; zeros give the false-alarm rate.
        level: of the test, in (0, 1).
        repeats: simulated experiments, at least 1.
        draws: patterns of signs in each test.
        seed: of the simulation.

    Raises:
        ArgumentError: as :func:`curve_difference`, and for an alternative of another length.

    Source:
        The definition of power; the resampling of residuals is our choice.
    """
    level, repeats = real("level", level, "(0, 1)"), integer("repeats", repeats, "[1, inf)")
    draws, seed = integer("draws", draws, "[1, inf)"), integer("seed", seed, "[0, inf)")
    values, _ = _complete(differences)
    shift = reals("alternative", alternative, "(-inf, inf)")
    if shift.shape != values.shape[1:]:
        raise ArgumentError(f"alternative has shape {shift.shape}: need one value for every point")
    rng, n = np.random.default_rng(seed), len(values)
    residuals = values - values.mean(0)
    shifted = shift * values.std(0, ddof=1)
    found = 0
    for _ in range(repeats):
        signs = rng.choice([-1.0, 1.0], (n, 1))
        sample = residuals[rng.integers(n, size=n)] * signs + shifted
        found += curve_difference(sample, draws=draws, seed=int(rng.integers(2**31))).p_value <= level
    return found / repeats


def _complete(differences: ArrayLike) -> tuple[np.ndarray, int]:
    """The complete rows, and how many were left out."""
    array = np.asarray(differences, dtype=float)
    if array.ndim != 2 or not array.shape[1]:
        raise ArgumentError(f"differences have shape {array.shape}: need a row per pair, a column per point")
    kept = array[np.isfinite(array).all(1)]
    if len(kept) < 2:
        raise ArgumentError(f"differences: {len(kept)} complete pairs: need at least 2")
    return kept, len(array) - len(kept)


def _all_signs(n: int) -> np.ndarray:
    """Every pattern of n signs that begins with +."""
    bits = (np.arange(2 ** (n - 1))[:, None] >> np.arange(n - 1)) & 1
    return np.concatenate([np.ones((len(bits), 1)), 1.0 - 2.0 * bits], axis=1)


def _drawn_signs(n: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """The observed pattern, then random ones."""
    return np.concatenate([np.ones((1, n)), rng.choice([-1.0, 1.0], (draws, n))])


def _cosines(values: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """For every pattern and point the |cosine| between signs and values, a monotone function of |t|."""
    norms = np.sqrt(len(values) * (values**2).sum(0))
    return np.abs(signs @ values) / np.where(norms > 0, norms, 1.0)


def _maxima(values: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """The largest |cosine| over the points, for every pattern, in blocks."""
    size = max(1, _BLOCK // values.shape[1])
    return np.concatenate([_cosines(values, signs[i : i + size]).max(1) for i in range(0, len(signs), size)])


def _critical_cosine(maxima: np.ndarray, level: float) -> float:
    """The largest sorted value that a share above `level` reaches; 1 if that is the largest of all."""
    allowed = math.floor(level * len(maxima) * (1 + _TIE))
    value = float(maxima[len(maxima) - 1 - allowed]) if allowed else 1.0
    return 1.0 if value > maxima[-1] - _TIE else value


def _students_t(cosines: np.ndarray, n: int) -> np.ndarray:
    """Student's |t| of the |cosines|; 1 within rounding is infinite."""
    rest = 1.0 - cosines**2
    some = rest > 1e-14
    return np.where(some, cosines * np.sqrt((n - 1) / np.where(some, rest, 1.0)), math.inf)
