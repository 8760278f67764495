"""Curves, tables and figures of rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.errors import CampaignError, SetupError
from campaign.runner.folder import ResultsFolder
from campaign.runner.precision import precision_in

if TYPE_CHECKING:
    import pandas as pd

    from campaign.analysis.order import Order
    from campaign.analysis.page.section import Maker
    from campaign.analysis.page.subject import Origin
    from campaign.analysis.rows import Metric
    from campaign.analysis.sequential import Precision
    from campaign.analysis.statistics import IntervalName


def make_report(
    folder: Path,
    metrics: Sequence[Metric],
    interval: IntervalName = "bounded",
    *,
    against: Sequence[Path] = (),
) -> list[Path]:
    """Write report.html, tables/ and figures/ from all rows of a results folder.

    Args:
        folder: A results folder.
        metrics: Accuracies to show.
        interval: Interval of a mean; see `campaign.analysis.statistics.mean_interval`.
        against: Results folders that a section of the page compares this one with.

    Raises:
        SetupError: If there are no rows, or the files cannot be written.
        SpecError: If a folder of `against` cannot be compared with this one.
    """
    from campaign.analysis.claims_elsewhere import claims_elsewhere
    from campaign.analysis.report import report_of
    from campaign.published import load_published
    from campaign.runner.trials import trials_in

    trials, order = trials_in(folder), order_of(folder)
    wanted, origin = precision_in(folder), origin_of(folder)
    published = claims_of(folder, trials, interval)
    elsewhere = claims_elsewhere(trials, load_published(), set(published["claim"]))
    try:
        made = [
            report_of(
                trials,
                folder,
                metric,
                interval=interval,
                order=order,
                precision=wanted,
                origin=origin,
                published=published,
                elsewhere=elsewhere,
                sections=_sections(folder, against, metric),
            ).paths
            for metric in metrics
        ]
    except OSError as error:
        where = error.filename or folder
        raise SetupError(f"{where}: cannot be written ({error.strerror})") from None
    return list(dict.fromkeys(path for paths in made for path in paths))


def _sections(folder: Path, against: Sequence[Path], metric: Metric) -> Sequence[Maker]:
    """Those of every page; before how it was measured, what differs from other folders."""
    from campaign.analysis.comparison import together
    from campaign.analysis.page.comparison import comparing
    from campaign.analysis.page.facts import sampling
    from campaign.analysis.page.write import SECTIONS
    from campaign.runner.compare import Asked, compare_folders

    if not against:
        return SECTIONS
    asked = Asked(metric=metric)
    found = together([c for other in against for c in compare_folders([other, folder], asked)])
    place = SECTIONS.index(sampling)
    return [*SECTIONS[:place], comparing(found), *SECTIONS[place:]]


def claims_of(
    folder: Path, trials: pd.DataFrame, interval: IntervalName = "bounded"
) -> pd.DataFrame:
    """Published numbers beside the trials of a results folder; see `campaign.analysis.claims`."""
    from campaign.analysis.claims import claims_among
    from campaign.published import load_published

    held = ResultsFolder(folder)
    origins = origins_of(held.read_json(held.resolved))
    wanted = precision_in(folder)
    return claims_among(
        trials, load_published(), origins=origins, interval=interval, precision=wanted
    )


def origins_of(resolved: object) -> dict[str, dict[str, object]]:
    """The models of a resolved spec by the names that rows give them; none without a spec."""
    from campaign.spec.campaign import CampaignSpec

    try:
        models = CampaignSpec.model_validate(resolved).models
    except (CampaignError, ValueError):
        return {}
    return {
        choice.title or choice.value.label: {next(iter(choice.raw)): vars(choice.value)}
        for choice in models
    }


def order_of(folder: Path) -> Order:
    """In which order the spec of a results folder names its models, number formats and targets.

    Nothing is said by a folder without a spec, or by one of another version that is not understood.
    """
    from campaign.analysis.order import Order
    from campaign.spec.campaign import CampaignSpec
    from campaign.spec.expand import expand

    held = ResultsFolder(folder)
    try:
        spec = CampaignSpec.model_validate(held.read_json(held.resolved))
        setups = [grid.setup for grid in expand(spec)]
    except (CampaignError, ValueError):
        return Order()
    return Order(
        tuple(dict.fromkeys(setup.model_name for setup in setups)),
        tuple(dict.fromkeys(setup.dtype.label for setup in setups)),
        tuple(dict.fromkeys(setup.targets.label for setup in setups)),
    )


def origin_of(folder: Path) -> Origin:
    """What a results folder tells of its rows: spec and runs; what is missing stays empty."""
    from campaign.analysis.page.subject import Origin

    held = ResultsFolder(folder)
    resolved = held.read_json(held.resolved) or {}
    try:
        text = held.spec_copy.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    return Origin(
        name=str(resolved.get("name", "")),
        description=str(resolved.get("description") or ""),
        spec_text=text,
        resolved=resolved,
        sessions=(held.read_json(held.provenance) or {}).get("sessions", []),
    )


def curves_of(trials: pd.DataFrame, precision: Precision | None = None) -> pd.DataFrame:
    """One row for each curve and BER of what `runner.trials` gives.

    `precision` is what decided how many trials there are.
    """
    from campaign.analysis import curves

    return curves.curves_of(trials, precision=precision)


def told_curves(trials: pd.DataFrame, precision: Precision | None = None) -> pd.DataFrame:
    """The curves, each with the BER at which accuracy has dropped by 1 and by 5 points."""
    from campaign.analysis.rows import CURVE_KEYS
    from campaign.analysis.tolerance import tolerance_of

    tolerated = tolerance_of(trials)[[*CURVE_KEYS, "ber_at_1pt", "ber_at_5pt"]]
    return curves_of(trials, precision).merge(tolerated, on=list(CURVE_KEYS), how="left")
