"""All comparisons of an experiment together: p-values adjusted so that one wrong claim among all is rare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fracrepro.arguments import reals
from fracrepro.errors import ArgumentError

__all__ = ["holm"]


def holm(p_values: ArrayLike, groups: Sequence[Any] | None = None) -> np.ndarray:
    r"""Return p-values adjusted by Holm's rule: rejecting those at most α makes one wrong claim at most.

    In the order of size, the i-th p-value is multiplied by the number :math:`t_i` of hypotheses that can all
    be true once those before it are rejected, and never falls below the adjusted one before it.
    The probability of a wrong rejection among all is at most α, whatever the dependence.
    Without groups :math:`t_i` is what is left; of a group at most one hypothesis can be true, so that
    :math:`t_i` is the number of groups that have one left.
    "There is no difference" and "the difference is at least the margin" are such a group.

    Args:
        p_values: one a hypothesis, in [0, 1].
        groups: of each hypothesis, any hashable value; None makes each a group of its own.

    Returns:
        The adjusted p-values in the given order.

    Raises:
        ArgumentError: for p-values outside [0, 1] and for another number of groups.

    Source:
        Holm (1979); Shaffer (1986) for hypotheses that exclude each other.

    >>> holm([0.01, 0.04, 0.03]).round(12).tolist()
    [0.03, 0.06, 0.06]
    >>> holm([0.01, 0.04, 0.03], ["a", "a", "b"]).round(12).tolist()    # 2·0.01, 2·0.03, and 0.04 alone
    [0.02, 0.06, 0.06]
    """
    values = np.atleast_1d(reals("p_values", p_values, "[0, 1]"))
    labels = list(range(len(values))) if groups is None else list(groups)
    if values.ndim != 1 or len(labels) != len(values):
        raise ArgumentError(f"groups: {len(labels)} for p-values of shape {values.shape}: need one for each")
    left = {label: labels.count(label) for label in dict.fromkeys(labels)}
    adjusted, before = np.empty(len(values)), 0.0
    for position in np.argsort(values, kind="stable"):
        before = max(before, min(1.0, len(left) * values[position]))
        adjusted[position] = before
        left[labels[position]] -= 1
        if not left[labels[position]]:
            del left[labels[position]]
    return adjusted
