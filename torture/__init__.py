"""Long attacks on the package, which the suite repeats in small: `python -m torture.damage --help`."""
