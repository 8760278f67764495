"""A campaign whose results are at a URL: run, killed with its machine, resumed, read, compacted."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from campaign.cli.app import app
from campaign.engines.stores import ownership
from campaign.errors import LockedError, SetupError, SpecError
from campaign.runner.choose import results_place
from campaign.runner.place import here, opened, place_of
from campaign.spec.load import load


@pytest.fixture
def url(campaign: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CAMPAIGN_CACHE", str(campaign.root / "cache"))
    campaign.results = f"memory://{uuid.uuid4().hex}/small"
    return str(campaign.results)


def said(*words: str) -> str:
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_campaign_at_a_url_goes_on_where_another_machine_stopped(
    campaign: Any, ear: Any, url: str, tmp_path: Path
) -> None:
    first = campaign.run(limit=10)
    assert (first.ran, first.exit_code) == (10, 4)
    assert "stopped, 10 of 28" in said("status", url)
    shutil.rmtree(campaign.root / "cache" / "results")  # the machine of the first driver is gone
    second = campaign.run(ear=ear)
    assert (second.ran, second.ok, second.exit_code) == (18, 28, 0)
    assert any(url in note for note in ear.notes)
    assert "complete, 28 of 28" in said("status", url)
    assert "28 of them done" in said("plan", str(campaign.path), "--results", url)
    assert len(said("export", url).splitlines()) == 29
    assert "2 parts are now 1" in said("compact", url)
    assert len(said("export", url).splitlines()) == 29
    assert f"and in {url}" in said("report", url)
    shutil.rmtree(campaign.root / "cache")
    assert campaign.run().ran == 0
    assert (here(url) / "spec.yaml").read_text() == campaign.path.read_text()


def test_rows_of_a_url_that_was_emptied_do_not_come_back(campaign: Any, url: str) -> None:
    import fsspec

    campaign.run(limit=5)
    fsspec.filesystem("memory").rm(url, recursive=True)
    with pytest.raises(SetupError, match=f"no results in {url}"):
        here(url)
    assert campaign.run(limit=3).ok == 3


def test_a_second_driver_of_a_url_is_refused(
    campaign: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "BEAT_SECONDS", 0.2)
    with opened(url, lambda line: None), pytest.raises(LockedError, match="another campaign"):
        campaign.run()
    assert campaign.run(limit=1).ran == 1


def test_a_file_url_is_a_folder_and_the_spec_may_name_a_url(campaign: Any, tmp_path: Path) -> None:
    campaign.edit("mlflow: false", f"mlflow: false, results: 'file://{tmp_path}/there'")
    spec = load(campaign.path, []).spec
    assert results_place(spec, None) == tmp_path / "there"
    assert results_place(spec, "s3://bucket/name") == "s3://bucket/name"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("s3:/bucket/x", "write s3://bucket/x"),
        (Path("s3://bucket/x"), "write s3://bucket/x"),  # a path has one slash
        ("gs:bucket", "write gs://bucket"),
        ("file://results/x", "a folder of the machine 'results'"),
    ],
)
def test_a_url_that_would_be_taken_for_a_folder_is_refused(text: Any, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        place_of(text)
