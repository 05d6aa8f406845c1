"""The look of every table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler

    from fracrepro.nn.training.settings import Settings


def table(
    frame: pd.DataFrame, formats: Mapping[str, str] | str | None = None, *, index: bool = True
) -> Styler:
    """Return `frame` as an HTML table in the theme's colours; a missing value shows as a dash.

    Args:
        frame: what to show.
        formats: a format such as ``"{:.3f}"`` for all columns, or one for each named column.
        index: whether to show the row labels.
    """
    from pandas.io.formats.style import Styler

    # An id made of the content, not of chance: the same numbers give the same bytes.
    digest = hashlib.sha256(frame.to_csv().encode()).hexdigest()[:8]
    # The theme knows how to colour this class.
    styler = Styler(frame, uuid=digest, cell_ids=False).set_table_attributes('class="dataframe"')
    styler = styler.format(formats, na_rep="–")
    return styler if index else styler.hide(axis="index")


def protocol_table(recorded: Settings, live: Settings) -> Styler:
    """Return the settings of two trainings side by side: the record's, and those of a page's own.

    Args:
        recorded: what the record was trained with.
        live: what the page trains with.
    """
    import pandas as pd

    columns = {"the record": _settings(recorded), "this page": _settings(live)}
    return table(pd.DataFrame(columns))


def order_table(differences: pd.DataFrame, axis: str) -> Styler:
    """Return a sweep's differences between orders as a table: one row per cell and order.

    Args:
        differences: what `fracrepro.stats.paired.order_differences` returns for `axis` and the slope, from
            the order 2.
        axis: the name of the column beside the slope.
    """
    import pandas as pd

    counts = zip(differences["started"], differences["started_of_reference"], strict=True)
    columns = {
        axis: differences[axis],
        "slope": differences["negative_slope"].map("{:g}".format),  # text: here a number is a label
        "s": differences["s"].map("{:g}".format),
        "accuracy at s = 2": differences["accuracy_of_reference"],
        "difference": differences["mean"],
        "low": differences["low"],
        "high": differences["high"],
        "started": [f"{one} / {other}" for one, other in counts],
    }
    numbers = ("accuracy at s = 2", "difference", "low", "high")
    return table(pd.DataFrame(columns).set_index([axis, "slope", "s"]), dict.fromkeys(numbers, "{:.2f}"))


TAILS = {
    "image_evi": "images γ",
    "noise_evi": "noise γ",
    "gaussian_evi": "normal γ",
    "noise_stable_index": "noise α",
    "gaussian_stable_index": "normal α",
    "weight_evi": "weights γ",
}


def tails_table(means: pd.DataFrame) -> Styler:
    """Return the figures of the gradient tails as a table: first the start of training, then its end.

    Args:
        means: figures of `fracrepro.nn.experiments.gradient_tails`, by ``stage`` and ``batch_size``.
    """
    kept = means.loc[["start", "end"], ["loss", "kurtosis", *TAILS]]
    kept = kept.rename_axis(index={"batch_size": "batch"}).rename(columns=TAILS)
    return table(kept, dict.fromkeys(kept.columns, "{:.2f}") | {"kurtosis": "{:.0f}"})


def _settings(protocol: Settings) -> dict[str, str]:
    """What decides a training, in words."""
    net = protocol.network
    blocks = [f"{n_out}×{n_in}×{k}×{k}" for n_out, n_in, k, _ in net.conv_shapes]
    decay = f", divided by 10 every {protocol.decay_every} epochs" if protocol.decay_every else ""
    convolutions = {"convolutions, each with ReLU and pooling": ", ".join(blocks)} if blocks else {}
    return {
        "data set": protocol.dataset,
        "image": " × ".join(map(str, net.image_shape)),
        **convolutions,
        "fully connected layers": f"{net.depth}, width {net.width}",
        "activation": f"leaky ReLU, slope {net.negative_slope:g}, after every layer",
        "optimizer": "SGD without momentum",
        "learning rate": f"{protocol.learning_rate:g}{decay}",
        "weight decay": f"{protocol.weight_decay:g}",
        "flips and crops": "yes" if protocol.augment else "no",
        "batch size": str(protocol.batch_size),
        "epochs": str(protocol.epochs),
        "runs of each scheme": str(len(protocol.seeds)),
        "shared at a seed": "data order, biases, standard normal draws",
    }
