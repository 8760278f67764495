"""Results folders compared with one another, with themselves, and with published numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from campaign.errors import SpecError
from campaign.runner.folder import ResultsFolder
from campaign.runner.precision import precision_in

if TYPE_CHECKING:
    import pandas as pd

    from campaign.analysis.comparison import Comparison, Side
    from campaign.analysis.rows import Metric
    from campaign.analysis.statistics import IntervalName

_IMAGES = ("dataset", "data", "subset", "held_out")
"""What in the identity of a folder says which images its trials were judged on."""


class Asked(NamedTuple):
    """How folders are compared.

    Args:
        across: Columns that may differ; see `campaign.analysis.comparison.compare`.
        against: Compare the methods of each folder with this one, not folders.
        metric: ``top1`` or ``top5``.
        interval: How intervals are made.
        unpaired: Compare means even of folders that were judged on other images.
    """

    across: tuple[str, ...] = ()
    against: str | None = None
    metric: Metric = "top1"
    interval: IntervalName = "bootstrap"
    unpaired: bool = False


def compare_folders(folders: Sequence[Path], asked: Asked) -> list[Comparison]:
    """Each further folder less the first; or, in each folder, every method less one of them.

    P-values are adjusted over all of them.

    Args:
        folders: Results folders.
        asked: How.

    Raises:
        SpecError: If the folders cannot be compared, or nothing is asked of a single one.
        SetupError: If a folder holds no results.
    """
    from campaign.analysis.comparison import together

    if asked.against is not None:
        return together([made for folder in folders for made in _within(folder, asked)])
    if len(folders) == 1:
        raise SpecError("compare: got one folder; give another, or --against METHOD")
    first, *others = folders
    return together([_between(first, other, asked) for other in others])


def published_beside(folders: Sequence[Path]) -> pd.DataFrame:
    """What `campaign.analysis.claims.claims` finds for each folder, the folder as first column."""
    import pandas as pd

    from campaign.runner.report import claims_of
    from campaign.runner.trials import trials_in

    found = [claims_of(folder, trials_in(folder)).assign(folder=str(folder)) for folder in folders]
    table = pd.concat(found, ignore_index=True)
    return table[["folder", *(column for column in table if column != "folder")]]


def _between(first: Path, other: Path, asked: Asked) -> Comparison:
    from campaign.analysis.comparison import compare

    same_images, notes = _notes(first, other, asked)
    made = compare(
        _side(first),
        _side(other),
        across=asked.across,
        metric=asked.metric,
        interval=asked.interval,
        paired=not asked.unpaired,
        same_images=same_images,
    )
    return replace(made, notes=tuple(notes))


def _within(folder: Path, asked: Asked) -> list[Comparison]:
    from campaign.analysis.paired import against

    side = _side(folder)
    found = against(
        side.rows,
        str(asked.against),
        metric=asked.metric,
        interval=asked.interval,
        precision=side.precision,
    )
    return [replace(m, a=f"{folder}: {m.a}", b=f"{folder}: {m.b}") for m in found]


def _side(folder: Path) -> Side:
    from campaign.analysis.comparison import Side
    from campaign.engines.stores.reader import read_results

    return Side(str(folder), read_results(folder).to_pandas(), precision_in(folder))


def _notes(first: Path, other: Path, asked: Asked) -> tuple[bool, list[str]]:
    """Whether the images are the same, and what a reader of a comparison must know.

    Raises:
        SpecError: If the folders were judged on other images, and that was not allowed.
    """
    ours, theirs = _identity(first), _identity(other)
    missing = [str(p) for p, held in ((first, ours), (other, theirs)) if not held]
    if missing:
        where = " and ".join(missing)
        return True, [f"{where}: no lock.json; taken to be judged on the same images"]
    differing = _differing(ours, theirs)
    images = [line for key, line in differing if key in _IMAGES]
    if images and not asked.unpaired:
        raise SpecError(
            f"compare: {first} and {other} were judged on other images ({'; '.join(images)}); "
            "give folders of the same images, or --unpaired to compare means all the same"
        )
    notes = [f"the sides differ in {line}" for _, line in differing]
    if images:
        notes.append("intervals do not cover the choice of images, so nothing is tested")
    return not images, notes


def _identity(folder: Path) -> dict[str, Any]:
    held = ResultsFolder(folder)
    return dict((held.read_json(held.lock) or {}).get("identity", {}))


def _differing(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Key and line of each difference; models are compared where both have them."""
    models = [dict(side.get("models", {})) for side in (ours, theirs)]
    shared = [name for name in models[0] if name in models[1]]
    pairs = [(key, key, ours.get(key), theirs.get(key)) for key in {**ours, **theirs}]
    pairs = [pair for pair in pairs if pair[0] != "models"]
    pairs += [
        ("models", f"{key} of {name}", models[0][name].get(key), models[1][name].get(key))
        for name in shared
        for key in {**models[0][name], **models[1][name]}
    ]
    return [
        (key, f"{named}: {_short(a)}, {_short(b)}")
        for key, named, a, b in sorted(pairs, key=lambda pair: pair[1])
        if a != b
    ]


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{text[:12]}..." if len(text) > 60 else "default" if value is None else text
