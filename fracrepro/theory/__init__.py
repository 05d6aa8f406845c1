"""The laws of the norm of a random deep network; numpy and scipy only."""
