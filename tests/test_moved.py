"""Old module paths: the same objects, a warning at the line that asks, and nothing where a module is."""

import importlib
import importlib.machinery
import pkgutil
import re
import sys
import warnings
from pathlib import Path

import pytest

from fracrepro import _moved

PACKAGE = Path(_moved.__file__).parent


def is_real(name):
    path = PACKAGE.joinpath(*name.split(".")[1:])
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@pytest.mark.parametrize("old", _moved.MOVED)
def test_an_old_path_gives_the_new_objects_and_warns(old, monkeypatch):
    assert not is_real(old)
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match="has moved to") as caught:
        module = importlib.import_module(old)
    for target in _moved.MOVED[old]:
        assert target in str(caught[0].message)
        new = importlib.import_module(target)
        assert new.__spec__.name == target  # the new module is as it was
        public = [name for name in vars(new) if not name.startswith("__")]
        assert public
        assert all(getattr(module, name) is getattr(new, name) for name in public)


def test_the_warning_points_at_the_line_that_imports(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "fracrepro.theory.checks", raising=False)
    (tmp_path / "uses_an_old_path.py").write_text("\nfrom fracrepro.theory.checks import mean_test\n")
    monkeypatch.syspath_prepend(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        importlib.import_module("uses_an_old_path")
    [warning] = [entry for entry in caught if entry.category is DeprecationWarning]
    assert (Path(warning.filename).name, warning.lineno) == ("uses_an_old_path.py", 2)


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in _moved.NAMES.items() for name in names]
)
def test_a_name_that_left_its_module_is_found_and_warns(module, name):
    target = _moved.NAMES[module][name]
    with pytest.warns(DeprecationWarning, match=f"{name} has moved to {target}") as caught:
        found = getattr(importlib.import_module(module), name)
    assert found is getattr(importlib.import_module(target), name)
    assert Path(caught[0].filename) == Path(__file__)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in _moved.GONE.items() for name in names]
)
def test_a_name_that_is_gone_says_where_to_go(module, name):
    with pytest.raises(AttributeError, match=re.escape(f"{name!r}: use {_moved.GONE[module][name]}")):
        getattr(importlib.import_module(module), name)
    place = re.sub(r"\(.*", "", _moved.GONE[module][name])
    assert pkgutil.resolve_name(place) is not None


def test_a_name_that_never_was_is_an_attribute_error():
    module = importlib.import_module("fracrepro.nn.networks")
    with pytest.raises(AttributeError, match="has no attribute 'Netwrok'"):
        _ = module.Netwrok


@pytest.mark.parametrize("name", ["fracrepro.nn.trian", "fracrepro.theory.chekcs"])
def test_other_names_fail_as_ever(name):
    with pytest.raises(ModuleNotFoundError, match=name):
        importlib.import_module(name)


def test_the_new_paths_exist_and_no_module_of_the_package_uses_an_old_one():
    new = {target for targets in _moved.MOVED.values() for target in targets}
    assert all(is_real(name) for name in new)
    assert not new & set(_moved.MOVED)
    gone = [name for name in _moved.MOVED if not is_real(name)]
    for path in PACKAGE.rglob("*.py"):
        if path != Path(_moved.__file__):
            text = path.read_text()
            assert not any(f"from {name} " in text or f"import {name}\n" in text for name in gone), path


def test_installing_twice_leaves_one_finder():
    _moved.install()
    _moved.install()
    assert sum(type(finder).__name__ == "_Moved" for finder in sys.meta_path) == 1
