"""Greedy decoding and prefix beam search, against brute force and over any cut of the frames."""

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.search.base import SearchOptions, greedy
from asr.search.letters import LetterSearch
from asr.text import Alphabet

ALPHABET = Alphabet()
EXACT = SearchOptions(beam=10**6, sure_blank=2.0, least_symbol=0.0, symbols=100, width=math.inf)


class Bigrams:
    """A toy language model: ln probabilities of word pairs, and a floor for the others."""

    def __init__(self, pairs: dict[tuple[str, str], float], floor: float = -6.0):
        self.pairs, self.floor = pairs, floor
        self.words = {w for pair in pairs for w in pair}

    def start(self) -> str:
        return "<s>"

    def score(self, state: str, word: str) -> tuple[float, str]:
        return self.pairs.get((state, word), self.floor), word

    def end(self, state: str) -> float:
        return self.pairs.get((state, "</s>"), self.floor)

    def __contains__(self, word: str) -> bool:
        return word in self.words

    def best_completion(self, beginning: str) -> float | None:
        scores = [p for (_, w), p in self.pairs.items() if w.startswith(beginning)]
        return max(scores, default=None)


def random_log_probs(frames: int, symbols: int, seed: int, sharpness: float = 1.0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(frames, symbols)) * sharpness
    return (logits - np.log(np.exp(logits).sum(-1, keepdims=True))).astype(np.float32)


def spell(path: str, sure: float = 0.95) -> np.ndarray:
    """Log-probabilities of a path written with _ for the blank."""
    best = [0 if c == "_" else ALPHABET.index(c) for c in path]
    rows = np.full((len(path), len(ALPHABET)), (1 - sure) / (len(ALPHABET) - 1))
    rows[np.arange(len(path)), best] = sure
    return np.log(rows).astype(np.float32)


def brute_force(log_probs: np.ndarray, alphabet: Alphabet) -> dict[str, float]:
    """Text -> probability, summed over all alignments."""
    probs, totals = np.exp(log_probs.astype(np.float64)), defaultdict(float)
    for path in itertools.product(range(len(alphabet)), repeat=len(probs)):
        text = alphabet.decode(k for k, _ in itertools.groupby(path))
        totals[" ".join(text.split())] += math.prod(probs[t, k] for t, k in enumerate(path))
    return totals


def test_greedy_follows_the_collapse_rule():
    best = greedy(spell("_hhe_ll_lo__  wo_orr_ld"), ALPHABET)
    assert best.text == "hello woorld"
    assert best.score == pytest.approx(23 * math.log(0.95), abs=1e-4)
    assert greedy(spell("")[:0], ALPHABET).text == ""


@pytest.mark.parametrize("seed", range(4))
def test_wide_beam_equals_brute_force(seed):
    alphabet = Alphabet("ab ")
    log_probs = random_log_probs(6, 4, seed)
    truth = brute_force(log_probs, alphabet)
    found = LetterSearch(alphabet, EXACT)(log_probs, n=10**6)
    assert {h.text for h in found} == set(truth)
    for hypothesis in found:
        assert hypothesis.acoustic == pytest.approx(math.log(truth[hypothesis.text]), abs=1e-5)
        assert hypothesis.score == hypothesis.acoustic and hypothesis.language == 0.0
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


@pytest.mark.parametrize("look_ahead", [False, True])
def test_fusion_equals_brute_force(look_ahead):
    alphabet = Alphabet("ab ")
    log_probs = random_log_probs(6, 4, seed=7)
    lm = Bigrams({("<s>", "ab"): -1.0, ("ab", "a"): -0.5, ("a", "</s>"): -0.2, ("<s>", "a"): -2.0})
    options = SearchOptions(**{**vars(EXACT), "look_ahead": look_ahead, "lm_weight": 0.7, "word_bonus": 0.3})
    found = {h.text: h for h in LetterSearch(alphabet, options, lm)(log_probs, n=10**6)}
    for text, probability in brute_force(log_probs, alphabet).items():
        state, language = lm.start(), 0.0
        for word in text.split():
            score, state = lm.score(state, word)
            language += score + (0 if word in lm else options.unknown * len(word))
        language += lm.end(state)
        assert found[text].language == pytest.approx(language)
        expected = math.log(probability) + 0.7 * language + 0.3 * len(text.split())
        assert found[text].score == pytest.approx(expected, abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 60), max_size=6))
def test_any_cut_gives_the_same_result(seed, cuts):
    log_probs = random_log_probs(60, len(ALPHABET), seed, sharpness=4.0)
    log_probs[20:30] = spell("_" * 10, sure=0.9999)  # a pause
    lm = Bigrams({("<s>", "a"): -1.0, ("a", "a"): -1.5, ("a", "</s>"): -1.0})
    search = LetterSearch(ALPHABET, SearchOptions(beam=8), lm)
    state = search.start()
    for block in np.split(log_probs, sorted(cuts)):
        state = search.feed(state, block)
        search.finish(state)  # looking on the way changes nothing
    assert search.finish(state, 5) == search(log_probs, n=5)


def test_a_state_is_a_value():
    search = LetterSearch(ALPHABET)
    common = search.feed(search.start(), spell("th"))
    one = search.feed(common, spell("_e"))
    two = search.feed(common, spell("is"))
    assert [search.finish(s)[0].text for s in (common, one, two)] == ["th", "the", "this"]


def test_frames_that_are_surely_blank_still_separate_doubled_letters():
    log_probs = np.concatenate([spell("se"), spell("___", sure=0.99999), spell("e")])
    assert LetterSearch(ALPHABET)(log_probs)[0].text == "see"


def test_long_silence_costs_no_search(monkeypatch):
    def no_step(*_):
        raise AssertionError("searched a silent frame")

    monkeypatch.setattr(LetterSearch, "_step", no_step)
    (best,) = LetterSearch(ALPHABET)(spell("_" * 500, sure=0.99999))
    assert best.text == "" and best.acoustic == pytest.approx(500 * math.log(0.99999), rel=1e-2)


def test_the_language_model_picks_the_pear():
    log_probs = spell("ap_ple and pai__r")
    for frame, letter, p in ((12, "e", 0.35), (13, "a", 0.35)):  # "pear" is heard too, less clearly
        log_probs[frame, ALPHABET.index(letter)] = math.log(p)
    pairs = {("<s>", "apple"): -3, ("apple", "and"): -2, ("and", "pear"): -4, ("and", "pair"): -9}
    assert greedy(log_probs, ALPHABET).text == "apple and pair"
    assert LetterSearch(ALPHABET)(log_probs)[0].text == "apple and pair"
    best, second, *_ = LetterSearch(ALPHABET, lm=Bigrams(pairs))(log_probs, n=5)
    assert (best.text, second.text) == ("apple and pear", "apple and pair")


def test_clear_words_the_model_does_not_know_stay_possible():
    log_probs = spell("the zyx_xy", sure=0.999)
    lm = Bigrams({("<s>", "the"): -1.0, ("the", "fox"): -1.0, ("fox", "</s>"): -1.0})
    assert LetterSearch(ALPHABET, lm=lm)(log_probs)[0].text == "the zyxxy"


def test_alphabet_without_a_space():
    alphabet = Alphabet(["K", "AE", "T"])
    log_probs = np.log(np.eye(4, dtype=np.float32)[[1, 0, 2, 3]] * 0.9 + 0.025)
    assert LetterSearch(alphabet)(log_probs)[0].text == "KAET"


def test_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="needs \\(frames, 29\\)"):
        LetterSearch(ALPHABET)(np.zeros((5, 30), np.float32))
