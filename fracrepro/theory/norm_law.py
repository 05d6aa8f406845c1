"""The interface of a law of norms: scipy's names, with log-probabilities where numbers get small."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike

from fracrepro import arguments
from fracrepro.theory.numerics.linear_grid import LinearTable
from fracrepro.theory.numerics.survival_table import SurvivalTable


class NormLaw(ABC):
    """The law of a norm r ≥ 0 that is 0, a dead network, with a probability of its own."""

    _scale: float

    @abstractmethod
    def _tabulate(self) -> SurvivalTable | LinearTable:
        """Tabulate P(log(r/scale) > y)."""

    @cached_property
    def _table(self) -> SurvivalTable | LinearTable:
        return self._tabulate()

    @overload
    def log_sf(self, x: float) -> float: ...
    @overload
    def log_sf(self, x: ArrayLike) -> Any: ...
    def log_sf(self, x: Any) -> Any:
        """Return log P(r > x) for x ≥ 0, however far out."""
        return self._of_norm(x, "[0, inf)", self._table.log_sf)

    @overload
    def sf(self, x: float) -> float: ...
    @overload
    def sf(self, x: ArrayLike) -> Any: ...
    def sf(self, x: Any) -> Any:
        """Return P(r > x) for x ≥ 0, relatively accurate far out."""
        return self._of_norm(x, "[0, inf)", lambda y: np.exp(self._table.log_sf(y)))

    @overload
    def cdf(self, x: float) -> float: ...
    @overload
    def cdf(self, x: ArrayLike) -> Any: ...
    def cdf(self, x: Any) -> Any:
        """Return P(r ≤ x) for x ≥ 0; at 0 the probability that the last layer is dead."""
        return self._of_norm(x, "[0, inf)", lambda y: -np.expm1(self._table.log_sf(y)))

    @overload
    def local_index(self, x: float) -> float: ...
    @overload
    def local_index(self, x: ArrayLike) -> Any: ...
    def local_index(self, x: Any) -> Any:
        """Return -d log P(r > x)/d log x, the index of the power law that touches the tail at x > 0."""
        return self._of_norm(x, "(0, inf)", self._table.local_index)

    @overload
    def isf(self, q: float) -> float: ...
    @overload
    def isf(self, q: ArrayLike) -> Any: ...
    def isf(self, q: Any) -> Any:
        """Return the x with P(r > x) = q, for q in (0, 1); 0 where P(r > 0) is smaller."""
        log_q = np.log(arguments.reals("q", q, "(0, 1)"))
        result = self._scale * np.exp(self._table.log_quantile(log_q))
        return float(result) if result.ndim == 0 else result

    @overload
    def ppf(self, q: float) -> float: ...
    @overload
    def ppf(self, q: ArrayLike) -> Any: ...
    def ppf(self, q: Any) -> Any:
        """Return the quantile of order q in (0, 1); `isf` keeps the digits of those near 1."""
        return self.isf(np.clip(1.0 - arguments.reals("q", q, "(0, 1)"), 1e-300, 1.0 - 2.0**-53))

    def hill_target(self, share: float) -> float:
        """Return what Hill's estimator aims at when it uses this share of a sample, its largest values.

        1/E[log r - log q | r > q], q the quantile of order 1 - share: the tail index only as share → 0.

        Args:
            share: in (0, P(r > 0)).

        Raises:
            ArgumentError: outside this range.

        Source:
            derived on page 04, section "Three estimators".
        """
        share = arguments.real("share", share, f"(0, {float(self.sf(0.0))!r})")
        return 1.0 / self._table.mean_excess(math.log(share))

    def _of_norm(self, x: Any, interval: str, function: Callable[[np.ndarray], np.ndarray]) -> Any:
        with np.errstate(divide="ignore"):
            y = np.log(arguments.reals("x", x, interval)) - math.log(self._scale)
        result = function(y)
        return float(result) if result.ndim == 0 else result
