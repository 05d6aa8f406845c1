"""What may come of an attack, from good to bad; a table of counts has a column for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

#: Name of a column and its heading; of several that apply to one attack, the last counts.
COLUMNS = {
    "right": "right result",
    "error": "clear error",
    "wrong": "wrong",
    "lost": "lost",
    "twice": "twice",
    "half": "half-written",
    "hang": "hang",
    "traceback": "traceback",
}
GOOD = ("right", "error")


def worst(found: Iterable[str]) -> str:
    """Return the worst of some columns; "right" for none.

    >>> worst(["error", "lost", "right"]), worst([])
    ('lost', 'right')
    """
    return max(found, key=list(COLUMNS).index, default="right")


def bad(counts: Mapping[str, int]) -> int:
    """How many attacks ended otherwise than with the right result or a clear error."""
    return sum(n for name, n in counts.items() if name not in GOOD)


def table(rows: Mapping[str, Mapping[str, int]]) -> str:
    """Return counts by attack as text, with a sum where there are several.

    >>> print(table({"train": {"right": 3, "error": 1}}))
    attack  cases  right result  clear error  wrong  lost  twice  half-written  hang  traceback
    train       4             3            1      0     0      0             0     0          0
    """
    total = {name: sum(counts.get(name, 0) for counts in rows.values()) for name in COLUMNS}
    lines = [["attack", "cases", *COLUMNS.values()]]
    for label, counts in [*rows.items(), *([("all", total)] if len(rows) > 1 else [])]:
        each = [counts.get(name, 0) for name in COLUMNS]
        lines.append([label, str(sum(each)), *map(str, each)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    )
