"""What is wrong with a spec whose every field is right: combinations that have no meaning."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from campaign.faults import FaultModel
from campaign.registry import nearest
from campaign.spec.campaign import DEFAULT_SEEDS, CampaignSpec, Grid, Rule, Stack, SubGrid
from campaign.spec.check_targets import check_targets
from campaign.spec.check_training import check_training
from campaign.spec.check_vary import check_vary, fault_path, parts_of
from campaign.spec.expand import Path, candidates, expand, t_values
from campaign.spec.grid import Setup
from campaign.spec.rules import bare_method, left_out, matches_setup
from campaign.spec.variants import faults_of, lifetimes_of

Problem = tuple[Path, str]


def check(spec: CampaignSpec) -> list[Problem]:
    """Every combination of valid fields that cannot run, as (path from the root, text)."""
    problems = [
        *_titles(spec),
        *_stacks(spec.grid, ("grid",)),
        *_axis_t(spec),
        *check_targets(spec),
        *check_training(spec),
        *check_vary(spec),
        *_rates(spec),
        *_precision(spec),
        *(p for i, part in enumerate(spec.grid.include) for p in _included(spec, part, i)),
    ]
    if problems:
        return problems
    problems = [
        *_refusals(spec),
        *_fault(spec),
        *_compute(spec),
        *_learners(spec),
        *_seeds(spec),
        *_rules(spec),
    ]
    if not problems and not expand(spec):
        problems = [(("grid",), "no point is left: every combination is excluded")]
    return problems


def _titles(spec: CampaignSpec) -> Iterator[Problem]:
    titles = [choice.title or choice.value.label for choice in spec.models]
    for place, title in enumerate(titles):
        if title in titles[:place]:
            text = f"a second model is called {title!r}; give one of them another with name:"
            yield ("models", place), text


def _stacks(part: Grid | SubGrid, path: Path) -> Iterator[Problem]:
    labels = [choice.value.label for choice in part.dtype or ()]
    for place, label in enumerate(labels):
        if label in labels[:place]:
            yield (*path, "dtype", place), f"{label} stands twice"
    for place, stack in enumerate(part.method or ()):
        at = (*path, "method", place)
        names = [choice.value.name for choice in stack]
        if "none" in names and len(names) > 1:
            yield at, "none cannot be part of a stack; leave it out"
        if sum(choice.value.takes_t for choice in stack) > 1:
            yield at, "two methods of the stack take t; a stack has one t"
        if _same(stack) in [_same(other) for other in (part.method or ())[:place]]:
            yield at, f"{'+'.join(names)} stands twice with the same options"


def _same(stack: Stack) -> list[str]:
    return [choice.value.label for choice in stack]


def _axis_t(spec: CampaignSpec) -> Iterator[Problem]:
    grid = spec.grid
    parts: list[Grid | SubGrid] = [grid, *grid.include]
    stacks = [(part, stack) for part in parts for stack in part.method or ()]
    takers = [stack for _, stack in stacks if any(choice.value.takes_t for choice in stack)]
    if grid.t is not None and not takers:
        yield ("grid", "t"), "no method of the grid takes t; leave it out or add weight_scaling"
    labels = [choice.value.label for part in parts for choice in part.dtype or ()]
    for key in grid.t or {}:
        if key not in ("*", *labels):
            known = ", ".join(labels)
            yield ("grid", "t", key), f"no dtype {key!r}{nearest(key, labels)}; known: {known}"
    for place, stack in enumerate(grid.method):
        taker = next((choice.value.name for choice in stack if choice.value.takes_t), None)
        if taker is not None and grid.t is None:
            yield ("grid", "method", place), f"{taker} takes t: give its values as grid.t"
    yield from _dtypes_without_t(grid, grid, ("grid", "t"))


def _dtypes_without_t(grid: Grid, part: Grid | SubGrid, path: Path) -> Iterator[Problem]:
    """Formats of a part that some method of it would scale to a t that is not given."""
    stacks = part.method or grid.method
    axis = part.t or grid.t
    if axis is None or not any(choice.value.takes_t for stack in stacks for choice in stack):
        return
    for choice in part.dtype or grid.dtype:
        fmt = choice.value
        if fmt.largest is not None and not t_values(axis, fmt):
            text = f"no value for dtype {fmt.label}: add {fmt.label}: [...] or '*': [...]"
            yield path, text


def _rates(spec: CampaignSpec) -> Iterator[Problem]:
    """More than one rate above 0 for a fault model that flips as much at any."""
    parts = [(part, path, part.ber or spec.grid.ber) for part, path in parts_of(spec)]
    for fault in _faults(spec):
        held = [(p, path, bers) for p, path, bers in parts if fault in faults_of(spec, p)]
        rates = [(p, path, ber) for p, path, bers in held for ber in bers if ber > 0]
        others = {path: part for part, path, ber in rates if ber != rates[0][2]}
        for path, part in others.items() if not fault.takes_ber else ():
            text = f"{fault.label} flips as many bits at any rate; give one rate above 0"
            yield (*(path if part.ber else ("grid",)), "ber"), text


def _faults(spec: CampaignSpec) -> list[FaultModel]:
    """Every fault model of the campaign, each once."""
    found = [fault for part, _ in parts_of(spec) for fault in faults_of(spec, part)]
    return list(dict.fromkeys(found))


def _precision(spec: CampaignSpec) -> Iterator[Problem]:
    """What a wanted precision cannot be had with, or takes the place of."""
    chosen = spec.precision
    if chosen is None:
        return
    if chosen.min_seeds > chosen.max_seeds:
        text = f"got {chosen.min_seeds}, more than max_seeds, which is {chosen.max_seeds}"
        yield ("precision", "min_seeds"), text
    judged = "precision judges a fault map on a sample of the images"
    for part, path in parts_of(spec):
        if lifetimes_of(spec, part) != [None]:
            at = (*path, "vary", "lifetime") if part.vary and part.vary.lifetime else ("lifetime",)
            yield at, f"{judged}, a lifetime counts all of them; leave one of the two out"
            break
    if spec.targets.activations:
        yield ("targets", "activations"), f"{judged}, activations are struck in all; leave one out"
    if not (spec.grid.clean or 0.0 in spec.grid.ber):
        yield ("grid", "clean"), "precision measures from the fault-free accuracy; leave it true"
    yield from _seeds_beside_precision(spec.grid)


def _seeds_beside_precision(grid: Grid) -> Iterator[Problem]:
    """Seeds that the spec names although a precision decides how many there are."""
    decides = "precision decides how many seeds there are; leave this out, or precision"
    if list(grid.seeds) != list(range(DEFAULT_SEEDS)):
        yield ("grid", "seeds"), f"{decides} (precision.max_seeds bounds them)"
    for place, rule in enumerate(grid.exclude):
        if rule.seed is not None:
            yield ("grid", "exclude", place, "seed"), decides
    for place, part in enumerate(grid.include):
        if part.seeds is not None:
            yield ("grid", "include", place, "seeds"), decides


def _included(spec: CampaignSpec, part: SubGrid, place: int) -> Iterator[Problem]:
    path = ("grid", "include", place)
    names = [choice.title or choice.value.label for choice in spec.models]
    for i, model in enumerate(part.model or ()):
        if model not in names:
            text = f"no model {model!r}{nearest(model, names)}; known: {', '.join(names)}"
            yield (*path, "model", i), text
    takes = any(choice.value.takes_t for stack in part.method or () for choice in stack)
    if takes and part.t is None and spec.grid.t is None:
        yield path, "its method takes t: give its values as t beside it, or as grid.t"
    yield from _dtypes_without_t(spec.grid, part, (*path, "t") if part.t else ("grid", "t"))
    yield from _stacks(part, path)


def _refusals(spec: CampaignSpec) -> Iterator[Problem]:
    """Pairs of method and dtype without a meaning that no rule leaves out."""
    seen: Counter[Problem] = Counter()
    for path, setup, part in candidates(spec):
        if part is spec.grid and left_out(spec.grid.exclude, setup):
            continue
        pair = f"{{dtype: {setup.dtype.label}, {_by(setup)}}}"
        advice = f"exclude {pair}" if part is spec.grid else f"leave {pair} out of this part"
        for reason in setup.refusals():
            seen[(path, f"{reason}; {advice}")] += 1
    yield from seen


def _fault(spec: CampaignSpec) -> Iterator[Problem]:
    """A fault model without a meaning for what is exposed."""
    seen: dict[Problem, None] = {}
    for _, setup, part in candidates(spec):
        if setup.fault_refusal is not None:
            seen[fault_path(spec, part, setup.fault.label), setup.fault_refusal] = None
    yield from seen


def _compute(spec: CampaignSpec) -> Iterator[Problem]:
    """An arithmetic without a meaning for what is exposed, or for where trials run."""
    compute, path = spec.evaluation.compute, ("evaluation", "compute")
    if compute in ("bf16", "fp16") and spec.targets.activations:
        yield (
            path,
            f"{compute} rounds activations before they are stored; take fp32 or tf32, or leave out "
            "targets.activations",
        )
    if compute == "tf32" and spec.engine.gpus_per_worker == 0:
        yield path, "tf32 is an arithmetic of CUDA devices, and engine.gpus_per_worker is 0"


def _learners(spec: CampaignSpec) -> Iterator[Problem]:
    """Who learns from a profile split where the spec names none."""
    if spec.profile is not None:
        return
    seen: dict[str, Path] = {}
    for path, setup, part in candidates(spec):
        if (learner := setup.needs_profile) is not None:
            is_fault = learner == setup.fault.name
            at = fault_path(spec, part, setup.fault.label) if is_fault else path
            seen.setdefault(learner, at)
    for learner, path in seen.items():
        yield (
            path,
            f"{learner} learns from images that trials are not judged on: name them as "
            "profile: {images: 500} (held out of the test set) or profile: {dataset: ...}",
        )


def _seeds(spec: CampaignSpec) -> Iterator[Problem]:
    """More than one seed for a fault model that chooses the same bits with any."""
    images = 0 if spec.profile is None else spec.profile.images
    for fault in _faults(spec):
        parts = [
            (path if part.seeds is not None else ("grid",), part.seeds or spec.grid.seeds)
            for part, path in parts_of(spec)
            if fault in faults_of(spec, part) and None in lifetimes_of(spec, part)
        ]
        if not fault.ignores_seed(images):
            continue
        for path, given in dict(parts).items():
            if len(given) > 1 or given[0] != parts[0][1][0]:
                text = f"{fault.label} flips the same bits with every seed; give one seed: seeds: 1"
                yield (*path, "seeds"), text


def _by(setup: Setup) -> str:
    t = "" if setup.t is None or setup.dtype.largest is None else f", t: {setup.t:g}"
    return f"method: {bare_method(setup)}{t}"


def _rules(spec: CampaignSpec) -> Iterator[Problem]:
    """Values in rules that name nothing."""
    setups = [setup for _, setup, part in candidates(spec) if part is spec.grid]
    names = {
        "model": list(dict.fromkeys(setup.model_name for setup in setups)),
        "dtype": list(dict.fromkeys(setup.dtype.label for setup in setups)),
        "method": list(dict.fromkeys(setup.method for setup in setups)),
        "t": list(dict.fromkeys(f"{setup.t:g}" for setup in setups if setup.t is not None)),
        "nonfinite": list(dict.fromkeys(setup.nonfinite for setup in setups)),
        "fault": list(dict.fromkeys(setup.fault_name for setup in setups)),
        "targets": list(dict.fromkeys(setup.targets.label for setup in setups)),
    }
    for place, rule in enumerate(spec.grid.exclude):
        at = ("grid", "exclude", place)
        if all(getattr(rule, key) is None for key in Rule.model_fields):
            yield at, "an empty rule excludes everything; name an axis"
        for key, known in names.items():
            for i, value in enumerate(getattr(rule, key) or ()):
                alone = Rule.model_validate({key: [value]})
                if not any(matches_setup(alone, setup) for setup in setups):
                    text = f"{value!r} names nothing of this grid{nearest(str(value), known)}"
                    yield (*at, key, i), f"{text}; known: {', '.join(known) or 'none'}"
        yield from _rule_points(spec, rule, at)


def _rule_points(spec: CampaignSpec, rule: Rule, at: Path) -> Iterator[Problem]:
    """BERs and seeds in a rule that the grid does not have."""
    for i, ber in enumerate(rule.ber or ()):
        if not any(math.isclose(ber, known, rel_tol=1e-9) for known in spec.grid.ber):
            known_bers = ", ".join(f"{known:g}" for known in spec.grid.ber)
            yield (*at, "ber", i), f"{ber:g} names nothing of this grid; known: {known_bers}"
    if rule.seed and not any(seed in spec.grid.seeds for seed in rule.seed):
        yield (*at, "seed"), "names no seed of this grid"
