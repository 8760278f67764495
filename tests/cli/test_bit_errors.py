"""`campaign bit-errors` prints measured errors beside the closed form."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from campaign.cli.app import app

SPEC = """
name: bits
models: digits_cnn
dataset: digits
grid: {dtype: [q2_5, fp16], method: [none, weight_scaling, saf], t: 2, ber: 1e-4, seeds: 1}
"""


def test_errors_are_printed_written_and_told_to_machines(tmp_path: Path) -> None:
    spec, csv = tmp_path / "bits.yaml", tmp_path / "bits.csv"
    spec.write_text(SPEC, "utf-8")
    runner = CliRunner()
    typed = runner.invoke(app, ["bit-errors", str(spec), "--json"])
    assert typed.exit_code == 0
    rows = [json.loads(line) for line in typed.stdout.splitlines()]
    assert len(rows) == 3 * (8 + 16)
    raw = {r["bit"]: r for r in rows if (r["dtype"], r["method"]) == ("q2_5", "none")}
    assert [raw[bit]["absolute"] for bit in range(8)] == [2.0 ** (bit - 5) for bit in range(8)]
    for row in rows:
        if row["method"] == "saf":
            assert row["expected_squared"] is None
        else:
            assert row["squared"] == pytest.approx(row["expected_squared"], rel=1e-5)
    assert raw[7]["classes"] == "sign/msb"
    plain = runner.invoke(app, ["bit-errors", str(spec), "--set", "grid.dtype=q2_5"])
    assert "digits_cnn · q2_5 · weight_scaling · t=2" in plain.stdout
    chosen = ["--set", "grid.dtype=q2_5", "--set", "grid.method=weight_scaling", "-o", str(csv)]
    assert runner.invoke(app, ["bit-errors", str(spec), *chosen]).exit_code == 0
    assert len(csv.read_text("utf-8").splitlines()) == 9
