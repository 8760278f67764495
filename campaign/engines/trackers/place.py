"""Where MLflow keeps runs and artifacts: which URI, and how it may be shown."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from campaign.errors import SetupError
from campaign.text import HIDDEN
from campaign.text import redacted as redacted

_SQLITE_FILE = re.compile(r"sqlite(?:\+\w+)?:///(?P<path>[^?]+)")
_DATABASE = re.compile(r"(sqlite|postgresql|mysql|mssql)(\+\w+)?://")


@dataclass(frozen=True)
class TrackingStore:
    """Where a campaign is tracked.

    Args:
        uri: MLflow tracking URI; may hold a password, show it with `redacted`.
        artifacts: URI of the folder for artifacts of new experiments; None leaves it to the
            server.
    """

    uri: str
    artifacts: str | None = None


def is_served(uri: str) -> bool:
    """Whether an MLflow server stands behind `uri`.

    Example:
        >>> is_served("http://127.0.0.1:5000"), is_served("sqlite:////data/mlflow.db")
        (True, False)
    """
    return uri.startswith(("http://", "https://"))


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite URI, absolute; None for any other URI.

    Example:
        >>> sqlite_file("sqlite:////data/mlflow.db")
        PosixPath('/data/mlflow.db')
    """
    match = _SQLITE_FILE.fullmatch(uri.split("?")[0])
    return None if match is None else Path(match["path"]).absolute()


def tracking_store(
    root: Path, explicit: str | None = None, environ: Mapping[str, str] = os.environ
) -> TrackingStore:
    """Choose where to track: `explicit`, else MLFLOW_TRACKING_URI, else a database under `root`.

    Args:
        root: The folder that holds the results of all campaigns.
        explicit: The URI of the spec or of the command line.
        environ: Environment variables.

    Raises:
        SetupError: If the URI names a plain folder, which MLflow no longer writes to.
    """
    default = f"sqlite:///{(root / 'mlflow.db').absolute()}"
    known = environ.get("MLFLOW_TRACKING_URI")
    if explicit and HIDDEN in explicit and not known:
        raise SetupError(
            f"MLflow tracking URI {explicit!r} was kept without its password; set "
            "MLFLOW_TRACKING_URI to the whole of it"
        )
    uri = (known if explicit and HIDDEN in explicit else explicit) or known or default
    if uri.startswith("file:") or ("://" not in uri and uri != "databricks"):
        raise SetupError(
            f"MLflow tracking URI {redacted(uri)!r} is a plain folder, which MLflow 3 no longer "
            f"writes to; use a database such as {default} or a server such as http://host:5000"
        )
    if not _DATABASE.match(uri):
        return TrackingStore(uri)
    file = sqlite_file(uri)
    folder = root.absolute() if file is None else file.parent
    return TrackingStore(uri, (folder / "mlartifacts").as_uri())
