"""Short forms of the grid axes: one value, a list, a range, a decade grid."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from pydantic_core import PydanticCustomError

from campaign.registry import nearest
from campaign.spec.choice import Path, each, problems_error

T = TypeVar("T")
Keys: TypeAlias = tuple[str, ...]
MOST_SEEDS = 10_000_000


def or_none(parse: Callable[[Any], T]) -> Callable[[Any], T | None]:
    """The same parser, letting None through."""
    return lambda raw: None if raw is None else parse(raw)


def one_or_many(raw: Any) -> Any:  # noqa: ANN401
    """A lone value as a list of one."""
    return raw if isinstance(raw, list | tuple) else [raw]


def ber_axis(raw: Any) -> Any:  # noqa: ANN401
    """``1e-6``, a list, or ``{logspace: [low, high], per_decade: n}``.

    Example:
        >>> ber_axis({"logspace": [1e-6, 1e-5], "per_decade": 2})
        [1e-06, 3.16228e-06, 1e-05]
    """
    if not isinstance(raw, Mapping):
        return one_or_many(raw)
    _keys(raw, required=("logspace",), optional=("per_decade",))
    per_decade = _whole(raw.get("per_decade", 1), "per_decade", 1000)
    try:
        low, high = (float(end) for end in raw["logspace"])
    except (TypeError, ValueError):
        low = high = math.nan
    if not 0 < low < high <= 1:
        got = raw["logspace"]
        raise problems_error(
            [(("logspace",), f"got {got}; allowed: [low, high], 0 < low < high <= 1")]
        )
    return logspace(low, high, per_decade)


def logspace(low: float, high: float, per_decade: int) -> list[float]:
    """`per_decade` values a decade from `low` up to at most `high`, rounded to 6 digits."""
    steps = math.floor((math.log10(high) - math.log10(low)) * per_decade + 1e-9)
    start = math.log10(low)
    return [float(f"{10 ** (start + k / per_decade):.5e}") for k in range(steps + 1)]


def seed_axis(raw: Any) -> Sequence[int]:  # noqa: ANN401
    """``10`` (seeds 0..9), a list, or ``{start: 100, count: 50}``.

    Example:
        >>> seed_axis({"start": 100, "count": 3})
        range(100, 103)
    """
    if isinstance(raw, range):
        return raw
    if isinstance(raw, list | tuple):
        if not raw:
            raise problems_error([((), "got an empty list; allowed: at least one seed")])
        return _distinct(each(lambda seed: _whole(seed, None, 2**63 - 1, least=0), raw))
    if isinstance(raw, Mapping):
        _keys(raw, required=("start", "count"))
        start = _whole(raw["start"], "start", 2**62, least=0)
        return range(start, start + _whole(raw["count"], "count", MOST_SEEDS))
    return range(_whole(raw, None, MOST_SEEDS))


def seed_values(raw: Any) -> Sequence[int]:  # noqa: ANN401
    """Seeds of a rule: ``5`` is the seed 5, not five seeds; a list or a range as in `seed_axis`.

    Example:
        >>> seed_values(5)
        (5,)
    """
    return seed_axis(raw if isinstance(raw, Mapping | range | list | tuple) else [raw])


def _distinct(seeds: list[int]) -> tuple[int, ...]:
    seen: set[int] = set()
    for place, seed in enumerate(seeds):
        if seed in seen:
            raise problems_error([((place,), f"seed {seed} stands twice")])
        seen.add(seed)
    return tuple(seeds)


def t_axis(raw: Any) -> dict[str, list[float | str]]:  # noqa: ANN401
    """One value, a list, or a mapping of dtype to either; returned as a mapping, ``*`` for all."""
    if not isinstance(raw, Mapping):
        return {"*": t_list(raw)}
    if not raw:
        raise problems_error([((), "got an empty mapping; allowed: at least one dtype")])
    parsed: dict[str, list[float | str]] = {}
    problems: list[tuple[Path, str]] = []
    for dtype, values in raw.items():
        try:
            parsed[str(dtype)] = t_list(values)
        except PydanticCustomError as error:
            below = (error.context or {})["problems"]
            problems += [((str(dtype), *path), text) for path, text in below]
    if problems:
        raise problems_error(problems)
    return parsed


def t_list(raw: Any) -> list[float | str]:  # noqa: ANN401
    """One value of t or a list."""
    values = one_or_many(raw)
    if not values:
        raise problems_error([((), "got an empty list; allowed: at least one value")])
    return each(t_value, values)


def t_value(raw: object) -> float | str:
    """A positive number, ``2^127``, or ``max`` (the largest value of the dtype).

    Example:
        >>> t_value("2^10")
        1024.0
    """
    if raw == "max":
        return "max"
    try:
        if isinstance(raw, str) and "^" in raw:
            base, power = raw.split("^")
            value = math.pow(float(base), float(power))
        else:
            value = math.nan if isinstance(raw, bool) else float(raw)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise problems_error([((), f"got {raw!r}; allowed: a number > 0, 2^127, or max")])
    return value


def number(raw: Any) -> Any:  # noqa: ANN401
    """Refuse true and false where a number is meant; Python counts them as 1 and 0."""
    if isinstance(raw, bool):
        raise PydanticCustomError("not_a_number", "a number, not true or false")
    return raw


def _keys(raw: Mapping[Any, Any], *, required: Keys, optional: Keys = ()) -> None:
    """Refuse a mapping that has other keys than these, or lacks a required one."""
    known = [*required, *optional]
    allowed = f"allowed: {', '.join(known)}"
    stray = [str(key) for key in raw if key not in known]
    problems: list[tuple[Path, str]] = [
        ((key,), f"unknown key {key!r}{nearest(key, known)}; {allowed}") for key in stray
    ]
    problems += [((key,), f"is required; {allowed}") for key in required if key not in raw]
    if problems:
        raise problems_error(problems)


def _whole(raw: object, key: str | None, most: int, least: int = 1) -> int:
    value = int(raw) if isinstance(raw, str) and re.fullmatch(r"[0-9]{1,18}", raw) else raw
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        path = () if key is None else (key,)
        raise problems_error([(path, f"got {raw!r}; allowed: a whole number {least}..{most}")])
    return value
