"""Faults of a Ray cluster: workers and nodes that are killed, stopped, or cut off."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from chaos_driver import (
    Case,
    Driver,
    SkippedError,
    Tally,
    braked,
    count_of,
    ended_afterwards,
    with_network,
)
from chaos_processes import MARK, marked, send, workers

CLONE_NEWNET = 0x40000000
RAY = Path(sys.executable).with_name("ray")


def workers_killed(case: Case, times: int = 4) -> Tally:
    """SIGKILL of workers, at random, in one run."""
    return _workers_struck(case, signal.SIGKILL, times, "replaced")


def workers_stopped(case: Case, times: int = 2) -> Tally:
    """SIGSTOP of workers: they live, and answer nothing."""
    return _workers_struck(case, signal.SIGSTOP, times, "replaced when found deaf")


def driver_killed_on_ray(case: Case, times: int = 2) -> Tally:
    """SIGKILL of a driver and of the local cluster that it had started."""
    case = with_network(case, "Braked")
    calm, recovery = case.calm(), 0.0
    with braked(case, 0.1):
        for _ in range(times):
            held = count_of(case.folder)
            driver = case.start()
            with ended_afterwards(driver):
                took = case.until_next(held, driver)
                recovery = max(recovery, took if held else 0.0)
                case.wait_for(held + 10, driver)
                assert driver.is_running, driver.told()
    return case.finished(calm, times, recovery, "same command goes on")


def driver_terminated(case: Case) -> Tally:
    """SIGTERM, as by Slurm or Kubernetes: it drains and ends with 143."""
    case = with_network(case, "Braked")
    calm = case.calm()
    driver = case.start()
    with ended_afterwards(driver), braked(case, 0.1):
        case.wait_for(1, driver)
        begun = time.monotonic()
        send(driver.process.pid or 0, signal.SIGTERM)
        code = driver.wait()
        assert code == 143, driver.told()
        took = time.monotonic() - begun
    return case.finished(calm, 1, None, f"exit 143 after {took:.1f} s")


def node_killed(case: Case) -> Tally:
    """SIGKILL to one of two nodes; it comes back and is used again."""
    return _node_lost(case, Nodes.kill, apart=False)


def node_cut_off(case: Case) -> Tally:
    """The network of one of two nodes goes down; it starts again when the network is back."""
    if os.geteuid() or shutil.which("ip") is None:
        raise SkippedError("no network namespaces can be made here")
    return _node_lost(case, Nodes.cut, apart=True)


def _node_lost(case: Case, strike: Callable[[Nodes, int], None], *, apart: bool) -> Tally:
    case = with_network(case, "Braked")
    calm = case.calm()
    with Nodes.started(apart=apart) as nodes, ExitStack() as brake:
        brake.enter_context(braked(case, 0.5))
        prepare = nodes.enter_head if apart else None
        open_to_all = {"RAY_AUTH_MODE": "disabled"}
        words = ("--address", nodes.address)
        driver = case.start(*words, variables=open_to_all, prepare=prepare)
        with ended_afterwards(driver):
            driver.until(lambda: workers(nodes.marks[1]))
            held = case.wait_for(4, driver)
            strike(nodes, 1)
            case.wait_for(held + 4, driver)
            nodes.come_back(1)
            recovery = driver.until(lambda: workers(nodes.marks[1]))
            brake.close()
            code = driver.wait()
            assert code == 0, driver.told()
    return case.tally(calm, 1, recovery, "its trials run elsewhere; used again when back")


@dataclass
class Nodes:
    """A head and a worker node, each by its own `ray start`, on addresses of the loopback net.

    Args:
        apart: Each node has a network namespace of its own, joined by a bridge.
        marks: What the processes of each node carry in their environment.
        port: Of the head.
        folder: Of Ray's sessions; its path is short, for there are sockets in it.
    """

    apart: bool = False
    marks: tuple[str, str] = field(default_factory=lambda: (uuid.uuid4().hex, uuid.uuid4().hex))
    port: int = 0
    folder: str = ""

    @property
    def hosts(self) -> tuple[str, str]:
        """The address of each node."""
        return ("10.83.0.1", "10.83.0.2") if self.apart else ("127.0.0.1", "127.0.0.2")

    @property
    def address(self) -> str:
        """What `--address` takes."""
        return f"{self.hosts[0]}:{self.port}"

    @classmethod
    @contextmanager
    def started(cls, *, apart: bool = False) -> Iterator[Nodes]:
        """Both nodes, which end with the block."""
        nodes = cls(apart)
        with ExitStack() as stack:
            folder = TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
            nodes.folder = stack.enter_context(folder)
            if apart:
                stack.callback(nodes._remove_nets)
                nodes._make_nets()
            stack.callback(nodes.kill, 0)
            stack.callback(nodes.kill, 1)
            nodes._start_head()
            nodes.join(1)
            yield nodes

    def join(self, node: int) -> None:
        """Start the worker node."""
        where = ["--address", self.address, "--node-ip-address", self.hosts[node]]
        self._ray_start(node, [*where, "--num-cpus", "1"])

    def kill(self, node: int) -> None:
        """SIGKILL to everything that runs on a node."""
        for pid in marked(self.marks[node]):
            send(pid, signal.SIGKILL)

    def cut(self, node: int) -> None:
        """Take the node's network down."""
        _ip("link", "set", self._name("out", node), "down")

    def come_back(self, node: int) -> None:
        """As a scheduler does: the network is up, what is left is killed, the node starts."""
        if self.apart:
            _ip("link", "set", self._name("out", node), "up")
        self.kill(node)
        self.join(node)

    def enter_head(self) -> None:
        """Move this process into the network of the head."""
        with Path(f"/run/netns/{self._name('net', 0)}").open("rb") as net:
            if ctypes.CDLL(None, use_errno=True).setns(net.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")

    def _start_head(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as held:
            self.port = held.getsockname()[1]
        where = ["--head", "--port", str(self.port), "--node-ip-address", self.hosts[0]]
        where += ["--include-dashboard", "false", "--num-cpus", "1"]
        self._ray_start(0, where)

    def _ray_start(self, node: int, options: list[str]) -> None:
        variables = {**os.environ, MARK: self.marks[node], "RAY_TMPDIR": self.folder}
        variables |= {"RAY_AUTH_MODE": "disabled", "RAY_health_check_period_ms": "1000"}
        variables |= {
            "RAY_health_check_timeout_ms": "5000",
            "RAY_health_check_failure_threshold": "3",
        }
        inside = ["ip", "netns", "exec", self._name("net", node)] if self.apart else []
        command = [*inside, str(RAY), "start", *options, "--disable-usage-stats"]
        done = subprocess.run(
            command, env=variables, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode:
            raise AssertionError(f"ray start failed:\n{done.stdout}\n{done.stderr}")

    def _make_nets(self) -> None:
        bridge = self._name("br", 0)
        _ip("link", "add", bridge, "type", "bridge")
        _ip("link", "set", bridge, "up")
        for node, host in enumerate(self.hosts):
            net, cable, inner = (self._name(part, node) for part in ("net", "out", "in"))
            _ip("netns", "add", net)
            _ip("link", "add", cable, "type", "veth", "peer", "name", inner)
            _ip("link", "set", cable, "master", bridge, "up")
            _ip("link", "set", inner, "netns", net)
            _ip("-n", net, "addr", "add", f"{host}/24", "dev", inner)
            _ip("-n", net, "link", "set", inner, "up")
            _ip("-n", net, "link", "set", "lo", "up")

    def _remove_nets(self) -> None:
        for node in range(len(self.hosts)):
            _ip("netns", "del", self._name("net", node), check=False)
            _ip("link", "del", self._name("out", node), check=False)
        _ip("link", "del", self._name("br", 0), check=False)

    def _name(self, part: str, node: int) -> str:
        """Of a network device; the kernel takes 15 bytes."""
        return f"{part}{self.marks[0][:8]}{node}"


def _workers_struck(case: Case, number: int, times: int, ending: str) -> Tally:
    case = with_network(case, "Braked")
    calm, chance, recovery = case.calm(), random.Random(3), 0.0
    driver = case.start("--workers", "2")
    with ended_afterwards(driver):
        with braked(case, 0.1):
            for _ in range(times):
                case.wait_for(count_of(case.folder) + chance.randint(2, 8), driver)
                driver.until(lambda: len(workers(driver.mark)) == 2)
                before = set(workers(driver.mark))
                send(chance.choice(sorted(before)), number)
                recovery = max(recovery, driver.until(_another(driver, before)))
        code = driver.wait()
        assert code == 0, driver.told()
    return case.tally(calm, times, recovery, ending)


def _another(driver: Driver, before: set[int]) -> Callable[[], object]:
    """Whether a worker runs trials that was not there before."""
    return lambda: set(workers(driver.mark)) - before


def _ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True)
