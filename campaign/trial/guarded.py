"""The guards of a stack, learnt from the profile split or in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from campaign.methods import Method, State
from campaign.networks.sites import Site, Visit, in_turn
from campaign.trial.evaluate import TestSet
from campaign.trial.forward import Forward
from campaign.trial.memory import Storage, Stored
from campaign.trial.subject import StoredSubject

if TYPE_CHECKING:
    from torch import Tensor


def guarded(
    forward: Forward,
    storage: Storage,
    stored: Mapping[str, Stored],
    split: TestSet | None,
    trained: Sequence[State],
) -> tuple[Forward, tuple[State, ...]]:
    """The network with the guards of the stack, each learnt behind those before it or `trained`."""
    learnt, visits, left = [], list[Visit](), iter(trained)
    for method in storage.stack:
        seen: State = {}
        if method.fits and trained:
            held = next(left)
            seen = held if method.guards else {}
        elif method.observes:
            if split is None:
                raise ValueError(f"{method.name} learns from a profile split, and there is none")
            seen = method.observe(StoredSubject(forward, stored, storage, split))
            # Tensors made in inference mode cannot take part in a gradient.
            seen = {name: held.clone() for name, held in seen.items()}
        learnt.append(seen)
        if method.guards:
            visits.append(partial(_guard, method, seen))
            forward = forward._replace(visit=in_turn(visits))
    return forward, tuple(learnt)


def _guard(method: Method, seen: State, site: Site, value: Tensor) -> Tensor:
    return method.guard(site, value, seen)
