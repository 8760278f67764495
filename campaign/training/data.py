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

    Raises:
        ValueError: If nothing is left to train on.
    """

    def __init__(
        self,
        images: Images,
        preprocess: Preprocess,
        recipe: Recipe,
        *,
        seed: int,
        device: torch.device,
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

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return len(self._kept) // self.batch_size

    @property
    def classes(self) -> int:
        """One more than the highest label."""
        return int(self._images.labels.max()) + 1

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch, all of one size, fixed by the seed and the epoch."""
        generator = torch.Generator().manual_seed(derived_seed(self._seed, "order", epoch))
        order = self._kept[torch.randperm(len(self._kept), generator=generator).numpy()]
        for place in range(self.steps):
            chosen = order[place * self.batch_size :][: self.batch_size]
            pixels = torch.from_numpy(self._images.pixels[chosen])
            seed = derived_seed(self._seed, "augment", epoch, place)
            yield self._batch(augmented(pixels, self._recipe.augment, seed), chosen)

    def validation(self) -> Iterator[Batch]:
        """The images held out, as they are, in batches."""
        for start in range(0, len(self._held_out), self.batch_size):
            yield self._plain(self._held_out[start : start + self.batch_size])

    def sample(self, count: int) -> Batch:
        """The first `count` training images, or all, as they are."""
        return self._plain(self._kept[:count])

    def _plain(self, chosen: np.typing.NDArray[np.int64]) -> Batch:
        return self._batch(torch.from_numpy(self._images.pixels[chosen]), chosen)

    def _batch(self, pixels: Tensor, chosen: np.typing.NDArray[np.int64]) -> Batch:
        labels = torch.from_numpy(self._images.labels[chosen]).to(self._device)
        return Batch(normalise(pixels.to(self._device), self._preprocess), labels)
