from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from campaign.engines.executors import cluster
from campaign.engines.executors.ray import RayExecutor
from campaign.errors import SetupError


def node(cpus: float, gpus: float = 0.0, *, alive: bool = True) -> dict[str, object]:
    return {"Alive": alive, "Resources": {"CPU": cpus, "GPU": gpus}}


@pytest.mark.parametrize(
    ("nodes", "cpus", "gpus", "expected"),
    [
        ([node(1)], 1, 0.0, 1),
        ([node(2), node(3)], 2, 0.0, 2),
        ([node(2), node(16, alive=False)], 1, 0.0, 2),
        ([node(16, 2), node(64)], 1, 1.0, 2),
        ([node(16, 2)], 1, 0.25, 8),
        ([node(16, 3)], 1, 0.4, 6),
        ([node(16, 4)], 1, 2.0, 2),
        ([node(2, 8)], 1, 1.0, 2),
        ([node(16)], 1, 1.0, 0),
        ([], 1, 0.0, 0),
    ],
)
def test_workers_fit_on_single_nodes(
    nodes: list[dict[str, object]], cpus: int, gpus: float, expected: int
) -> None:
    assert cluster.fitting_workers(nodes, cpus=cpus, gpus=gpus) == expected


def test_only_live_nodes_have_a_gpu() -> None:
    assert cluster.has_gpu([node(1), node(1, 1)])
    assert not cluster.has_gpu([node(1), node(1, 1, alive=False)])


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("100000 100000", 1), ("150000 100000", 1), ("50000 100000", 1), ("nonsense", None)],
)
def test_a_containers_quota_limits_the_cpus(
    tmp_path: Path, quota: str, expected: int | None
) -> None:
    without = cluster.usable_cpus(tmp_path / "missing")
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert cluster.usable_cpus(file) == (without if expected is None else expected)
    file.write_text("max 100000")
    assert cluster.usable_cpus(file) == without


def test_the_environment_is_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPAIGN_A", "old")
    monkeypatch.delenv("CAMPAIGN_B", raising=False)
    with cluster.environment({"CAMPAIGN_A": "new", "CAMPAIGN_B": "new"}):
        assert (os.environ["CAMPAIGN_A"], os.environ["CAMPAIGN_B"]) == ("new", "new")
    assert os.environ["CAMPAIGN_A"] == "old"
    assert "CAMPAIGN_B" not in os.environ


def test_a_local_cluster_admits_only_who_holds_its_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for key in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cluster.driver_environment(local=True, imported=False)["RAY_AUTH_MODE"] == "token"
    assert len(cluster.driver_environment(local=True, imported=False)["RAY_AUTH_TOKEN"]) == 64
    assert "RAY_AUTH_MODE" not in cluster.driver_environment(local=False, imported=False)
    assert set(cluster.driver_environment(local=True, imported=True)) >= {"RAY_AUTH_TOKEN"}


def test_the_users_own_token_and_settings_win(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for key in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("own")
    assert "RAY_AUTH_TOKEN" not in cluster.driver_environment(local=True, imported=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    own = cluster.driver_environment(local=True, imported=False)
    assert not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED"} & set(own)


def test_workers_without_gpus_see_none_and_all_get_their_threads() -> None:
    assert cluster.worker_environment(cpus=3, gpus=0)["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in cluster.worker_environment(cpus=3, gpus="auto")
    assert cluster.worker_environment(cpus=3, gpus="auto")["OMP_NUM_THREADS"] == "3"


def test_sockets_get_a_short_folder_where_the_usual_one_is_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "/tmp")
    assert cluster.short_temp_dir() is None
    monkeypatch.setenv("TMPDIR", "/tmp/" + 60 * "x")
    short = cluster.short_temp_dir()
    assert short is not None
    assert len(short + cluster.SOCKET_BELOW_TEMP) <= cluster.LONGEST_SOCKET_PATH
    Path(short).rmdir()


def test_problems_with_a_cluster_say_what_to_do() -> None:
    text = cluster.start_problem("10.0.0.1:6379", ConnectionError("refused\nmore"))
    assert "'10.0.0.1:6379': ConnectionError: refused; start one with" in text
    assert "engine.executor: inline" in cluster.start_problem("local", OSError("no port"))


def test_an_address_where_nothing_answers_is_known_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        cluster.check_address(f"127.0.0.1:{port}", seconds=1.0)
    with pytest.raises(SetupError, match=r"ConnectionRefusedError.*start one with"):
        cluster.check_address(f"127.0.0.1:{port}", seconds=0.2)


@pytest.mark.parametrize("address", ["local", "auto"])
def test_addresses_without_a_port_are_left_to_ray(address: str) -> None:
    cluster.check_address(address)


def test_ray_client_is_refused_before_ray_is_imported() -> None:
    with pytest.raises(SetupError, match=r"cannot join .* 'ray://head:10001'.*run on a node"):
        RayExecutor(address="ray://head:10001").start()
