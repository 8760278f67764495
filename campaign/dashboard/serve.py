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

NAME = "MLflow"
DATABASE = "mlflow.db"
LOOK_SECONDS = 5.0


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
        links: dict[str, str] = {}
        mlflow = None if ports.mlflow is None else Mlflow(root, ports.mlflow, stack, links)
        problem = None if mlflow is None else mlflow.start()
        dashboard = stack.enter_context(_serving(root, ports, links))
        print(f"dashboard: {dashboard.url}{_from_elsewhere(dashboard)}")
        if problem:
            print(f"MLflow:    not started: {problem}")
        elif mlflow is not None:
            print(mlflow.told())
        print("Ctrl-C ends both", flush=True)
        _wait(mlflow)


class Mlflow:
    """The MLflow UI beside the dashboard, also where the first campaign begins after both.

    Args:
        root: What is served.
        port: Its port.
        stack: What ends it.
        links: Where its address is put once it is started; the dashboard shows them.
    """

    def __init__(self, root: Path, port: int, stack: ExitStack, links: dict[str, str]) -> None:
        self._root, self._port, self._stack, self._links = root, port, stack, links
        self._seen = False

    def start(self) -> str | None:
        """Start it; returns why it could not be, None once it runs."""
        try:
            self._links[NAME] = self._stack.enter_context(running(self._root, self._port))
        except SetupError as error:
            return str(error)
        return None

    def look(self) -> bool:
        """Whether it was started now: at the second look that finds a database.

        The driver that makes the database is given the time between two looks to finish that.
        """
        if NAME in self._links or not (self._root / DATABASE).is_file():
            return False
        seen, self._seen = self._seen, True
        return seen and self.start() is None

    def told(self) -> str:
        """The line with its address."""
        return f"MLflow:    {self._links[NAME]} (answers in some 15 seconds)"


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


def _wait(mlflow: Mlflow | None) -> None:
    """Return at Ctrl-C or SIGTERM; until then look whether there is something to track."""
    stop = threading.Event()
    previous = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        while not stop.wait(LOOK_SECONDS):
            if mlflow is not None and mlflow.look():
                print(mlflow.told(), flush=True)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
