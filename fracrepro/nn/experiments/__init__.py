"""Experiments as data: what is recorded, and nothing else."""
