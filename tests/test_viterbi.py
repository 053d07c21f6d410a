"""The best CTC path: in blocks, with a beam, and beside torchaudio's where that loads."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.search import ctc_paths as module
from asr.search.ctc_paths import viterbi
from asr.text import collapse


def random_case(seed: int, frames: int, length: int, symbols: int = 4) -> tuple[np.ndarray, list[int]]:
    """Log-probabilities (frames, symbols) and a text of which every letter can be said."""
    rng = np.random.default_rng(seed)
    log_probs = np.log(rng.dirichlet(np.full(symbols, 0.3), frames) + 1e-9).astype(np.float32)
    return log_probs, rng.integers(1, symbols, length).tolist()


def emitted(path: np.ndarray, text: list[int]) -> list[int]:
    return [text[state // 2] if state % 2 else 0 for state in path]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 90), st.integers(1, 20))
def test_blocks_do_not_show(seed, frames, block):
    log_probs, text = random_case(seed, frames, max(1, frames // 4))
    whole = viterbi(log_probs, text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        cut = viterbi(log_probs, text)
    assert cut[1] == pytest.approx(whole[1], abs=1e-3)
    labels = emitted(cut[0], text)
    assert collapse(labels) == text
    assert log_probs[np.arange(frames), labels].sum() == pytest.approx(whole[1], abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(8, 90))
def test_a_beam_that_loses_the_path_is_given_up(seed, frames):
    log_probs, text = random_case(seed, frames, frames // 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", 5)
        path, score = viterbi(log_probs, text, width=0.5)
    assert collapse(emitted(path, text)) == text and score <= viterbi(log_probs, text)[1] + 1e-3


@pytest.mark.skipif(module.native is None, reason="installed without a compiler")
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 90), st.integers(1, 20), st.sampled_from([np.inf, 3.0]))
def test_compiled_and_in_numpy_the_same(seed, frames, block, width):
    log_probs, text = random_case(seed, frames, max(1, frames // 4))
    if seed % 2:
        log_probs = np.round(log_probs)  # paths of equal score
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        path, score = viterbi(log_probs, text, width=width)
        patch.setattr(module, "native", None)
        wanted = viterbi(log_probs, text, width=width)
    assert path.tolist() == wanted[0].tolist() and score == wanted[1]


def test_no_path():
    assert viterbi(np.log(np.full((2, 3), 1 / 3, np.float32)), [1, 1])[1] == -np.inf


@pytest.mark.parametrize("seed", range(5))
def test_torchaudio_finds_the_same_path(seed):
    try:
        from torchaudio.functional import forced_align
    except Exception as error:  # ImportError, or OSError where its library does not load
        pytest.skip(f"torchaudio does not load: {error}")
    log_probs, text = random_case(seed, 700, 120, symbols=8)
    labels, scores = forced_align(torch.from_numpy(log_probs)[None], torch.tensor([text]))
    path, score = viterbi(log_probs, text)
    assert score == pytest.approx(float(scores.sum()), abs=1e-2)
    assert emitted(path, text) == labels[0].tolist()


def test_a_column_for_the_blanks_between_words():
    """Two frames of symbol 3 belong to no word: with the column of ones they cost nothing."""
    rows = np.full((6, 5), -8.0, np.float32)
    rows[[0, 1, 2, 3, 4, 5], [1, 0, 3, 3, 2, 0]] = 0.0
    rows[:, 4] = 0.0
    path, score = viterbi(rows, [1, 2], np.array([0, 4, 0]))
    assert path.tolist() == [1, 2, 2, 2, 3, 4] and score == 0.0


def test_a_long_recording_needs_little_memory():
    """Ten minutes with their text: the trellis would be 15,000 x 20,001 steps."""
    rng = np.random.default_rng(0)
    text = rng.integers(1, 29, 5_000).tolist()
    log_probs = np.full((15_000, 29), -9.0, np.float32)
    log_probs[np.arange(0, 15_000, 3), text] = 0.0
    log_probs[np.arange(1, 15_000, 3), 0] = log_probs[np.arange(2, 15_000, 3), 0] = 0.0
    tracemalloc.start()
    path, score = viterbi(log_probs, text, width=1000.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert score == pytest.approx(0, abs=1e-3) and path[::3].tolist() == list(range(1, 10_000, 2))
    assert peak < 10e6
