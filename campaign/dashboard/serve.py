"""The dashboard and the MLflow UI side by side, until they are stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from campaign.dashboard.answers import Answers
from campaign.dashboard.server import DashboardServer
from campaign.dashboard.watch import Watch
from campaign.errors import SetupError
from campaign.runner.mlflow_ui import running


class Ports(NamedTuple):
    """Where the two answer.

    Args:
        host: Address of the dashboard; MLflow answers on 127.0.0.1 only.
        dashboard: Its port; 0 takes a free one.
        mlflow: Port of MLflow; None does without it.
    """

    host: str
    dashboard: int
    mlflow: int | None


def serve(root: Path, ports: Ports) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        root: A results folder, or the folder that holds them.
        ports: Where.

    Raises:
        SetupError: If the folder is not there, or a port is taken.
    """
    if not root.is_dir():
        raise SetupError(f"{root}: no such folder; run a campaign first, or name another one")
    with ExitStack() as stack:
        links, problem = {}, None
        if ports.mlflow is not None:
            try:
                links["MLflow"] = stack.enter_context(running(root, ports.mlflow))
            except SetupError as error:
                problem = str(error)
        dashboard = stack.enter_context(_serving(root, ports, links))
        print(f"dashboard: {dashboard.url}{_from_elsewhere(dashboard)}")
        if "MLflow" in links:
            print(f"MLflow:    {links['MLflow']} (answers in some 15 seconds)")
        elif problem:
            print(f"MLflow:    not started: {problem}")
        print("Ctrl-C ends both", flush=True)
        _wait()


def _from_elsewhere(dashboard: DashboardServer) -> str:
    port = dashboard.server_address[1]
    if dashboard.local:
        return f" (from elsewhere: ssh -L {port}:127.0.0.1:{port} HOST)"
    return " (everybody who reaches this address can read all results)"


@contextmanager
def _serving(root: Path, ports: Ports, links: dict[str, str]) -> Iterator[DashboardServer]:
    watch = Watch(root)
    server = DashboardServer(ports.host, ports.dashboard, Answers(watch, links))
    thread = threading.Thread(target=server.serve_forever, name="dashboard", daemon=True)
    watch.start()
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        watch.stop()


def _wait() -> None:
    """Return at Ctrl-C or SIGTERM."""
    stop = threading.Event()
    previous = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        while not stop.wait(0.5):
            pass
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
