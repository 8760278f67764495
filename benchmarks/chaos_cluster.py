"""Faults of a Ray cluster: workers and nodes that are killed, stopped, or cut off."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chaos_driver import MARK, PATIENCE, Case, Driver, Tally, actors, ended_afterwards, marked, send

from campaign.engines.executors.cluster import short_temp_dir

RAY = Path(sys.executable).with_name("ray")


def workers_killed(case: Case, times: int = 4) -> Tally:
    """SIGKILL of workers, at random, in one run."""
    return _workers_struck(case, signal.SIGKILL, times, "replaced")


def workers_stopped(case: Case, times: int = 2) -> Tally:
    """SIGSTOP of workers: they live, and answer nothing."""
    return _workers_struck(case, signal.SIGSTOP, times, "replaced when found deaf")


def driver_killed_on_ray(case: Case, times: int = 2) -> Tally:
    """SIGKILL of a driver and of the local cluster that it had started."""
    calm, chance, kills, recovery = case.calm(), random.Random(2), 0, 0.0
    while kills < times:
        driver = case.start()
        with ended_afterwards(driver):
            held = case.wait_for(0, driver)
            recovery = max(recovery, case.until_next(held, driver))
            case.wait_for(held + chance.randint(2, len(calm) // (2 * times)), driver)
            if not driver.is_running:
                break
            kills += 1
    return case.finished(calm, kills, recovery, "same command goes on")


def driver_terminated(case: Case) -> Tally:
    """SIGTERM, as by Slurm or Kubernetes: it drains and ends with 143."""
    calm = case.calm()
    driver = case.start()
    with ended_afterwards(driver):
        case.wait_for(1, driver)
        begun = time.monotonic()
        send(driver.process.pid or 0, signal.SIGTERM)
        code = driver.wait()
        assert code == 143, driver.told()
        took = time.monotonic() - begun
    return case.finished(calm, 1, None, f"exit 143 after {took:.1f} s")


def node_killed(case: Case) -> Tally:
    """SIGKILL of the raylet of one of two nodes; the node comes back and is used again."""
    calm = case.calm()
    with Nodes.started() as nodes:
        driver = case.start("--address", nodes.address)
        with ended_afterwards(driver):
            assert nodes.is_used(driver, on=1), driver.told()
            held = case.wait_for(1, driver)
            nodes.kill(1)
            held = case.wait_for(held, driver)
            recovery = case.until_next(held, driver)
            nodes.join(1)
            back = nodes.is_used(driver, on=1)
            code = driver.wait()
            assert code == 0, driver.told()
    again = "used again when back" if back else "had ended when it was back"
    return case.tally(calm, 1, recovery, f"its trials run elsewhere; {again}")


def node_cut_off(case: Case) -> Tally:
    """The network of one of two nodes goes down and comes back, in network namespaces."""
    calm = case.calm()
    with Nodes.started(apart=True) as nodes:
        driver = case.start("--address", nodes.address, prepare=nodes.enter_head)
        with ended_afterwards(driver):
            assert nodes.is_used(driver, on=1), driver.told()
            held = case.wait_for(1, driver)
            nodes.cut(1)
            recovery = case.until_next(held, driver)
            code = driver.wait(300)
            assert code == 0, driver.told()
            nodes.mend(1)
    return case.tally(calm, 1, recovery, "its trials run elsewhere")


@dataclass
class Nodes:
    """A head and a worker node, each by its own `ray start`, on addresses of the loopback net.

    Args:
        apart: Each node has a network namespace of its own, joined by a bridge.
    """

    apart: bool = False
    marks: tuple[str, str] = field(default_factory=lambda: (uuid.uuid4().hex, uuid.uuid4().hex))
    port: int = 0

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

    def is_used(self, driver: Driver, *, on: int) -> bool:
        """Wait until a node has a worker; False where the run ends before."""
        ends = time.monotonic() + PATIENCE
        while not actors(self.marks[on]):
            if not driver.is_running:
                return False
            assert time.monotonic() < ends, f"no worker on node {on}:\n{driver.told()}"
            time.sleep(0.1)
        return True

    def cut(self, node: int) -> None:
        """Take the node's network down."""
        _ip("link", "set", _cable(node), "down")

    def mend(self, node: int) -> None:
        """And up again."""
        _ip("link", "set", _cable(node), "up")

    def enter_head(self) -> None:
        """Move this process into the network of the head."""
        descriptor = os.open(f"/run/netns/{_net(0)}", os.O_RDONLY)
        os.setns(descriptor, os.CLONE_NEWNET) if hasattr(os, "setns") else _setns(descriptor)
        os.close(descriptor)

    def _start_head(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as held:
            self.port = held.getsockname()[1]
        where = ["--head", "--port", str(self.port), "--node-ip-address", self.hosts[0]]
        where += ["--include-dashboard", "false", "--num-cpus", "1"]
        folder = short_temp_dir()
        self._ray_start(0, [*where, *(["--temp-dir", folder] if folder else [])])

    def _ray_start(self, node: int, options: list[str]) -> None:
        variables = {**os.environ, MARK: self.marks[node], "RAY_USAGE_STATS_ENABLED": "0"}
        variables |= {"RAY_AUTH_MODE": "disabled", "RAY_health_check_period_ms": "1000"}
        inside = ["ip", "netns", "exec", _net(node)] if self.apart else []
        command = [*inside, str(RAY), "start", *options, "--disable-usage-stats"]
        done = subprocess.run(
            command, env=variables, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode:
            raise AssertionError(f"ray start failed:\n{done.stdout}\n{done.stderr}")

    def _make_nets(self) -> None:
        _ip("link", "add", "chaosbr", "type", "bridge")
        _ip("link", "set", "chaosbr", "up")
        for node, host in enumerate(self.hosts):
            inner = f"chaosin{node}"
            _ip("netns", "add", _net(node))
            _ip("link", "add", _cable(node), "type", "veth", "peer", "name", inner)
            _ip("link", "set", _cable(node), "master", "chaosbr", "up")
            _ip("link", "set", inner, "netns", _net(node))
            _ip("-n", _net(node), "addr", "add", f"{host}/24", "dev", inner)
            _ip("-n", _net(node), "link", "set", inner, "up")
            _ip("-n", _net(node), "link", "set", "lo", "up")

    def _remove_nets(self) -> None:
        for node in range(len(self.hosts)):
            _ip("netns", "del", _net(node), check=False)
            _ip("link", "del", _cable(node), check=False)
        _ip("link", "del", "chaosbr", check=False)


def _workers_struck(case: Case, number: int, times: int, ending: str) -> Tally:
    calm, chance, struck, recovery = case.calm(), random.Random(3), 0, 0.0
    driver = case.start("--workers", "2")
    with ended_afterwards(driver):
        while struck < times:
            held = case.wait_for(0, driver)
            held = case.wait_for(held + chance.randint(1, len(calm) // (2 * times)), driver)
            victims = actors(driver.mark)
            if not driver.is_running:
                break
            if victims and send(chance.choice(victims), number):
                struck += 1
                recovery = max(recovery, _replaced(driver, victims))
        code = driver.wait()
        assert code == 0, driver.told()
    return case.tally(calm, struck, recovery, ending)


def _replaced(driver: Driver, before: list[int]) -> float:
    """Seconds until there is a worker that was not there before."""
    begun = time.monotonic()
    while driver.is_running and set(actors(driver.mark)) <= set(before):
        assert time.monotonic() - begun < 120, driver.told()
        time.sleep(0.05)
    return time.monotonic() - begun


def _net(node: int) -> str:
    return f"chaosnet{node}"


def _cable(node: int) -> str:
    return f"chaosout{node}"


def _ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True)


def _setns(descriptor: int) -> None:
    """os.setns for Python before 3.12."""
    import ctypes

    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")
