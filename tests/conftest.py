"""Shared by all tests."""

import signal


def pytest_configure():
    """Heed Ctrl-C even when started in the background, where a shell has it ignored, children included."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
