"""Shared by all tests."""

import signal

# Scripts, no tests: collected for doctests they would set 40 digits in mpmath for the whole session.
collect_ignore_glob = ["reference/make_*.py"]


def pytest_configure():
    """Heed Ctrl-C even when started in the background, where a shell has it ignored, children included."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
