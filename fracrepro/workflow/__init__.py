"""Notebooks as functions, records with provenance, and the book."""

from fracrepro.workflow.records import environment_line, report

__all__ = ["environment_line", "report"]
