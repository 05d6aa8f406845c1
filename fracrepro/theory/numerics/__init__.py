"""How the laws are computed; book/numerics.md derives every method."""
