"""The example notebook, run cell by cell, and what it is an example of."""

from __future__ import annotations

import base64
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import matplotlib.figure
import pandas as pd
import pyarrow.parquet as pq
import pytest

import campaign
from campaign.analysis.curves import curves
from campaign.analysis.tables import summary
from campaign.errors import SetupError, SpecError
from campaign.records import COLUMNS

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results" / "reference"
FOLDER = REFERENCE / "cifar10_resnet20"


def test_the_notebook_shows_what_its_cells_give(monkeypatch) -> None:
    """If not: uv run python docs/notebook.py."""
    spec = importlib.util.spec_from_file_location("notebook", ROOT / "docs" / "notebook.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cells = json.loads((ROOT / "docs" / "notebook.ipynb").read_text("utf-8"))["cells"]
    monkeypatch.chdir(ROOT / "docs")
    pictures = 0
    for cell, shown in zip(cells, module.run(cells), strict=True):
        held = [output["data"] for output in cell.get("outputs", [])]
        assert [data["text/plain"] for data in held] == ([shown["text/plain"]] if shown else [])
        for data in held:
            pictures += base64.b64decode(data.get("image/png", "")).startswith(b"\x89PNG")
    assert pictures == 1


def test_a_folder_is_read_from_python() -> None:
    r = campaign.load(FOLDER)
    rows = pd.concat([pq.read_table(p).to_pandas() for p in (FOLDER / "trials").glob("*.parquet")])
    rows = rows.reindex(columns=list(COLUMNS))  # older rows lack some
    assert set(r.trials()["trial_id"]) == set(rows["trial_id"])
    assert r.trials(arrow=True).num_rows == len(rows) == r.status.ok
    assert r.spec.name == "cifar10_resnet20"
    pd.testing.assert_frame_equal(r.curves("bootstrap"), curves(rows, interval="bootstrap"))
    pd.testing.assert_frame_equal(r.table("top5"), summary(rows, "top5"))
    assert isinstance(r.plot(), matplotlib.figure.Figure)
    html = r._repr_html_()
    assert "884 of 884 trials" in html
    assert "79.5" in html or "91.80" in html
    none = rows[(rows["method"] == "none") & (rows["ber"] == 1e-5)].set_index("seed")
    saf = rows[rows["method"].str.startswith("saf") & (rows["ber"] == 1e-5)].set_index("seed")
    (cell,) = (
        cell
        for made in r.against("none")
        for cell in made.cells.to_dict("records")
        if cell["ber"] == 1e-5 and cell["method_b"].startswith("saf")
    )
    gap = (saf["n_correct"] - none["n_correct"]) / none["n_samples"]
    assert cell["difference"] == pytest.approx(gap.mean())
    assert (r.compare(r).cells["difference"] == 0).all()
    assert "all equal" in str(r.compare(FOLDER))


def test_what_cannot_be_shown_is_said_in_a_line(tmp_path) -> None:
    with pytest.raises(SetupError, match="no results in"):
        campaign.load(tmp_path)
    with pytest.raises(SpecError, match="got variant 'x'"):
        campaign.load(FOLDER).plot(variant="x")
    with pytest.raises(SpecError, match="were judged on other images"):
        campaign.load(FOLDER).compare(REFERENCE / "cifar10_q15_16")


def test_to_import_campaign_costs_nothing() -> None:
    script = (
        "import campaign, sys\n"
        f"campaign.load({str(FOLDER)!r})\n"
        "print({'torch', 'pandas', 'numpy', 'matplotlib', 'scipy', 'ray'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
