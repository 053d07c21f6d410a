"""Whatever array comes from outside: one type and scale, and no sample that is no sound."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from asr.audio.features import SamplesError, SlidingBuffer, clean_samples
from asr.errors import Error


def test_good_samples_stay_as_they_are():
    for samples in (np.zeros(0, np.float32), np.array([[-1.5, 0.25], [99, -100]], np.float32)):
        assert clean_samples(samples)[0] is samples and clean_samples(samples)[1] == 0


@pytest.mark.parametrize("kind, loudest", [(np.int16, 2**15), (np.int32, 2**31), (np.float64, 1), (np.float16, 1)])
def test_every_type_has_its_scale(kind, loudest):
    samples, bad = clean_samples((np.array([-1.0, 0.5, 0.0]) * loudest).astype(kind))
    assert samples.dtype == np.float32 and samples.tolist() == [-1.0, 0.5, 0.0] and bad == 0


def test_what_is_no_sound_becomes_silence_and_is_counted():
    samples, bad = clean_samples([0.5, np.nan, np.inf, -np.inf, 1e300, -101.0, -0.5])
    assert samples.tolist() == [0.5, 0, 0, 0, 0, 0, -0.5] and bad == 5


@given(arrays(np.float32, st.integers(0, 20)), st.integers(0, 20))
def test_the_cut_into_blocks_does_not_show(samples, cut):
    whole, parts = clean_samples(samples), [clean_samples(x) for x in np.split(samples, [cut])]
    np.testing.assert_array_equal(np.concatenate([s for s, _ in parts]), whole[0])
    assert sum(bad for _, bad in parts) == whole[1] and np.isfinite(whole[0]).all()


@pytest.mark.parametrize("block", [np.zeros(3, np.int64), np.zeros(3, np.uint8), [1j], [True], ["a"], [None]])
def test_another_type_is_named(block):
    with pytest.raises(SamplesError, match=f"type {np.asarray(block).dtype}.* give float32"):
        clean_samples(block)
    assert issubclass(SamplesError, Error)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-3, 12)), max_size=40))
def test_a_sliding_buffer_keeps_the_rows_that_are_not_forgotten(moves):
    buffer, all_rows, first = SlidingBuffer(2), np.zeros((0, 2), np.float32), 0
    for new, more in moves:
        rows = np.arange(2 * new, dtype=np.float32).reshape(new, 2) + len(all_rows)
        buffer.append(rows)
        all_rows = np.concatenate([all_rows, rows])
        buffer.forget(first + more)
        first = min(max(first, first + more), len(all_rows))
        assert (buffer.start, buffer.end) == (first, len(all_rows))
        np.testing.assert_array_equal(buffer.rows(-5, 10_000), all_rows[first:])
        np.testing.assert_array_equal(buffer.rows(first + 1, first + 3), all_rows[first + 1 : first + 3])
        assert len(buffer.rows(first - 4, first - 2)) == len(buffer.rows(first + 3, first + 1)) == 0


def test_a_sliding_buffer_needs_no_more_memory_than_its_window():
    buffer = SlidingBuffer()
    for _ in range(2_000):
        buffer.append(np.ones(1_280, np.float32))
        buffer.forget(buffer.end - 16_000)
    assert len(buffer._memory) < 3 * 16_000 and buffer.rows(0, buffer.end).sum() == 16_000
