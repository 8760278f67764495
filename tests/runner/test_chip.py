"""A campaign on a recorded chip: its file is read by the driver and is part of the identity."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.engines.stores.reader import read_results
from campaign.errors import DriftError, SetupError
from campaign.runner.replay import replay
from tests.runner.conftest import Campaign


def record(campaign, cells: int = 40, *, header: str = "cell,rate") -> Path:
    """Write a chip of 10,000 cells of which a few fail from 0.005 on."""
    path = campaign.root / "chip.csv"
    path.write_text(f"{header}\n" + "".join(f"{97 * i},0.005\n" for i in range(cells)), "utf-8")
    return path


@pytest.fixture
def chipped(campaign: Campaign) -> Campaign:
    path = record(campaign)
    campaign.edit("grid:", f"fault: {{chip_map: {{file: {path}, cells: 10000}}}}\ngrid:")
    return campaign


def test_rows_hold_the_flips_of_the_chip(chipped) -> None:
    result = chipped.run()
    assert result.exit_code == 0
    for row in read_results(chipped.results).to_pylist():
        assert row["status"] == "ok"
        assert row["fault"] == "chip_map(file=chip.csv, cells=10000)"
        share = 40 / 10_000 if row["ber"] > 0.005 else 0.0
        assert abs(row["flipped_bits"] - share * row["exposed_bits"]) <= 40


def test_a_trial_on_a_chip_can_be_replayed(chipped) -> None:
    chipped.run()
    row = next(r for r in read_results(chipped.results).to_pylist() if r["flipped_bits"])
    assert replay(chipped.results, row["trial_id"]).differing == ()


def test_another_content_of_the_file_is_another_campaign(chipped) -> None:
    chipped.run()
    assert chipped.run().ran == 0
    record(chipped, 41)
    with pytest.raises(DriftError, match="fault_file: the results have"):
        chipped.run()


def test_the_same_file_elsewhere_is_the_same_campaign(chipped) -> None:
    chipped.run()
    path, elsewhere = chipped.root / "chip.csv", chipped.root / "chips" / "again.csv"
    elsewhere.parent.mkdir()
    path.rename(elsewhere)
    chipped.edit(str(path), str(elsewhere))
    result = chipped.run()
    assert (result.exit_code, result.ran) == (0, 0)


def test_a_file_that_is_no_chip_is_told_before_any_trial(chipped) -> None:
    path = record(chipped, header="cell,rat")
    with pytest.raises(SetupError, match=r"chip\.csv: got columns cell, rat; allowed"):
        chipped.run()
    path.unlink()
    with pytest.raises(SetupError, match=r"chip\.csv: .*set the fault model's file"):
        chipped.run()
