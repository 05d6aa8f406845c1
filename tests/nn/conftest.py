"""Shared by the tests of the torch side."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread_inside_torch():
    # Small matrices gain nothing from a second thread, and lose where the cores are shared with others.
    torch.set_num_threads(1)
