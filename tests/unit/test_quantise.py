"""The numbers of quantisation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zktally.circuits import layouts, quantise
from zktally.circuits.errors import RangeOverflow
from zktally.circuits.quantise import (
    BIAS_MAX,
    MULT_MAX,
    WEIGHT_MAX,
    Affine,
    affine,
    bias_peak,
    channels,
    coefficients,
    entries,
    multiplier,
    symmetric,
)

ENDS = st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-6)


@given(ENDS, ENDS)
def test_affine_has_zero_exactly_and_covers_the_range(a: float, b: float) -> None:
    low, high = min(a, b, 0.0), max(a, b, 0.0)
    code = affine(min(a, b), max(a, b))
    assert code.dequantise(code.zero) == 0.0
    assert code.lo <= code.zero <= code.hi
    for end in (low, high):
        error = abs(float(code.dequantise(code.quantise(end))) - end)
        assert error <= code.scale * 0.5001


def test_relu_range_uses_all_codes() -> None:
    code = affine(0.0, 5.1)
    assert (code.zero, code.scale) == (-128, pytest.approx(0.02))


def test_affine_of_nothing_is_usable() -> None:
    assert affine(0.0, 0.0).quantise([0.0, 7.0]).tolist() == [0, 7]


def test_quantise_rounds_ties_to_even_and_clamps() -> None:
    code = Affine(2.0, 1)
    assert code.quantise([1.0, 3.0, -1.0, 1e9, -1e9]).tolist() == [1, 3, 1, 127, -128]


@given(st.integers(0, 2**32 - 1), st.floats(1e-4, 1e2), st.floats(0.1, 1e2))
def test_channels_reconstruct_weights_and_bias(
    seed: int, in_scale: float, out_scale: float
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, 1, (6, 5)) * 10.0 ** rng.integers(-6, 2, (6, 1))
    bias = rng.normal(0, 1, 6) * out_scale * 10.0 ** rng.integers(-4, 2, 6)
    found = channels("op", weight, bias, in_scale, out_scale)
    unit = found.mult * 2.0**-found.shift * out_scale  # of the accumulator
    assert found.bias is not None
    assert np.abs(found.weight).max() <= WEIGHT_MAX
    assert np.abs(found.bias.numbers).max() <= BIAS_MAX
    assert 1 <= found.mult.min() <= found.mult.max() <= MULT_MAX
    assert found.mult.max() > MULT_MAX // 2
    column = (unit / in_scale)[:, None]
    assert np.all(np.abs(found.weight * column - weight) <= column * 0.5001)
    assert np.all(np.abs(found.bias.numbers * unit - bias) <= unit * 0.5001)


def test_a_dead_channel_keeps_its_bias() -> None:
    weight = np.array([[1.0, -1.0], [0.0, 0.0]])
    found = channels("op", weight, np.array([0.0, 3.0]), 0.01, 0.05)
    assert found.bias is not None
    value = found.bias.numbers[1] * found.mult[1] * 2.0**-found.shift * 0.05
    assert value == pytest.approx(3.0, rel=1e-3)


def test_a_large_bias_enlarges_the_scale_of_its_channel_only() -> None:
    weight = np.full((2, 3), 0.5)
    found = channels("op", weight, np.array([0.0, 3e3]), 1e-3, 1.0)
    assert found.bias is not None
    assert BIAS_MAX // 2 < found.bias.numbers[1] <= BIAS_MAX
    assert found.weight[0].min() >= 126
    assert 1 <= found.weight[1].max() <= 2


def test_bias_range_tells_nothing_unless_the_quotient_needs_it() -> None:
    assert bias_peak(np.array([5]), 10**6, 20, 0) == BIAS_MAX
    tight = bias_peak(np.array([5]), 10**5, 13, 100)
    assert tight == 2**20 - 1
    assert ((tight + 10**5) * MULT_MAX + 2**13 >> 13) + 100 <= 2**23 - 1
    assert bias_peak(np.array([tight + 1]), 10**5, 13, 100) == BIAS_MAX


def test_a_scale_that_is_too_fine_names_the_op() -> None:
    with pytest.raises(RangeOverflow, match="'conv1'") as caught:
        channels("conv1", np.ones((1, 1)), None, 1.0, 1e-9)
    assert caught.value.code == "compile.range-overflow"
    assert caught.value.hint


@given(st.floats(1e-8, 1e3))
def test_multiplier_is_near_and_as_precise_as_fits(ratio: float) -> None:
    mult, shift = multiplier("op", ratio)
    assert mult <= MULT_MAX
    assert mult * 2.0**-shift == pytest.approx(ratio, rel=2.0**-14 if shift < 44 else 2.0**-8)


def test_coefficients_share_a_shift_that_the_addend_bounds() -> None:
    numbers, shift, added = coefficients("op", [1.0, -0.25], 0.01, np.array([80.0]))
    assert added is not None
    assert abs(int(added.numbers[0])) <= BIAS_MAX
    assert numbers == [2**shift, -(2**shift) // 4]
    assert added.numbers[0] * 2.0**-shift * 0.01 == pytest.approx(80.0, rel=1e-4)


def test_table_covers_its_whole_domain() -> None:
    pre, post = affine(-4.0, 4.0, -1024, 1023), affine(-1.0, 1.0)
    table = entries(np.tanh, pre, post)
    assert len(table) == 2048
    assert table[pre.zero - pre.lo] == post.zero
    assert (table[0], table[-1]) == (-127, 127)


def test_symmetric_of_zeros() -> None:
    numbers, scale = symmetric(np.zeros((2, 2)), 127)
    assert not numbers.any()
    assert scale > 0


def test_layout_of_matrix_keeps_rows_whole() -> None:
    assert layouts.matrix((32, 1024), 1).piece == 1024
    assert layouts.matrix((32, 2048), 1).piece == 2048


def test_layout_cuts_long_rows_in_even_pieces() -> None:
    layout = layouts.matrix((32, 3000), 1)
    assert layout.trailing == 1
    assert layout.piece == 1008  # three pieces, of whole sponge blocks


def test_layout_merges_short_rows_but_not_items() -> None:
    small = layouts.matrix((8, 100), 1, batched=True)
    assert (small.trailing, small.piece) == (2, 200)
    items = layouts.matrix((8, 4, 100), 1, batched=True)
    assert (items.trailing, items.piece) == (2, 200)
    lone = layouts.matrix((8, 2, 100), 1, batched=True)
    assert (lone.trailing, lone.piece) == (2, 200)


def test_layout_of_image_has_channels_last() -> None:
    layout = layouts.image((4, 12, 28, 28), 1)
    assert layout.order == (0, 2, 3, 1)
    assert layout.trailing == 2
    assert layout.piece == 12 * 28


def test_layout_of_small_images_merges_rows_of_one_item() -> None:
    layout = layouts.image((4, 1, 28, 28), 1)
    assert layout.trailing == 3
    assert layout.piece % 28 == 0
    assert 192 <= layout.piece < 2 * 192


def test_layout_of_weights_has_a_row_per_output_unit() -> None:
    layout = layouts.weight((33, 12, 5, 5), 1)
    assert (layout.trailing, layout.piece) == (3, 300)
    assert layouts.weight((1024,), 3).piece == 1024


def test_outputs_are_one_leaf() -> None:
    assert layouts.flat((32, 10)).piece == 320
    assert layouts.flat((32, 1000)).piece == 2048


@pytest.mark.parametrize("shape", [(7,), (7, 13), (5, 3, 3, 2)])
def test_slices_of_constants_change_no_number(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    """What is quantised a few rows at a time is as it would be at once."""
    weight = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    bias = weight.reshape(len(weight), -1)[:, 0]
    whole = channels("dot", weight, bias, 0.1, 0.3), symmetric(weight, 2**15 - 1)
    monkeypatch.setattr(quantise, "SLICE", 4)
    parts = channels("dot", weight, bias, 0.1, 0.3), symmetric(weight, 2**15 - 1)
    for one, other in zip(vars(whole[0]).values(), vars(parts[0]).values(), strict=True):
        # What is added has its numbers inside.
        np.testing.assert_array_equal(
            getattr(one, "numbers", one), getattr(other, "numbers", other)
        )
    np.testing.assert_array_equal(whole[1][0], parts[1][0])
    assert whole[1][1] == parts[1][1]


def test_integers_are_as_narrow_as_their_peak() -> None:
    """Weights take an eighth of the memory of int64."""
    values = np.array([[-3.0, 1.0], [2.0, 0.5]])
    for peak, dtype in [(127, np.int8), (2**15 - 1, np.int16), (2**20, np.int32)]:
        numbers, scale = symmetric(values, peak)
        assert numbers.dtype == dtype
        np.testing.assert_array_equal(numbers, np.rint(values / scale))
    assert channels("dot", values, None, 1.0, 1.0).weight.dtype == np.int8
    numbers, scale = symmetric(np.array([-128, 100], np.int8), 127)
    np.testing.assert_array_equal(numbers, [-127, 99])
