"""What a protection may do, and when: moments that are identities unless overridden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from campaign.formats import NumberFormat
from campaign.methods.fitting import Fitting
from campaign.methods.misfits import beside
from campaign.methods.moments import Decoded, Settled, Spans, State
from campaign.registry import Registry, changed_options, describe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from campaign.bits import Words
    from campaign.faults.subject import Subject
    from campaign.networks.sites import Site


class Method:
    """One protection: a frozen dataclass whose fields are its options.

    A *stack* is a tuple of methods, applied left to right on the way in and right to left on the
    way out. The moments, in the order in which they happen to one parameter:

    1. `transform` - once, on the trained float32 weight, before the number format.
    2. `adapt` - once, on the words of every method in turn, before any check word is made: may
       give up bits of them.
    3. `encode` - once, on the stored words: may add check words.
    4. `profile` - once, on the value as read back without faults, at this method's place in the
       stack: ranges taken from the trained weights do not hold for the stored ones.
    5. `decode` - in each trial, on the words after the faults.
    6. `restore` - in each trial, on the value read.

    Before all of them the memory asks `bind` for the method as it acts on words of one format, and
    `choose` for the method as it acts on one parameter. And for the network as a whole, once all
    its parameters are stored and read back:

    7. `settle` - once: may adapt what is not exposed to what the weights now read as.
    8. `observe` - once, where `observes`: learns from the network and the profile split.
    9. `guard` - in each forward pass, at each site: may change the value that passes.

    A trial reads only the words that a fault touched where `spans` and `pointwise` say that these
    can be read without the others. What overrides `decode` or `restore` and says nothing is read
    whole: slower, never wrong.

    A method may also be *trained*: before anything is stored, its network is trained by what
    `fitting` says. The trained weights take the place of the model's, `recall` gives each parameter
    what was learnt for it, and `guard` gets what was learnt in place of what `observe` gives.

    With no fault, the weights read back are the same with and without `encode` and `decode`,
    `profile` and the protective part of `restore`: a protection must not change a healthy network.
    """

    name: ClassVar[str]
    pointwise: ClassVar[bool] = True
    """Whether `restore` acts value by value and every constant broadcasts against the weight.

    It then gets some of the values, shape (k,), with the constants of each. A class that overrides
    `restore` says this again, or is read whole.
    """
    takes_t: ClassVar[bool] = False
    """Whether the grid axis `t` binds to this method (it then has a field `t`)."""
    corrects_blocks: ClassVar[bool] = False
    """Whether `decode` corrects by a code over blocks of more bits than one word may have."""
    bounds_as_trained: ClassVar[bool] = False
    """Whether `guard` holds activations to a number in the scale of the trained network."""
    freezes_weights: ClassVar[bool] = False
    """Whether training leaves all weights as they are."""

    @property
    def label(self) -> str:
        """The name in rows and figures; `t` has a column of its own."""
        options = {k: v for k, v in changed_options(self).items() if k != "t"}
        return describe(self.name, options)

    def refusal(self, fmt: NumberFormat) -> str | None:
        """Why this method has no meaning for words of `fmt`, or None where it has one."""
        return None

    def misfit(self, before: Sequence[Method], kinds: Sequence[str]) -> str | None:
        """Why this method has no meaning in its place, or None where it has one.

        A method of the same options twice does its work again for nothing. One that clears words
        must stand before a code over blocks: decoding runs right to left, and a code that meets
        words cleared behind it sees more errors than it can correct. A bound in the scale of the
        trained network does not fit activations in another. What overrides this also gives what
        this says.

        Args:
            before: The methods before it in the stack.
            kinds: Kinds of exposed parameters, of weights, biases, norms, other.
        """
        if self in before:
            return f"the same {self.name} stands before it and has done its work; name it once"
        if (reason := beside(self, before)) is not None:
            return reason
        codes = [method.name for method in before if method.corrects_blocks]
        if not codes or not self.clears_words:
            return None
        instead = "keep words beyond repair" if self.corrects_blocks else "put it first"
        return f"{codes[-1]} stands before it and would meet cleared words; {instead}"

    @property
    def fits(self) -> bool:
        """Whether the network is trained for this method before it is stored."""
        return False

    @property
    def fits_format(self) -> bool:
        """Whether training depends on the number format."""
        return False

    def fitting(self) -> Fitting:
        """What this method does in a training; a new object for each training."""
        return Fitting()

    def recall(self, learnt: State, name: str) -> Method:
        """The method that acts on the parameter `name`, with what training learnt for it.

        Asked before `choose`, where the method `fits` and was trained. It then acts on parameters
        that are not exposed too, which read as without faults.

        Args:
            learnt: What `Fitting.finish` gave.
            name: The parameter.
        """
        return self

    @property
    def clears_words(self) -> bool:
        """Whether `decode` clears words that it finds wrong and cannot repair."""
        return False

    def transform(self, weight: Tensor) -> tuple[Tensor, State]:
        """The value to store (float32, same shape) and the constants `restore` will need.

        Raises:
            ValueError: If this weight cannot be protected so; the text says why and what to do.
        """
        return weight, {}

    def bind(self, fmt: NumberFormat) -> Method:
        """The method that acts on words of `fmt`: itself, unless it needs to know their bits."""
        return self

    @property
    def differentiates(self) -> bool:
        """Whether `choose` needs the gradient, and so the profile split."""
        return False

    def choose(self, weight: Tensor, gradient: Tensor | None) -> Method:
        """The method that acts on one parameter: itself, unless it treats its words differently.

        Args:
            weight: As trained, float32, before any `transform`.
            gradient: Of the mean cross entropy of the trained network over the profile split, in
                the shape of `weight`; None where no method of the stack `differentiates`.
        """
        return self

    def adapt(self, words: Words) -> Words:
        """The words to store instead of `words`, of the same shape and width.

        What is lost here is lost before any method of the stack makes check words, so that these
        fit what is stored. To adapt twice is to adapt once.
        """
        return words

    def encode(self, words: Words) -> tuple[Words, Words | None]:
        """Payload words of the same shape and width, and check words (faultable too) or None.

        Without faults, `decode` gives `words` back to the bit.
        """
        return words, None

    def check_bits(self, count: int, width: int) -> int:
        """How many check bits `encode` adds to `count` words of `width` bits."""
        return 0

    def copied_bits(self, width: int) -> range | None:
        """Which bits of a payload word of `width` bits each check word repeats, from its bit 0 up.

        A copy may flip where the bit it repeats may, so that what is exempt in one is in all. None
        where check words hold anything else.
        """
        return None

    def profile(self, value: Tensor, state: State) -> State:
        """The constants, with what was observed on the fault-free `value` added."""
        return state

    def decode(self, words: Words, check: Words | None) -> Decoded:
        """Correct and detect; never raises, whatever the bits."""
        return Decoded(words, 0, 0)

    def spans(self, width: int) -> Spans | None:
        """Parts that `decode` reads each by itself, for payload words of `width` bits.

        None where it must see the whole tensor. A trial reads only the parts that a fault touched.
        A class that overrides `decode` says this again, or is read whole.
        """
        return Spans()

    def restore(self, value: Tensor, state: State) -> Tensor:
        """The weight (float32, same shape) from the value read; never raises."""
        return value

    def meaning(self, value: Tensor, state: State) -> Tensor:
        """What a weight as `restore` left it stands for, in the scale of the trained network.

        They differ where not the weight but something behind it undoes what `transform` did.
        """
        return value

    @property
    def rescales(self) -> frozenset[str]:
        """Kinds of sites whose values are not in the scale of the trained network."""
        return frozenset()

    @property
    def observes(self) -> bool:
        """Whether `observe` needs the profile split."""
        return False

    @property
    def guards(self) -> bool:
        """Whether `guard` does anything."""
        return False

    def settle(self, module: nn.Module, states: Mapping[str, State]) -> Settled:
        """What else of the network changes, for good.

        Args:
            module: The live network: every parameter as trained but the exposed ones, which are as
                read.
            states: The constants of this method by exposed parameter.

        Raises:
            ValueError: If the network cannot be adapted; the text names the layer.
        """
        return Settled({})

    def observe(self, subject: Subject) -> State:
        """What `guard` will need, kept in protected memory.

        Args:
            subject: The network, with the guards of the methods before this one in the stack.
        """
        return {}

    def guard(self, site: Site, value: Tensor, seen: State) -> Tensor:
        """What the network goes on with at a site; never raises, leaves `value` unchanged.

        Args:
            site: Where.
            value: float32 (images, ...).
            seen: What `observe` gave.
        """
        return value

    def operations(self, count: int, width: int) -> int:
        """Word operations (of 64 bits or one number) that reading `count` words costs, fault-free.

        One for each arithmetic operation, comparison or function of a number and each logic
        operation or parity of a word; what a repair would take is not counted. Of a code that is
        the syndrome: for each of its bits a mask and a parity, and one comparison. `width` is that
        of the payload words. Nothing is counted for 0 words.
        """
        return 0

    def guard_operations(self, site: Site, count: int) -> int:
        """Operations that `guard` costs at a site for `count` values."""
        return 0


def clears_a_number(fmt: NumberFormat) -> str | None:
    """Why a method that clears the words it finds wrong has no meaning for `fmt`, or None."""
    if fmt.zero_word_is_zero:
        return None
    return f"{fmt.label} reads a cleared word as another number than 0"


__all__ = ["METHODS", "Decoded", "Method", "Settled", "Spans", "State"]

METHODS: Registry[Method] = Registry("method", "campaign.methods", "campaign.methods")


def stack_label(stack: tuple[Method, ...]) -> str:
    """How a stack is called in rows and figures.

    Example:
        >>> stack_label(())
        'none'
    """
    return "+".join(method.label for method in stack) or "none"
