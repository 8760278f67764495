"""What a Ray cluster is started with, and how many workers fit on it; imports no Ray."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from campaign.errors import SetupError

LONGEST_SOCKET_PATH = 107
"""Bytes in the path of a Unix socket."""
ACTOR: dict[str, Any] = {
    "max_restarts": 0,
    "max_task_retries": 0,
    "concurrency_groups": {"control": 1},
}
"""What Ray is told of every process: it restarts and retries nothing."""
SOCKET_BELOW_TEMP = "/ray/session_2000-01-01_00-00-00_000000_1234567/sockets/plasma_store.0"


def usable_cpus(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """CPUs this process may use: those it is pinned to (taskset, Slurm), less by a container.

    Args:
        quota: The file with the container's quota, such as ``200000 100000`` for two CPUs.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        allowed, period = quota.read_text("ascii").split()
    except (OSError, ValueError):
        return count
    return count if allowed == "max" else max(1, min(count, int(allowed) // int(period)))


def driver_environment(*, local: bool, imported: bool) -> dict[str, str]:
    """Variables that this process needs before it starts Ray, less those that the user has set.

    No usage statistics; no second environment for workers under ``uv run``; no messages of the
    cluster on standard output, where results may go. A local cluster, which listens on every
    interface, admits only those who hold its token; a token in memory leaves no file behind.

    Args:
        local: The cluster will be started by this process.
        imported: Ray is imported already and would not notice the mode; it turns it on itself.
    """
    wanted = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
    }
    if local and "RAY_AUTH_MODE" not in os.environ:
        wanted |= {} if imported else {"RAY_AUTH_MODE": "token"}
        if "RAY_AUTH_TOKEN_PATH" not in os.environ and not _token_file().exists():
            wanted["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    return {key: value for key, value in wanted.items() if key not in os.environ}


def worker_environment(*, cpus: int, gpus: float | Literal["auto"]) -> dict[str, str]:
    """Variables for workers: threads of numerical libraries; no GPU where none is wanted."""
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if gpus == 0 else {}
    return {**dict.fromkeys(threads, str(cpus)), **hidden}


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process, and put the old values back at the end."""
    held = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in held.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def short_temp_dir() -> str | None:
    """A folder for Ray's sockets where the usual one makes their path too long, else None."""
    usual = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    if len(os.fsencode(usual + SOCKET_BELOW_TEMP)) <= LONGEST_SOCKET_PATH:
        return None
    return tempfile.mkdtemp(prefix="ray-", dir="/tmp")


def check_address(address: str, seconds: float = 5.0) -> None:
    """Find out soon what Ray itself would try for a quarter of an hour.

    Args:
        address: ``local``, ``auto`` or ``host:port``.
        seconds: How long to try.

    Raises:
        SetupError: If nothing answers there, or not what is needed.
    """
    if address.startswith("ray://"):
        client = ConnectionError("Ray Client streams no rows; run on a node of the cluster")
        raise SetupError(start_problem(address, client))
    host, _, port = address.rpartition(":")
    ends = time.monotonic() + seconds
    while host and port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=seconds).close()
            return
        except OSError as error:
            if time.monotonic() >= ends:
                raise SetupError(start_problem(address, error)) from error
            time.sleep(min(0.5, seconds))


def start_problem(address: str, error: Exception) -> str:
    """What to tell when Ray could not be started or joined."""
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    told = f"{type(error).__name__}: {reason}"
    if address == "local":
        return (
            f"a local Ray cluster could not be started: {told}; engine.executor: inline needs none"
        )
    return (
        f"engine.address: cannot join a Ray cluster at {address!r}: {told}; start one with "
        "'ray start --head', or leave the address out to start a local one"
    )


def has_gpu(nodes: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a live node of ``ray.nodes()`` has a GPU."""
    return any(node["Alive"] and node["Resources"].get("GPU", 0) > 0 for node in nodes)


def local_options(cpus: int) -> dict[str, Any]:
    """How a local cluster is started that has room for workers of so many CPUs together."""
    return {
        "num_cpus": max(cpus, usable_cpus()),
        "include_dashboard": False,
        "_temp_dir": short_temp_dir(),
    }


def actor_options(cpus: int, gpus: float, variables: Mapping[str, str]) -> dict[str, Any]:
    """What Ray is told of one process: its share of the node, and variables of its own."""
    options: dict[str, Any] = {"num_cpus": cpus}
    options |= {"num_gpus": gpus} if gpus else {}
    return options | ({"runtime_env": {"env_vars": dict(variables)}} if variables else {})


def beside(
    nodes: Iterable[Mapping[str, Any]], taken: int, *, cpus: int, gpus: float
) -> list[dict[str, Any]]:
    """The live nodes less what `taken` trainings hold, each placed where one fits first.

    Args:
        nodes: As ``ray.nodes()`` gives them.
        taken: How many trainings hold their share.
        cpus: Of each training.
        gpus: Of each training.

    Example:
        >>> node = {"Alive": True, "Resources": {"CPU": 16.0, "GPU": 2.0}}
        >>> beside([node], 2, cpus=4, gpus=1)
        [{'Alive': True, 'Resources': {'CPU': 8.0, 'GPU': 0.0}}]
    """
    left: list[dict[str, Any]] = [
        {"Alive": True, "Resources": dict(n["Resources"])} for n in nodes if n["Alive"]
    ]
    for _ in range(taken):
        for held in (node["Resources"] for node in left):
            if _fitting(held, cpus, gpus):
                held["CPU"] = held.get("CPU", 0) - cpus
                held["GPU"] = held.get("GPU", 0) - gpus
                break
    return left


def fitting_workers(nodes: Iterable[Mapping[str, Any]], *, cpus: int, gpus: float) -> int:
    """How many workers the live nodes hold, if nothing else runs there.

    Args:
        nodes: As ``ray.nodes()`` gives them.
        cpus: Of each worker.
        gpus: Of each worker; a fraction shares one GPU, else a whole number.

    Example:
        >>> node = {"Alive": True, "Resources": {"CPU": 16.0, "GPU": 2.0}}
        >>> fitting_workers([node], cpus=1, gpus=0.5)
        4
    """
    return sum(_fitting(node["Resources"], cpus, gpus) for node in nodes if node["Alive"])


def _fitting(resources: Mapping[str, float], cpus: int, gpus: float) -> int:
    by_cpu = int(resources.get("CPU", 0) // cpus)
    if gpus == 0:
        return by_cpu
    held = resources.get("GPU", 0)
    by_gpu = int(held) * int(1 / gpus + 1e-9) if gpus < 1 else int(held // gpus)
    return min(by_cpu, by_gpu)


def _token_file() -> Path:
    return Path.home() / ".ray" / "auth_token"
