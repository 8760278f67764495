"""How to start MLflow's own pages over a tracking store."""

from __future__ import annotations

import socket
import sys
from typing import NamedTuple

from campaign.engines.trackers.client import quiet_environment
from campaign.engines.trackers.place import TrackingStore, is_served, redacted, sqlite_file
from campaign.errors import SetupError

HOST = "127.0.0.1"


class Server(NamedTuple):
    """A server to be started with ``subprocess``.

    Args:
        argv: The command line.
        environ: Variables to add to the environment; holds the database's URI, because a command
            line is visible to every user of the machine.
        url: Where it answers, some ten seconds after its start.
    """

    argv: list[str]
    environ: dict[str, str]
    url: str


def mlflow_server(store: TrackingStore, port: int | None = None) -> Server:
    """The server that shows `store` on this machine only.

    Args:
        store: A database; the SQLite file must exist.
        port: Port to answer on; None takes a free one.

    Raises:
        SetupError: If a server already shows it, or if nothing was tracked yet.
    """
    if is_served(store.uri):
        raise SetupError(f"MLflow is served already: open {redacted(store.uri)} in a browser")
    file = sqlite_file(store.uri)
    if file is not None and not file.is_file():
        raise SetupError(f"no MLflow database at {file}; run a campaign or 'campaign sync-mlflow'")
    port = free_port() if port is None else port
    argv = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    environ = {
        **quiet_environment(),
        "MLFLOW_BACKEND_STORE_URI": store.uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    if store.artifacts is not None:
        environ["MLFLOW_DEFAULT_ARTIFACT_ROOT"] = store.artifacts
    return Server([*argv, "--workers", "1"], environ, f"http://{HOST}:{port}")


def free_port() -> int:
    """A TCP port on which nothing listens now."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])
