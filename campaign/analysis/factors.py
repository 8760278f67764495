"""What rows say of faults and targets, taken apart again into what a study varies."""

from __future__ import annotations

import re
from typing import NamedTuple

from campaign.errors import CampaignError
from campaign.formats import FORMATS

_TRANSIENT = re.compile(r"(?P<fault>.*) every (?P<images>\d+) images")
_CALLED = re.compile(r"(?P<name>\w+)(?:\((?P<options>.*)\))?")


class Exposure(NamedTuple):
    """The parts of a ``targets`` label, as `campaign.spec.grid.Targets` writes it."""

    kinds: str
    include: str = ""
    exclude: str = ""
    exempt: str = ""
    only: str = ""


class Fall(NamedTuple):
    """The parts of a ``fault`` label."""

    fault: str
    """The fault model with its options, without its lifetime."""
    name: str
    options: dict[str, str]
    images: int | None
    """After how many images the next map is drawn; None is never."""


_PARTS = {
    "only ": "include",
    "not ": "exclude",
    "bits exempt: ": "exempt",
    "bits only: ": "only",
}


def exposure_of(label: str) -> Exposure:
    """A ``targets`` label taken apart.

    Example:
        >>> exposure_of("weights+biases; only conv1.*; bits only: 30").only
        '30'
    """
    kinds, *rest = label.split("; ")
    found = {
        field: part.removeprefix(start)
        for part in rest
        for start, field in _PARTS.items()
        if part.startswith(start)
    }
    return Exposure(kinds, **found)


def fall_of(label: str) -> Fall:
    """A ``fault`` label taken apart.

    Example:
        >>> fall_of("burst(length=4) every 100 images")
        Fall(fault='burst(length=4)', name='burst', options={'length': '4'}, images=100)
    """
    match = _TRANSIENT.fullmatch(label)
    fault, images = (label, None) if match is None else (match["fault"], int(match["images"]))
    called = _CALLED.fullmatch(fault)
    if called is None:
        return Fall(fault, fault, {}, images)
    stated = (called["options"] or "").split(", ")
    options = dict(each.split("=", 1) for each in stated if "=" in each)
    return Fall(fault, called["name"], options, images)


def bit_name(bit: str, dtype: str) -> str:
    """A bit position with the smallest class that it belongs to; other names as they are.

    Example:
        >>> bit_name("30", "fp32"), bit_name("sign", "fp32")
        ('30 exponent_msb', 'sign')
    """
    if not bit.isdecimal():
        return bit
    try:
        classes = FORMATS.make(dtype.partition("(")[0]).bit_classes
    except (CampaignError, ValueError):
        return bit
    holding = [name for name, bits in classes.items() if int(bit) in bits]
    return f"{bit} {min(holding, key=lambda name: len(classes[name]))}" if holding else bit
