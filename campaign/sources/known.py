"""How large known architectures are, read from parameter_counts.json: no torch, no building."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KINDS = ("weights", "biases", "norms", "other")
COUNTS_FILE = Path(__file__).with_name("parameter_counts.json")
KNOWN: Mapping[str, Any] = json.loads(COUNTS_FILE.read_text(encoding="utf-8"))


def known_scalars(architecture: str, num_classes: int | None = None) -> dict[str, int] | None:
    """`scalars_by_kind` of a known architecture without torch; None where it is not known.

    Example:
        >>> known_scalars("cifar_resnet20")
        {'weights': 268336, 'biases': 10, 'norms': 1376, 'other': 0}
    """
    entry = KNOWN.get(architecture)
    if entry is None:
        return None
    more = 0 if num_classes is None else num_classes - entry["classes"]
    base, slope = entry["scalars"], entry["per_class"]
    return {kind: base[kind] + more * slope.get(kind, 0) for kind in KINDS}


def known_macs(architecture: str) -> int | None:
    """Multiply-adds of one image of a known architecture, without torch; None if not known.

    Example:
        >>> known_macs("cifar_resnet20")
        40551040
    """
    entry = KNOWN.get(architecture)
    return None if entry is None else int(entry["macs"])
