"""Measured errors of the laws, for the table on the book's page on numerics."""
