"""`campaign compare`, as a user types it, on the reference runs."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from campaign.analysis.comparison import Side, compare
from campaign.analysis.comparison_table import for_people, lines_of
from campaign.analysis.markup import markdown
from campaign.analysis.page.comparison import comparison_section
from campaign.cli.app import main
from campaign.records import COLUMNS

ROOT = Path(__file__).parents[2] / "results" / "reference"
OURS, THEIRS = str(ROOT / "cifar10_resnet20"), str(ROOT / "cifar10_q15_16")
Type = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(monkeypatch, capsys) -> Type:
    def typed(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["campaign", "compare", *arguments])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return (code, *capsys.readouterr())

    return typed


@pytest.fixture
def changed(tmp_path) -> Path:
    """The first run, with other flips at 1e-6, a few better trials at 1e-5, and no saf."""
    folder = tmp_path / "changed"
    shutil.copytree(OURS, folder)
    rows = pd.concat([pq.read_table(p).to_pandas() for p in (folder / "trials").glob("*.parquet")])
    shutil.rmtree(folder / "trials")
    (folder / "trials").mkdir()
    rows = rows[~rows["method"].str.startswith("saf")]
    rows.loc[rows["ber"] == 1e-6, "flips_digest"] = "other"
    rows.loc[(rows["ber"] == 1e-5) & (rows["method"] == "none"), "n_correct"] = 1800
    schema = pq.read_table(next((Path(OURS) / "trials").glob("*.parquet"))).schema
    rows.to_parquet(folder / "trials" / "part-000000.parquet", index=False, schema=schema)
    return folder


def test_two_campaigns_are_compared_in_80_columns(typed, changed) -> None:
    code, out, _ = typed(OURS, str(changed))
    assert code == 0
    table = [line for line in out.splitlines() if line and "/" not in line]
    assert max(map(len, table)) <= 80
    assert "only in A: resnet20 · fp32 · saf(function=scaled_tanh)" in out
    assert "unpaired at 1e-6: other flips for the same seeds" in out
    assert "1 of 33 tested cells differ beyond noise" in " ".join(out.split())
    (row,) = (line for line in out.splitlines() if line.endswith("*"))
    assert row.split()[:3] == ["1e-5", "34.99", "90.00"]
    assert "20 vs 20" in out


def test_a_report_has_the_comparison_as_a_section(changed, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["campaign", "report", str(changed), "--against", OURS])
    with pytest.raises(SystemExit, match=r"^0$"):
        main()
    assert str(changed / "report.html") in capsys.readouterr().out
    page = (changed / "report.html").read_text()
    sections = re.findall(r'<section id="(\w+)"', page)
    assert sections.index("comparison") == sections.index("methods") - 1
    (section,) = re.findall(r'<section id="comparison".*?</section>', page, re.S)
    # of 2000 images: 699.8 right on average before, 1800 after
    assert re.search(r"<td[^>]*>34\.99</td><td[^>]*>90\.00</td>", section)
    assert "only in A: resnet20 · fp32 · saf(function=scaled_tanh)" in section


def test_every_format_holds_the_same_numbers(typed, changed, tmp_path) -> None:
    for name in ("cells.csv", "cells.md", "cells.json", "cells.txt"):
        code, out, _ = typed(OURS, str(changed), "-o", str(tmp_path / name))
        assert (code, out) == (0, f"wrote {tmp_path / name}\n")
    cells = pd.read_csv(tmp_path / "cells.csv")
    (made,) = json.loads((tmp_path / "cells.json").read_text())["comparisons"]
    assert (made["tested"], made["differing"], made["family"]) == (33, 1, 33)
    assert [cell["difference"] for cell in made["cells"]] == pytest.approx(cells["difference"])
    (row,) = cells[cells["differs"]].to_dict("records")
    rows = pd.concat([pq.read_table(p).to_pandas() for p in Path(OURS).glob("trials/*.parquet")])
    ours = rows[(rows["method"] == "none") & (rows["ber"] == 1e-5)]
    assert row["difference"] == pytest.approx((1800 - ours["n_correct"]).mean() / 2000)
    assert (tmp_path / "cells.md").read_text().count("\\*") == 2  # the row and the caption
    assert "+55.01" in (tmp_path / "cells.md").read_text()
    assert "+55.01" in (tmp_path / "cells.txt").read_text()
    code, out, _ = typed(OURS, str(changed), "--format", "json")
    assert json.loads(out)["comparisons"] == [made]


def test_methods_of_one_campaign_are_compared_with_one_of_them(typed) -> None:
    code, out, _ = typed(OURS, "--against", "none", "--published", "--format", "json")
    found = json.loads(out)
    assert code == 0
    assert [each["family"] for each in found["comparisons"]] == [33, 33, 33]
    assert all(cell["how"] in ("exact", "paired") for cell in found["comparisons"][0]["cells"])
    claims = [row["claim"] for row in found["published"]]
    assert "chenyaofo_resnet20_cifar10_clean" in claims
    code, out, _ = typed(OURS, "--published")
    assert (code, "published 92.60, here 91.80 exact: not comparable" in out) == (0, True)


def test_other_images_are_compared_only_where_asked_and_never_tested(typed) -> None:
    code, out, err = typed(OURS, THEIRS)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "were judged on other images (subset: 2000, 1000)" in err
    code, out, _ = typed(OURS, THEIRS, "--unpaired", "--across", "dtype", "--across", "nonfinite",
                         "--across", "targets")  # fmt: skip
    text = " ".join(out.split())
    assert code == 0
    assert "other test images" in text
    assert "0 of 0 tested cells" in text
    assert "the sides differ in targets:" in text
    assert "intervals do not cover the choice of images" in text


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([OURS], "got one folder; give another, or --against METHOD"),
        ([OURS, OURS, "-o", "x.pdf"], "-o x.pdf: got ending '.pdf'; allowed: .csv, .md, .json"),
        ([OURS, OURS, "--format", "csv", "--published"], "csv holds one table"),
        ([OURS, "--against", "tmr"], "'tmr' is not in the rows; allowed: none, saf"),
        ([OURS, OURS, "--across", "seed"], "across: got 'seed'; allowed: model"),
        ([OURS, OURS, "--across", "method"], "are the same but for method"),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_line(typed, arguments, problem) -> None:
    code, out, err = typed(*arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert problem in err


def test_a_folder_without_a_lock_is_taken_at_its_word(typed, changed) -> None:
    (changed / "lock.json").unlink()
    assert "no lock.json; taken to be judged on the same images" in " ".join(
        typed(OURS, str(changed))[1].split()
    )


def test_the_report_has_the_comparison_as_a_section() -> None:
    rows = pd.concat([pq.read_table(p).to_pandas() for p in Path(OURS).glob("trials/*.parquet")])
    rows = rows.reindex(columns=list(COLUMNS))  # older rows lack some
    better = rows.assign(n_correct=(rows["n_correct"] + 3).clip(upper=2000))
    made = compare(Side("<before>", rows), Side("after", better))
    section = comparison_section([made])
    assert section is not None
    assert comparison_section([]) is None
    assert "&lt;before&gt;" in section.body
    assert "<before>" not in section.body
    assert section.body.count("<tbody>") == 4
    assert section.body.count("+0.15") >= 48  # every cell of all curves
    assert "+0.15" in markdown(for_people(made))
    assert sum("+0.15" in line for line in lines_of([made])) == 48
