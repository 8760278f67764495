"""Every command, as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from campaign.cli.app import main

ROOT = Path(__file__).parents[2]
SPEC = """\
name: small
models: digits_cnn
dataset: digits
grid:
  dtype: [fp32, q2_5]
  method: [none, weight_scaling]
  t: [1, max]
  ber: [1.0e-4, 1.0e-3, 1.0e-2]
  seeds: 3
  nonfinite: zero
evaluation: {subset: 100}
engine: {executor: inline}
output: {mlflow: false}
"""
HEAVY = {"numpy", "torch", "torchvision", "ray", "mlflow", "sklearn", "matplotlib", "scipy", "PIL"}
TRIALS = 6 * (3 * 3 + 1)
pytestmark = pytest.mark.xdist_group("commands")  # one process runs the campaign, and once


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where `campaign run spec.yaml` was typed."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "spec.yaml").write_text(SPEC, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "campaign", "run", "spec.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    (folder / "stderr").write_text(done.stderr)
    return folder


class Typed:
    """What a command printed and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def campaign(monkeypatch, capsys, finished) -> Callable[..., Typed]:
    """Type a command in the folder of the finished campaign."""

    def typed(*arguments: str, cwd: Path = finished) -> Typed:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["campaign", *arguments])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Typed(code, *capsys.readouterr())

    return typed


def test_run_ends_with_the_paths_of_what_it_made(finished) -> None:
    out = (finished / "stdout").read_text()
    assert f"{TRIALS} of {TRIALS} trials done" in out
    for line in out.splitlines():
        if line.startswith(("report:", "figure:", "table:")):
            assert (finished / line.split()[1]).is_file()
    assert all(kind in out for kind in ("report:", "figure:", "table:"))
    assert f"{TRIALS} trials: 0 done, {TRIALS} to run" in (finished / "stderr").read_text()


def test_a_second_run_does_no_trial(campaign) -> None:
    typed = campaign("run", "spec.yaml", "--json")
    events = [json.loads(line) for line in typed.out.splitlines()]
    assert typed.code == 0
    assert (events[-1]["event"], events[-1]["ran"], events[-1]["ok"]) == ("done", 0, TRIALS)


def test_validate_says_how_large_the_grid_is(campaign) -> None:
    typed = campaign("validate", "spec.yaml")
    assert (typed.code, typed.out) == (0, f"spec.yaml: right; 6 setups, {TRIALS} trials\n")


def test_a_wrong_spec_ends_with_code_2_and_its_place(campaign, tmp_path) -> None:
    (tmp_path / "bad.yaml").write_text(SPEC.replace("seeds: 3", "seed: 3"), "utf-8")
    typed = campaign("validate", "bad.yaml", cwd=tmp_path)
    assert typed.code == 2
    assert typed.err.startswith(
        "bad.yaml:9:3: grid.seed: unknown key 'seed' (did you mean 'seeds'?)"
    )


def test_plan_prints_setups_flips_and_totals(campaign) -> None:
    typed = campaign("plan", "spec.yaml")
    assert typed.code == 0
    assert "digits_cnn · q2_5 · weight_scaling · t=3.96875" in typed.out
    assert f"6 setups, {TRIALS} trials, {TRIALS} of them done" in typed.out
    plan = json.loads(campaign("plan", "spec.yaml", "--json").out)
    setup = next(s for s in plan["setups"] if s["setup"].startswith("digits_cnn · fp32 · none"))
    assert setup["expected_flips"]["0.001"] == pytest.approx(setup["exposed_bits"] * 1e-3)


def test_a_changed_value_on_the_command_line_counts(campaign) -> None:
    typed = campaign("validate", "spec.yaml", "--set", "grid.seeds=5")
    assert "6 setups, 96 trials" in typed.out
    assert campaign("validate", "spec.yaml", "--set", "grid.sedes=5").code == 2


def test_status_reads_a_finished_campaign(campaign) -> None:
    typed = campaign("status", "results/small")
    assert typed.code == 0
    assert f"small: complete, {TRIALS} of {TRIALS} trials" in typed.out
    assert json.loads(campaign("status", "results/small", "--json").out)["ok"] == TRIALS


def test_report_makes_every_file_it_names(campaign, finished) -> None:
    typed = campaign("report", "results/small", "--metric", "top5")
    assert typed.code == 0
    paths = typed.out.split()
    assert {Path(p).suffix for p in paths} == {
        ".csv",
        ".html",
        ".md",
        ".pdf",
        ".tex",
        ".png",
        ".svg",
    }
    assert all((finished / path).stat().st_size > 100 for path in paths)


@pytest.mark.parametrize("kind", ["formats", "methods", "faults", "models", "datasets"])
def test_list_names_everything_registered(campaign, kind) -> None:
    names = [row["name"] for row in json.loads(campaign("list", kind, "--json").out)]
    typed = campaign("list", kind)
    assert len(names) >= 1
    assert all(name in typed.out for name in names)


def test_list_of_something_else_is_refused(campaign) -> None:
    typed = campaign("list", "format")
    assert typed.code == 2
    assert "did you mean 'formats'" in typed.err


def test_schema_is_json_schema(campaign) -> None:
    schema = json.loads(campaign("schema").out)
    assert {"name", "models", "dataset", "grid"} <= set(schema["properties"])


def test_export_writes_all_rows_once(campaign, finished, tmp_path) -> None:
    csv, parquet = tmp_path / "rows.csv", tmp_path / "rows.parquet"
    assert campaign("export", "results/small", "--format", "csv", "-o", str(csv)).code == 0
    assert campaign("export", "results/small", "--format", "parquet", "-o", str(parquet)).code == 0
    a, b = pd.read_csv(csv), pd.read_parquet(parquet)
    assert len(a) == len(b) == TRIALS
    assert a.trial_id.is_unique
    assert list(a.columns) == list(b.columns)
    assert (a.n_correct == b.n_correct).all()
    assert len(campaign("export", "results/small").out.splitlines()) == TRIALS + 1
    assert campaign("export", "results/small", "--format", "parquet").code == 2


def test_replay_says_whether_a_trial_is_the_same(campaign, finished) -> None:
    rows = campaign("export", "results/small").out.splitlines()
    trial_id = rows[-1].split(",")[0]
    typed = campaign("replay", trial_id)
    assert typed.code == 0
    assert "the same: flips and all counts" in typed.out
    assert json.loads(campaign("replay", trial_id, "--json").out)["same"] is True
    assert campaign("replay", "0000").code == 2


def test_init_writes_a_spec_that_validates(campaign, tmp_path) -> None:
    assert campaign("init", "mine.yaml", cwd=tmp_path).code == 0
    assert campaign("validate", "mine.yaml", cwd=tmp_path).code == 0
    again = campaign("init", "mine.yaml", cwd=tmp_path)
    assert (again.code, "is there already" in again.err) == (2, True)


def test_a_folder_without_results_is_said_in_a_line(campaign, tmp_path) -> None:
    for command in ("status", "report", "export", "sync-mlflow"):
        typed = campaign(command, str(tmp_path))
        assert typed.code == 6, command
        assert len(typed.err.strip().splitlines()) == 1


@pytest.mark.slow
def test_sync_fills_mlflow_in_later(campaign, finished, monkeypatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    typed = campaign("sync-mlflow", "results/small")
    assert typed.code == 0
    assert typed.out.startswith("6 curves are in sqlite:///")
    assert (finished / "results" / "mlflow.db").is_file()


def test_the_version_is_printed(campaign) -> None:
    assert campaign("--version").out.startswith("campaign 0.")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["validate", "specs/quickstart.yaml"], ["plan", "specs/imagenet_fp32.yaml"]],
)
def test_reading_commands_import_nothing_heavy(arguments) -> None:
    script = (
        "import sys\nfrom campaign.cli.app import main\n"
        f"sys.argv = ['campaign', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        f"print('loaded:', sorted({HEAVY!r} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded: []"
