"""How networks are trained for the methods that ask for it, as the author of a spec writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator, ValidationError, WithJsonSchema

from campaign.registry import sentence
from campaign.sources import DATASETS, DatasetSource
from campaign.spec import axes, forms
from campaign.spec.choice import Choice, Path, chooser, problems_error
from campaign.spec.roles import Section, axis, execution, identity
from campaign.training.recipe import Recipe

DEFAULT_RECIPE = "finetune"
"""The recipe of a spec that names none; unless the spec says what it is, that of all defaults."""


@dataclass(frozen=True)
class GivenRecipe(Choice[Recipe]):
    """A recipe with what the author wrote of it, to be written back."""


def _recipe(raw: Any) -> GivenRecipe:  # noqa: ANN401
    """A mapping as a recipe."""
    if isinstance(raw, GivenRecipe):
        return raw
    if not isinstance(raw, Mapping):
        keys = ", ".join(Recipe.model_fields)
        raise problems_error([((), f"got {raw!r}; allowed: a mapping with keys of {keys}")])
    try:
        return GivenRecipe(Recipe.model_validate(dict(raw)), None, dict(raw))
    except ValidationError as error:
        raise problems_error(_problems(error)) from None


def _problems(error: ValidationError) -> list[tuple[Path, str]]:
    known = list(Recipe.model_fields)
    return [
        (details["loc"], sentence(details, known if len(details["loc"]) == 1 else []))
        for details in error.errors(include_url=False)
    ]


def _recipe_or_name(raw: Any) -> GivenRecipe | str:  # noqa: ANN401
    return raw if isinstance(raw, str) else _recipe(raw)


_FORM = {"x-registry": "recipe"}
NotBool = BeforeValidator(axes.number)
Images = Annotated[
    Choice[DatasetSource],
    PlainValidator(chooser(DATASETS, titled=True)),
    WithJsonSchema({"x-registry": "dataset"}),
]
NamedRecipe = Annotated[GivenRecipe, PlainValidator(_recipe), WithJsonSchema(_FORM)]
RecipeOrName = Annotated[
    GivenRecipe | str,
    PlainValidator(_recipe_or_name),
    WithJsonSchema({"anyOf": [{"type": "string"}, _FORM]}),
]
TrainSeeds = Annotated[Sequence[int], PlainValidator(axes.seed_axis), WithJsonSchema(forms.SEED)]
Cpus = Annotated[int, Field(ge=1), NotBool]
Workers = Annotated[int, Field(ge=1), NotBool]
Gpus = Annotated[float, Field(ge=0, allow_inf_nan=False), NotBool]


class TrainingSpec(Section):
    """How networks are trained for methods that ask for it; once each, before their trials."""

    dataset: Images = identity(
        ..., "Labelled images to train on, a split of their own such as cifar10: {split: train}."
    )
    recipe: RecipeOrName = identity(
        DEFAULT_RECIPE, "A name of recipes, or a recipe itself; a method may name another."
    )
    recipes: dict[str, NamedRecipe] = identity({}, "Recipes by name.")
    seeds: TrainSeeds = axis(
        1,
        "How often each network is trained: a number of seeds, a list, or {start: s, count: n}.",
        validate_default=True,
    )
    cache: str | None = execution(
        None, "Folder or URL of the trained networks; null is checkpoints in the results."
    )
    workers: Workers = identity(
        1, "Processes that share each batch of a training; more than 1 needs the executor ray."
    )
    cpus: Cpus = execution(1, "CPUs and threads of each worker of a training.")
    gpus: Gpus | Literal["auto"] = execution(
        "auto", "GPUs of each worker, fractions for a lone one; auto is 1 where there is one."
    )

    def recipe_named(self, name: str | None) -> Recipe | None:
        """The recipe of that name, the default one for None; None where nothing is called so."""
        wanted = self.recipe if name is None else name
        if not isinstance(wanted, str):
            return wanted.value
        if wanted in self.recipes:
            return self.recipes[wanted].value
        return Recipe() if wanted == DEFAULT_RECIPE else None

    def known_recipes(self) -> list[str]:
        """Every name that a method or ``recipe`` may give."""
        return list(dict.fromkeys([*self.recipes, DEFAULT_RECIPE]))
