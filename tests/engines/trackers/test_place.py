"""Which URI is chosen, and what is shown of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.engines.trackers.place import redacted, sqlite_file, tracking_store
from campaign.errors import SetupError

SERVER = "https://mlflow.lab:5000"


def test_an_explicit_uri_goes_before_the_environment_and_that_before_the_default() -> None:
    environ = {"MLFLOW_TRACKING_URI": "http://other:5000"}
    assert tracking_store(Path("/r"), SERVER, environ).uri == SERVER
    assert tracking_store(Path("/r"), None, environ).uri == "http://other:5000"
    assert tracking_store(Path("/r"), None, {}).uri == "sqlite:////r/mlflow.db"
    assert tracking_store(Path("/r"), None, {"MLFLOW_TRACKING_URI": ""}).uri.startswith("sqlite")


def test_the_default_is_absolute_wherever_the_results_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert tracking_store(Path("results"), None, {}).uri == (
        f"sqlite:///{tmp_path}/results/mlflow.db"
    )


@pytest.mark.parametrize(
    ("uri", "artifacts"),
    [
        ("sqlite:////data/runs/mlflow.db", "file:///data/runs/mlartifacts"),
        ("postgresql+psycopg2://ann:pw@db/mlflow", "file:///r/mlartifacts"),
        (SERVER, None),
        ("databricks", None),
    ],
)
def test_artifacts_lie_beside_a_file_or_under_the_results_unless_a_server_keeps_them(
    uri: str, artifacts: str | None
) -> None:
    assert tracking_store(Path("/r"), uri, {}).artifacts == artifacts


@pytest.mark.parametrize("uri", ["file:///data/mlruns", "./mlruns", "mlruns", "/data/mlruns"])
def test_a_plain_folder_is_refused_with_what_to_use(uri: str) -> None:
    with pytest.raises(
        SetupError, match=r"plain folder.*use a database such as sqlite:////r/"
    ) as e:
        tracking_store(Path("/r"), uri, {})
    assert repr(uri) in str(e.value)


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://ann:S3CRET@db.lab/mlflow",
        "postgresql://ann:S3CRET/with@sign@db.lab/mlflow",
        "mysql+pymysql://:S3CRET@db.lab/mlflow",
        "http://ann:S3CRET@mlflow.lab:5000",
        "postgresql://db.lab/mlflow?user=ann&password=S3CRET&sslmode=require",
        "failed at http://ann:S3CRET@mlflow.lab/api with token=S3CRET; twice",
    ],
)
def test_no_secret_of_a_uri_is_shown(uri: str) -> None:
    shown = redacted(uri)
    assert "S3CRET" not in shown
    assert "***" in shown
    assert "lab" in shown


def test_a_uri_without_secrets_is_shown_as_it_is() -> None:
    assert redacted("sqlite:////data/mlflow.db") == "sqlite:////data/mlflow.db"
    assert redacted(SERVER) == SERVER


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("sqlite:////data/mlflow.db?timeout=5", Path("/data/mlflow.db")),
        ("sqlite+pysqlite:///runs.db", Path("runs.db").absolute()),
        ("sqlite://", None),
        ("postgresql://db/mlflow", None),
    ],
)
def test_a_sqlite_uri_names_its_file(uri: str, file: Path | None) -> None:
    assert sqlite_file(uri) == file
