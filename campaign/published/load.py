"""Read the files of published numbers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import ValidationError

from campaign.errors import SpecError
from campaign.published.schema import Publication

FOLDER = Path(__file__).parent


@lru_cache(maxsize=4)
def load_published(folder: Path = FOLDER) -> tuple[Publication, ...]:
    """Every publication in the YAML files of a folder, by file name.

    Scalars are read as text, so that a number keeps its digits: 92.00 is not 92.0.

    Args:
        folder: By default what is shipped.

    Raises:
        SpecError: If a file does not follow the schema, or two claims have one id.

    Example:
        >>> sorted(p.arxiv for p in load_published() if p.cite.startswith("Fuengfusin"))
        ['2411.18993', '2411.19027']
    """
    found = tuple(p for path in sorted(folder.glob("*.yaml")) for p in _read(path))
    ids = [claim.id for publication in found for claim in publication.claims]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise SpecError(f"{folder}: claim {twice[0]!r} stands there twice; give each its own id")
    return found


def _read(path: Path) -> list[Publication]:
    try:
        raw = yaml.load(path.read_text("utf-8"), yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise SpecError(f"{path}: is not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(raw, list):
        raise SpecError(f"{path}: got no list; a file is a list of publications")
    found, problems = [], []
    for place, each in enumerate(raw):
        try:
            found.append(Publication.model_validate(each))
        except ValidationError as error:
            problems += [
                f"{path}: [{place}]{''.join(f'.{key}' for key in e['loc'])}: {e['msg']}"
                for e in error.errors(include_url=False)
            ]
    if problems:
        raise SpecError(problems)
    return found
