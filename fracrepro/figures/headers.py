"""The HTML of a table: one row of headers, words to the left, numbers to the right."""

from __future__ import annotations

import re
from typing import Any

from pandas.io.formats.style import Styler

from fracrepro.figures.numbers import is_words

__all__ = ["Table", "headed", "powered", "sided"]

_HEAD = re.compile(r"<thead>.*?</thead>", re.DOTALL)
_ROW = re.compile(r"<tr>.*?</tr>", re.DOTALL)
_CELL = re.compile(r"<t[hd].*?</t[hd]>", re.DOTALL)
_NAME = re.compile(r'<th class="index_name.*?</th>', re.DOTALL)
_HEADING = re.compile(r'<th (class="(col_heading|row_heading|index_name)[^>]*)>(?!&nbsp;)')
_VALUE = re.compile(r'<td class="data row\d+ (col\d+)[^>]*>(.*?)</td>', re.DOTALL)
_POWER = re.compile(r"[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_COLUMN = re.compile(r'class="((?:data row|col_heading level)\d+ (col\d+))"(?! colspan)')


class Table(Styler):
    """A table of pandas that is read like one of a book."""

    def to_html(self, *arguments: Any, **options: Any) -> Any:
        """Return what pandas makes, tidied; text written to a file stays as it is."""
        html = super().to_html(*arguments, **options)
        if not isinstance(html, str):
            return html
        return powered(sided(headed(html)))


def headed(html: str) -> str:
    """Return a table in which the names of the rows stand beside those of the columns, not below them.

    Headers say whether they head a row or a column, and do not break around an equals sign.

    >>> print(headed('''<thead><tr><td class="blank level0" ></td><th class="col_heading" >x = 1</th></tr>
    ... <tr><th class="index_name level0" >width</th><td class="blank col0" ></td></tr></thead>'''))
    <thead><tr><th scope="col" class="index_name level0" >width</th><th scope="col" class="col_heading" >x\
\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}1</th></tr></thead>
    """
    head = _HEAD.search(html)
    if head is None:
        return html
    text, rows = head[0], _ROW.findall(head[0])
    corner = _NAME.findall(rows[-1])
    if len(rows) > 1 and corner and len(corner) == rows[-2].count('class="blank'):
        labels = _CELL.findall(rows[-2])[len(corner) :]
        before, after = text[: text.index(rows[-2])], text[text.index(rows[-1]) + len(rows[-1]) :]
        text = f"{before}<tr>{''.join(corner + labels)}</tr>{after}"
    text = text.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")
    return _HEADING.sub(_scoped, html[: head.start()] + text + html[head.end() :])


def _scoped(match: re.Match[str]) -> str:
    tag, kind = match[1], match[2]
    scope = "row" if kind == "row_heading" else "col"
    group = "group" if "span=" in tag else ""
    return f'<th scope="{scope}{group}" {tag}>'


def powered(html: str) -> str:
    """Return text in which raised digits are larger: they are small in every font, and a table's letters too.

    >>> powered("10⁻¹⁵")
    '10<span class="power">⁻¹⁵</span>'
    """
    return _POWER.sub(r'<span class="power">\g<0></span>', html)


def sided(html: str) -> str:
    """Return a table whose columns of words have the class ``text``, their headers too.

    >>> sided('<td class="data row0 col0" >yes</td><td class="data row0 col1" >7 / 8</td>')
    '<td class="data row0 col0 text" >yes</td><td class="data row0 col1" >7 / 8</td>'
    """
    words = {column for column, value in _VALUE.findall(html) if is_words(value)}
    return _COLUMN.sub(
        lambda match: f'class="{match[1]} text"' if match[2] in words else match[0],
        html,
    )
