"""What holds for every number format."""

from __future__ import annotations

import math

import pytest
import torch

from campaign.bits import Words, carrier, mask_to_width
from campaign.formats import NumberFormat

SHAPES = [(), (0,), (0, 3), (1,), (5,), (4, 6), (4, 3, 3, 3)]


def values_of(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    """Gaussian values within the range of every format."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.2


def image(fmt: NumberFormat, count: int = 4096) -> Words:
    """Every code of up to 16 bits, else random ones."""
    if fmt.width <= 16:
        return mask_to_width(torch.arange(1 << fmt.width), fmt.width)
    generator = torch.Generator().manual_seed(1)
    return mask_to_width(torch.randint(-(2**62), 2**62, (count,), generator=generator), fmt.width)


def scale_of(fmt: NumberFormat, words: Words) -> torch.Tensor | None:
    """The scale of usual values in the shape of `words`."""
    return fmt.calibrate(values_of(tuple(words.data.shape)))


def gap(fmt: NumberFormat) -> float:
    """The widest step between neighbouring numbers that `fmt` reads, over the largest of them."""
    words = image(fmt)
    read = fmt.decode(words, scale_of(fmt, words))
    ordered = read[read.isfinite()].double().sort().values
    return float(ordered.diff().max() / ordered.abs().max())


def round_trip(fmt: NumberFormat, values: torch.Tensor) -> torch.Tensor:
    """Store and read."""
    scale = fmt.calibrate(values)
    return fmt.decode(fmt.encode(values, scale), scale)


@pytest.mark.parametrize("shape", SHAPES)
def test_encode_and_decode_keep_the_shape(fmt: NumberFormat, shape: tuple[int, ...]) -> None:
    values = values_of(shape)
    scale = fmt.calibrate(values)
    words = fmt.encode(values, scale)
    assert (words.data.shape, words.width) == (shape, fmt.width)
    assert words.data.dtype == carrier(fmt.width)
    read = fmt.decode(words, scale)
    assert (read.shape, read.dtype) == (shape, torch.float32)


def test_where_values_lie_in_memory_does_not_matter(fmt: NumberFormat) -> None:
    values = values_of((6, 4, 3, 2))
    scattered = [
        values.permute(2, 0, 3, 1),
        values[::2, :, ::2],
        values.contiguous(memory_format=torch.channels_last),
        values[:1, :, :1, :1].expand(5, 4, 3, 2),
    ]
    for view in scattered:
        packed = view.contiguous()
        scale = fmt.calibrate(packed)
        got, expected = fmt.encode(view, scale), fmt.encode(packed, scale)
        assert torch.equal(got.data, expected.data)
        assert torch.equal(fmt.decode(got, scale), fmt.decode(expected, scale))


def test_encode_is_deterministic_and_leaves_its_argument_alone(fmt: NumberFormat) -> None:
    values = values_of((8, 9))
    before = values.clone()
    first, second = (fmt.encode(values, fmt.calibrate(values)).data for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(values, before)


def test_decode_reads_any_image(fmt: NumberFormat) -> None:
    words = image(fmt)
    scale = scale_of(fmt, words)
    read = fmt.decode(words, scale)
    assert read.shape == words.data.shape
    if fmt.largest is not None and scale is None:
        largest = float(torch.tensor(fmt.largest, dtype=torch.float32))
        highest = float(read[read.isfinite()].max())
        assert highest == largest if fmt.width <= 16 else highest <= largest


def test_what_was_read_once_reads_the_same_when_stored_again(fmt: NumberFormat) -> None:
    if getattr(fmt, "rounding", "nearest") == "truncate":
        return  # a number just below a code falls to the code before
    words = image(fmt)
    scale = scale_of(fmt, words)
    once = fmt.decode(words, scale)
    once = torch.where(once.isfinite(), once, 0.0)
    if scale is not None:  # some patterns are never written
        once = fmt.decode(fmt.encode(once, scale), scale)
    again = fmt.decode(fmt.encode(once, scale), scale)
    assert torch.equal(again, once)
    assert once.unique().numel() > 1


def test_the_all_zero_pattern_is_the_number_zero_where_the_format_says_so(
    fmt: NumberFormat,
) -> None:
    zero = Words(torch.zeros(3, dtype=carrier(fmt.width)), fmt.width)
    read = fmt.decode(zero, fmt.calibrate(torch.tensor([-1.0, 0.25, 1.5])))
    assert bool((read == 0).all()) == fmt.zero_word_is_zero


def test_a_tensor_of_zeros_reads_as_zeros(fmt: NumberFormat) -> None:
    assert torch.equal(round_trip(fmt, torch.zeros(3, 4)), torch.zeros(3, 4))


def test_values_that_share_a_scale_keep_their_order(fmt: NumberFormat) -> None:
    ordered = values_of((1000,)).sort().values.reshape(200, 5)
    assert bool((round_trip(fmt, ordered).diff(dim=1) >= 0).all())


def test_the_largest_value_is_read_back_and_nothing_exceeds_it(fmt: NumberFormat) -> None:
    if fmt.largest is None:
        values = values_of((3, 50))
        assert float(round_trip(fmt, values).abs().max()) <= float(values.abs().max()) * (
            1 + gap(fmt)
        )
        return
    ends = torch.tensor([fmt.largest, -fmt.largest, math.inf, -math.inf], dtype=torch.float64)
    read = round_trip(fmt, ends.float())
    assert read[0] == read[2] == ends[0].float()
    assert bool(read.isfinite().all())


def test_bit_classes_are_ranges_of_the_word(fmt: NumberFormat) -> None:
    classes = fmt.bit_classes
    assert len(classes["msb"]) == len(classes.get("sign", classes["msb"])) == 1
    for bits in classes.values():
        assert all(0 <= bit < fmt.width for bit in bits)


def test_the_parts_of_a_word_share_no_bit_and_miss_none(fmt: NumberFormat) -> None:
    parts = ("sign", "exponent", "mantissa", "integer", "fraction")  # msb names one of them
    bits = [bit for part in parts for bit in fmt.bit_classes.get(part, ())]
    assert sorted(bits) == list(range(fmt.width))


def test_flipping_the_sign_bit_changes_the_sign(fmt: NumberFormat) -> None:
    if "sign" not in fmt.bit_classes:
        return  # the sign is not one bit
    values = values_of((200,)).abs() + 0.3
    scale = fmt.calibrate(values)
    words = fmt.encode(values, scale)
    (bit,) = fmt.bit_classes["sign"]
    sign = mask_to_width(torch.tensor(1) << bit, fmt.width).data
    flipped = fmt.decode(Words(words.data ^ sign, fmt.width), scale)
    assert bool((flipped < 0).all())
