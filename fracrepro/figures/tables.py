"""The look of every table."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fracrepro.errors import ArgumentError
from fracrepro.figures.numbers import DASH, number
from fracrepro.figures.style import activation_label, arm_label, scheme_of

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler

    from fracrepro.nn.training.network import NetworkDescription
    from fracrepro.nn.training.settings import Settings

_FORMAT = re.compile(r"(?P<before>[^{}]*)\{(?::(?P<spec>[^{}]*))?\}(?P<after>[^{}]*)")


def table(
    frame: pd.DataFrame, formats: Mapping[str, str | None] | str | None = None, *, index: bool = True
) -> Styler:
    """Return `frame` as an HTML table in the theme's colours; a missing value shows as a dash.

    Every number, in labels too, is written by :func:`fracrepro.figures.numbers.number`.
    Columns of words stand on the left; what columns of words are called in common is not shown.
    What stands in a column or an index named ``scheme`` or ``activation`` gets the name that figures give it.

    Args:
        frame: what to show.
        formats: a format such as ``"{:.3f}"`` for all columns, or one for each named column; where there is
            none, numbers have at most four significant digits.
        index: whether to show the row labels.

    Raises:
        ArgumentError: for a format that holds no value, or one that `number` does not know.
    """
    from pandas.api.types import is_numeric_dtype

    from fracrepro.figures.headers import Table

    # An id made of the content, not of chance: the same numbers give the same bytes.
    digest = hashlib.sha256(frame.to_csv().encode()).hexdigest()[:8]
    # The theme knows how to colour this class.
    styler: Styler = Table(frame, uuid=digest, cell_ids=False).set_table_attributes('class="dataframe"')
    named = dict.fromkeys(frame.columns, formats) if isinstance(formats, str) else formats or {}
    writers = {name: _NAMED.get(name) or _writer(named.get(name) or "{}") for name in frame.columns}
    styler = styler.format(writers, na_rep=DASH)
    for axis, labels in enumerate((frame.index, frame.columns)):
        for level, name in enumerate(labels.names):
            styler = styler.format_index(_NAMED.get(name, number), axis=axis, level=level)
    if frame.columns.nlevels == 1 and not is_numeric_dtype(frame.columns):
        # Labels of words, "epoch 1" and "epoch 2", need no "epoch" above the names of rows.
        styler = styler.hide(axis="columns", names=True)
    return styler if index else styler.hide(axis="index")


def _scheme(value: Any) -> str:
    """What people call a scheme; words that name none stay."""
    from fracrepro.nn import schemes

    return arm_label(value) if scheme_of(str(value)) in schemes.names() else number(value)


def _activation(value: Any) -> str:
    return activation_label(value) if isinstance(value, str) else number(value)


#: What writes that which programs call otherwise than people, by the name of its column or of its labels.
_NAMED: dict[Any, Callable[[Any], str]] = {"scheme": _scheme, "activation": _activation}


def _writer(form: str) -> Callable[[Any], str]:
    """What writes the values of a column: the words of the format around a number for people."""
    match = _FORMAT.fullmatch(form)
    if match is None:
        raise ArgumentError(f"format = {form!r}: need one such as '{{:.3f}}'")
    number(0, match["spec"] or "")  # refuses another format before any row is written
    return lambda value: f"{match['before']}{number(value, match['spec'] or '')}{match['after']}"


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
        "slope": differences["negative_slope"],
        "order": differences["s"],
        "accuracy at order 2": differences["accuracy_of_reference"],
        "difference": differences["mean"],
        "low": differences["low"],
        "high": differences["high"],
        "started": [f"{one} / {other}" for one, other in counts],
    }
    formats = {"accuracy at order 2": "{:.2f}"} | dict.fromkeys(("difference", "low", "high"), "{:+.2f}")
    return table(pd.DataFrame(columns).set_index([axis, "slope", "order"]), formats)


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
    from fracrepro.nn import data

    decay = f", divided by 10 every {protocol.decay_every} epochs" if protocol.decay_every else ""
    return {
        "data set": data.label(protocol.dataset),
        "image": " × ".join(map(str, protocol.network.image_shape)),
        **_layers(protocol.network),
        "optimizer": "SGD without momentum",
        "learning rate": f"{number(protocol.learning_rate)}{decay}",
        "weight decay": number(protocol.weight_decay),
        "flips and crops": number(protocol.augment),
        "batch size": str(protocol.batch_size),
        "epochs": str(protocol.epochs),
        "runs of each scheme": str(len(protocol.seeds)),
        "shared at a seed": "data order, biases, standard normal draws",
    }


def _layers(net: NetworkDescription) -> dict[str, str]:
    """What a network is made of, in words."""
    from fracrepro.nn.training.network import Network

    if not isinstance(net, Network):
        fields = {name: value for name, value in net.to_dict().items() if name != "image_shape"}
        return {name.replace("_", " "): str(value) for name, value in fields.items()}
    blocks = [f"{n_out}×{n_in}×{k}×{k}" for n_out, n_in, k, _ in net.conv_shapes]
    convolutions = {"convolutions, each with ReLU and pooling": ", ".join(blocks)} if blocks else {}
    return {
        **convolutions,
        "fully connected layers": f"{net.depth}, width {net.width}",
        "activation": f"leaky ReLU, slope {number(net.negative_slope)}, after every layer",
    }
