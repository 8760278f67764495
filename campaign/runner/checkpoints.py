"""Where trained networks are kept: a folder, or a URL and what this machine has of it."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from campaign.engines.stores.remote import RemoteFolder
from campaign.errors import SetupError, SpecError
from campaign.runner.place import Place, place_of
from campaign.sources.cache import cache_folder, write_atomically
from campaign.spec.campaign import CampaignSpec
from campaign.training.checkpoint import load, result_path, running_path

if TYPE_CHECKING:
    from campaign.training.job import FitJob, Trained

State = Literal["to do", "begun", "done"]


@dataclass(frozen=True)
class Checkpoints:
    """Trained networks by the digests of their trainings.

    A network is written once and whole: of two campaigns that train the same at the same time both
    go on with the one that came first. At a URL there are finished ones alone. Epochs of a training
    under way, and copies of what the URL has, lie in the cache folder of the machine that needs
    them.

    Args:
        place: A folder that all nodes see, or a URL.
    """

    place: Place

    @property
    def label(self) -> str:
        """The folder or URL as the user knows it."""
        return str(self.place)

    @property
    def folder(self) -> Path:
        """Where this machine has finished networks."""
        return self.place if isinstance(self.place, Path) else self._here() / "kept"

    @property
    def bench(self) -> Path:
        """Where trainings run: in the folder itself, or beside the copies of a URL."""
        return self.place if isinstance(self.place, Path) else self._here() / "under way"

    def finished(self, job: FitJob) -> Trained | None:
        """What a training gave, None where it has not ended.

        Raises:
            SetupError: If its file is damaged or belongs to another training, or the URL cannot be
                read.
        """
        if not result_path(self.folder, job).is_file() and not self._fetched(job):
            return None
        return load(self.folder, job)

    def keep(self, job: FitJob) -> Trained:
        """Keep what a training on the bench gave; what is kept is what comes back.

        Raises:
            SetupError: As `finished` does, or if the URL cannot be written.
        """
        if not isinstance(self.place, Path):
            made = result_path(self.bench, job)
            with contextlib.suppress(FileNotFoundError):  # another driver here has brought it there
                RemoteFolder(self.place).create(made.name, made.read_bytes())
            self._fetched(job)
            made.unlink(missing_ok=True)
        return load(self.folder, job)

    def names(self) -> frozenset[str]:
        """Names of all files of trainings that are known here.

        Raises:
            SetupError: If the URL cannot be read.
        """
        folders = {self.folder, self.bench}
        found = {path.name for each in folders if each.is_dir() for path in each.iterdir()}
        if not isinstance(self.place, Path):
            found |= set(RemoteFolder(self.place).sizes())
        return frozenset(found)

    def state(self, job: FitJob, names: frozenset[str]) -> State:
        """How far a training is, by `names`; what came to a machine that is lost is not known."""
        if result_path(self.folder, job).name in names:
            return "done"
        return "begun" if running_path(self.bench, job).name in names else "to do"

    def _fetched(self, job: FitJob) -> bool:
        """Bring a network from the URL, if it is there."""
        if isinstance(self.place, Path):
            return False
        path, remote = result_path(self.folder, job), RemoteFolder(self.place)
        content = remote.read([path.name]).get(path.name)
        if content is None:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, [content])
        try:
            load(self.folder, job)
        except SetupError as error:
            path.unlink(missing_ok=True)
            raise SetupError(str(error).replace(str(path), f"{remote.url}/{path.name}")) from None
        return True

    def _here(self) -> Path:
        name = hashlib.sha256(str(self.place).rstrip("/").encode()).hexdigest()[:16]
        return cache_folder() / "trainings" / name


def checkpoints_of(spec: CampaignSpec, results: Place) -> Checkpoints:
    """Where the trained networks of a campaign are kept.

    Raises:
        SpecError: If ``training.cache`` is a URL that cannot be one.
        SetupError: If its kind needs a package that is not installed.
    """
    cache = None if spec.training is None else spec.training.cache
    if cache is not None:
        place = place_of(cache)
    elif isinstance(results, Path):
        place = results / "checkpoints"
    else:
        place = f"{results.rstrip('/')}/checkpoints"
    if not isinstance(place, Path):
        _refuse_unusable(place)
    return Checkpoints(place)


def _refuse_unusable(url: str) -> None:
    try:
        RemoteFolder(url)
    except SpecError as error:
        raise SpecError(f"training.cache: {error}") from None
