"""Trials that were run twice and did not give the same result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from campaign.records import RESULT_COLUMNS


class Conflict(NamedTuple):
    """A repeated trial with another result on the same device: the trial is not deterministic."""

    trial_id: str
    device: str
    differences: dict[str, tuple[object, object]]
    """Column -> the value that is kept, the value of the repetition."""

    def __str__(self) -> str:
        values = ", ".join(f"{key} {a!r} -> {b!r}" for key, (a, b) in self.differences.items())
        return (
            f"trial {self.trial_id} gave another result when it was repeated on {self.device}: "
            f"{values}; the first row is kept"
        )


def compare(kept: Mapping[str, object], repeated: Mapping[str, object]) -> Conflict | None:
    """The conflict between two rows of one trial, both of status ok.

    Rows from different devices are not compared: their last bits may differ. Where the settings
    of the computation differ, they are listed with the results, because they may be the reason.

    Example:
        >>> row = dict.fromkeys(RESULT_COLUMNS, 7) | {"trial_id": "x", "device": "cpu"}
        >>> print(compare(row, row | {"n_sdc": 8, "compute": "threads=2"}))
        trial x gave another result when it was repeated on cpu: n_sdc 7 -> 8, compute None -> \
'threads=2'; the first row is kept
        >>> compare(row, row | {"n_sdc": 8, "device": "cuda"}) is None
        True
    """
    if kept["device"] != repeated["device"]:
        return None
    differences = _differences(kept, repeated, RESULT_COLUMNS)
    if not differences:
        return None
    differences |= _differences(kept, repeated, ("compute",))
    return Conflict(str(kept["trial_id"]), str(kept["device"]), differences)


def _differences(
    kept: Mapping[str, object], repeated: Mapping[str, object], columns: tuple[str, ...]
) -> dict[str, tuple[object, object]]:
    pairs = {name: (kept.get(name), repeated.get(name)) for name in columns}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
