"""The order in which a campaign names its models, number formats and targets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Order(NamedTuple):
    """Names as the spec lists them; what it does not list comes after, by name."""

    models: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    def of_models(self, names: Iterable[str]) -> list[str]:
        """Distinct models in order."""
        return _ordered(names, self.models)

    def of_dtypes(self, names: Iterable[str]) -> list[str]:
        """Distinct number formats in order.

        Example:
            >>> Order(dtypes=("fp32", "fp16")).of_dtypes(["bf16", "fp16", "fp32", "fp16"])
            ['fp32', 'fp16', 'bf16']
        """
        return _ordered(names, self.dtypes)


def _ordered(names: Iterable[str], listed: tuple[str, ...]) -> list[str]:
    places = {name: place for place, name in reversed(list(enumerate(listed)))}
    return sorted(set(names), key=lambda name: (places.get(name, len(listed)), name))
