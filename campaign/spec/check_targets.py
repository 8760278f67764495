"""What is wrong with the targets of a spec."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from campaign.formats import NumberFormat
from campaign.registry import nearest
from campaign.spec.campaign import CampaignSpec, Grid, SubGrid
from campaign.spec.expand import Path
from campaign.spec.exposure import CHECKS, SCALE


def check_targets(spec: CampaignSpec) -> Iterator[tuple[Path, str]]:
    """Nothing that is exposed, bits that a format does not have, bits of which none is left."""
    targets = spec.targets
    kinds = (targets.weights, targets.biases, targets.norms, targets.other, targets.activations)
    if not any(kinds):
        allowed = "weights, biases, norms, other, activations"
        yield ("targets",), f"nothing is exposed; set one of {allowed} to true"
    formats = _dtypes(spec)
    unknown = [
        (("targets", key, place), text)
        for key in ("exempt_bits", "only_bits")
        for place, bit in enumerate(getattr(targets, key))
        for fmt in formats
        if (text := unknown_bit(fmt, bit)) is not None
    ]
    yield from unknown
    for fmt in formats if not unknown else ():
        if nothing_left(fmt, targets.exempt_bits):
            yield ("targets", "exempt_bits"), f"no bit of {fmt.label} is left that could flip"
    for fmt in formats if targets.only_bits and not unknown else ():
        if not _bits(fmt, targets.only_bits) - _bits(fmt, targets.exempt_bits):
            yield ("targets", "only_bits"), f"exempt_bits leaves none of them in {fmt.label}"


def nothing_left(fmt: NumberFormat, exempt: Sequence[int | str]) -> bool:
    """Whether no stored bit could flip, but those of check words."""
    return _stored(fmt) <= _bits(fmt, exempt)


def _bits(fmt: NumberFormat, bits: Sequence[int | str]) -> set[int | str]:
    """Positions in payload words, and the names of fields."""
    named = [(bit,) if bit in (SCALE, CHECKS) else _of_payload(fmt, bit) for bit in bits]
    return {bit for found in named for bit in found}


def _of_payload(fmt: NumberFormat, bit: int | str) -> Sequence[int | str]:
    return [bit] if isinstance(bit, int) else fmt.bit_classes[bit]


def _stored(fmt: NumberFormat) -> set[int | str]:
    """All that a number format stores, as of `_bits`."""
    return {*range(fmt.width), *([] if fmt.scale_width is None else [SCALE])}


def _dtypes(spec: CampaignSpec) -> list[NumberFormat]:
    """Every number format of the grid and of its included parts."""
    parts: list[Grid | SubGrid] = [spec.grid, *spec.grid.include]
    found = [choice.value for part in parts for choice in part.dtype or ()]
    return list({fmt.label: fmt for fmt in found}.values())


def unknown_bit(fmt: NumberFormat, bit: int | str) -> str | None:
    """Why a format has no such bit, class of bits or field; None where it has."""
    if isinstance(bit, int):
        known = 0 <= bit < fmt.width
        return None if known else f"{fmt.label} has no bit {bit}; allowed: 0..{fmt.width - 1}"
    if bit == SCALE and fmt.scale_width is None:
        return f"{fmt.label} stores no scales; leave scale out, or take a format such as mxfp8_e4m3"
    fields = [CHECKS] if fmt.scale_width is None else [CHECKS, SCALE]
    names = [*sorted(fmt.bit_classes), *fields]
    if bit in names:
        return None
    return f"{fmt.label} has no bits {bit!r}{nearest(bit, names)}; allowed: {', '.join(names)}"
