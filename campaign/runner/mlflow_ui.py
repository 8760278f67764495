"""The MLflow UI over what campaigns wrote."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from campaign.errors import SetupError
from campaign.runner.choose import store_of
from campaign.runner.folder import ResultsFolder
from campaign.runner.history import spec_of


def serve(folder: Path, port: int) -> None:
    """Run the MLflow server on 127.0.0.1 until it is stopped.

    Args:
        folder: A results folder, or the folder that holds them.
        port: Port to answer on.

    Raises:
        SetupError: If nothing was tracked yet, or the server cannot start.
    """
    from campaign.engines.trackers.place import tracking_store
    from campaign.engines.trackers.ui import mlflow_server

    one = ResultsFolder(folder).resolved.is_file()
    store = store_of(spec_of(folder), folder) if one else tracking_store(folder)
    server = mlflow_server(store, port)
    _check_free(port)
    print(f"MLflow: {server.url} (from elsewhere: ssh -L {port}:127.0.0.1:{port} HOST)")
    print("It answers in some 15 seconds; Ctrl-C ends it", flush=True)
    process = subprocess.Popen(server.argv, env={**os.environ, **server.environ}, stderr=sys.stderr)
    previous = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        code = process.wait()
    except KeyboardInterrupt:
        code = 0
    finally:
        signal.signal(signal.SIGTERM, previous)
        process.terminate()
        process.wait(timeout=20)
    if code > 0:
        raise SetupError(f"the MLflow server ended with code {code}")


def _check_free(port: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            raise SetupError(f"port {port} of 127.0.0.1 is taken; use --port N") from None
