"""Published numbers stand beside the right cells, with the right verdict."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from campaign.analysis.claim_table import write_claims
from campaign.analysis.claims import claims
from campaign.published import Publication
from tests.analysis.conftest import record

SOURCE = {"torchvision/resnet18": {"weights": "IMAGENET1K_V1"}}
RIGHT = [40, 60, 50, 70, 30, 55, 45, 65]
BASE = [10, 30, 5, 20, 15, 25, 0, 35]


def rows(**changes: Any) -> pd.DataFrame:
    """Two protections at BER 0 and 1e-5, eight fault maps of 100 images."""
    found = []
    for method, correct in (("none", BASE), ("weight_scaling", RIGHT)):
        t = None if method == "none" else 2.0
        for seed, right in enumerate(correct):
            found.append({"method": method, "t": t, "ber": 1e-5, "seed": seed, "n_correct": right})
        found.append({"method": method, "t": t, "ber": 0.0, "n_correct": 90})
    shared = {
        "model": "resnet18",
        "dataset": "imagenet",
        "n_samples": 100,
        "n_correct_top5": 95,
        **changes,
    }
    return pd.DataFrame(
        [
            record(**shared, **row, trial_id=str(place), setup_id=row["method"])
            for place, row in enumerate(found)
        ]
    )


def publication(**changes: Any) -> list[Publication]:
    claim = {
        "id": "c",
        "about": "top-1",
        "quantity": "top1",
        "unit": "percent",
        "value": "52.00",
        "where": "table 1",
        "tag": "table",
        "model": {"name": "ResNet18", "rows": ["*resnet18"], "source": SOURCE},
        "dataset": {"rows": ["imagenet*"], "images": 100},
        "dtype": "fp32",
        "method": ["weight_scaling"],
        "ber": "1e-5",
        **changes,
    }
    whole = {
        "cite": "S",
        "venue": "V",
        "settled_by": "a run",
        "claims": [{k: v for k, v in claim.items() if v}],
    }
    return [Publication.model_validate(whole)]


def joined(given: pd.DataFrame, **changes: Any) -> dict[str, Any]:
    found = claims(given, publication(**changes), origins={"resnet18": SOURCE})
    (row,) = found.to_dict("records")
    return row


def test_agreement_is_overlap_with_reading_error_and_the_chance_of_few_maps() -> None:
    row = joined(rows())
    assert row["measured"] == pytest.approx(np.mean(RIGHT))
    assert row["low"] < np.mean(RIGHT) < row["high"]
    assert (row["verdict"], row["reasons"], row["value_error"]) == ("agree", "", 0.005)
    assert row["open"] == (
        "t (here 2); nonfinite (here propagate); fault (here bit_flip); targets (here weights); "
        "number of fault maps (here 8)"
    )
    edge = row["high"]
    assert joined(rows(), value=f"{edge + 0.004:.3f}", reading_error="0.01")["verdict"] == "agree"
    assert joined(rows(), value=f"{edge + 0.02:.3f}", reading_error="0.01")["verdict"] == "differ"
    few = joined(rows(), value="95.0", maps="4")
    spread = norm.ppf(0.975) * np.std(RIGHT, ddof=1) / np.sqrt(4)
    assert few["value_error"] == pytest.approx(0.05 + spread)
    assert "fault maps" not in few["open"]
    assert few["verdict"] == ("agree" if 95 - few["value_error"] <= edge else "differ")


def test_errors_and_gains_are_taken_from_the_same_maps() -> None:
    plain = joined(rows())
    error = joined(rows(), quantity="top1_error")
    assert (error["measured"], error["low"], error["high"]) == pytest.approx(
        (100 - plain["measured"], 100 - plain["high"], 100 - plain["low"])
    )
    gain = joined(rows(), quantity="top1_gain", unit="points", value="34.375")
    assert gain["measured"] == pytest.approx(np.mean(np.subtract(RIGHT, BASE)))
    assert gain["low"] < gain["measured"] < gain["high"]
    assert gain["verdict"] == "agree"
    alone = rows()[lambda frame: frame["method"] != "none"]
    assert claims(alone, publication(quantity="top1_gain", unit="points")).empty


@pytest.mark.parametrize(
    ("given", "changes", "reason"),
    [
        ({"n_samples": 1000}, {}, "1,000 images, published on 100"),
        ({}, {"clean": "89.9"}, "90.00 without faults, published 89.9"),
        ({}, {"departs": ["flips come in pairs"]}, "flips come in pairs"),
        ({}, {"value": None, "unit": None, "words": "small"}, "in words, not as a number"),
        (
            {},
            {"model": {"name": "x", "rows": ["resnet18"]}},
            "the published checkpoint cannot be loaded",
        ),
        (
            {},
            {
                "model": {
                    "name": "x",
                    "rows": ["resnet18"],
                    "source": {"torchvision/resnet18": {"weights": "OTHER"}},
                }
            },
            "not loaded as the published checkpoint",
        ),
    ],
)
def test_what_is_not_the_same_is_shown_beside_and_says_why(
    given: dict[str, Any], changes: dict[str, Any], reason: str
) -> None:
    row = joined(rows(**given), **changes)
    assert (row["verdict"], row["reasons"]) == ("not comparable", row["reasons"])
    assert reason in row["reasons"]


@pytest.mark.parametrize(
    "changes",
    [
        {"ber": "2e-5"},
        {"dtype": "fp16"},
        {"method": ["secded"]},
        {"t": "4"},
        {"nonfinite": "zero"},
        {"fault": "burst"},
        {"dataset": {"rows": ["cifar10"], "images": "100"}},
        {"model": {"name": "x", "rows": ["resnet50"]}},
    ],
)
def test_a_cell_of_another_condition_is_no_match(changes: dict[str, Any]) -> None:
    assert claims(rows(), publication(**changes)).empty


def test_without_faults_there_is_nothing_to_be_uncertain_of(
    tmp_path: Any, make_rows: Callable[..., pd.DataFrame]
) -> None:
    row = joined(rows(), ber="0", value="90.0", fault="burst", clean="90.0")
    assert (row["low"], row["high"], row["verdict"], row["open"]) == (90, 90, "agree", "")
    assert joined(rows(), ber="0", value="90.1")["verdict"] == "differ"
    unknown = claims(rows(), publication())
    assert list(unknown["reasons"]) == ["checkpoint of unknown origin"]
    assert write_claims(claims(make_rows(), []), tmp_path) == []
    written = write_claims(unknown, tmp_path)
    assert [path.name for path in written] == ["claims.csv", "claims.md", "claims.tex"]
    assert pd.read_csv(written[0])["measured"].tolist() == pytest.approx([np.mean(RIGHT)])
    assert "52.00 ± 0.005" in written[1].read_text("utf-8")


def test_maps_judged_on_samples_stand_for_all_images() -> None:
    """Half of the images under each map; the bounds of a gain are then those of both means."""
    given = rows()
    faulty = given["ber"] > 0
    given.loc[faulty, ["n_samples", "n_fault_free", "n_correct_top5"]] = (50, 45, 48)
    given.loc[faulty, "n_correct"] = given.loc[faulty, "n_correct"] // 2
    given.loc[~faulty, "n_fault_free"] = 90
    given[["flipped_worst", "exposed_worst"]] = (0, 30)
    row = joined(given)
    assert (row["n_images"], row["verdict"]) == (100, "differ")  # most maps flip nothing here
    base = joined(given, method=["none"], t=None)
    gain = joined(given, quantity="top1_gain", unit="points", value="34.4")
    assert gain["measured"] == pytest.approx(row["measured"] - base["measured"])
    assert gain["low"] == pytest.approx(row["low"] - base["high"])
    assert gain["high"] == pytest.approx(row["high"] - base["low"])


def test_a_claim_without_faults_stands_once_beside_cells_that_differ_in_faults_alone() -> None:
    """Of two fault models and two targets, one of which stores other weights."""
    varied = [
        rows(fault=fault, targets=targets).assign(n_correct=right)
        for fault, targets, right in (
            ("bit_flip", "weights", 90),
            ("burst", "weights", 90),
            ("bit_flip", "biases", 91),
        )
    ]
    whole = pd.concat([f.assign(trial_id=f"{k}-" + f["trial_id"], setup_id=f"{k}-" + f["setup_id"])
                       for k, f in enumerate(varied)])  # fmt: skip
    table = claims(whole, publication(ber="0", value="90.00", method=["none"]))
    assert sorted(table["measured"]) == [90.0, 91.0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"targets": "weights; bits only: 7"}, "targets: weights; bits only: 7"),
        ({"fault": "stuck_at(value=1)"}, "faults: stuck_at(value=1)"),
    ],
)
def test_a_study_is_not_judged_by_a_number_that_says_nothing_of_it(
    changes: dict[str, str], reason: str
) -> None:
    found = claims(rows(**changes), publication(), origins={"resnet18": SOURCE})
    assert found["verdict"].tolist() == ["not comparable"]
    assert reason in found["reasons"].iloc[0]
    usual = claims(rows(), publication(), origins={"resnet18": SOURCE})
    assert "targets" not in usual["reasons"].iloc[0]
    assert "faults" not in usual["reasons"].iloc[0].replace("without faults", "")
