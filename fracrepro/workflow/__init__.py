"""Notebooks as functions, records with provenance, and the book.

The names that pages use are loaded one by one, so that a page depends on no more than it uses.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fracrepro.figures.tables import protocol_table, table
    from fracrepro.workflow.activations import named_activation
    from fracrepro.workflow.provenance import environment_line
    from fracrepro.workflow.reports import report

__all__ = ["environment_line", "named_activation", "protocol_table", "report", "table"]

_HOMES = {
    "environment_line": "fracrepro.workflow.provenance",
    "named_activation": "fracrepro.workflow.activations",
    "protocol_table": "fracrepro.figures.tables",
    "report": "fracrepro.workflow.reports",
    "table": "fracrepro.figures.tables",
}


def __getattr__(name: str) -> Any:
    """Load the module of a public name when the name is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
