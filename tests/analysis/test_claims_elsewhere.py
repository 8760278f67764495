"""What has no cell of a campaign beside it is told, with what differs in the nearest one."""

from pathlib import Path

import pandas as pd

from campaign.analysis.claims import claims
from campaign.analysis.claims_elsewhere import claims_elsewhere, write_elsewhere
from campaign.analysis.page.claims import published_numbers
from campaign.analysis.page.subject import gather
from campaign.analysis.rows import as_trials
from tests.analysis.test_claims import publication, rows


def apart(**changes: object) -> list[str]:
    """What differs, of one claim."""
    found = claims_elsewhere(as_trials(rows()), publication(**changes), set())
    return [str(text) for text in found["apart"]]


def test_each_name_that_differs_is_said_of_the_nearest_cell() -> None:
    assert apart(dtype="fp16") == ["fp16 (here fp32)"]
    assert apart(ber="1e-4") == ["BER 1e-4 (here 1e-5)"]
    assert apart(ber="0.001", dtype="q2_5") == ["q2_5 (here fp32); BER 1e-3 (here 1e-5)"]
    assert apart(dataset={"rows": ["cifar10"], "images": 100}) == ["cifar10 (here imagenet)"]
    assert apart(method=["saf*"]) == ["method saf*"]
    assert apart(t=3.0) == ["t = 3"]
    assert apart(nonfinite="zero") == ["nonfinite zero"]
    assert apart(quantity="other") == ["rows do not give this quantity"]


def test_only_what_shares_a_network_a_protection_or_an_attack_is_told() -> None:
    other = {"name": "VGG", "rows": ["vgg*"]}
    assert apart(model=other) == ["VGG (here resnet18)"]  # the protection is the same
    assert apart(model=other, method=["secded"]) == []
    assert apart(model=other, method=["none"]) == []  # nothing of a protection
    assert apart(model=other, method=["secded"], quantity="other", fault="sign_attack") == []


def test_claims_with_a_cell_are_left_out(tmp_path: Path) -> None:
    trials = as_trials(rows())
    beside = set(claims(rows(), publication())["claim"])
    assert beside == {"c"}
    none = claims_elsewhere(trials, publication(), beside)
    assert none.empty
    assert write_elsewhere(none, tmp_path) == []


def test_tables_are_written_for_machines_and_people(tmp_path: Path) -> None:
    table = claims_elsewhere(as_trials(rows()), publication(dtype="fp16"), set())
    written = write_elsewhere(table, tmp_path)
    assert [path.name for path in written] == [
        f"claims_elsewhere.{e}" for e in ("csv", "md", "tex")
    ]
    assert pd.read_csv(written[0])["apart"].tolist() == ["fp16 (here fp32)"]
    assert "52.00 percent" in written[1].read_text()


def test_the_page_says_so_first() -> None:
    trials = as_trials(rows())
    none = claims(rows(), publication(dtype="fp16"))
    told = claims_elsewhere(trials, publication(dtype="fp16"), set())
    section = published_numbers(gather(trials, published=none, elsewhere=told))
    assert section is not None
    assert "No cell of this campaign" in section.body
    assert "fp16 (here fp32)" in section.body
    nothing = published_numbers(gather(trials, published=none, elsewhere=told.iloc[:0]))
    assert nothing is not None
    assert "None of the published numbers" in nothing.body
    assert published_numbers(gather(trials)) is None


def test_cells_without_a_result_are_said_to_be_so() -> None:
    failed = rows().assign(status="failed", error="x")
    table = claims_elsewhere(as_trials(failed), publication(), set())
    assert table["apart"].tolist() == ["no result of its trials"]
    gain = publication(quantity="top1_gain", unit="points", baseline="secded")
    assert claims_elsewhere(as_trials(rows()), gain, set())["apart"].tolist() == [
        "no result of secded"
    ]


def test_a_publication_names_the_methods_it_is_about() -> None:
    other = {"name": "VGG", "rows": ["vgg*"]}
    (held,) = publication(model=other, method=["secded"])
    about = [held.model_copy(update={"methods": ("weight_*",)})]
    assert claims_elsewhere(as_trials(rows()), about, set())["claim"].tolist() == ["c"]
