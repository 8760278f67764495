"""A campaign with faults in activations, end to end."""

from __future__ import annotations

import pytest

from campaign.engines.stores.reader import read_results
from campaign.records import RESULT_COLUMNS
from tests.runner.conftest import Campaign

VALUES = 1024 + 2048 + 10
"""What one digit writes."""
WEIGHTS = 9872


def rows(campaign) -> list[dict[str, object]]:
    return sorted(read_results(campaign.results).to_pylist(), key=lambda row: str(row["trial_id"]))


@pytest.fixture
def exposed(campaign: Campaign) -> Campaign:
    campaign.edit("name: small", "name: small\ntargets: {activations: true}\nprofile: {images: 50}")
    campaign.edit("[fp32, q2_5]", "[fp16, int8]")
    campaign.edit("[1.0e-3, 1.0e-2]", "[1.0e-4, 1.0e-3]")
    return campaign


def test_rows_count_the_flips_of_weights_and_activations(exposed) -> None:
    assert exposed.run().exit_code == 0
    found = rows(exposed)
    assert {row["status"] for row in found} == {"ok"}
    assert {row["targets"] for row in found} == {"weights+activations"}
    for row in found:
        width = 16 if row["dtype"] == "fp16" else 8
        assert row["stored_bits"] == width * WEIGHTS
        assert row["exposed_bits"] == width * (WEIGHTS + 100 * VALUES)
        mean = row["ber"] * row["exposed_bits"]
        assert abs(row["flipped_bits"] - mean) <= 6 * mean**0.5
    plain = {row["seed"]: row for row in found if row["method"] == "none" and row["ber"] == 1e-3}
    assert len({row["flips_digest"] for row in plain.values()}) == len(plain) == 3


def test_rows_do_not_depend_on_the_batch_size_beyond_rounding(exposed) -> None:
    exposed.run("evaluation.batch_size=64")
    first = rows(exposed)
    exposed.results = exposed.results.with_name("other")
    exposed.run("evaluation.batch_size=1000")
    for one, other in zip(first, rows(exposed), strict=True):
        for column in ("trial_id", "flipped_bits", "flipped_words", "flips_digest", "n_samples"):
            assert one[column] == other[column]
        assert abs(one["n_correct"] - other["n_correct"]) <= 1


def test_activations_alone_make_a_campaign_with_its_report(campaign) -> None:
    campaign.edit("name: small", "name: small\ntargets: {weights: false, activations: true}")
    campaign.edit("[none, range_clamp]", "none")
    campaign.edit("report: false", "report: true")
    assert campaign.run().exit_code == 0
    found = rows(campaign)
    assert {row["targets"] for row in found} == {"activations"}
    assert {(row["stored_bits"], row["check_bits"]) for row in found} == {(0, 0)}
    lacking = {column for row in found for column in RESULT_COLUMNS if row[column] is None}
    assert lacking == {"n_fault_free", "flipped_worst", "exposed_worst"}
