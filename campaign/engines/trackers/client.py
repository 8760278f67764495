"""The MLflow client: imported late, quiet, and quick to give up on a dead server."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from campaign.engines.trackers.place import redacted, sqlite_file
from campaign.errors import CampaignError, SetupError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SETTINGS = {
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
_NO_TELEMETRY = ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
_INITIALISATION_SECONDS = 60


def quiet_environment() -> dict[str, str]:
    """Environment variables that MLflow should have and the user has not set.

    They silence MLflow on stdout and stderr, turn its telemetry off, and bound the time that a
    dead server costs (its own default is minutes).
    """
    wanted = {key: value for key, value in _SETTINGS.items() if key not in os.environ}
    if not any(key in os.environ for key in _NO_TELEMETRY):
        wanted[_NO_TELEMETRY[0]] = "true"
    return wanted


def connect(uri: str) -> MlflowClient:
    """Import MLflow (seconds) and open `uri`, creating the tables of a new database.

    Two processes that create the tables of one SQLite file at once corrupt the migration, so they
    take turns.
    """
    os.environ.update(quiet_environment())
    from mlflow import MlflowClient

    with _turn(uri):
        client = MlflowClient(tracking_uri=uri)
        client.get_experiment_by_name("Default")
    return client


@contextmanager
def told_in_a_line(uri: str) -> Iterator[None]:
    """Turn whatever MLflow raises into one line without passwords.

    MLflow lets through errors of its database drivers, HTTP client and artifact stores, so there
    is no narrower class to catch.

    Raises:
        SetupError: For anything but a `CampaignError`, which passes unchanged.
    """
    try:
        yield
    except CampaignError:
        raise
    except Exception as error:
        raise SetupError(f"MLflow at {redacted(uri)}: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """The error and what lies at its root, in a line without passwords.

    Example:
        >>> one_line(OSError(13, "Permission denied"))
        'PermissionError: [Errno 13] Permission denied'
    """
    root = error
    while (deeper := _below(root)) is not None:
        root = deeper
    text = _brief(error)
    return text if root is error else f"{text} (because of {_brief(root)})"


def _below(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _brief(error: BaseException) -> str:
    first = next(iter(str(error).strip().splitlines()), "")
    text = redacted(f"{type(error).__name__}: {first}")
    return text if len(text) <= 200 else f"{text[:199]}…"


@contextmanager
def _turn(uri: str) -> Iterator[None]:
    file = sqlite_file(uri)
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    guard = f"{file}.lock"
    with closing(sqlite3.connect(guard, timeout=_INITIALISATION_SECONDS)) as connection:
        connection.isolation_level = None
        connection.execute("BEGIN EXCLUSIVE")
        yield
