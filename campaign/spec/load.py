"""A spec file -> a validated spec, or every problem in it as one located line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from campaign.errors import SpecError
from campaign.spec.campaign import CampaignSpec
from campaign.spec.check import check
from campaign.spec.choice import Path
from campaign.spec.document import Node, Problem
from campaign.spec.layers import Layers
from campaign.spec.problems import located, validation_problems
from campaign.spec.write import resolved


@dataclass(frozen=True)
class Loaded:
    """A valid spec and where it comes from.

    Args:
        spec: The spec.
        raw: What the author wrote, ``extends``, variables and overrides applied.
        path: The file, as it was asked for.
        text: What stands in that file.
        sources: That file and every file it extends.
        root: The values with their places.
    """

    spec: CampaignSpec
    raw: dict[str, Any]
    path: str
    text: str
    sources: tuple[str, ...]
    root: Node

    def resolved(self) -> dict[str, Any]:
        """The spec in canonical form, as it is kept beside the rows."""
        return resolved(self.spec)

    def line(self, path: Path, text: str) -> str:
        """What `text` says about the value at `path` (keys and indices of `spec`), located.

        Example:
            ``loaded.line(("models", 0), "no such file")`` gives
            ``specs/x.yaml:4:5: models[0]: no such file``.
        """
        return located(self.root, path, text).line


def load(
    path: str | os.PathLike[str],
    overrides: Iterable[str] = (),
    *,
    environment: Mapping[str, str] | None = None,
) -> Loaded:
    """Read, complete and validate a spec.

    Args:
        path: The YAML file.
        overrides: ``key.path=value`` from the command line, the value in YAML; they are applied
            last.
        environment: Variables that ``${NAME}`` and ``${NAME:-default}`` stand for; None takes
            those of the process. A text that is not quoted takes the type of what is filled in.

    Raises:
        SpecError: With a line for every problem, sorted by place.
    """
    layers = Layers(os.environ if environment is None else environment)
    layers.read(os.fspath(path))
    for override in overrides:
        layers.set(override)
    problems, spec = list(layers.problems), None
    if layers.root is not None:
        spec, found = _validated(layers.root)
        told = {(problem.place, problem.path) for problem in problems}
        problems += [problem for problem in found if (problem.place, problem.path) not in told]
    if problems or spec is None or layers.root is None:
        raise SpecError(_lines(problems, layers.sources))
    return Loaded(
        spec=spec,
        raw=layers.root.plain(),
        path=os.fspath(path),
        text=layers.text,
        sources=tuple(layers.sources),
        root=layers.root,
    )


def _validated(root: Node) -> tuple[CampaignSpec | None, list[Problem]]:
    try:
        spec = CampaignSpec.model_validate(root.plain())
    except ValidationError as error:
        return None, validation_problems(error, root)
    return spec, [located(root, path, text) for path, text in check(spec)]


def _lines(problems: Sequence[Problem], sources: Sequence[str]) -> list[str]:
    """Sorted by file, line and column, each once; those of the command line come last."""

    def order(problem: Problem) -> tuple[int, int, int]:
        source, line, column = problem.place
        return (sources.index(source) if source in sources else len(sources), line, column)

    return list(dict.fromkeys(problem.line for problem in sorted(problems, key=order)))
