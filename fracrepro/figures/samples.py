"""Simulated means as points with intervals, so that every page draws them alike."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fracrepro.figures.style import points_with_intervals

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes


def mean_points(
    axes: Axes, x: Any, sample: np.ndarray, *, most: int = 20, positive: bool = False, **style: Any
) -> None:
    """Draw the mean of every column of a sample with its 95 % interval, at no more than about `most` places.

    Args:
        axes: where to draw.
        x: places of the columns.
        sample: independent draws in rows.
        most: how many columns are shown; the others are left out at a constant step.
        positive: whether to leave out means that are not 1.96 standard errors above 0, which a logarithmic
            axis cannot show.
        style: of the points, and `within` of `points_with_intervals`.
    """
    import numpy as np

    mean = sample.mean(axis=0)
    half_width = 1.96 * sample.std(axis=0, ddof=1) / math.sqrt(len(sample))
    keep = np.flatnonzero(mean > half_width) if positive else np.arange(len(mean))
    keep = keep[:: max(1, (len(mean) - 1) // most)]
    points_with_intervals(axes, np.asarray(x)[keep], mean[keep], half_width[keep], **style)


def mean_log_points(axes: Axes, x: Any, samples: np.ndarray, **style: Any) -> None:
    """Draw the mean logarithm of the values above 0 in every row, with its 95 % interval.

    Args:
        axes: where to draw.
        x: places of the rows; a row with fewer than two values above 0 is left out.
        samples: a row for each place, independent values along it, at least 0.
        style: of the points.
    """
    import numpy as np

    rows = [(place, np.log(row[row > 0])) for place, row in zip(x, samples, strict=True)]
    rows = [(place, logs) for place, logs in rows if len(logs) > 1]
    if not rows:
        return
    half_width = [1.96 * logs.std(ddof=1) / math.sqrt(len(logs)) for _, logs in rows]
    means = [logs.mean() for _, logs in rows]
    points_with_intervals(axes, [place for place, _ in rows], means, half_width, **style)
