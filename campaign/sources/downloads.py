"""Archives that torchvision knows how to fetch."""

from __future__ import annotations

from pathlib import Path

from campaign.errors import SetupError


def fetch(archive: str, root: str, *, missing: Path, download: bool) -> None:
    """Fetch the torchvision dataset `archive` into `root`, if that is allowed.

    Args:
        archive: Class name in ``torchvision.datasets``.
        root: Where to put it.
        missing: The file that is wanted.
        download: Whether it is allowed.

    Raises:
        SetupError: If it is not allowed, or fails.
    """
    if not download:
        raise SetupError(
            f"{missing}: no such file; set the dataset's root to the folder that holds "
            f"{missing.parent.name}, or download: true"
        )
    from torchvision import datasets

    try:
        getattr(datasets, archive)(root, train=False, download=True)
    except (OSError, RuntimeError) as error:
        raise SetupError(
            f"{archive} cannot be fetched into {root} ({error}); put {missing} there by hand"
        ) from None
