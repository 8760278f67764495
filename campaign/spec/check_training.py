"""What is wrong with trainings whose every field is right."""

from __future__ import annotations

from collections.abc import Iterator

from campaign.registry import nearest
from campaign.spec.campaign import CampaignSpec, Stack
from campaign.spec.expand import Path
from campaign.spec.training import DEFAULT_RECIPE, TrainingSpec
from campaign.training.recipe import Recipe

Problem = tuple[Path, str]


def check_training(spec: CampaignSpec) -> Iterator[Problem]:
    """Trained methods without ``training``, unknown recipes, training on the test set."""
    chosen = spec.training
    for path, stack in _stacks(spec):
        trained = {i: choice.value for i, choice in enumerate(stack) if choice.value.fits}
        if trained and chosen is None:
            first = next(iter(trained.values()))
            yield (
                path,
                f"{first.name} trains its network: say on which images, "
                "such as training: {dataset: {...: {split: train}}}",
            )
        recipes = {i: getattr(method, "recipe", None) for i, method in trained.items()}
        named = {i: recipe for i, recipe in recipes.items() if recipe}
        if len(set(named.values())) > 1:
            told = ", ".join(f"{trained[i].name}: {recipe}" for i, recipe in named.items())
            yield path, f"one network is trained by one recipe, the stack names several ({told})"
        for i, recipe in named.items():
            yield from _unknown(chosen, recipe, (*path, i, trained[i].name, "recipe"))
    if chosen is not None:
        yield from _section(spec, chosen)


def _section(spec: CampaignSpec, chosen: TrainingSpec) -> Iterator[Problem]:
    if not any(choice.value.fits for _, stack in _stacks(spec) for choice in stack):
        yield ("training",), "no method of the grid trains its network; leave it out or add one"
    if isinstance(chosen.recipe, str):
        yield from _unknown(chosen, chosen.recipe, ("training", "recipe"))
    yield from _workers(spec, chosen)
    yield from _held_out(spec, chosen)
    if spec.fold_batchnorm:
        yield (
            ("fold_batchnorm",),
            "networks are trained with their BatchNorms as they are, and folding changes the "
            "weights that were trained; leave it out",
        )
    if chosen.dataset.value == spec.dataset.value:
        yield (
            ("training", "dataset"),
            f"got {chosen.dataset.value.label}, the images that trials are judged on; "
            "allowed: another split, such as {split: train}",
        )


def _workers(spec: CampaignSpec, chosen: TrainingSpec) -> Iterator[Problem]:
    """Batches that the workers of a training cannot share, and shares of a GPU."""
    for path, recipe in _given(spec, chosen):
        size = recipe.batch_size
        if size % chosen.workers:
            yield (
                (*path, "batch_size"),
                f"got {size}; allowed: a multiple of training.workers ({chosen.workers}), who "
                "share each batch equally",
            )
    if chosen.workers > 1 and chosen.gpus != "auto" and chosen.gpus % 1:
        yield (
            ("training", "gpus"),
            f"got {chosen.gpus:g}; allowed with {chosen.workers} workers: auto or a whole number, "
            "for each has GPUs of its own",
        )


def _held_out(spec: CampaignSpec, chosen: TrainingSpec) -> Iterator[Problem]:
    """Recipes that leave no image to train on, where it is known how many there are."""
    count = chosen.dataset.value.size()
    for path, recipe in _given(spec, chosen):
        held_out = recipe.validation_images
        if count is not None and held_out >= count:
            yield (
                (*path, "validation_images"),
                f"got {held_out}; allowed: below {count}, the images of "
                f"{chosen.dataset.value.label}",
            )


def _given(spec: CampaignSpec, chosen: TrainingSpec) -> Iterator[tuple[Path, Recipe]]:
    """Every recipe that the spec holds or takes as it is by default, with the path of it."""
    for name, recipe in chosen.recipes.items():
        yield ("training", "recipes", name), recipe.value
    if not isinstance(chosen.recipe, str):
        yield ("training", "recipe"), chosen.recipe.value
    elif chosen.recipe == DEFAULT_RECIPE and chosen.recipe not in chosen.recipes:
        trained = ([c.value for c in stack if c.value.fits] for _, stack in _stacks(spec))
        if any(each and not any(getattr(m, "recipe", None) for m in each) for each in trained):
            yield ("training", "recipe"), Recipe()


def _unknown(chosen: TrainingSpec | None, recipe: str, path: Path) -> Iterator[Problem]:
    known = [recipe] if chosen is None else chosen.known_recipes()
    if recipe not in known:
        near = nearest(recipe, known)
        yield path, f"no recipe {recipe!r}{near}; known: {', '.join(known)} (training.recipes)"


def _stacks(spec: CampaignSpec) -> Iterator[tuple[Path, Stack]]:
    """Every stack with the path of it in the spec."""
    for place, stack in enumerate(spec.grid.method):
        yield ("grid", "method", place), stack
    for part_place, part in enumerate(spec.grid.include):
        for place, stack in enumerate(part.method or ()):
            yield ("grid", "include", part_place, "method", place), stack
