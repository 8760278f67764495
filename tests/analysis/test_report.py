"""The report is the tables and the figures, and needs no torch and no ray."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from campaign.analysis.cost import costs
from campaign.analysis.cost_table import write_costs
from campaign.analysis.figures import write_figures
from campaign.analysis.outcome_figure import draw_outcomes
from campaign.analysis.page.outcomes import outcomes
from campaign.analysis.pareto_figure import draw_pareto
from campaign.analysis.report import write_report
from campaign.analysis.rows import as_trials
from campaign.analysis.tables import write_tables

Make = Callable[..., Any]


def test_a_report_is_what_tables_and_figures_write(make_rows: Make, tmp_path: Path) -> None:
    rows = make_rows()
    report = write_report(rows, tmp_path / "r", interval="bootstrap")
    apart = [
        *write_tables(rows, tmp_path / "r2" / "tables", interval="bootstrap"),
        *write_costs(costs(rows), tmp_path / "r2" / "tables", "top1"),
        *write_figures(rows, tmp_path / "r2" / "figures", interval="bootstrap"),
        *draw_pareto(costs(rows), tmp_path / "r2" / "figures", "top1"),
        *draw_outcomes(outcomes(as_trials(rows)), tmp_path / "r2" / "figures"),
    ]
    assert report.paths == [report.page, *report.tables, *report.figures]
    for ours, theirs in zip(report.paths[1:], apart, strict=True):
        assert ours.relative_to(tmp_path / "r") == theirs.relative_to(tmp_path / "r2")
        assert ours.read_bytes() == theirs.read_bytes()


def test_reading_results_imports_no_torch_no_ray_and_matplotlib_only_to_draw() -> None:
    code = (
        "import sys, campaign.analysis.report, campaign.analysis.paired, "
        "campaign.analysis.terminal; "
        "print(sorted({'torch', 'ray', 'matplotlib'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
