"""Forced alignment on log-probabilities whose times are known by construction, and on speech of known times."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr import audio
from asr.align.words import AlignError, Sound, align, loudness
from asr.recognizer import load
from asr.search.ctc_paths import viterbi
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
    assert (no.start_frame, no.end_frame) == (10, 13 + 2)  # 80 ms
    assert (way.start_frame, way.end_frame) == (18, 23 + 2)
    at_20_ms = align(log_probs, "no way", ALPHABET, Sound(stride=2))
    assert [(w.start_frame, w.end_frame) for w in at_20_ms] == [(10, 13 + 4), (18, 23 + 4)]
    assert no.confidence == pytest.approx(0.9, abs=1e-3)


def test_close_words_touch_and_edges_stay_inside():
    at = {0: "a", 1: " ", 2: "b", 3: "e", 5: " ", 6: "a"}
    words = align(spoken(7, at), "a be a", ALPHABET)
    assert words[0].start_frame == 0 and words[-1].end_frame == 7
    for earlier, later in itertools.pairwise(words):
        assert earlier.start_frame < earlier.end_frame == later.start_frame


def test_doubled_letters_and_long_letters():
    log_probs = spoken(12, {1: "s", 2: "e", 3: "e", 5: "e", 6: "e"})
    (word,) = align(log_probs, "see", ALPHABET)
    assert (word.start_frame, word.end_frame) == (1, 7 + 2)


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


def tones(frames: int, words: list[tuple[int, int]], noise: float = -60.0) -> np.ndarray:
    """Loudness (frames,) in dB: words [from, to) at -20, else noise."""
    level = np.full(frames, noise)
    for begin, end in words:
        level[begin:end] = -20
    return level


def test_phonemes_give_the_times_and_letters_the_confidence():
    letters = spoken(40, {8: "n", 12: "o", 15: " ", 20: "w", 21: "a", 24: "y"}, sure=0.8)
    phonemes = spoken(40, {10: "c", 13: "d", 18: "e", 22: "f"})
    words = [[ALPHABET.index(x) for x in word] for word in ("cd", "ef")]
    no, way = align(letters, "no way", ALPHABET, Sound(phonemes, words))
    assert (no.start_frame, no.end_frame, way.start_frame) == (10, 14 + 2, 18)
    assert no.confidence == pytest.approx(0.8, abs=1e-3)


def test_more_phonemes_than_frames_leave_it_to_the_letters():
    letters = spoken(6, {1: "n", 3: "o"})
    assert align(letters, "no", ALPHABET, Sound(letters, [[1] * 7])) == align(letters, "no", ALPHABET)


def test_words_begin_and_end_with_their_pauses():
    log_probs = spoken(60, {10: "n", 12: "o", 15: " ", 30: "a", 32: "y"})
    no, ay = align(log_probs, "no ay", ALPHABET, Sound(loudness=tones(240, [(43, 71), (117, 141)])))
    times = [4 * x for word in (no, ay) for x in (word.start_frame, word.end_frame)]
    assert times == pytest.approx([43, 71, 117, 141], abs=1)


def test_digital_silence_before_a_recording_is_not_all_of_the_pause():
    log_probs, heard = spoken(60, {30: "a", 32: "y"}), tones(240, [(117, 141)])
    heard[:60] = -80
    (word,) = align(log_probs, "ay", ALPHABET, Sound(loudness=heard))
    assert 4 * word.start_frame == pytest.approx(117, abs=1)


def test_the_first_word_begins_after_a_click_not_before_it():
    log_probs, heard = spoken(60, {30: "a", 32: "y"}), tones(240, [(62, 66), (117, 141)])
    (word,) = align(log_probs, "ay", ALPHABET, Sound(loudness=heard))
    assert 4 * word.start_frame == pytest.approx(117, abs=1)


def test_noise_is_no_pause_and_neither_is_the_closure_of_a_stop():
    log_probs = spoken(60, {10: "n", 12: "o", 15: " ", 30: "a", 32: "y"})
    plain = align(log_probs, "no ay", ALPHABET)
    noisy = tones(240, [(43, 71), (117, 141)], noise=-30.0)
    assert align(log_probs, "no ay", ALPHABET, Sound(loudness=noisy)) == plain
    stops = tones(240, [(0, 60), (65, 90), (95, 240)])
    assert align(log_probs, "no ay", ALPHABET, Sound(loudness=stops)) == plain


@settings(max_examples=200)
@given(st.data())
def test_words_stay_in_order_whatever_is_heard(data):
    frames = data.draw(st.integers(14, 60))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    log_probs = np.log(rng.dirichlet(np.full(len(ALPHABET), 0.2), frames) + 1e-9)
    heard = rng.choice([-60.0, -20.0], 4 * frames - rng.integers(4), p=[0.6, 0.4]).repeat(9)[: 4 * frames]
    words = align(log_probs, "a be i see", ALPHABET, Sound(loudness=heard))
    for earlier, later in itertools.pairwise(words):
        assert earlier.start_frame < earlier.end_frame <= later.start_frame
    assert 0 <= words[0].start_frame and words[-1].start_frame < words[-1].end_frame <= frames


def test_loudness():
    frames = np.log(np.full((6, 4), 0.25))
    assert loudness(frames) == pytest.approx(np.zeros(6), abs=1e-6)
    assert loudness(frames[:0]).shape == (0,)


def test_the_packaged_model_finds_words_whose_times_are_known():
    """Synthetic speech, by the synthesiser's own durations: see tests/data/README.md."""
    folder, recognizer = Path(__file__).parent / "data", load()
    row = json.loads((folder / "timed.json").read_text())
    frames = recognizer.model.frontend(audio.load(str(folder / "timed.opus")))
    ((letters, phonemes),) = recognizer.log_probs([frames])
    text = " ".join(word for word, _, _ in row["words"])
    options = recognizer.model.options
    sound = Sound(phonemes, recognizer.decoder.pronounced(text), loudness(frames), options.stride)
    assert len(sound.words) == len(row["words"])
    found = align(letters, text, recognizer.model.alphabet, sound)
    frame = options.frame_seconds
    wrong = [(a.start_frame * frame - s, a.end_frame * frame - e) for a, (_, s, e) in zip(found, row["words"])]
    assert np.abs(np.median(wrong, axis=0)).max() < 0.03  # no bias
    assert np.median(np.abs(wrong)) < 0.04 and np.percentile(np.abs(wrong), 90) < 0.1


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
