"""The look of every table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler


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
