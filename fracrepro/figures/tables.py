"""The look of every table."""

from __future__ import annotations

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

    # Without ids the same numbers give the same bytes; the theme knows how to colour this class.
    styler = Styler(frame, uuid="", cell_ids=False).set_table_attributes('class="dataframe"')
    styler = styler.format(formats, na_rep="–")
    return styler if index else styler.hide(axis="index")


def protocol_table(recorded: Settings, live: Settings) -> Styler:
    """Return the settings of two protocols side by side: the record's, and those of a page's own training."""
    import pandas as pd

    columns = {"the record": _settings(recorded), "this page": _settings(live)}
    return table(pd.DataFrame(columns))


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
