"""Where results are: a folder of this machine, or a URL and its copy on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from campaign.engines.stores.remote import RemoteFolder, is_url, misspelt
from campaign.errors import SetupError, SpecError
from campaign.runner.folder import ResultsFolder
from campaign.sources.cache import cache_folder

if TYPE_CHECKING:
    from campaign.engines.stores.parquet import ParquetStore

UPLOAD_SECONDS = 60.0
"""How often rows go to a remote folder; what is younger is run again if this machine is lost."""
ABOUT = "remote.json"
"""In the copy that readers make: where it is from, and who writes there."""
_IDENTITY = "campaign.json"
_TRIES = 3

Place = Path | str
"""A folder, or a URL."""


def place_of(text: str | Path) -> Place:
    """A folder where that is what `text` names, also as ``file://``; else the URL.

    Raises:
        SpecError: If a URL is meant that lacks a slash, or names a folder of another machine.

    Example:
        >>> place_of("file:///data/my%20results").as_posix(), place_of("s3://bucket/x")
        ('/data/my results', 's3://bucket/x')
    """
    if not is_url(text):
        if meant := misspelt(text):
            raise SpecError(f"results: got {str(text)!r}, which is no folder; write {meant}")
        return Path(text)
    parts = urlsplit(str(text))
    if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
        raise SpecError(
            f"results: got {str(text)!r}, a folder of the machine {parts.netloc!r}; allowed: "
            "file:///FOLDER with three slashes, or the folder without file://"
        )
    return Path(unquote(parts.path)) if parts.scheme == "file" else str(text)


@contextlib.contextmanager
def opened(place: Place, note: Callable[[str], None]) -> Iterator[ResultsFolder]:
    """The folder to write to; that of a URL is a copy, which is brought there as it grows.

    Raises:
        SetupError: If it cannot be read or written.
        LockedError: If another driver writes to the URL.
    """
    if isinstance(place, Path):
        folder = ResultsFolder(place)
        folder.make()
        yield folder
        return
    from campaign.engines.stores.mirror import Mirror, Pusher
    from campaign.engines.stores.ownership import Ownership

    remote = RemoteFolder(place)
    ownership = Ownership(remote)
    try:
        mirror = Mirror(remote, _spool(remote))
        mirror.pull()
        mirror.merge_manifest()
        note(f"results go to {remote.url}; until then they are in {mirror.local}")
        pusher = Pusher(mirror, UPLOAD_SECONDS / 2, ownership.check, note)
        try:
            yield ResultsFolder(mirror.local)
        finally:
            pusher.end()
    finally:
        ownership.release()


def open_store(place: Place, folder: ResultsFolder) -> ParquetStore:
    """The store of a folder that `opened` gave."""
    from campaign.engines.stores.parquet import ParquetStore

    if isinstance(place, Path):
        return ParquetStore(folder.path)
    return ParquetStore(folder.path, seal_seconds=UPLOAD_SECONDS / 2, patience=None)


def here(text: str | Path, *, empty: bool = False) -> Path:
    """The folder to read from: `text` itself, or a copy of what its URL has at this moment.

    Args:
        text: A folder or a URL.
        empty: Whether the URL may have no rows.

    Raises:
        SetupError: If the URL cannot be read, or has no rows.
    """
    place = place_of(text)
    if isinstance(place, Path):
        return place
    from campaign.engines.stores.mirror import Mirror
    from campaign.engines.stores.ownership import OWNER

    remote = RemoteFolder(place)
    name = hashlib.sha256(remote.url.encode()).hexdigest()[:16]
    mirror = Mirror(remote, cache_folder() / "read" / name)
    for _ in range(_TRIES):  # a compaction may delete parts between the listing and the reading
        sizes = mirror.pull()
        if set(mirror.remote.sizes()) >= set(sizes) - {OWNER}:
            break
    mirror.replace_manifest()
    if not empty and not any(mirror.trials.glob("*.parquet")):
        raise SetupError(f"no results in {remote.url}: run `campaign run SPEC` first")
    owner = remote.read([OWNER]).get(OWNER, b"{}").decode("utf-8", "replace")
    about = {"url": remote.url, "owner": owner, "at": time.time()}
    (mirror.local / ABOUT).write_text(json.dumps(about), "utf-8")
    return mirror.local


def is_written(folder: Path) -> bool:
    """Whether a driver is at work on a folder, or on the URL that it was copied from."""
    from campaign.engines.stores.lock import is_held
    from campaign.engines.stores.ownership import is_alive

    return is_held(folder) or is_alive(str(_about(folder).get("owner", "")))


def publish(folder: Path, paths: Sequence[Path]) -> str | None:
    """Bring files that were made in a copy to where it is from.

    Returns:
        The URL, None where the folder is no copy.
    """
    from campaign.engines.stores.mirror import Mirror

    url = _about(folder).get("url")
    if not url:
        return None
    Mirror(RemoteFolder(str(url)), folder).push_files(paths)
    return str(url)


def origin_of(folder: Path) -> Place:
    """The URL that a folder was copied from to be read, else the folder."""
    return str(_about(folder).get("url", "")) or folder


def _about(folder: Path) -> dict[str, object]:
    try:
        return dict(json.loads((folder / ABOUT).read_text("utf-8")))
    except (OSError, ValueError):
        return {}


def _spool(remote: RemoteFolder) -> Path:
    """The copy of the driver, by an id that lies in the remote folder.

    So a folder that was emptied and begun anew does not get the rows of the former one.
    """
    found = remote.read([_IDENTITY]).get(_IDENTITY)
    try:
        name = str(uuid.UUID(json.loads(found or b"{}")["id"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        name = str(uuid.uuid4())
        remote.write(_IDENTITY, json.dumps({"id": name}).encode())
    return cache_folder() / "results" / name
