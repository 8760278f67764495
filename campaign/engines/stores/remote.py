"""A results folder in an object store or on any other file system that fsspec knows.

Nothing is ever renamed or added to there: an object is written whole, under a name of its own.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from campaign.errors import CampaignError, SetupError, SpecError

T = TypeVar("T")
_AT_ONCE = 64
"""Objects that are read with one call, and so at the same time."""
_DRIVERS = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
_AZURE = ("abfs", "abfss", "az")
"""Their URLs name a container before the ``@``, and the account behind it."""
_DRIVERS |= dict.fromkeys(_AZURE, "adlfs")


def is_url(place: object) -> bool:
    """Whether a results folder is named by a URL, such as ``s3://bucket/name``.

    Example:
        >>> is_url("s3://bucket/x"), is_url("results/x"), is_url("C:/x")
        (True, False, False)
    """
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", str(place)) is not None


def misspelt(place: object) -> str | None:
    """The URL that was meant by what lacks a slash, None where a folder may be meant.

    Example:
        >>> misspelt("s3:/bucket/x"), misspelt("results/s3:/x"), misspelt("s3://bucket/x")
        ('s3://bucket/x', None, None)
    """
    kind, colon, rest = str(place).partition(":")
    wrong = colon and kind in _DRIVERS and not rest.startswith("//")
    return f"{kind}://{rest.lstrip('/')}" if wrong else None


class RemoteFolder:
    """Objects below a URL, by their names relative to it.

    Args:
        url: Such as ``s3://bucket/name``; credentials come from the environment.

    Raises:
        SpecError: If the URL holds a password or its kind is not known.
        SetupError: If its kind needs a package that is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        kind, _, rest = url.partition("://")
        _check(kind, rest)
        import fsspec

        try:
            self._fs, path = fsspec.url_to_fs(self.url, use_listings_cache=False)
        except ImportError:
            raise SetupError(_needs(self.url, kind)) from None
        except ValueError as error:
            if kind in _DRIVERS and "Protocol not known" in str(error):
                raise SetupError(_needs(self.url, kind)) from None
            raise SpecError(f"{self.url}: {error}; allowed: s3, gs, abfs, file, memory") from None
        except Exception as error:  # some connect at once; see `_do`
            raise SetupError(_cannot(self.url, "opened", error)) from error
        self._root = str(path).rstrip("/")

    def sizes(self) -> dict[str, int]:
        """Bytes of every object, by its name; empty where there is none."""
        found = self._do("listed", self._find)
        start = len(self._root.strip("/")) + 1
        return {
            str(path).strip("/")[start:]: int(info["size"] or 0)
            for path, info in found.items()
            if info["type"] == "file"
        }

    def read(self, names: Sequence[str]) -> dict[str, bytes]:
        """The content of objects; those that are not there are left out."""
        found: dict[str, bytes] = {}
        for first in range(0, len(names), _AT_ONCE):
            some = names[first : first + _AT_ONCE]
            found |= self._do("read", partial(self._cat, some))
        return found

    def write(self, name: str, content: bytes) -> None:
        """Write an object; who reads it gets the old content or the new."""
        self._do("written", lambda: self._fs.pipe_file(self._path(name), content))

    def create(self, name: str, content: bytes) -> bool:
        """Write an object that is not there; returns whether it was not.

        S3 and others decide this themselves. Where a file system does not, two writers at the
        same moment may both be told yes.
        """

        def made() -> bool:
            try:
                self._fs.pipe_file(self._path(name), content, mode="create")
            except FileExistsError:
                return False
            return True

        return bool(self._do("written", made))

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; those that are not there do not matter."""

        def gone(name: str) -> None:
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(self._path(name))

        for name in names:
            self._do("deleted", partial(gone, name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _find(self) -> Mapping[str, Any]:
        self._fs.invalidate_cache()
        try:
            found: Mapping[str, Any] = self._fs.find(self._root, detail=True)
        except FileNotFoundError:
            return {}
        return found

    def _cat(self, names: Sequence[str]) -> dict[str, bytes]:
        paths = {self._path(name).strip("/"): name for name in names}
        got = self._fs.cat([self._path(name) for name in names], on_error="return")
        if isinstance(got, bytes):
            got = {self._path(names[0]): got}
        found: dict[str, bytes] = {}
        for path, content in got.items():
            if isinstance(content, bytes):
                found[paths[str(path).strip("/")]] = content
            elif not isinstance(content, FileNotFoundError):
                raise content
        return found

    def _do(self, what: str, action: Callable[[], T]) -> T:
        try:
            return action()
        except CampaignError:
            raise
        except Exception as error:  # each driver has errors of its own, and they share no class
            raise SetupError(_cannot(self.url, what, error)) from error


def _check(kind: str, rest: str) -> None:
    """Refuse a URL that names no bucket, or whose part before the path holds a secret."""
    host = rest.split("/", 1)[0]
    user, at, _ = host.rpartition("@")
    if not rest.strip("/") or (kind in _DRIVERS and not host):
        raise SpecError(f"{kind}://: names no bucket; allowed: such as {kind}://BUCKET/NAME")
    if found := next((letter for letter in rest if letter in "?*["), None):
        raise SpecError(
            f"{kind}://...: the name holds {found!r}, which stands for other names there or begins "
            "options; allowed: a name without ? * [, and credentials in the environment"
        )
    if at and (":" in user or kind not in _AZURE):
        raise SpecError(
            f"{kind}://...@...: a URL must hold no user or password; "
            "set the credentials in the environment"
        )


def _needs(url: str, kind: str) -> str:
    package = _DRIVERS.get(kind, f"the fsspec driver of {kind}")
    return f"{url}: needs {package}: pip install {package}"


def _cannot(url: str, what: str, error: Exception) -> str:
    first = (str(error).splitlines() or [""])[0]
    return (
        f"{url}: cannot be {what} ({type(error).__name__}: {first}); "
        "check the name, the network and the credentials"
    )
