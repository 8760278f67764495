"""The MLflow UI over what campaigns wrote."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from campaign.errors import SetupError
from campaign.runner.choose import store_of
from campaign.runner.folder import ResultsFolder
from campaign.runner.history import spec_of


@contextmanager
def running(folder: Path, port: int) -> Iterator[str]:
    """An MLflow server on 127.0.0.1; gives its address, where it answers some 15 seconds later.

    Args:
        folder: A results folder, or the folder that holds them.
        port: Port to answer on.

    Raises:
        SetupError: If nothing was tracked yet, or the port is taken.
    """
    from campaign.engines.trackers.place import tracking_store
    from campaign.engines.trackers.ui import mlflow_server

    one = ResultsFolder(folder).resolved.is_file()
    store = store_of(spec_of(folder), folder) if one else tracking_store(folder)
    server = mlflow_server(store, port)
    _check_free(port)
    environ = {**os.environ, **server.environ}
    # A session of its own: Ctrl-C in the terminal is for us, who then end it in good order.
    process = subprocess.Popen(server.argv, env=environ, stderr=sys.stderr, start_new_session=True)
    try:
        yield server.url
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _check_free(port: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            raise SetupError(f"port {port} of 127.0.0.1 is taken; use --mlflow-port N") from None
