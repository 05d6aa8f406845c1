"""Attacks on the commands: random kills of real processes, and damaged inputs; `make torture` runs them."""
