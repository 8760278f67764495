from __future__ import annotations

import hashlib
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from campaign.errors import SetupError
from campaign.sources.cache import (
    cache_folder,
    file_digest,
    file_digests,
    tree_digest,
    write_atomically,
)

OLD = 1_600_000_000


def aged(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    os.utime(path, (OLD, OLD))
    return path


def remembered(folder: Path) -> int:
    connection = sqlite3.connect(folder / "digests.sqlite")
    count = connection.execute("SELECT count(*) FROM stamped").fetchone()[0]
    connection.close()
    return int(count)


def test_the_folder_is_the_first_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/shared")
    monkeypatch.setenv("CAMPAIGN_CACHE", "/own")
    assert cache_folder() == Path("/own")
    monkeypatch.delenv("CAMPAIGN_CACHE")
    assert cache_folder() == Path("/shared/campaign")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / ".cache" / "campaign"


def test_a_digest_is_the_sha256_of_the_content(tmp_path: Path) -> None:
    path = aged(tmp_path / "x", b"content")
    for _ in range(2):
        assert file_digest(path) == hashlib.sha256(b"content").hexdigest()


def test_an_unchanged_file_is_not_read_twice(empty_cache: Path, tmp_path: Path) -> None:
    path = aged(tmp_path / "x", b"content")
    file_digest(path)
    with closing(sqlite3.connect(empty_cache / "digests.sqlite")) as memory, memory:
        memory.execute("UPDATE stamped SET sha256 = 'as remembered'")
    assert file_digest(path) == "as remembered"


@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize("replaced", [False, True])
def test_another_content_of_equal_size_and_time_is_noticed(tmp_path: Path, replaced: bool) -> None:
    path = aged(tmp_path / "x", b"content")
    assert file_digest(path) == hashlib.sha256(b"content").hexdigest()
    if replaced:
        aged(tmp_path / "y", b"CONTENT").replace(path)
    else:
        aged(path, b"CONTENT")
    assert file_digest(path) == hashlib.sha256(b"CONTENT").hexdigest()


def test_a_changed_file_has_another_digest(tmp_path: Path) -> None:
    path = aged(tmp_path / "x", b"content")
    first = file_digest(path)
    path.write_bytes(b"CONTENT")
    assert file_digest(path) != first


def test_a_file_that_may_still_change_is_not_remembered(empty_cache: Path, tmp_path: Path) -> None:
    aged(tmp_path / "old", b"1")
    (tmp_path / "new").write_bytes(b"2")
    file_digests([tmp_path / "old", tmp_path / "new"])
    assert remembered(empty_cache) == 1


def test_a_cache_that_cannot_be_used_costs_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = aged(tmp_path / "x", b"content")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "digests.sqlite").write_bytes(b"no database at all, for sure" * 100)
    for folder in (broken, path):  # a file where the folder should be
        monkeypatch.setenv("CAMPAIGN_CACHE", str(folder))
        assert file_digest(path) == hashlib.sha256(b"content").hexdigest()


def test_concurrent_writers_all_get_the_right_digest(empty_cache: Path, tmp_path: Path) -> None:
    paths = [aged(tmp_path / str(n), b"%d" % n) for n in range(20)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: file_digests(paths), range(8)))
    assert found == [[hashlib.sha256(b"%d" % n).hexdigest() for n in range(20)]] * 8
    assert remembered(empty_cache) == 20


def test_a_missing_file_is_told_with_its_path_and_advice(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"nowhere\.bin: No such file.*; set the weights$"):
        file_digest(tmp_path / "nowhere.bin", "set the weights")


def test_a_tree_is_its_names_and_contents_in_any_order(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "1", tmp_path / "b" / "2"
    for path in (first, second):
        path.parent.mkdir()
        aged(path, path.name.encode())
    digest = tree_digest(tmp_path, [first, second])
    assert tree_digest(tmp_path, [second, first]) == digest
    moved = first.rename(first.with_name("3"))
    assert tree_digest(tmp_path, [moved, second]) != digest


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    def chunks() -> object:
        yield b"half"
        raise OSError("disk full")

    target = tmp_path / "folder" / "file"
    with pytest.raises(OSError, match="disk full"):
        write_atomically(target, chunks())  # type: ignore[arg-type]
    assert list(target.parent.iterdir()) == []
