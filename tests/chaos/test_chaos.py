"""Every fault ends in the rows of a calm run, or in the one documented error."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import chaos
from chaos_driver import SkippedError

pytestmark = [pytest.mark.chaos]

SHORT = ["batch out of memory"]
"""A few seconds; the others are marked slow."""
IN_CI = {
    "driver killed": 20,
    "disk full": 20,
    "two drivers at once": 20,
    "network raises or answers NaN": 20,
    "node killed, comes back": None,
    "node cut off": None,
}
"""Those of the others that are no soak tests, with their seeds; None takes all."""
LONG = [name for name in {**chaos.ALONE, **chaos.ON_RAY} if name not in SHORT]


def marks_of(name: str) -> list[pytest.MarkDecorator]:
    soak = [] if name in IN_CI else [pytest.mark.soak]
    return [pytest.mark.slow, *soak, *([pytest.mark.ray] if name in chaos.ON_RAY else [])]


@pytest.mark.parametrize(
    "name", [*SHORT, *(pytest.param(name, marks=marks_of(name)) for name in LONG)]
)
def test_no_row_is_lost_doubled_or_changed(name: str, tmp_path: Path) -> None:
    try:
        tally = chaos.strike(name, tmp_path, seeds=20 if name in SHORT else IN_CI.get(name))
    except SkippedError as reason:
        pytest.skip(str(reason))
    assert tally.is_sound, tally
