"""The error tree: one class per reaction of the caller, each with its exit code."""

from __future__ import annotations


class CampaignError(Exception):
    """A problem that is told to the user in a line, not as a traceback."""

    exit_code = 1


class SpecError(CampaignError):
    """The spec or the command line is wrong: correct it and run again.

    Args:
        problems: One line each, complete: where, what was got, what is allowed.

    Example:
        >>> print(SpecError(["x.yaml:3:1: grid.ber: ...", "x.yaml:4:1: grid.t: ..."]))
        x.yaml:3:1: grid.ber: ...
        x.yaml:4:1: grid.t: ...
    """

    exit_code = 2

    def __init__(self, problems: list[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)


class DriftError(CampaignError):
    """The results folder holds rows of another meaning; nothing is mixed."""

    exit_code = 5


class SetupError(CampaignError):
    """The machine lacks something: a file, a device, a writable folder, a cluster."""

    exit_code = 6


class LockedError(CampaignError):
    """Another driver is writing to the same results."""

    exit_code = 7
