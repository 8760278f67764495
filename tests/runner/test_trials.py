"""Rows read for a report are those of the folder, in fewer bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from campaign.analysis.claims import claims
from campaign.analysis.claims_elsewhere import claims_elsewhere
from campaign.analysis.curves import curves
from campaign.analysis.page.outcomes import failures, outcomes
from campaign.analysis.report import write_report
from campaign.analysis.rows import CURVE_KEYS, as_trials
from campaign.analysis.tolerance import tolerated_ber
from campaign.engines.stores.parquet import ParquetStore
from campaign.engines.stores.reader import read_results
from campaign.engines.stores.schema import to_records
from campaign.errors import CampaignError, SetupError
from campaign.published import load_published
from campaign.runner.precision import precision_in
from campaign.runner.report import make_report, order_of, origin_of, told_curves
from campaign.runner.trials import NAMES, READ, trials_in, trials_of

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
FOLDERS = sorted(path.parent for path in REFERENCE.glob("*/trials"))


def plain(trials: pd.DataFrame) -> pd.DataFrame:
    """Names as text again."""
    coded = [name for name in NAMES if isinstance(trials[name].dtype, pd.CategoricalDtype)]
    return trials.assign(**{name: trials[name].astype(object) for name in coded})


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Sealed rows and a tail of rows; some failed, in words that others do not have."""
    records = to_records(read_results(FOLDERS[0]))[:300]
    failed = [
        replace(row, status="error", error_type="ValueError", error=f"no {n % 2}", n_correct=None)
        for n, row in enumerate(records[200:240])
    ]
    store = ParquetStore(tmp_path)
    store.append(records[:200])
    store.seal()
    store.append(failed)
    store.seal()
    store.append([*records[230:280], *failed[:3]])
    store._unsealed = 0  # leave the tail where it is
    store.close()
    return tmp_path


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_every_column_is_that_of_the_folder(folder: Path) -> None:
    ours, theirs = trials_in(folder), as_trials(read_results(folder))
    kept = [column for column in READ if column != "trial_id"]
    assert_frame_equal(plain(ours)[kept].astype(object), theirs[kept].astype(object))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_curves_are_the_same_to_the_bit(folder: Path) -> None:
    rows, wanted = read_results(folder), precision_in(folder)
    tolerated = tolerated_ber(rows)[[*CURVE_KEYS, "ber_at_1pt", "ber_at_5pt"]]
    theirs = curves(rows, precision=wanted).merge(tolerated, on=CURVE_KEYS, how="left")
    assert_frame_equal(told_curves(trials_in(folder), wanted), theirs, check_exact=True)


def test_failed_rows_keep_their_ids_and_reasons(mixed: Path) -> None:
    ours, theirs = trials_in(mixed), as_trials(read_results(mixed))
    assert set(theirs["status"]) == {"ok", "error"}
    assert_frame_equal(failures(ours), failures(theirs), check_dtype=False)
    assert_frame_equal(outcomes(ours), outcomes(theirs), check_exact=True)
    assert ours["trial_id"].notna().sum() == (theirs["status"] != "ok").sum() > 0


@pytest.mark.slow
def test_a_report_has_the_bytes_of_one_from_all_columns(mixed: Path, tmp_path: Path) -> None:
    made, rows = make_report(mixed, ["top1"]), read_results(mixed)
    beside = claims(rows, load_published())
    whole = write_report(
        rows,
        tmp_path / "whole",
        order=order_of(mixed),
        origin=origin_of(mixed),
        published=beside,
        elsewhere=claims_elsewhere(as_trials(rows), load_published(), set(beside["claim"])),
    )
    assert [path.name for path in made] == [path.name for path in whole.paths]
    assert len(whole.tables) > 5
    for path in [whole.page, *whole.tables]:
        assert path.read_bytes() == (mixed / path.relative_to(tmp_path / "whole")).read_bytes()


def test_what_a_store_holds_by_now_is_read_too(tmp_path: Path) -> None:
    records = to_records(read_results(FOLDERS[0]))[:50]
    store = ParquetStore(tmp_path)
    store.append(records)
    assert len(trials_of(store)) == 50
    store.close()


def test_a_row_takes_less_than_half_of_what_it_took() -> None:
    folder = max(FOLDERS, key=lambda path: len(read_results(path, ["trial_id"])))
    ours, theirs = trials_in(folder), as_trials(read_results(folder))
    size, whole = (frame.memory_usage(deep=True).sum() / len(frame) for frame in (ours, theirs))
    assert size < 350
    assert size < whole / 2


def test_a_folder_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no results"):
        trials_in(tmp_path)
    store = ParquetStore(tmp_path / "empty")
    with pytest.raises(CampaignError, match="no rows"):
        trials_of(store)
    store.close()
