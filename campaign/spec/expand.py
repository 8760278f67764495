"""A validated spec -> the setups of its grid, with the trials of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from campaign.formats import NumberFormat
from campaign.methods import Method
from campaign.spec.campaign import CampaignSpec, Grid, SubGrid
from campaign.spec.grid import Point, Profile, Setup, Training, points_of
from campaign.spec.rules import left_out, of_points
from campaign.spec.variants import variants_of
from campaign.training.job import trained_part

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Cell:
    """The trials of a setup at one BER; with ``precision``, those that there are at most."""

    ber: float
    seeds: Sequence[int]


@dataclass(frozen=True)
class SetupGrid:
    """A setup and all its trials, not listed one by one."""

    setup: Setup
    cells: tuple[Cell, ...]

    @property
    def n_trials(self) -> int:
        """How many trials there are."""
        return sum(len(cell.seeds) for cell in self.cells)

    def points(self, wanted: Callable[[str], bool] | None = None) -> Iterator[Point]:
        """Every trial, or those whose id is `wanted`, by BER and then seed."""
        for cell in self.cells:
            yield from points_of(self.setup, [cell.ber], cell.seeds, wanted)


def expand(spec: CampaignSpec) -> list[SetupGrid]:
    """The grid of `spec`: product of the axes, less ``exclude``, plus ``include``.

    The setups have no id yet (see `campaign.spec.identity.identify`): that needs the digests of
    checkpoints and data, this needs no files, but for a network that must be built to name its
    layers (``vary: {layers: each}``).
    """
    setups: dict[Path, Setup] = {}
    cells: dict[Path, dict[float, Sequence[int]]] = {}
    for _, setup, part in candidates(spec):
        if setup.refusals() or (part is spec.grid and left_out(spec.grid.exclude, setup)):
            continue
        held = cells.setdefault(setup.key, {})
        setups.setdefault(setup.key, setup)
        for ber, listed in _cells(spec.grid, part, setup):
            seeds = (
                listed if spec.precision is None or ber == 0 else range(spec.precision.max_seeds)
            )
            held[ber] = [*dict.fromkeys([*held[ber], *seeds])] if ber in held else seeds
    grids = (
        SetupGrid(setup, tuple(Cell(ber, s) for ber, s in sorted(cells[key].items()) if len(s)))
        for key, setup in setups.items()
    )
    return [grid for grid in grids if grid.cells]


def candidates(spec: CampaignSpec) -> Iterator[tuple[Path, Setup, Grid | SubGrid]]:
    """Every setup of the grid and of each included part, before rules and refusals.

    Yields:
        The path of its method in the spec, the setup, and the part of the spec that asks for it.
    """
    yield from _setups(spec, spec.grid, ("grid",))
    for place, part in enumerate(spec.grid.include):
        yield from _setups(spec, part, ("grid", "include", place))


def _setups(
    spec: CampaignSpec, part: Grid | SubGrid, path: Path
) -> Iterator[tuple[Path, Setup, Grid | SubGrid]]:
    grid = spec.grid
    models = [choice for choice in spec.models if _wanted(part, choice.title or choice.value.label)]
    dtypes = [choice.value for choice in part.dtype or grid.dtype]
    at = (*path, "method") if part.method else ("grid", "method")
    for model, dtype, (place, choices), policy in product(
        models, dtypes, enumerate(part.method or grid.method), part.nonfinite or grid.nonfinite
    ):
        stack = tuple(choice.value for choice in choices if choice.value.name != "none")
        values = _targets_t(part.t or grid.t or {}, dtype, stack)
        variants = variants_of(spec, part, model.value, dtype)
        for t, variant, training in product(values, variants, trainings_of(spec, stack)):
            yield (
                (*at, place),
                Setup(
                    setup_id="",
                    campaign=spec.name,
                    model_name=model.title or model.value.label,
                    model=model.value,
                    dataset_name=spec.dataset.title or spec.dataset.value.label,
                    dataset=spec.dataset.value,
                    dtype=dtype,
                    stack=tuple(_with_t(method, t) for method in stack),
                    t=t,
                    nonfinite=policy,
                    fault_name=variant.fault_name,
                    fault=variant.fault,
                    targets=variant.targets,
                    subset=spec.evaluation.subset,
                    profile=_profile(spec),
                    lifetime=variant.lifetime,
                    fold_batchnorm=spec.fold_batchnorm,
                    compute=spec.evaluation.compute,
                    sampled=spec.precision is not None,
                    training=training,
                ),
                part,
            )


def trainings_of(spec: CampaignSpec, stack: tuple[Method, ...]) -> list[Training | None]:
    """The trainings of a stack, one for each of ``training.seeds``; None alone where it has none.

    None stands for what `campaign.spec.check` refuses, too: no section, or an unknown recipe.
    """
    chosen, methods = spec.training, trained_part(stack)
    if chosen is None or not methods:
        return [None]
    name = recipe_name(methods)
    recipe = chosen.recipe_named(name)
    if recipe is None:
        return [None]
    called = name or (chosen.recipe if isinstance(chosen.recipe, str) else "")
    source = chosen.dataset
    title = source.title or source.value.label
    plain = Training(called, recipe, title, source.value, 0, workers=chosen.workers)
    return [dataclasses.replace(plain, seed=seed) for seed in chosen.seeds]


def recipe_name(methods: Iterable[Method]) -> str | None:
    """The recipe that trained methods name themselves, None for the default one."""
    return next((name for m in methods if (name := getattr(m, "recipe", None))), None)


def _profile(spec: CampaignSpec) -> Profile | None:
    chosen = spec.profile
    if chosen is None:
        return None
    if chosen.dataset is None:
        return Profile(chosen.images)
    source = chosen.dataset
    return Profile(chosen.images, source.title or source.value.label, source.value)


def t_values(axis: dict[str, list[float | str]], dtype: NumberFormat) -> list[float]:
    """The values of t for `dtype`, ``max`` resolved; empty where the axis has none for it."""
    values = axis.get(dtype.label, axis.get("*", []))
    numbers = [dtype.largest if value == "max" else float(value) for value in values]
    return list(dict.fromkeys(number for number in numbers if number is not None))


def _targets_t(
    axis: dict[str, list[float | str]], dtype: NumberFormat, stack: tuple[Method, ...]
) -> list[float | None]:
    """The values of t for a stack; None alone where it takes none or `dtype` has none to take.

    A setup of the latter kind is refused by the method that takes t, and so never lost unsaid.
    """
    if not any(method.takes_t for method in stack):
        return [None]
    values = t_values(axis, dtype)
    return [*values] if values or dtype.largest is not None else [None]


def _with_t(method: Method, t: float | None) -> Method:
    if not method.takes_t:
        return method
    return dataclasses.replace(method, t=t)  # type: ignore[type-var]


def _wanted(part: Grid | SubGrid, name: str) -> bool:
    return isinstance(part, Grid) or part.model is None or name in part.model


def _cells(grid: Grid, part: Grid | SubGrid, setup: Setup) -> Iterator[tuple[float, Sequence[int]]]:
    """BERs with their seeds; BER 0 has the one seed 0, because nothing is drawn."""
    seeds = part.seeds or grid.seeds
    bers = list(part.ber or grid.ber)
    ruled = part is grid and any(of_points(rule) for rule in grid.exclude)
    for ber in sorted({0.0, *bers} if grid.clean else set(bers)):
        wanted = seeds if ber > 0 else (0,)
        if ruled and ber > 0:
            wanted = [s for s in wanted if not left_out(grid.exclude, setup, ber, s)]
        yield ber, wanted
