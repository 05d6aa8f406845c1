"""Shared by all tests."""

import os
import signal
import sys

import pytest

# Scripts, no tests: collected for doctests they would set 40 digits in mpmath for the whole session.
collect_ignore_glob = ["reference/make_*.py"]


def pytest_configure():
    """Heed Ctrl-C even when started in the background, where a shell has it ignored, children included."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def kept_digits():
    """Let nobody leave mpmath at more digits, which costs every later test several times what it needs."""
    yield
    if "mpmath" in sys.modules:
        mp = sys.modules["mpmath"].mp
        left, mp.dps = mp.dps, 15
        assert left == 15


def pytest_runtest_setup(item):
    """Skip what takes long unless asked for, and what needs real data where nobody says where they are."""
    if item.get_closest_marker("long") and "long" not in item.config.option.markexpr:
        pytest.skip("takes long: pytest -m long, as make torture does")
    for name in ("mnist", "cifar10"):
        if item.get_closest_marker(name) and not os.environ.get("FRACREPRO_DATA"):
            pytest.skip("FRACREPRO_DATA is not set")
