"""What is wrong with the fault models, lifetimes and targets that a grid varies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from campaign.errors import SetupError
from campaign.formats import NumberFormat
from campaign.registry import nearest
from campaign.spec.campaign import CampaignSpec, Grid, SubGrid
from campaign.spec.check_targets import nothing_left, unknown_bit
from campaign.spec.expand import Path
from campaign.spec.exposure import Exempt
from campaign.spec.variants import EACH, bits_of, faults_of, layers_of, targets_of, varied
from campaign.spec.vary import Vary

Problem = tuple[Path, str]


def parts_of(spec: CampaignSpec) -> list[tuple[Grid | SubGrid, Path]]:
    """The grid and its included parts, each with its path in the spec."""
    parts: list[tuple[Grid | SubGrid, Path]] = [(spec.grid, ("grid",))]
    return parts + [(part, ("grid", "include", i)) for i, part in enumerate(spec.grid.include)]


def fault_path(spec: CampaignSpec, part: Grid | SubGrid, name: str) -> Path:
    """Where the spec names the fault model `name` of a part of the grid."""
    for held, path in parts_of(spec):
        if held is part and varied(spec, part).fault:
            at = path if part.vary else ("grid",)
            labels = [fault.label for fault in faults_of(spec, part)]
            return (*at, "vary", "fault", labels.index(name))
    return ("fault",)


def check_vary(spec: CampaignSpec) -> Iterator[Problem]:
    """Values that stand twice or name nothing, and files that cannot be told apart."""
    for part, path in parts_of(spec):
        if part.vary is not None:
            at = (*path, "vary")
            yield from _repeats(part.vary, at)
            yield from _faults(part.vary, at)
            yield from _bits(spec, part, at)
            yield from _exempt(spec, part, at)
            yield from _layers(spec, part.vary, at)


def _repeats(vary: Vary, path: Path) -> Iterator[Problem]:
    lists: dict[str, Sequence[object]] = {
        "fault": [choice.value.label for choice in vary.fault or ()],
        "lifetime": vary.lifetime or [],
        "bits": vary.bits or [],
        "exempt_bits": vary.exempt_bits or [],
        "layers": vary.layers or [],
        "kinds": vary.kinds or [],
    }
    for key, values in lists.items():
        for place, value in enumerate(values):
            if value in values[:place]:
                yield (*path, key, place), f"{value} stands twice"
            elif value != EACH and EACH in values and key in ("bits", "layers"):
                yield (*path, key, place), f"each stands for all of them; leave {value!r} out"


def _faults(vary: Vary, path: Path) -> Iterator[Problem]:
    for place, choice in enumerate(vary.fault or ()):
        if choice.value.reads is not None:
            text = f"{choice.value.name} reads a file, and a campaign has one: make it its fault"
            yield (*path, "fault", place), text


def _bits(spec: CampaignSpec, part: Grid | SubGrid, path: Path) -> Iterator[Problem]:
    vary, base = varied(spec, part), targets_of(spec)
    for place, bit in enumerate(vary.bits or ()):
        for fmt in _formats(spec, part):
            text = None if bit == EACH else _bit(fmt, bit, base.exempt_bits)
            if text is not None:
                yield (*path, "bits", place), text
            elif bit == EACH and not list(bits_of([EACH], base, fmt)):
                yield (
                    (*path, "bits", place),
                    f"targets leaves no bit of {fmt.label} that could flip",
                )


def _formats(spec: CampaignSpec, part: Grid | SubGrid) -> list[NumberFormat]:
    """Every number format of a part, once."""
    held = (choice.value for choice in part.dtype or spec.grid.dtype)
    return list({fmt.label: fmt for fmt in held}.values())


def _exempt(spec: CampaignSpec, part: Grid | SubGrid, path: Path) -> Iterator[Problem]:
    sets = varied(spec, part).exempt_bits
    if sets is None:
        return
    if varied(spec, part).bits is not None:
        yield (*path, "exempt_bits"), "varied together with bits; use targets.exempt_bits, or parts"
    for place, bits in enumerate(sets):
        at = (*path, "exempt_bits", place)
        for fmt in _formats(spec, part):
            unknown = [text for bit in bits if (text := unknown_bit(fmt, bit)) is not None]
            yield from ((at, text) for text in unknown)
            if not unknown and nothing_left(fmt, bits):
                yield at, f"no bit of {fmt.label} is left that could flip"


def _bit(fmt: NumberFormat, bit: int | str, exempt: tuple[int | str, ...]) -> str | None:
    """Why a bit cannot be struck alone, or None where it can."""
    unknown = unknown_bit(fmt, bit)
    if unknown is not None:
        near = nearest(str(bit), [EACH]) if isinstance(bit, str) else ""
        return f"{unknown}{near}"
    if isinstance(bit, int) and bit in Exempt.of(fmt, exempt).payload:
        return f"targets.exempt_bits leaves bit {bit} of {fmt.label} as it is"
    return None


def _layers(spec: CampaignSpec, vary: Vary, path: Path) -> Iterator[Problem]:
    """Networks that cannot be built to name their layers, or have none that is exposed."""
    if EACH not in (vary.layers or ()):
        return
    base = targets_of(spec)
    exposed = vary.kinds or ["+".join(base.kinds)]
    at = (*path, "layers", (vary.layers or []).index(EACH))
    for choice in spec.models:
        for kinds in exposed:
            targets = replace(base, kinds=tuple(kinds.split("+")))
            try:
                found = list(layers_of(spec, [EACH], targets, choice.value))
            except SetupError as error:
                yield at, f"each needs the layers of {choice.value.label}: {error}"
                break
            if not found:
                told = kinds or "nothing"
                yield at, f"{choice.value.label} has no layer with exposed {told}"
