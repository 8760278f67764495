"""The driver is never held up and never hurt."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from campaign.engines.trackers.background import BackgroundTracker
from campaign.engines.trackers.base import CampaignInfo, Ending
from campaign.engines.trackers.mlflow import MlflowTracker
from campaign.engines.trackers.null import NullTracker
from campaign.engines.trackers.place import TrackingStore, tracking_store
from campaign.errors import SetupError

if TYPE_CHECKING:
    from conftest import Database

Curves = Callable[..., pd.DataFrame]


class SlowTracker:
    """A tracker that waits for a word at each log and may then be out of order."""

    uri = ""

    def __init__(self) -> None:
        self.entered, self.may_go = threading.Semaphore(0), threading.Semaphore(0)
        self.told: list[object] = []
        self.broken = False

    def log(self, curves: pd.DataFrame) -> None:
        self.entered.release()
        self.may_go.acquire()
        if self.broken:
            raise OSError("the line is cut")
        self.told.append(curves.attrs["state"])

    def finish(self, ending: Ending, artifacts: Sequence[Path] = ()) -> None:
        self.told.append(ending)


def state(number: int) -> pd.DataFrame:
    frame = pd.DataFrame({"ber": [0.0]})
    frame.attrs["state"] = number
    return frame


@pytest.fixture
def closed_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_states_that_come_while_the_tracker_is_busy_replace_each_other() -> None:
    slow = SlowTracker()
    background = BackgroundTracker(slow)
    background.log(state(0))
    slow.entered.acquire()
    started = time.monotonic()
    for number in range(1, 101):
        background.log(state(number))
    assert time.monotonic() - started < 1
    slow.may_go.release(2)
    background.finish("FINISHED")
    assert slow.told == [0, 100, "FINISHED"]
    assert not background.lagging


def test_trouble_is_a_line_that_goes_when_the_next_state_gets_through() -> None:
    slow = SlowTracker()
    background = BackgroundTracker(slow)
    slow.broken = True
    background.log(state(0))
    slow.may_go.release()
    slow.entered.acquire()
    while background.trouble is None:
        time.sleep(0.01)
    assert background.lagging
    assert background.trouble == "OSError: the line is cut"
    slow.broken = False
    slow.may_go.release()
    background.finish("KILLED")
    assert slow.told == [0, "KILLED"]
    assert background.trouble is None


def test_the_end_is_waited_for_only_so_long() -> None:
    slow = SlowTracker()
    background = BackgroundTracker(slow)
    background.log(state(0))
    started = time.monotonic()
    background.finish("FINISHED", timeout=0.1)
    assert 0.1 <= time.monotonic() - started < 2
    assert background.trouble == "not done after 0.1 seconds"
    slow.may_go.release()


def test_nobody_can_be_told() -> None:
    background = BackgroundTracker(NullTracker())
    background.log(state(0))
    background.finish("FINISHED")
    assert (background.uri, background.trouble) == ("", None)


def test_a_campaign_is_tracked_from_another_thread(
    info: CampaignInfo, store: TrackingStore, curves: Curves, database: Database
) -> None:
    background = BackgroundTracker(MlflowTracker(info, store))
    background.log(curves(4))
    background.log(curves(8))
    background.finish("FINISHED", [info.folder / "tables"])
    assert background.trouble is None
    assert background.uri == store.uri
    assert database.status("demo") == "FINISHED"
    assert database.newest("resnet20 · fp32 · none", "n_trials") == {0: 1, 1: 8, 2: 8, 3: 8}


def test_a_dead_server_costs_nothing_and_a_later_sync_catches_up(
    info: CampaignInfo,
    store: TrackingStore,
    curves: Curves,
    database: Database,
    closed_port: int,
) -> None:
    dead = tracking_store(info.folder, f"http://ann:s3cret@127.0.0.1:{closed_port}", {})
    background = BackgroundTracker(MlflowTracker(info, dead))
    started = time.monotonic()
    background.log(curves(4))
    assert time.monotonic() - started < 0.2
    background.log(curves(8))
    background.finish("FINISHED", timeout=20)
    assert time.monotonic() - started < 20
    trouble = background.trouble or ""
    assert trouble.startswith(f"MLflow at http://ann:***@127.0.0.1:{closed_port}: MlflowException")
    assert "refused" in trouble
    assert "s3cret" not in trouble
    assert "\n" not in trouble
    assert MlflowTracker(info, store).sync(curves(8), "FINISHED") == 2
    assert database.status("demo") == "FINISHED"


def test_a_sync_with_a_dead_server_says_so_in_a_line(
    info: CampaignInfo, curves: Curves, closed_port: int
) -> None:
    dead = TrackingStore(f"http://127.0.0.1:{closed_port}")
    with pytest.raises(SetupError, match=r"^MLflow at http://127\.0\.0\.1:\d+: .*refused") as error:
        MlflowTracker(replace(info, attachments=()), dead).sync(curves(), "FINISHED")
    assert "\n" not in str(error.value)
