"""Notebooks as functions, records with provenance, and the book."""

from fracrepro.figures.tables import protocol_table, table
from fracrepro.theory.activations import named as named_activation
from fracrepro.workflow.provenance import environment_line
from fracrepro.workflow.reports import report

__all__ = ["environment_line", "named_activation", "protocol_table", "report", "table"]
