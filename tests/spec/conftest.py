"""A small valid spec, and what is said about broken forms of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from campaign.errors import SpecError
from campaign.faults import FAULTS
from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.sources import DATASETS, MODELS
from campaign.spec.load import Loaded, load

BASE = """\
name: x
models: digits_cnn
dataset: digits
grid:
  dtype: fp32
  method: none
  ber: 1e-6
"""
REGISTRIES = {
    "DTYPES": FORMATS,
    "METHODS": METHODS,
    "FAULTS": FAULTS,
    "MODELS": MODELS,
    "DATASETS": DATASETS,
}


def edit(changes: Mapping[str, str]) -> str:
    text = BASE
    for old, new in changes.items():
        assert text.count(old) == 1, f"{old!r} is to stand once in the base"
        text = text.replace(old, new)
    return text


@pytest.fixture
def edited() -> Callable[[Mapping[str, str]], str]:
    """The valid spec with some of its text replaced."""
    return edit


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Loaded]:
    """Load ``x.yaml`` of an otherwise empty folder, beside other files if given."""
    monkeypatch.chdir(tmp_path)

    def read(
        text: str | bytes | Mapping[str, str],
        *overrides: str,
        files: Mapping[str, str] | None = None,
        **variables: str,
    ) -> Loaded:
        raw = edit(text) if isinstance(text, Mapping) else text
        Path("x.yaml").write_bytes(raw if isinstance(raw, bytes) else raw.encode())
        for name, content in (files or {}).items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(content, "utf-8")
        return load("x.yaml", overrides, environment=variables)

    return read


@pytest.fixture
def problems(read: Callable[..., Loaded]) -> Callable[..., list[str]]:
    """What is said about a broken ``x.yaml``: its lines without the name of the file."""

    def problems(text: str | bytes | Mapping[str, str], *overrides: str, **rest: Any) -> list[str]:
        with pytest.raises(SpecError) as caught:
            read(text, *overrides, **rest)
        assert caught.value.exit_code == 2
        assert all("\n" not in line for line in caught.value.problems)
        return [line.removeprefix("x.yaml:").lstrip() for line in caught.value.problems]

    return problems


@pytest.fixture
def filled() -> Callable[[str], str]:
    """A text with ``%METHODS%`` and the like replaced by the names that are registered."""

    def filled(text: str) -> str:
        for key, registry in REGISTRIES.items():
            text = text.replace(f"%{key}%", ", ".join(registry.names()))
        return text

    return filled
