from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from campaign.engines.executors.ray import RayExecutor
from campaign.records import TrialRecord

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_trials_survive_the_loss_of_a_node_and_a_new_node_gets_workers(
    kit: Any, teach_workers: Callable[[], None]
) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    leaving = cluster.add_node(num_cpus=1)
    executor = RayExecutor(address=cluster.address, cpus_per_worker=1)
    executor.start()
    teach_workers()
    tasks = [kit.make_task(name, 200) for name in "abc"]
    rows, events, most = list[TrialRecord](), list[str](), 0
    try:
        for found in executor.run(tasks, kit.work(trial_seconds=0.05), kit.assets):
            rows += found
            workers = executor.status()["workers"]
            if not events and workers == 2:
                events.append("lost")
                cluster.remove_node(leaving)
            elif events == ["lost"] and workers == 1:
                events.append("joined")
                cluster.add_node(num_cpus=1)
            elif len(events) == 2:
                most = max(most, workers)
    finally:
        executor.close()
        cluster.shutdown()
    assert events == ["lost", "joined"]
    assert most == 2
    assert Counter(r.trial_id for r in rows) == Counter(p.trial_id for t in tasks for p in t.points)
    assert {row.status for row in rows} == {"ok"}
    assert {row.compute for row in rows} == {"threads=1"}
