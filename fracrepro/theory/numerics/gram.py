"""Draws of the Gram matrices of a random network's outputs, layer by layer, at width·m a layer.

The rows of pre-activations are independent N(0, S), so a layer is drawn as φ(L z) with L Lᵀ = S.
Matrices are held with trace 1 beside the log of their trace, so that no depth overflows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fracrepro.theory.activations import Activation
from fracrepro.theory.numerics.sampling import FactorSampler
from fracrepro.theory.weights import law as weight_law

# numerics.md: numerics-gram-blocks
_BLOCK = 1 << 15
# numerics.md: numerics-gram-root
_RANK = 2.0**-50
# numerics.md: numerics-gram-streams
_WORDS, _KINDS, _BITS = 4, 4, 63


class _Streams:
    """The generators of one layer, one for each kind of draw, so that no block size changes a bit."""

    def __init__(self, words: np.ndarray) -> None:
        self.normal, self.mask, self.positive, self.negative = (
            np.random.default_rng([*words.tolist(), kind]) for kind in range(_KINDS)
        )


@dataclass(frozen=True)
class GramSampler:
    """Draws chains of Gram matrices; the arguments are checked by the caller."""

    width: int
    activation: Activation
    variance: float
    bias_std: float
    aggregation: np.ndarray | None
    shared: bool

    def sample(self, n: int, depth: int, gram: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the matrices of n chains at the depths 0 … depth."""
        result = np.empty((n, depth + 1, *gram.shape))
        result[:, 0] = gram
        if len(gram) == 1:
            self._one_input(result, rng)
            return result
        streams = [_Streams(words) for words in rng.integers(1 << _BITS, size=(depth, _WORDS))]
        rows = max(1, _BLOCK // (len(gram) * self.width))
        for start in range(0, n, rows):
            self._block(result[start : start + rows], streams)
        return result

    def _one_input(self, result: np.ndarray, rng: np.random.Generator) -> None:
        """Fill in the chain of one squared norm, whose factor is drawn at a cost without the width."""
        sampler = FactorSampler(self.width, self.activation, weight_law("gaussian"))
        factor = 1.0 if self.aggregation is None else float(self.aggregation[0, 0]) ** 2
        with np.errstate(divide="ignore", over="ignore"):
            log_gain, log_bias = np.log(self.variance * factor), np.log(self.bias_std**2)
            log_square = np.log(result[:, 0, 0, 0])
            for k in range(1, result.shape[1]):
                total = np.logaddexp(log_gain + log_square, log_bias)
                log_square = total + sampler.log_square(total.shape, rng)
                result[:, k, 0, 0] = np.exp(log_square)

    def _block(self, result: np.ndarray, streams: list[_Streams]) -> None:
        """Fill in some chains, given their matrices at depth 0."""
        gram, log_trace = _normalized(result[:, 0], np.zeros(len(result)))
        for k, stream in enumerate(streams, start=1):
            covariance, level = self._covariance(gram, log_trace)
            gram, log_trace = _normalized(self._layer(covariance, stream), level)
            with np.errstate(over="ignore"):
                scale = np.exp(log_trace)[:, None, None]
            np.multiply(scale, gram, out=result[:, k], where=gram != 0.0)
            result[:, k][gram == 0.0] = 0.0

    def _covariance(self, gram: np.ndarray, log_trace: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """S = σ² A G Aᵀ + σ_b² 1 1ᵀ, divided by e to the returned power."""
        mixed = gram if self.aggregation is None else self.aggregation @ gram @ self.aggregation.T
        signal = math.log(self.variance) + log_trace
        if not self.bias_std:
            return mixed, signal
        log_bias = 2.0 * math.log(self.bias_std)
        level = np.maximum(signal, log_bias)
        share = np.exp(signal - level)[:, None, None]
        return share * mixed + np.exp(log_bias - level)[:, None, None], level

    def _layer(self, covariance: np.ndarray, stream: _Streams) -> np.ndarray:
        """Σ φ(h_i) φ(h_i)ᵀ over the units of one layer."""
        count, m = covariance.shape[:2]
        pair = m == 2
        scale, root = _pair_root(covariance) if pair else (None, _root(covariance))
        total = np.zeros_like(covariance)
        for units in self._pieces(m):
            z = stream.normal.standard_normal((count, m, units))
            h = _correlate(root, z) if pair else root @ z
            values = self._respond(h, stream)
            total += _pair_products(values) if pair else values @ values.mT
        return total if scale is None else total * scale

    def _pieces(self, m: int) -> Iterator[int]:
        """Numbers of units drawn at once, which add up to the width."""
        most = max(1, _BLOCK // m)
        return (min(most, self.width - start) for start in range(0, self.width, most))

    def _respond(self, h: np.ndarray, stream: _Streams) -> np.ndarray:
        """φ(h), in place, with masks and slopes for each input or one for all of them."""
        law = self.activation.slopes
        (a, b), (c, d) = law.sides
        if not law.random and c == 0.0:
            np.maximum(h, 0.0, out=h)
            h *= a
            return h
        shape = (len(h), 1, h.shape[2]) if self.shared else h.shape
        above = stream.positive.uniform(a, b, shape) if a < b else a
        below = stream.negative.uniform(c, d, shape) if c < d else c
        h *= np.where(h > 0.0, above, below)
        if law.kept < 1.0:
            h *= stream.mask.random(shape) < law.kept
        return h


def _normalized(gram: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The matrices divided by their trace, and the log of what they were with e^level; 0 and -inf if dead."""
    trace = np.trace(gram, axis1=1, axis2=2)
    alive = trace > 0.0
    with np.errstate(divide="ignore"):
        log_trace = np.where(alive, level + np.log(trace), -np.inf)
    return gram / np.where(alive, trace, 1.0)[:, None, None], log_trace


def _pair_root(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For two inputs: the matrix of √(S_aa S_bb), and cosine and sine between them."""
    deviation = np.sqrt(covariance[:, (0, 1), (0, 1)])
    scale = deviation[:, :, None] * deviation[:, None, :]
    product = scale[:, 0, 1]
    cosine = covariance[:, 0, 1] / np.where(product > 0.0, product, 1.0)
    cosine = np.clip(cosine, -1.0, 1.0)
    return scale, np.stack([cosine, np.sqrt((1.0 - cosine) * (1.0 + cosine))], axis=1)


def _correlate(root: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Turn independent coordinates into correlated ones of variance 1, in place."""
    second = z[:, 1]
    second *= root[:, 1:]
    second += root[:, :1] * z[:, 0]
    return z


def _pair_products(values: np.ndarray) -> np.ndarray:
    """Σ x xᵀ for two inputs, without a call of BLAS for each chain."""
    first, second = values[:, 0], values[:, 1]
    one, both, two = (
        np.einsum("ij,ij->i", a, b) for a, b in ((first, first), (first, second), (second, second))
    )
    return np.stack([one, both, both, two], axis=1).reshape(-1, 2, 2)


def _root(covariance: np.ndarray) -> np.ndarray:
    """L with L Lᵀ = S from eigenvalues, those that are zero up to rounding set to zero."""
    values, vectors = np.linalg.eigh(covariance)
    values[values < _RANK * len(values.T) * values[:, -1:]] = 0.0
    return vectors * np.sqrt(values)[:, None, :]
