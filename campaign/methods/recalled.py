"""What a training learnt, given back to the methods of a stack."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from campaign.methods.base import Method, State

if TYPE_CHECKING:
    from torch import Tensor


def recalled(stack: Sequence[Method], learnt: Sequence[State], name: str) -> tuple[Method, ...]:
    """A stack with the trained methods as they act on one parameter.

    Args:
        stack: All methods, trained or not.
        learnt: What each trained method learnt, in their order; nothing where none was trained.
        name: The parameter.
    """
    if not learnt:
        return tuple(stack)
    left = iter(learnt)
    return tuple(method.recall(next(left), name) if method.fits else method for method in stack)


def unexposed(
    trained: Mapping[str, Tensor],
    stack: Sequence[Method],
    learnt: Sequence[State],
    exposed: Collection[str],
) -> dict[str, Tensor]:
    """What the network computes with where a parameter is not in faultable memory.

    A network trained through tau needs tau(W) there too.

    Args:
        trained: Parameters by name, float32, as trained.
        stack: As for `recalled`.
        learnt: As there.
        exposed: Parameters to leave out.

    Returns:
        The parameters that differ from `trained`.
    """
    fitted = [method for method in stack if method.fits]
    changed = {}
    for name in set(trained) - set(exposed) if learnt else ():
        value, undo = trained[name], []
        for method in recalled(fitted, learnt, name):
            value, state = method.transform(value)
            undo.append((method, state))
        for method, state in reversed(undo):
            value = method.restore(value, state)
        if value is not trained[name]:
            changed[name] = value
    return changed
