"""What the tests of sources share: a cache folder of their own, and small images."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAMPAIGN_CACHE", str(folder))
        yield folder


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "empty_cache"
    monkeypatch.setenv("CAMPAIGN_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def photo() -> Callable[..., Image.Image]:
    """A smooth, noisy image of a given size and mode."""

    def make(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
        rng = np.random.default_rng(seed)
        across = (
            np.linspace(0, 200, width)[None, :, None] + np.linspace(0, 30, height)[:, None, None]
        )
        pixels = across + rng.integers(0, 25, (height, width, 3))
        return Image.fromarray(pixels.astype(np.uint8)).convert(mode)

    return make


@pytest.fixture(scope="session")
def png() -> Callable[[Image.Image], bytes]:
    def encode(image: Image.Image) -> bytes:
        held = io.BytesIO()
        image.save(held, "PNG")
        return held.getvalue()

    return encode
