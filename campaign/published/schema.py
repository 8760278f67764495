"""What a published number is: a value, the condition it holds under, and where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Quantity = Literal["top1", "top1_error", "top1_gain", "other"]
MEASURABLE: tuple[Quantity, ...] = ("top1", "top1_error", "top1_gain")
"""Quantities that the rows of a campaign give."""
Tag = Literal["text", "table", "figure", "repository", "secondhand"]
Unit = Literal["percent", "points", "factor", "bit_error_rate", "flips"]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]
Number = Annotated[Decimal, Field(allow_inf_nan=False)]
Rate = Annotated[Decimal, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Model(_Section):
    """A network, as the publication and as rows call it."""

    name: Text
    """What the publication calls it."""
    rows: Texts
    """Names that rows may have for this architecture; may hold ``*``."""
    source: dict[str, dict[str, str]] | None = None
    """The model of a spec that loads the published checkpoint, such as ``torchvision/resnet18:
    {weights: IMAGENET1K_V1}``, values with ``*``; None where no spec can load it."""

    def is_loaded_by(self, origin: Mapping[str, object] | None) -> bool:
        """Whether a model of a spec, such as ``{"torchvision/resnet18": {...}}``, is this one."""
        return any(_matches(options, (origin or {}).get(name)) for name, options in self._sources)

    @property
    def _sources(self) -> list[tuple[str, dict[str, str]]]:
        return list((self.source or {}).items())


class Dataset(_Section):
    """A test set, as rows call it."""

    rows: Texts
    """Names that rows may have for it."""
    images: Count
    """How many images the published number was judged on."""


class Claim(_Section):
    """One published number, or words where no number is published.

    What the publication does not say is absent. ``value``, ``low`` and ``high``, ``at_most`` and
    ``words`` exclude each other. Digits are kept as printed: 92.00 is known to 0.005.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    about: Text
    """What was measured, in a line."""
    quantity: Quantity
    unit: Unit | None = None
    """percent of images, points of percent, factor, ...; None for words."""
    value: Number | None = None
    low: Number | None = None
    high: Number | None = None
    at_most: Number | None = None
    words: Text | None = None
    reading_error: Annotated[Decimal, Field(gt=0)] | None = None
    """Half-width in the unit; needed off a figure, else half of the last printed digit."""
    where: Text
    """Place in the publication: abstract, table, figure, file."""
    tag: Tag
    """text: abstract, captions, summary; table; figure: read off it; repository: public code or its
    output; secondhand: another source says so."""
    model: Model | None = None
    dataset: Dataset | None = None
    dtype: Text | None = None
    """Number format, as rows call it."""
    method: Texts | None = None
    """Stacks, as rows call them; may hold ``*``."""
    baseline: Text = "none"
    """What a gain is over."""
    t: float | None = None
    nonfinite: Text | None = None
    fault: Text | None = None
    targets: Text | None = None
    ber: Rate | None = None
    """A probability."""
    maps: Count | None = None
    """Fault maps behind the mean."""
    clean: Number | None = None
    """The same quantity without faults, in the same unit."""
    assumed: tuple[Text, ...] = ()
    """What a comparison takes for granted that the publication leaves open."""
    departs: tuple[Text, ...] = ()
    """What no campaign does as the publication did; enough to make it not comparable."""

    @model_validator(mode="after")
    def _is_whole(self) -> Claim:
        for problem, told in (
            (self._forms() != 1, "state one of value, low and high, at_most, words"),
            ((self.low is None) != (self.high is None), "low and high come together"),
            ((self.unit is None) != (self.words is not None), "numbers have a unit, words none"),
            (self.tag == "figure" and self.reading_error is None, "a figure has a reading_error"),
            (self.measurable and self._is_bound(), f"{self.quantity} is one value, or words"),
            (self.measurable and self._lacks(), f"{self.quantity} needs {self._lacks()}"),
            (self.measurable and self._wrong_unit(), "unit does not fit the quantity"),
        ):
            if problem:
                raise ValueError(f"{self.id}: {told}")
        return self

    @property
    def measurable(self) -> bool:
        """Whether rows of a campaign may stand beside it."""
        return self.quantity in MEASURABLE

    @property
    def error(self) -> float:
        """By how much the value may be off as it was read: stated, or half of its last digit."""
        if self.reading_error is not None:
            return float(self.reading_error)
        return 0.0 if self.value is None else half_digit(self.value)

    @property
    def text(self) -> str:
        """The published number as people write it."""
        if self.words is not None:
            return f'"{self.words}"'
        if self.at_most is not None:
            return f"up to {self.at_most}"
        return str(self.value) if self.value is not None else f"{self.low} to {self.high}"

    def _forms(self) -> int:
        return sum(form is not None for form in (self.value, self.low, self.at_most, self.words))

    def _is_bound(self) -> bool:
        return self.low is not None or self.at_most is not None

    def _lacks(self) -> str:
        names = ("model", "dataset", "dtype", "method", "ber")
        return ", ".join(name for name in names if getattr(self, name) is None)

    def _wrong_unit(self) -> bool:
        wanted = "points" if self.quantity == "top1_gain" else "percent"
        return self.unit not in (wanted, None)


class Publication(_Section):
    """A source with what it publishes."""

    cite: Text
    """Authors and year, or the name it goes by."""
    arxiv: Annotated[str, Field(pattern=r"^\d{4}\.\d{4,5}$")] | None = None
    venue: Text | None = None
    settled_by: Text
    """What a comparable measurement takes: a spec, a network, a method."""
    methods: tuple[Text, ...] = ()
    """Methods of this package that it is about, beside those of its claims; may hold ``*``."""
    claims: Annotated[tuple[Claim, ...], Field(min_length=1)]

    @property
    def source(self) -> str:
        """How tables name it."""
        return f"{self.cite}, arXiv {self.arxiv}" if self.arxiv else f"{self.cite}, {self.venue}"

    @model_validator(mode="after")
    def _can_be_found(self) -> Publication:
        if self.arxiv is None and self.venue is None:
            raise ValueError(f"{self.cite}: state arxiv or venue")
        return self


def half_digit(value: Decimal) -> float:
    """Half of the last digit of a number as printed.

    Example:
        >>> half_digit(Decimal("92.00")), half_digit(Decimal("4.3"))
        (0.005, 0.05)
    """
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)  # not NaN, not infinite: the schema refuses these
    return 0.5 * 10.0**exponent


def _matches(wanted: Mapping[str, str], held: object) -> bool:
    if not isinstance(held, Mapping):
        return False
    return all(key in held and fnmatchcase(str(held[key]), value) for key, value in wanted.items())
