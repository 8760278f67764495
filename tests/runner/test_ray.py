"""The same rows inline and on Ray, with one worker and with two."""

from __future__ import annotations

import pytest

from campaign.engines.stores.reader import read_results
from campaign.records import RESULT_COLUMNS

pytestmark = pytest.mark.ray


def results_of(campaign) -> dict[str, tuple[object, ...]]:
    table = read_results(campaign.results).to_pylist()
    assert len({row["trial_id"] for row in table}) == len(table)
    return {row["trial_id"]: tuple(row[c] for c in RESULT_COLUMNS) for row in table}


@pytest.mark.slow
def test_rows_do_not_depend_on_executor_and_workers(campaign, monkeypatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    campaign.edit("[none, range_clamp]", "[none, [parity, range_clamp]]")
    seen = []
    for executor, workers in (("inline", None), ("ray", 1), ("ray", 2)):
        campaign.results = campaign.root / "results" / f"{executor}{workers}"
        result = campaign.run(executor=executor, workers=workers)
        assert (result.exit_code, result.ran) == (0, 28)
        seen.append(results_of(campaign))
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.slow
def test_a_setup_that_cannot_be_prepared_is_rows_on_ray_too(campaign, monkeypatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    campaign.edit("[none, range_clamp]", "[none, {saf: {function: scaled_tanh, a: 0.001}}]")
    result = campaign.run(executor="ray", workers=1)
    assert (result.exit_code, result.ok, sum(result.failures.values())) == (3, 14, 14)
