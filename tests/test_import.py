"""Importing the package is light: neither torch nor any of the heavy libraries comes along."""

import importlib
import re
import subprocess
import sys
import warnings

import pytest

import fracrepro


def test_import_brings_no_heavy_library():
    code = (
        "import sys, fracrepro; heavy = {'torch', 'matplotlib', 'dask', 'papermill', 'pandas', "
        "'scipy.stats', 'scipy.optimize'}; print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted(fracrepro._RETIRED))
def test_a_name_that_goes_warns_and_still_works(name):
    module, instead = fracrepro._RETIRED[name]
    message = f"fracrepro.{name} goes with the next version: use fracrepro.{instead}"
    with pytest.warns(DeprecationWarning, match=re.escape(message)) as caught:
        found = getattr(fracrepro, name)
    assert caught[0].filename == __file__
    assert found is getattr(importlib.import_module(module), name)
    assert name not in fracrepro.__all__


def test_a_public_name_does_not_warn_and_an_unknown_one_is_an_attribute_error():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(getattr(fracrepro, name) is not None for name in fracrepro.__all__)
    with pytest.raises(AttributeError, match="module 'fracrepro' has no attribute 'nothing'"):
        _ = fracrepro.nothing


def test_every_public_name_exists():
    assert all(hasattr(fracrepro, name) for name in fracrepro.__all__)
    assert len(set(fracrepro.__all__)) == len(fracrepro.__all__)
