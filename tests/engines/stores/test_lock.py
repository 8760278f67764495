"""One writer at a time."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from campaign.engines.stores.lock import is_held
from campaign.engines.stores.parquet import ParquetStore
from campaign.errors import LockedError


def test_a_second_writer_is_refused_and_told_who_holds_the_folder(writers: Any) -> None:
    writers.start(0, 10**6)
    writers.wait_for(1)
    assert is_held(writers.folder)
    with pytest.raises(LockedError) as refusal:
        ParquetStore(writers.folder)
    assert f"pid {writers.pid} on {socket.gethostname()}, since 20" in str(refusal.value)
    assert f"`kill {writers.pid}`" in str(refusal.value)

    writers.kill()
    writers.end()
    assert not is_held(writers.folder)
    ParquetStore(writers.folder).close()


def test_a_second_store_in_the_same_process_is_refused(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    with pytest.raises(LockedError, match=f"pid {os.getpid()} "):
        ParquetStore(tmp_path)
    store.close()
    store.close()
    ParquetStore(tmp_path).close()


def test_an_opening_that_fails_releases_the_folder(tmp_path: Path) -> None:
    (tmp_path / "journal.db").mkdir()
    for _ in range(2):
        with pytest.raises(Exception, match="unable to open database file"):
            ParquetStore(tmp_path)
    assert not is_held(tmp_path)


def test_looking_whether_a_folder_is_held_makes_no_file(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    assert list(tmp_path.iterdir()) == []
