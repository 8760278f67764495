"""What a campaign tells Prometheus through Ray: counters and gauges with one tag, the campaign."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from campaign.lazy import LazyModule
from campaign.records import TrialRecord

if TYPE_CHECKING:
    import ray.util.metrics as meters
else:
    meters = LazyModule("ray.util.metrics")

GAUGE_SECONDS = 1.0
"""Gauges are set so often at most; counters with every batch of rows."""
TAG = "campaign"


class Instrument(NamedTuple):
    """One metric; Ray puts ``ray_`` before its name."""

    name: str
    kind: str
    """``counter`` or ``gauge``."""
    about: str
    tags: tuple[str, ...] = (TAG,)


INSTRUMENTS = (
    Instrument("campaign_trials_total", "counter", "Trials that ended.", (TAG, "status")),
    Instrument("campaign_images_total", "counter", "Images that were evaluated."),
    Instrument("campaign_trial_seconds_total", "counter", "Wall time of trials, in seconds."),
    Instrument("campaign_retries", "gauge", "Trials that were leased again after a death."),
    Instrument("campaign_restarts", "gauge", "Workers that died and were replaced."),
    Instrument("campaign_queued", "gauge", "Trials that wait for a worker."),
    Instrument("campaign_in_flight", "gauge", "Trials that were leased to a worker."),
    Instrument("campaign_workers", "gauge", "Workers that are open."),
    Instrument("campaign_busy_workers", "gauge", "Workers that have a lease."),
)
_GAUGES = {
    "campaign_retries": "retried",
    "campaign_restarts": "restarts",
    "campaign_queued": "queued",
    "campaign_in_flight": "in_flight",
    "campaign_workers": "workers",
    "campaign_busy_workers": "busy",
}
"""Metric -> what `Executor.status` calls it."""


class Meter(Protocol):
    """A counter (``inc``) or a gauge (``set``) of `ray.util.metrics`."""

    def inc(self, value: float, tags: dict[str, str]) -> None:
        """Add to a counter."""
        ...

    def set(self, value: float, tags: dict[str, str]) -> None:
        """Set a gauge."""
        ...


def counted(
    batches: Iterator[list[TrialRecord]], status: Callable[[], Mapping[str, int]]
) -> Iterator[list[TrialRecord]]:
    """The same rows, counted for Prometheus as they pass; the gauges are set at the end too."""
    counts, last = Metrics(ray_meter), ""
    try:
        for records in batches:
            if records:
                last = str(records[-1].campaign)
                counts.count(records, status())
            yield records
    finally:
        if last:
            counts.set_gauges(status(), last)


def ray_meter(instrument: Instrument) -> Meter:
    """What Ray exports, from a driver that has joined or started a cluster."""
    kind = {"counter": meters.Counter, "gauge": meters.Gauge}[instrument.kind]
    made = kind(instrument.name, description=instrument.about, tag_keys=instrument.tags)
    return cast("Meter", made)


class Metrics:
    """Counts rows as they come.

    Args:
        make: Makes what an instrument is told to, once each.
    """

    def __init__(self, make: Callable[[Instrument], Meter]) -> None:
        self._meters = {instrument.name: make(instrument) for instrument in INSTRUMENTS}
        self._set_at = float("-inf")

    def count(self, records: Sequence[TrialRecord], status: Mapping[str, int]) -> None:
        """Count rows that came together, and set the gauges now and then."""
        for record in records:
            tags = {TAG: str(record.campaign)}
            self._meters["campaign_trials_total"].inc(1, {**tags, "status": record.status})
            if record.n_samples:
                self._meters["campaign_images_total"].inc(record.n_samples, tags)
            if record.seconds > 0:
                self._meters["campaign_trial_seconds_total"].inc(record.seconds, tags)
        if records and time.monotonic() - self._set_at >= GAUGE_SECONDS:
            self.set_gauges(status, str(records[-1].campaign))

    def set_gauges(self, status: Mapping[str, int], campaign: str) -> None:
        """Set what stands now."""
        for name, key in _GAUGES.items():
            self._meters[name].set(status[key], {TAG: campaign})
        self._set_at = time.monotonic()
