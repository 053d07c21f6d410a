"""What is shown while speech goes on: stable words begin every later hypothesis; portions decode as the whole."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asr
from asr.language.kneser_ney import TrainingOptions, train
from asr.search.base import Greedy, LexiconOptions, SearchOptions
from asr.search.decoder import Decoder, DecoderOptions
from asr.search.letters import LetterSearch
from asr.search.tree import LexiconSearch
from asr.text import Alphabet

ALPHABET = Alphabet("ab ")
PHONEMES = ("P", "EH", "R", "T", "IY")
LEXICON = [("pear", "P EH R"), ("pair", "P EH R"), ("pet", "P EH T"), ("tea", "T IY"), ("tee", "T IY"), ("eat", "IY T")]
LETTERS = LetterSearch(ALPHABET, SearchOptions(beam=8))
WORDS = LexiconSearch(
    PHONEMES,
    LEXICON,
    train(["eat a pear", "pair tea", "pet eat tea"], TrainingOptions(order=2, min_word=1, min_counts=(1, 1))),
    LexiconOptions(beam=8),
)


def log_probs(frames: int, symbols: int, seed: int) -> np.ndarray:
    logits = 2.5 * np.random.default_rng(seed).normal(size=(frames, symbols))
    return (logits - np.log(np.exp(logits).sum(-1, keepdims=True))).astype(np.float32)


def spoken(path: str) -> np.ndarray:
    """Log-probabilities of a path of phonemes; _ is the blank."""
    best = [0 if p == "_" else 1 + PHONEMES.index(p) for p in path.split()]
    return np.log(np.eye(6, dtype=np.float32)[best] * 0.94 + 0.01)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 60), min_size=1, max_size=8), st.booleans())
def test_stable_words_begin_everything_that_follows(seed, cuts, in_words):
    search, symbols = (WORDS, 6) if in_words else (LETTERS, 4)
    state, before = search.start(), []
    for portion in np.split(log_probs(60, symbols, seed), sorted(cuts)):
        state = search.feed(state, portion)
        words, stable = search.partial(state)
        assert list(words[: len(before)]) == before and stable >= len(before)
        before = list(words[:stable])
    for hypothesis in search.finish(state, n=100):
        assert hypothesis.text.split()[: len(before)] == before


def test_words_are_stable_as_soon_as_the_beam_agrees():
    state = WORDS.feed(WORDS.start(), spoken("P _ EH R"))
    assert WORDS.partial(state) in ((("pear",), 0), (("pair",), 0))
    state = WORDS.feed(state, spoken("_ IY T _ T"))
    words, stable = WORDS.partial(state)
    assert words[-1] == "eat" and stable <= 1  # pear or pair, that is not clear yet


def test_letters():
    def after(text: str, search=LETTERS):
        rows = np.log(np.eye(4, dtype=np.float32)[[ALPHABET.index(c) for c in text]] * 0.9999 + 2e-5)
        return search.partial(search.feed(search.start(), rows))

    assert after("ab") == (("ab",), 0) and after("ab ") == (("ab",), 1) and after("ab ba") == (("ab", "ba"), 1)
    assert after("", Greedy(ALPHABET)) == ((), 0) and after("ab ba", Greedy(ALPHABET)) == (("ab", "ba"), 1)


@pytest.mark.parametrize(
    "options", [DecoderOptions(beam=1), DecoderOptions(8, lexicon=False, n_best=3), DecoderOptions(8, n_best=3)]
)
def test_a_decoder_in_portions_as_at_once(options):
    model = asr.load(options=asr.RecognizerOptions(DecoderOptions(beam=1))).model
    decoder = Decoder(model, {}, options)
    posteriors = log_probs(40, len(model.alphabet), 1), log_probs(40, len(model.options.phonemes) + 1, 2)
    state = decoder.start()
    for some in zip(*(np.split(h, [0, 7, 8, 30]) for h in posteriors)):
        state = decoder.feed(state, *some)
        decoder.partial(state)  # looking on the way changes nothing
    found, whole = decoder.finish(state, shown=False), decoder(*posteriors)
    assert [h.text for h in found] == [h.text for h in whole]
    assert all(math.isclose(a.score, b.score, abs_tol=1e-3) for a, b in zip(found, whole))
