"""Notebooks as functions, records with provenance, and the book."""

from fracrepro.workflow.activations import named_activation
from fracrepro.workflow.records import environment_line, report
from fracrepro.workflow.tables import protocol_table, table

__all__ = ["environment_line", "named_activation", "protocol_table", "report", "table"]
