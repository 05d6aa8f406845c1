"""Notebooks as functions, records with provenance, and the book.

The names that pages use are loaded one by one, so that a page depends on no more than it uses.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fracrepro.figures.tables import protocol_table, table
    from fracrepro.theory.activations import named as named_activation
    from fracrepro.workflow.provenance import environment_line
    from fracrepro.workflow.reports import report

__all__ = ["environment_line", "named_activation", "protocol_table", "report", "table"]

_HOMES = {
    "environment_line": ("fracrepro.workflow.provenance", "environment_line"),
    "named_activation": ("fracrepro.theory.activations", "named"),
    "protocol_table": ("fracrepro.figures.tables", "protocol_table"),
    "report": ("fracrepro.workflow.reports", "report"),
    "table": ("fracrepro.figures.tables", "table"),
}


def __getattr__(name: str) -> Any:
    """Load the module of a public name when the name is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value
