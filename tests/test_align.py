"""Forced alignment on log-probabilities whose times are known by construction."""

import itertools
import math

import numpy as np
import pytest

from asr.align import MARGIN, AlignError, align, viterbi
from asr.text import BLANK, Alphabet, collapse

ALPHABET = Alphabet()


def spoken(frames: int, at: dict[int, str], sure: float = 0.9) -> np.ndarray:
    """Log-probabilities (frames, V) of blanks, but for the given letters at the given frames."""
    rows = np.full((frames, len(ALPHABET)), (1 - sure) / (len(ALPHABET) - 1), np.float32)
    best = np.zeros(frames, int)
    for frame, letter in at.items():
        best[frame] = ALPHABET.index(letter)
    rows[np.arange(frames), best] = sure
    return np.log(rows)


def test_words_stand_where_their_letters_are():
    log_probs = spoken(40, {10: "n", 12: "o", 15: " ", 18: "w", 19: "a", 22: "y"})
    no, way = align(log_probs, "no way", ALPHABET)
    assert (no.word, way.word) == ("no", "way")
    assert (no.start_frame, no.end_frame) == (10 - MARGIN, 13 + MARGIN)
    assert (way.start_frame, way.end_frame) == (18 - MARGIN, 23 + MARGIN)
    assert no.confidence == pytest.approx(0.9, abs=1e-3)


def test_close_words_share_the_gap_and_edges_stay_inside():
    at = {0: "a", 1: " ", 2: "b", 3: "e", 5: " ", 6: "a"}
    words = align(spoken(7, at), "a be a", ALPHABET)
    assert words[0].start_frame == 0 and words[-1].end_frame == 7
    for earlier, later in itertools.pairwise(words):
        assert earlier.start_frame < earlier.end_frame <= later.start_frame


def test_doubled_letters_and_long_letters():
    log_probs = spoken(12, {1: "s", 2: "e", 3: "e", 5: "e", 6: "e"})
    (word,) = align(log_probs, "see", ALPHABET)
    assert (word.start_frame, word.end_frame) == (0, 7 + MARGIN)


def test_a_word_never_said_has_a_low_confidence():
    log_probs = spoken(30, {5: "y", 7: "e", 9: "s"})
    said = align(log_probs, "yes", ALPHABET)[0].confidence
    unsaid = align(log_probs, "no", ALPHABET)[0].confidence
    assert said > 0.8 and unsaid < 0.05


def test_best_path_equals_brute_force():
    rng = np.random.default_rng(0)
    alphabet = Alphabet("ab")
    for text in ("a", "ab", "aa", "aba", "abb"):
        log_probs = np.log(rng.dirichlet(np.ones(3), 6)).astype(np.float32)
        letters = alphabet.encode(text)
        truth = max(
            sum(log_probs[t, k] for t, k in enumerate(path))
            for path in itertools.product(range(3), repeat=6)
            if collapse(path) == letters
        )
        path, score = viterbi(log_probs, letters)
        assert score == pytest.approx(truth, abs=1e-4)
        labels = [0 if s % 2 == 0 else letters[s // 2] for s in path]
        assert collapse(labels) == letters
        assert sum(log_probs[t, k] for t, k in enumerate(labels)) == pytest.approx(truth, abs=1e-4)


def test_text_that_fits_exactly():
    log_probs = np.log(np.full((4, 3), 1 / 3, np.float32))
    (word,) = align(log_probs, "abb", Alphabet("ab"))
    assert (word.start_frame, word.end_frame) == (0, 4)


@pytest.mark.parametrize(
    ("text", "says"), [("far too long", "13 frames"), ("all", "4 frames and .* has 3"), ("né", "'é'")]
)
def test_errors_say_what_is_wrong(text, says):
    with pytest.raises(AlignError, match=says):
        align(spoken(3, {}), text, ALPHABET)


def test_impossible_text_is_refused():
    log_probs = np.full((5, 3), -math.inf, np.float32)
    log_probs[:, 0] = 0.0
    with pytest.raises(AlignError, match="rules this text out"):
        align(log_probs, "a", Alphabet("ab"))


def test_no_words():
    assert align(spoken(5, {}), "  ", ALPHABET) == []


def test_a_long_text_can_be_aligned():
    """More than 127 states: the steps are kept in a byte each, the states are not."""
    text = " ".join(["the quick brown fox"] * 12)
    letters = [i for letter in text for i in (ALPHABET.index(letter), BLANK)]
    log_probs = np.full((len(letters), len(ALPHABET)), -20.0, np.float32)
    log_probs[np.arange(len(letters)), letters] = 0.0
    words = align(log_probs, text, ALPHABET)
    assert [w.word for w in words] == text.split()
    assert words[-1].start_frame >= 2 * (len(text) - 3) - 2
