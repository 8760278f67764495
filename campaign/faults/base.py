"""What every fault model does: choose bit positions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from campaign.faults.exposed import Exposed, FieldKey
from campaign.faults.streams import Stream
from campaign.lazy import np
from campaign.registry import Registry, changed_options, describe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from campaign.bits import Words
    from campaign.faults.subject import Flips, Subject


class FaultModel(ABC):
    """A fault model: a frozen dataclass whose fields are its options."""

    name: ClassVar[str]

    @property
    def label(self) -> str:
        """The name in rows, with the options that are not defaults."""
        return describe(self.name, changed_options(self))

    @property
    def takes_ber(self) -> bool:
        """Whether the bit error rate decides how much flips; else only 0 and not 0 differ."""
        return True

    @property
    def flips(self) -> int | None:
        """How many bits flip at any rate above 0, None where the rate decides it."""
        return None

    @property
    def reads(self) -> str | None:
        """The file that the model needs, None where it needs none."""
        return None

    @property
    def attacks(self) -> bool:
        """Whether the model chooses bits by what they do to the network: it has an `attack`."""
        return False

    @property
    def learns(self) -> bool:
        """Whether `attack` needs images of the profile split."""
        return self.attacks

    def refusal(self, bit_classes: Mapping[str, range]) -> str | None:
        """Why the model has no meaning for words with these classes of bits, or None."""
        return None

    @property
    def estimates_share(self) -> bool:
        """Whether each seed is one fault out of all, so that seeds estimate a share of faults."""
        return False

    @property
    def permanent(self) -> bool:
        """Whether cells fail for good: what is written there later is struck in the same places."""
        return False

    def ignores_seed(self, images: int) -> bool:
        """Whether every seed gives the same flips where the profile split has `images` at most."""
        return False

    @property
    def samples_fields(self) -> bool:
        """Whether each field is sampled by itself, so that no field needs to know the others."""
        return not self.attacks and type(self).sample_all is FaultModel.sample_all

    def attack(self, subject: Subject, ber: float, seed: int) -> Flips:
        """Choose the bits that flip, looking at the network; in place of `sample_all`.

        Args:
            subject: The network as stored and the profile split, which may be empty where the model
                does not `learn`.
            ber: Bit error rate, a probability in [0, 1]; 0 flips nothing.
            seed: The seed of the trial.

        Returns:
            Positions as of `sample`, none of them exempt; a field that is left out has no flip.

        Raises:
            ValueError: If the model has no meaning for this memory.
        """
        raise TypeError(f"{self.name} does not look at the network")

    def loaded(self, columns: Mapping[str, NDArray[np.generic]]) -> FaultModel:
        """The model with the columns of the file that it `reads`.

        Raises:
            ValueError: If they are not what the model needs.
        """
        raise ValueError(f"{self.name} reads no file")

    @abstractmethod
    def sample(self, words: Words, ber: float, stream: Stream) -> NDArray[np.int64]:
        """Choose the bits that flip in a memory of `words` alone.

        Args:
            words: The stored words.
            ber: Bit error rate, a probability in [0, 1].
            stream: Random numbers that belong to this seed and these words.

        Returns:
            int64, shape (k,), ascending and distinct, each in [0, words.bits); bit p is bit
            p % width (0 = least significant) of word p // width.
        """

    def sample_all(
        self, memory: Mapping[FieldKey, Exposed], ber: float, seed: int
    ) -> dict[FieldKey, NDArray[np.int64]]:
        """Choose the bits that flip in the whole memory of a trial; exempt bits are not among them.

        Each field is sampled by itself unless a model says otherwise.

        Args:
            memory: The stored words by parameter and field.
            ber: Bit error rate, a probability in [0, 1].
            seed: The seed of the trial.

        Returns:
            Positions as of `sample`; a field that is left out has no flip.

        Raises:
            ValueError: If the model has no meaning for this memory.
        """
        found = {}
        for key, exposed in memory.items():
            stream = Stream(seed, key.tensor, key.field, exposed.words.width)
            positions = self.sample(exposed.words, ber, stream)
            found[key] = positions[exposed.may_flip(positions)] if exposed.exempt else positions
        return found

    def sample_alone(self, words: Words, ber: float, stream: Stream) -> NDArray[np.int64]:
        """`sample` of a model that says in `sample_all` what it does."""
        key = FieldKey(stream.tensor, stream.field)
        found = self.sample_all({key: Exposed(words)}, ber, stream.seed)
        return found.get(key, np.empty(0, dtype=np.int64))


FAULTS: Registry[FaultModel] = Registry("fault model", "campaign.faults", "campaign.faults")
