"""No protection: the baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from campaign.methods.base import METHODS, Method


@METHODS.register
@dataclass(frozen=True)
class Unprotected(Method):
    """Weights are stored and read as they are. Cost: none. Source: the baseline of every paper."""

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "none"
