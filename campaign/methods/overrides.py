"""Which of the things that classes say still hold where a subclass overrides a moment."""

from __future__ import annotations


def stands_by(cls: type, saying: str, moment: str) -> bool:
    """Whether the class that defines `moment` for `cls`, or a class below it, defines `saying`.

    What a class says of a moment does not hold for a subclass that overrides the moment alone.

    Example:
        >>> from campaign.methods import Method
        >>> class Doubled(Method):
        ...     def restore(self, value, state):
        ...         return value * 2
        >>> stands_by(Doubled, "pointwise", "restore"), stands_by(Doubled, "spans", "decode")
        (False, True)
    """
    for each in cls.__mro__:
        if saying in vars(each):
            return True
        if moment in vars(each):
            return False
    return False
