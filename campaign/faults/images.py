"""Which images a fault map is judged on, where it is not all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from campaign.faults.streams import Stream
from campaign.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def map_images(seed: int, order: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Draw `count` images for the fault map of `seed`, spread evenly over `order`.

    A systematic sample: the order is cut into `count` strata of equal size, and one image is taken
    from each, at the same place in each, drawn at random. Every image has the same chance
    count / len(order), exactly, whether or not the sizes divide, and none is taken twice. So the
    plain mean over the sample is unbiased, and a row needs no counts by stratum. With the images
    ordered by fault-free margin, each sample has its share of wrong, of doubtful and of safe
    images: the fault-free accuracy on it is within 1 / count of that on all.

    The images depend on `seed`, `order` and `count` alone: methods that answer alike without
    faults are judged on the same images under the same faults.

    Args:
        seed: The seed of the trial.
        order: All images, int64 (n,), by fault-free margin: the logit of the right class less the
            largest other one; ties by number.
        count: How many, in [1, n].

    Returns:
        int64 (count,), ascending.

    Raises:
        ValueError: If there are not so many images.

    Source: Madow, On the theory of systematic sampling II, Ann. Math. Statist. 20, 1949.

    Example:
        >>> map_images(7, np.arange(100), 4)
        array([11, 36, 61, 86])
    """
    total = len(order)
    if not 1 <= count <= total:
        raise ValueError(f"got {count} of {total} images; allowed: 1 to {total}")
    # In whole numbers, for a rounded product could fall on the next image.
    start = int(Stream(seed, "dataset", "map-images", 64).uniform(1)[0] * 2.0**53)
    places = (np.arange(count, dtype=object) * 2**53 + start) * total // (count * 2**53)
    return np.sort(order[places.astype(np.int64)])
