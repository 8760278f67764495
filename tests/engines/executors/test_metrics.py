"""What is counted for Prometheus, and that the Grafana page asks for nothing else."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

from campaign.engines.executors.metrics import INSTRUMENTS, Instrument, Metrics
from campaign.records import COLUMNS, TrialRecord, column_types

ROOT = Path(__file__).parents[3]


class Kept:
    """A meter that remembers, as Prometheus would."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument, self.values = instrument, dict[tuple[str, ...], float]()

    def inc(self, value: float, tags: dict[str, str]) -> None:
        assert self.instrument.kind == "counter"
        assert value > 0
        self._put(tags, self.values.get(tuple(tags.values()), 0.0) + value)

    def set(self, value: float, tags: dict[str, str]) -> None:
        assert self.instrument.kind == "gauge"
        self._put(tags, value)

    def _put(self, tags: dict[str, str], value: float) -> None:
        assert tuple(tags) == self.instrument.tags
        self.values[tuple(tags.values())] = value


def record(status: str, images: int | None) -> TrialRecord:
    blank = {"str": "", "int": 0, "float": 0.5}
    values = {name: blank[column_types()[name]] for name in COLUMNS}
    values |= {"campaign": "c", "status": status, "n_samples": images, "seconds": 0.5}
    return TrialRecord(**values)  # type: ignore[arg-type]


def test_rows_are_counted_by_campaign_and_status() -> None:
    kept: dict[str, Kept] = {}
    metrics = Metrics(lambda instrument: kept.setdefault(instrument.name, Kept(instrument)))
    names = ("workers", "busy", "restarts", "retried", "queued", "in_flight")
    status = dict(zip(names, range(6), strict=True))
    metrics.count([record("ok", 100), record("ok", 50), record("error", None)], status)
    assert kept["campaign_trials_total"].values == {("c", "ok"): 2, ("c", "error"): 1}
    assert kept["campaign_images_total"].values == {("c",): 150}
    assert kept["campaign_trial_seconds_total"].values == {("c",): 1.5}
    metrics.count([record("ok", 1)], {**status, "queued": 99})  # at once: gauges wait
    assert kept["campaign_queued"].values == {("c",): 4}
    metrics.set_gauges({**status, "queued": 0}, "c")
    assert kept["campaign_queued"].values == {("c",): 0}
    assert all(meter.values for meter in kept.values())


def test_every_metric_of_the_grafana_page_is_exported() -> None:
    page = json.loads((ROOT / "dashboards" / "grafana" / "campaign.json").read_text("utf-8"))
    asked = [target["expr"] for panel in page["panels"] for target in panel["targets"]]
    asked += [v["query"] for v in page["templating"]["list"]]
    used = {name for text in asked for name in re.findall(r"\bray_\w+", text)}
    ours = {f"ray_{instrument.name}" for instrument in INSTRUMENTS}
    found = find_spec("ray")
    assert found is not None
    assert found.origin is not None
    metrics = Path(found.origin).parent / "dashboard" / "modules" / "reporter" / "reporter_agent.py"
    of_ray = {f"ray_{name}" for name in re.findall(r'"(node_\w+)"', metrics.read_text("utf-8"))}
    assert ours <= used
    assert used <= ours | of_ray, used - ours - of_ray
    campaigns = re.findall(r"ray_campaign_\w+\{([^}]*)\}", " ".join(asked))
    assert all('campaign=~"$campaign"' in labels for labels in campaigns)
