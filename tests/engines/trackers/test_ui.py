"""The server that shows what was tracked."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from campaign.engines.trackers.base import CampaignInfo
from campaign.engines.trackers.mlflow import MlflowTracker
from campaign.engines.trackers.place import TrackingStore, tracking_store
from campaign.engines.trackers.ui import Server, free_port, mlflow_server
from campaign.errors import SetupError

if TYPE_CHECKING:
    from conftest import Database

Curves = Callable[..., pd.DataFrame]


def answer(url: str, path: str) -> tuple[int, bytes]:
    host, port = url.removeprefix("http://").split(":")
    connection = HTTPConnection(host, int(port), timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@contextmanager
def running(server: Server, folder: Path) -> Iterator[None]:
    process = subprocess.Popen(
        server.argv,
        env={**os.environ, **server.environ},
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                answer(server.url, "/")
                break
            except OSError:
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.3)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.slow
def test_the_server_shows_curves_and_artifacts_and_takes_new_ones(
    info: CampaignInfo, store: TrackingStore, curves: Curves, database: Database
) -> None:
    MlflowTracker(info, store).sync(curves(4), "KILLED")
    server = mlflow_server(store)
    with running(server, info.folder):
        assert answer(server.url, "/")[0] == 200
        run = database.run("demo")
        assert answer(server.url, f"/get-artifact?path=spec.yaml&run_uuid={run}") == (
            200,
            b"name: demo\n",
        )
        served = tracking_store(info.folder, server.url, {})
        MlflowTracker(info, served).sync(curves(8), "FINISHED")
        other = MlflowTracker(replace(info, name="other"), served)
        other.finish("FINISHED", [info.folder / "tables"])
        artifact = f"/get-artifact?path=tables/summary.csv&run_uuid={database.run('other')}"
        assert answer(server.url, artifact) == (200, b"a,b\n")
    assert database.run("demo") == run
    assert database.status("demo") == "FINISHED"
    assert database.newest("resnet20 · fp32 · none", "n_trials")[3] == 8


def test_the_command_shows_no_password_and_listens_to_this_machine_only(tmp_path: Path) -> None:
    uri = "postgresql://ann:s3cret@db.lab/mlflow"
    server = mlflow_server(tracking_store(tmp_path, uri, {}), 5005)
    assert "s3cret" not in " ".join(server.argv)
    assert server.environ["MLFLOW_BACKEND_STORE_URI"] == uri
    assert server.argv[server.argv.index("--host") + 1] == "127.0.0.1"
    assert server.url == "http://127.0.0.1:5005"


def test_what_a_server_shows_needs_no_second_one(tmp_path: Path) -> None:
    served = tracking_store(tmp_path, "https://ann:s3cret@mlflow.lab", {})
    with pytest.raises(SetupError, match=r"open https://ann:\*\*\*@mlflow\.lab in a browser"):
        mlflow_server(served)


def test_a_database_that_is_not_there_is_not_made_by_looking_at_it(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"no MLflow database at .*mlflow\.db; run a campaign"):
        mlflow_server(tracking_store(tmp_path, environ={}))
    assert list(tmp_path.iterdir()) == []


def test_a_free_port_can_be_listened_on() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))
