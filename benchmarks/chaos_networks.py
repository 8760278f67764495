"""Networks that a fault needs; the harness lays a copy of this file beside the spec."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import torch

from campaign.sources.digits_cnn import DigitsCnnModel

BRAKE = Path(__file__).with_name("brake")
"""Seconds that `Braked` takes longer for each batch, while this file is there."""


class Braked(torch.nn.Module):
    """Is slow while a file says so, so that a run lasts until a fault is over, on any machine."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = DigitsCnnModel().build()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with contextlib.suppress(FileNotFoundError):
            time.sleep(float(BRAKE.read_text()))
        logits: torch.Tensor = self.inner(x)
        return logits


class Troubled(torch.nn.Module):
    """Raises where a weight is huge, answers NaN where one is large."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = DigitsCnnModel().build()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        most = max(float(p.abs().max()) for p in self.inner.parameters())
        if most > 1e20:
            raise ValueError("a weight is huge")
        logits: torch.Tensor = self.inner(x)
        return logits * float("nan") if most > 100 else logits


class Hungry(torch.nn.Module):
    """Asks for 64 MiB an image, and never touches them."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = DigitsCnnModel().build()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.empty(len(x) << 26, dtype=torch.uint8)
        logits: torch.Tensor = self.inner(x)
        return logits
