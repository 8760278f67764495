"""Tests run in several processes: one thread each, and clusters in the same process."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Local Ray clusters would fight for the cores: they start one after the other."""
    for item in items:
        if item.get_closest_marker("ray") is not None:
            item.add_marker(pytest.mark.xdist_group("ray"))
