"""Importing the package is light: neither torch nor any of the heavy libraries comes along."""

import subprocess
import sys


def test_import_brings_no_heavy_library():
    code = (
        "import sys, fracrepro; heavy = {'torch', 'matplotlib', 'dask', 'papermill', 'pandas', "
        "'scipy.stats', 'scipy.optimize'}; print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_every_public_name_exists():
    import fracrepro

    assert all(hasattr(fracrepro, name) for name in fracrepro.__all__)
    assert len(set(fracrepro.__all__)) == len(fracrepro.__all__)
