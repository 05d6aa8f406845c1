"""Notebooks as functions, records with provenance, and the book."""
