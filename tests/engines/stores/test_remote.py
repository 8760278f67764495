"""Remote results: an S3 server on this machine, and the memory of this process."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from campaign.engines.stores.manifest import read_manifest
from campaign.engines.stores.mirror import LINES, Mirror, Pusher
from campaign.engines.stores.ownership import BEATS, OWNER, Ownership
from campaign.engines.stores.parquet import ParquetStore
from campaign.engines.stores.reader import load_results
from campaign.engines.stores.remote import RemoteFolder
from campaign.engines.stores.schema import to_records
from campaign.errors import LockedError, SetupError, SpecError
from campaign.records import TrialRecord

Make = Callable[..., TrialRecord]


@pytest.fixture(params=["memory", "s3"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}/results"
    return f"{request.getfixturevalue('s3')}/{uuid.uuid4().hex}"


def filled(folder: Path, make: Make, first: int, last: int) -> ParquetStore:
    """A store with one part for every ten trials."""
    store = ParquetStore(folder, seal_rows=10)
    for number in range(first, last, 10):
        store.append([make(n) for n in range(number, number + 10)])
    return store


def opened(url: str, folder: Path) -> Mirror:
    """As a driver opens it."""
    mirror = Mirror(RemoteFolder(url), folder)
    mirror.pull()
    mirror.merge_manifest()
    return mirror


def seen(url: str, folder: Path) -> tuple[list[int], list[str]]:
    """The trials that a reader finds, and what it is warned of."""
    mirror = Mirror(RemoteFolder(url), folder)
    mirror.pull()
    mirror.replace_manifest()
    if not list(folder.glob("trials/*.parquet")):
        return [], []
    table, warnings = load_results(folder)
    found = [record.seed for record in to_records(table)]
    assert len(set(found)) == len(found)
    return sorted(found), warnings


def test_objects_come_back_and_are_made_once(url: str) -> None:
    folder = RemoteFolder(url)
    assert folder.sizes() == folder.read(["a"]) == {}
    folder.write("a", b"1")
    folder.write("b/c", b"22")
    folder.write("a", b"333")
    assert folder.sizes() == {"a": 3, "b/c": 2}
    assert folder.read(["a", "b/c", "d"]) == {"a": b"333", "b/c": b"22"}
    assert folder.create("e", b"4")
    assert not folder.create("e", b"5")
    assert folder.read(["e"]) == {"e": b"4"}
    folder.delete(["a", "never there"])
    assert set(folder.sizes()) == {"b/c", "e"}


def test_rows_outlive_the_machine_of_the_driver_and_compaction_keeps_them(
    url: str, tmp_path: Path, make_record: Make
) -> None:
    mirror = opened(url, tmp_path / "one")
    (tmp_path / "one" / "lock.json").write_text("{}")
    with closing(filled(tmp_path / "one", make_record, 0, 30)):
        mirror.push()
        assert seen(url, tmp_path / "reader") == (list(range(30)), [])
    mirror = opened(url, tmp_path / "two")
    assert (tmp_path / "two" / "lock.json").read_text() == "{}"
    with closing(filled(tmp_path / "two", make_record, 30, 60)) as store:
        assert len(store.done()) == 60
        assert store.warnings == []
        mirror.push()
        assert store.compact() == (6, 1)
        mirror.push()
        files = RemoteFolder(url).sizes()
        assert sum(name.endswith(".parquet") for name in files) == 1
        assert seen(url, tmp_path / "reader") == (list(range(60)), [])
    opened(url, tmp_path / "one").push()  # the first machine comes back, with its old parts
    with closing(ParquetStore(tmp_path / "one")) as store:
        assert len(store.done()) == 60
        assert store.warnings == []
        assert len(list(tmp_path.glob("one/trials/*.parquet"))) == 1
    assert RemoteFolder(url).sizes() == files


@pytest.mark.parametrize("compacted", [False, True])
def test_a_crash_at_any_object_loses_and_doubles_nothing(
    tmp_path: Path, make_record: Make, compacted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, steps = RemoteFolder.write, range(100)
    for stop in steps:
        url, left = f"memory://{uuid.uuid4().hex}/results", iter(range(stop))

        def write(self: RemoteFolder, name: str, content: bytes) -> None:
            if next(left, None) is None:  # noqa: B023
                raise SetupError("the machine is gone")
            whole(self, name, content)

        place = tmp_path / str(stop)
        mirror = opened(url, place / "one")
        store = filled(place / "one", make_record, 0, 30)
        if compacted:
            mirror.push()
            store.compact()
        store.close()
        monkeypatch.setattr(RemoteFolder, "write", write)
        try:
            mirror.push()
            ended = True
        except SetupError:
            ended = False
        monkeypatch.undo()
        found, warnings = seen(url, place / "reader")
        assert warnings == []
        assert not compacted or found == list(range(30))
        other = opened(url, place / "two")  # another machine, which has what arrived
        with closing(ParquetStore(place / "two")) as store:
            assert len(store.done()) == len(found)
            assert store.warnings == store.conflicts() == []
        other.push()
        opened(url, place / "one").push()  # and the first one, which has all
        assert seen(url, place / "reader") == (list(range(30)), [])
        if ended:
            assert stop == (2 if compacted else 6)
            return
    pytest.fail("the last step was not reached")


def test_a_truncated_part_is_listed_as_bad_and_its_trials_run_again(
    url: str, tmp_path: Path, make_record: Make
) -> None:
    mirror = opened(url, tmp_path / "one")
    filled(tmp_path / "one", make_record, 0, 20).close()
    mirror.push()
    remote = RemoteFolder(url)
    first, _ = sorted(name for name in remote.sizes() if name.endswith(".parquet"))
    remote.write(first, remote.read([first])[first][:100])
    remote.write("trials/foreign.parquet", b"not of ours")
    found, warnings = seen(url, tmp_path / "reader")
    assert found == list(range(10, 20))
    assert len(warnings) == 2

    mirror = opened(url, tmp_path / "two")
    with closing(ParquetStore(tmp_path / "two")) as store:
        assert len(store.done()) == 10
        assert len(store.warnings) == 2
        store.append([make_record(n) for n in range(10)])
    mirror.push()
    assert seen(url, tmp_path / "reader") == (list(range(20)), [])
    assert f"{LINES}{Path(first).name}.set-aside.json" in remote.sizes()
    assert first in remote.sizes(), "what is bad is kept for inspection"
    third = opened(url, tmp_path / "three")
    assert set(read_manifest(third.trials).bad) == {Path(first).name, "foreign.parquet"}


def test_a_part_that_the_store_lost_is_brought_again_from_the_copy(
    tmp_path: Path, make_record: Make
) -> None:
    url = f"memory://{uuid.uuid4().hex}/results"
    mirror = opened(url, tmp_path / "one")
    filled(tmp_path / "one", make_record, 0, 20).close()
    mirror.push()
    remote = RemoteFolder(url)
    first, second = sorted(name for name in remote.sizes() if name.endswith(".parquet"))
    remote.write(first, b"PAR1")
    remote.delete([second])
    opened(url, tmp_path / "one").push()
    assert seen(url, tmp_path / "reader") == (list(range(20)), [])


def test_a_second_driver_is_refused_within_a_beat_and_a_silent_one_is_followed(url: str) -> None:
    folder, beat = RemoteFolder(url), 0.2
    first = Ownership(folder, beat_seconds=beat)
    with pytest.raises(LockedError, match=rf"another campaign \(pid {os.getpid()} on "):
        Ownership(folder, beat_seconds=beat)
    first.check()
    first.release()
    assert OWNER not in folder.sizes()

    folder.write(OWNER, json.dumps({"token": "other", "host": "elsewhere", "pid": 1}).encode())
    begun = time.monotonic()
    second = Ownership(folder, beat_seconds=beat)
    assert time.monotonic() - begun >= BEATS * beat

    folder.write(OWNER, json.dumps({"token": "thief", "host": "elsewhere", "pid": 2}).encode())
    deadline = time.monotonic() + 20
    while second.lost is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with pytest.raises(LockedError, match="pid 2 on elsewhere"):
        second.check()
    second.release()
    assert OWNER in folder.sizes(), "the owner of today keeps it"


def test_of_drivers_that_start_together_one_goes_on(url: str) -> None:
    folder, owners, refused = RemoteFolder(url), list[Ownership](), list[str]()

    def start() -> None:
        try:
            owners.append(Ownership(folder, beat_seconds=0.2))
        except LockedError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(owners), len(refused)) == (1, 3)
    owners[0].release()


def test_a_driver_that_died_on_this_machine_is_not_waited_for() -> None:
    folder = RemoteFolder(f"memory://{uuid.uuid4().hex}/results")
    first = Ownership(folder, beat_seconds=60.0)
    said = json.loads(folder.read([OWNER])[OWNER])
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    folder.write(OWNER, json.dumps({**said, "token": "dead", "pid": pid}).encode())
    begun = time.monotonic()
    Ownership(folder, beat_seconds=60.0).release()
    assert time.monotonic() - begun < 10
    first.lost = "tested"
    first.release()


def test_a_pusher_goes_on_after_trouble_and_brings_all_at_the_end(
    tmp_path: Path, make_record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, said = f"memory://{uuid.uuid4().hex}/results", list[str]()
    whole, calls = RemoteFolder.write, iter(range(10**6))

    def write(self: RemoteFolder, name: str, content: bytes) -> None:
        if next(calls) % 2:
            raise SetupError("no network")
        whole(self, name, content)

    monkeypatch.setattr(RemoteFolder, "write", write)
    mirror = opened(url, tmp_path / "one")
    pusher = Pusher(mirror, 0.02, lambda: None, said.append)
    with closing(filled(tmp_path / "one", make_record, 0, 50)):
        deadline = time.monotonic() + 20
        while not said:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    monkeypatch.undo()
    pusher.end()
    assert seen(url, tmp_path / "reader") == (list(range(50)), [])
    assert "to be tried again; no network" in said[0]


def test_a_url_that_cannot_be_used_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SpecError, match="no user or password") as refused:
        RemoteFolder("s3://key:secret@bucket/x")
    assert "secret" not in str(refused.value)
    with pytest.raises(SpecError, match=r"nothing://x: .*allowed: s3, gs"):
        RemoteFolder("nothing://x")
    for url in ("s3://", "s3:///name", "memory://"):
        with pytest.raises(SpecError, match=r"names no bucket; allowed: such as \w+://BUCKET/NAME"):
            RemoteFolder(url)
    for url in ("s3://bucket/run[1]", "memory://a/b?token=secret", "s3://key:secret@bucket/x*"):
        with pytest.raises(SpecError, match=r"name holds '.'.*allowed: a name without") as refused:
            RemoteFolder(url)
        assert "secret" not in str(refused.value)
    with pytest.raises(SpecError, match="no user or password"):
        RemoteFolder("abfs://key:secret@account/x")


def test_an_azure_url_names_its_account_behind_the_container(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "adlfs", None)
    for kind in ("abfs", "abfss", "az"):
        url = f"{kind}://container@account.dfs.core.windows.net/x"
        with pytest.raises(SetupError, match=f"{url}: needs adlfs: pip install adlfs"):
            RemoteFolder(url)


def test_a_server_that_is_asked_at_once_and_does_not_answer_is_refused_in_one_line() -> None:
    with pytest.raises(SetupError, match=r"cannot be opened \(\w+: .*refused.*check the name"):
        RemoteFolder("ftp://127.0.0.1:1/x")


def test_a_bucket_that_is_not_there_is_refused_in_one_line(s3: str) -> None:
    with pytest.raises(SetupError, match="check the name, the network"):
        RemoteFolder(f"{s3}-missing/x").write("a", b"1")
