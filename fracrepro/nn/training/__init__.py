"""Training: a network described, its start, and every run of a protocol side by side."""
