"""GRUs beside the acoustic model: compiled as in numpy, and each row the same whatever stands beside it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr import numpy_gru
from asr.native import encoder as native
from asr.numpy_gru import affine, gru

needs_a_compiler = pytest.mark.skipif(native is None, reason="installed without a compiler")
RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


@needs_a_compiler
@settings(max_examples=60)
@given(st.integers(0, 9), st.integers(1, 9), st.integers(1, 150))
def test_compiled_as_in_numpy(steps, rows, hidden):
    x, w, b = normal(steps, hidden), normal(hidden, 3 * hidden) / np.float32(hidden**0.5), normal(3 * hidden)
    given_, h = normal(steps, rows, 3 * hidden), normal(rows, hidden)
    one = given_[:, 0], h[0]
    found = affine(x, w, b), gru(given_, h, w, b), gru(*one, w, b), gru(given_[::-1], h, w, b)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy_gru, "native", None)
        wanted = affine(x, w, b), gru(given_, h, w, b), gru(*one, w, b), gru(given_[::-1], h, w, b)
    for a, b in zip(found, wanted):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("compiled", [pytest.param(True, marks=needs_a_compiler), False])
def test_a_row_is_the_same_to_the_bit_beside_any_others(monkeypatch, compiled):
    if not compiled:
        monkeypatch.setattr(numpy_gru, "native", None)
    for inputs, outputs in ((320, 48), (48, 144), (30, 7)):
        x, w, b = normal(70, inputs), normal(inputs, outputs), normal(outputs)
        whole = affine(x, w, b)
        for first, last in ((0, 1), (3, 5), (7, 20), (1, 70)):
            np.testing.assert_array_equal(affine(x[first:last], w, b), whole[first:last])
    assert affine(x[:0], w, b).shape == (0, 7)


@needs_a_compiler
def test_compiled_rows_of_states_are_each_alone():
    w, b, given_, h = normal(48, 144), normal(144), normal(11, 8, 144), normal(8, 48)
    whole = gru(given_, h, w, b)
    for k in range(8):
        np.testing.assert_array_equal(gru(given_[:, k], h[k], w, b), whole[:, k])
    halves = gru(given_[:4], h, w, b)
    np.testing.assert_array_equal(gru(given_[4:], halves[-1], w, b), whole[4:])


@needs_a_compiler
def test_arrays_that_do_not_fit():
    w, b, given_, h = normal(48, 144), normal(144), normal(3, 144), normal(48)
    for wrong in ((given_[:, :-1], h, w, b), (given_, h[:-1], w, b), (given_, h, w[:-1], b), (given_, h, w, b[:-1])):
        with pytest.raises(ValueError):
            gru(*wrong)
    with pytest.raises(ValueError):
        affine(given_, w, b)
    with pytest.raises(ValueError):
        native.filtered(normal(2, 10), b[:3], np.array([0, 4], np.int32), np.zeros(1, np.int32), np.zeros((2, 1), "f4"))
