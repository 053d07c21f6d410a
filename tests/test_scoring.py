"""Scoring: errors, rates and their interval; and what the speaking recipe must leave out."""

import lzma

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import Error
from asr.score import Edits, errors, interval, rate, wer, word_errors
from recipes.english.synthesize import speakable_lines

sentences = st.lists(st.sampled_from(["the", "cat", "sat", "mat"]), max_size=8).map(" ".join)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "wrong"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("", "", 0), (["a", "b"], ["a", "b"], 0)],
)
def test_errors(reference, hypothesis, wrong):
    assert errors(reference, hypothesis) == wrong


@given(st.lists(st.tuples(sentences.filter(bool), sentences), min_size=1, max_size=6))
def test_rate_is_jiwers(pairs):
    references, hypotheses = map(list, zip(*pairs))
    wrong, total = word_errors(references, hypotheses)
    assert wrong.shape == total.shape == (len(pairs),)
    assert rate(wrong, total) == pytest.approx(jiwer.wer(references, hypotheses))


def test_words_where_nothing_is_said_are_errors():
    wrong, total = word_errors(["", "a b"], ["x", "a b"])
    assert wrong.tolist() == [1, 0] and total.tolist() == [0, 2] and rate(wrong, total) == 0.5
    assert rate(*word_errors(["", ""], ["", "x y"])) == 2.0  # nothing to divide by: errors are counted
    with pytest.raises(ValueError):
        word_errors(["a"], [])


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=50))
def test_interval_holds_the_rate(pairs):
    wrong, total = np.array(pairs).T
    low, high = interval(wrong, total, samples=300)
    assert low - 1e-9 <= rate(wrong, total) <= high + 1e-9 or len(pairs) < 10
    assert low <= high and (low, high) == interval(wrong, total, samples=300)


def test_interval_is_about_as_wide_as_theory_says():
    rng = np.random.default_rng(1)
    wrong, total = rng.binomial(10, 0.2, 400), np.full(400, 10)
    low, high = interval(wrong, total)
    half = 1.96 * wrong.std() / 10 / np.sqrt(400)
    assert low == pytest.approx(rate(wrong, total) - half, abs=0.002)
    assert high == pytest.approx(rate(wrong, total) + half, abs=0.002)
    few = interval(wrong[:20], total[:20])
    assert few[1] - few[0] > 2 * (high - low)


def test_interval_of_equal_utterances_is_a_point():
    assert interval(np.full(5, 1), np.full(5, 4)) == (0.25, 0.25)


LINES = [
    "The cat sat on the mat.",
    "It’s a fine day, isn't it?",
    "A held out sentence, said otherwise!",
    "Alone",  # one word
    "He was born in 1974.",  # digits
    "NASA launched it.",  # an abbreviation is read letter by letter
    "Mr. Smith went home.",
    "word " * 25,
    "Un café noir, please.",  # letters some voice may drop
    "",
]


def test_only_lines_that_every_voice_reads_as_written_and_none_held_out(tmp_path):
    path = tmp_path / "sentences.txt.xz"
    path.write_bytes(lzma.compress("\n".join(LINES).encode()))
    assert speakable_lines(path, {"a held out sentence said otherwise"}) == LINES[:2]
    assert speakable_lines(path, set()) == LINES[:3]


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors"),
    [
        ("the cat sat", "The cat, sat!", 0),
        ("20", "30", 1),
        ("20", "20", 0),
        ("I have 20 apples", "i have 30 apples", 1),
        ("привет мир", "пока", 2),
        ("привет", "Привет!", 0),
        ("thirty", "", 1),
        ("caf\u00e9", "cafe", 0),
        ("20-30", "20 30", 0),
        ("20kg", "30kg", 1),
    ],
)
def test_words_without_a_letter_of_the_alphabet_count(reference, hypothesis, errors):
    assert wer(reference, hypothesis).edits.total == errors


def test_a_score_of_several_texts_has_an_interval():
    found = wer(["the cat sat"] * 20 + ["a mat"], ["the cat sat"] * 20 + ["a rat"])
    assert found.wer == pytest.approx(1 / 62) and found.low <= found.wer <= found.high < 0.1
    assert (found.edits, found.utterances) == (Edits(1, 0, 0, 62), 21)


def test_nothing_to_compare_is_one_sentence():
    with pytest.raises(Error, match="2 references and 1 hypotheses"):
        wer(["a", "b"], "a")
    for nothing in ([], "", ["...", "-"]):
        with pytest.raises(Error, match="hold no words"):
            wer(nothing, nothing)
