"""Training images: what is held out, the order of each epoch, batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from campaign.faults import Stream
from campaign.faults.streams import derived_seed
from campaign.lazy import np, torch
from campaign.methods.fitting import Batch
from campaign.sources import Images, Preprocess
from campaign.sources.pixels import normalise
from campaign.training.augment import augmented
from campaign.training.recipe import Recipe
from campaign.training.team import ALONE, Team

if TYPE_CHECKING:
    from torch import Tensor


class TrainingData:
    """The images of a training; pixels stay on the CPU, batches go to the device.

    Args:
        images: All of them.
        preprocess: How pixels are normalised.
        recipe: Says batch size, augmentation and how many are held out.
        seed: Of order and augmentation. What is held out is the same for each seed.
        device: Where batches go.
        team: Who shares each batch; each augments its share itself.

    Raises:
        ValueError: If nothing is left to train on, or batches cannot be shared.
    """

    def __init__(
        self,
        images: Images,
        preprocess: Preprocess,
        recipe: Recipe,
        *,
        seed: int,
        device: torch.device,
        team: Team = ALONE,
    ) -> None:
        count, held_out = len(images.labels), recipe.validation_images
        if held_out >= count:
            raise ValueError(
                f"the training set has {count} images, and validation_images asks for {held_out} "
                "of them; lower it"
            )
        order = np.argsort(Stream(0, "dataset", "validation", 64).uniform(count), kind="stable")
        self._kept, self._held_out = np.sort(order[held_out:]), np.sort(order[:held_out])
        self._images, self._preprocess = images, preprocess
        self._recipe, self._seed, self._device = recipe, seed, device
        self.batch_size = min(recipe.batch_size, count - held_out)
        self._team, self._share = team, team.share(self.batch_size)

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return len(self._kept) // self.batch_size

    @property
    def classes(self) -> int:
        """One more than the highest label."""
        return int(self._images.labels.max()) + 1

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Its share of the batches of an epoch, all of one size, fixed by seed and epoch."""
        generator = torch.Generator().manual_seed(derived_seed(self._seed, "order", epoch))
        order = self._kept[torch.randperm(len(self._kept), generator=generator).numpy()]
        for place in range(self.steps):
            chosen = order[place * self.batch_size :][self._share]
            pixels = torch.from_numpy(self._images.pixels[chosen])
            seed = derived_seed(self._seed, "augment", epoch, place, *self._who)
            yield self._batch(augmented(pixels, self._recipe.augment, seed), chosen)

    def validation(self) -> Iterator[Batch]:
        """Its share of the images held out, as they are, in batches."""
        mine = self._team.rank * self.batch_size
        for start in range(mine, len(self._held_out), self._team.size * self.batch_size):
            yield self._plain(self._held_out[start : start + self.batch_size])

    @property
    def _who(self) -> tuple[int, ...]:
        """What tells its draws from those of the leader."""
        return () if self._team.leads else (self._team.rank,)

    def sample(self, count: int) -> Batch:
        """The first `count` training images, or all, as they are."""
        return self._plain(self._kept[:count])

    def _plain(self, chosen: np.typing.NDArray[np.int64]) -> Batch:
        return self._batch(torch.from_numpy(self._images.pixels[chosen]), chosen)

    def _batch(self, pixels: Tensor, chosen: np.typing.NDArray[np.int64]) -> Batch:
        labels = torch.from_numpy(self._images.labels[chosen]).to(self._device)
        return Batch(normalise(pixels.to(self._device), self._preprocess), labels)
