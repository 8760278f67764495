"""The methods paragraph of a paper, from the rows and the spec."""

from __future__ import annotations

import pandas as pd

from campaign.analysis.page.subject import Subject
from campaign.analysis.rows import CURVE_KEYS
from campaign.text import rate_text

_MOST_NAMES = 12


def methods_text(subject: Subject) -> str:
    """Fault model, targets, rates, maps, images, statistics and code, in plain sentences.

    Only what rows and spec say; a spec that is missing shortens it.
    """
    trials = subject.trials
    good = trials.loc[trials["status"] == "ok", [*CURVE_KEYS, "ber", "exposed_bits", "n_samples"]]
    return " ".join(
        [
            _faults(subject, good),
            _rates(trials),
            _maps(subject),
            _images(subject, good),
            _statistics(subject),
            _made_with(trials),
        ]
    )


def _faults(subject: Subject, good: pd.DataFrame) -> str:
    names = _names(good["fault"])
    what = (
        "each exposed bit flips independently with a probability equal to the bit error rate (BER)"
        if names == "bit_flip"
        else f"faults follow the model {names} at a given bit error rate (BER)"
    )
    bits = good["exposed_bits"].dropna()
    exposed = (
        f" ({_range(bits.min(), bits.max())} exposed bits, check bits of protections included)"
        if len(bits)
        else ""
    )
    lifetime = subject.origin.resolved.get("lifetime")
    lasting = f", {lifetime} for the whole trial" if lifetime == "persistent" else ""
    return (
        f"Faults are injected into the stored {_names(good['targets'])} of {_names(good['model'])} "
        f"in the number formats {_names(good['dtype'])}{exposed}: {what}{lasting}. Stored words "
        "are decoded to float32 for inference; non-finite values read under the policy "
        f"{_names(good['nonfinite'])}."
    )


def _rates(trials: pd.DataFrame) -> str:
    bers = sorted(set(trials.loc[trials["ber"] > 0, "ber"]))
    if not bers:
        return "No bit error rate above 0 was measured."
    if len(bers) == 1:
        return f"The BER is {rate_text(bers[0], 3)}."
    return (
        f"{len(bers)} BERs from {rate_text(bers[0], 3)} to {rate_text(bers[-1], 3)} are measured."
    )


def _maps(subject: Subject) -> str:
    faulty = subject.points[(subject.points["ber"] > 0) & (subject.points["n_trials"] > 0)]
    if faulty.empty:
        return ""
    each = faulty["n_trials"] / faulty.get("n_trainings", 1)
    maps = _range(each.min(), each.max())
    curves = len(subject.points[CURVE_KEYS].drop_duplicates())
    lost = int(subject.points["n_failed"].sum())
    return (
        f"Each of the {curves} settings (model, number format, protection) meets {maps} "
        "independent fault maps at each BER; at one seed faults are nested over BERs, and the "
        "same for all protections with words of equal size."
        + (
            f" Networks of methods with training are trained up to {subject.trainings} times, each "
            "with the same weight in a mean; intervals of such means are Student's t over "
            "trainings and maps."
            if subject.trainings > 1
            else ""
        )
        + (f" {lost} trials gave no result and are left out." if lost else "")
    )


def _images(subject: Subject, good: pd.DataFrame) -> str:
    clean = good.loc[good["ber"] == 0, "n_samples"].dropna()
    images = clean if len(clean) else good["n_samples"].dropna()
    if not len(images):
        return ""
    count, data = _range(images.min(), images.max()), _names(good["dataset"])
    if subject.estimated:
        return (
            f"Fault-free accuracy is measured on {count} images of {data}; each fault map is "
            "judged on a sample of them, against the fault-free answers on the same images, and "
            "maps are added until the interval is narrow enough."
        )
    return (
        f"Accuracy ({subject.metric_name.split()[0]}) is measured on {count} images of {data} for "
        "each map; outputs that are not finite count as wrong. The fault-free accuracy is that of "
        "the same stored model at BER 0."
    )


def _statistics(subject: Subject) -> str:
    if subject.estimated and subject.metric == "top1":
        level = float(subject.points["confidence"].iloc[0])
        means = f"Intervals of means ({100 * level:g} %) allow for fault maps not seen"
    elif subject.interval == "bounded":
        means = (
            "Intervals of means (95 %) weigh the maps with Dirichlet weights together with one "
            "unseen map at the worst or best possible value (Gaffke 2005; Learned-Miller and "
            "Thomas 2019)"
        )
    else:
        means = (
            "Intervals of means (95 %) are Bayesian bootstraps over maps (Rubin 1981); where all "
            "maps agree, an unseen map at the worst or best possible value is reckoned with"
        )
    return (
        f"{means}. The tolerated BER is where the mean accuracy has fallen 1 or 5 points below the "
        "fault-free one, interpolated linearly in log BER; its 95 % interval is a Bayesian "
        "bootstrap of 2,000 draws over whole seeds."
    )


def _made_with(trials: pd.DataFrame) -> str:
    return (
        f"{len(trials):,} trials were run with campaign {_names(trials['code_version'])} on "
        f"{_names(trials['device'])}."
    )


def _names(column: pd.Series) -> str:
    """Distinct names as a list in prose, in order of appearance."""
    names = [str(name) for name in column.dropna().unique()]
    if len(names) > _MOST_NAMES:
        names = [*names[:_MOST_NAMES], f"{len(names) - _MOST_NAMES} others"]
    if len(names) < 2:
        return "".join(names) or "unknown"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _range(least: float, most: float) -> str:
    return f"{least:,.0f}" if least == most else f"{least:,.0f} to {most:,.0f}"
