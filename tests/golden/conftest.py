"""Values that must not change by themselves.

Each test compares with a JSON file beside it. Where a change is meant, raise
``campaign.SEMANTICS``, write the files anew with ``CAMPAIGN_REFREEZE=1 pytest tests/golden``, read
their diff and tell it in CHANGELOG.md with results from before and after.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Frozen = Callable[[str, dict[str, Any]], None]
HERE = Path(__file__).parent


def differences(held: dict[str, Any], now: dict[str, Any], path: str = "") -> list[str]:
    """One line for each value that was added, dropped or changed."""
    lines = []
    for key in sorted(set(held) | set(now)):
        place = f"{path}/{key}"
        if key not in now:
            lines.append(f"{place}: gone (was {held[key]!r})")
        elif key not in held:
            lines.append(f"{place}: new ({now[key]!r})")
        elif isinstance(held[key], dict) and isinstance(now[key], dict):
            lines += differences(held[key], now[key], place)
        elif held[key] != now[key]:
            lines.append(f"{place}: was {held[key]!r}, is {now[key]!r}")
    return lines


@pytest.fixture
def frozen() -> Frozen:
    """Compare a mapping with the golden file of that name, or write the file anew."""

    def compare(name: str, now: dict[str, Any]) -> None:
        file = HERE / f"{name}.json"
        text = json.dumps(now, indent=1, sort_keys=True) + "\n"
        if os.environ.get("CAMPAIGN_REFREEZE") == "1":
            file.write_text(text)
            pytest.skip(f"{file.name} was written anew")
        changed = differences(json.loads(file.read_text()), json.loads(text))
        assert not changed, "\n".join([f"{file.name}: see tests/golden/conftest.py", *changed])

    return compare
