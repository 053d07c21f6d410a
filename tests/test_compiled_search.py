"""The compiled lexicon search against the one in Python, which is its specification."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.language.kneser_ney import TrainingOptions, train
from asr.search import decoder
from asr.search.base import LexiconOptions
from asr.search.hotwords import Hotword, HotwordScorer
from asr.search.tree import LexiconSearch
from asr.search.words import CompiledSearch
from tests.test_lexicon import LEXICON, PHONEMES, SENTENCES, random_log_probs

pytestmark = pytest.mark.skipif(decoder.native is None, reason="installed without a compiler")
WITH_NEW = [*LEXICON, ("sepp", "S EH P"), ("bats", "B AA T S")]
HOTWORDS = HotwordScorer([Hotword("pear tea", 5.0), Hotword("sepp", 8.0), Hotword("pear tree bee", 3.0)])
# Of words that sound alike one is always the likelier: of two that are equally likely each search may keep another.
UNEQUAL = [*SENTENCES, "tea pear", "pairs pear", "bee pear the pear", "tree bear", "tea bear", "bee bear"]
MODELS = [train(UNEQUAL, TrainingOptions(order=n, min_word=1, min_counts=(1,) * n)) for n in (1, 2, 3)]


def both(
    order: int, options: LexiconOptions, hotwords: HotwordScorer = HotwordScorer(), log_prior=None
) -> list[LexiconSearch]:
    arguments = (PHONEMES, WITH_NEW, MODELS[order - 1], options, log_prior, hotwords)
    return [LexiconSearch(*arguments), CompiledSearch(*arguments)]


def rounded(hypotheses) -> dict[str, list[float]]:
    return {h.text: pytest.approx([h.score, h.acoustic, h.language], abs=1e-9) for h in hypotheses}


def scores(hypotheses) -> dict[str, list[float]]:
    return {h.text: [h.score, h.acoustic, h.language] for h in hypotheses}


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 40), st.integers(0, 10**6), st.sampled_from([0.7, 1.5, 4.0]), st.integers(1, 3),
    st.sampled_from([1, 3, 16, 200]), st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip
def test_the_same_texts_and_scores(frames, seed, sharpness, order, beam, recombine, ahead, hot):
    log_probs = random_log_probs(frames, len(PHONEMES) + 1, seed, sharpness)
    options = LexiconOptions(beam=beam, recombine=recombine, look_ahead=ahead, sure_blank=0.9, word_bonus=0.3)
    prior = random_log_probs(1, len(PHONEMES) + 1, 1)[0] if seed % 2 else None
    slow, fast = both(order, options, HOTWORDS if hot else HotwordScorer(), prior)
    states = [search.feed(search.start(), log_probs) for search in (slow, fast)]
    for n, shown in ((1, True), (60, True), (60, False)):
        expected, found = (search.finish(state, n, shown) for search, state in zip((slow, fast), states))
        assert scores(found) == rounded(expected)
    assert fast.partial(states[1]) == slow.partial(states[0])


def test_the_best_come_first_and_no_more_than_asked_for():
    log_probs = random_log_probs(30, len(PHONEMES) + 1, 5)
    slow, fast = (search(log_probs, n=4) for search in both(3, LexiconOptions()))
    assert [h.text for h in fast] == [h.text for h in slow]
    assert len(fast) == 4


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=5), st.booleans())
def test_any_cut_gives_the_same_and_a_state_can_be_gone_on_from_twice(cuts, hot):
    log_probs = random_log_probs(30, len(PHONEMES) + 1, 3)
    search = both(3, LexiconOptions(beam=8), HOTWORDS if hot else HotwordScorer())[1]
    whole = search(log_probs, n=5)
    state = search.start()
    for piece in np.split(log_probs, sorted(cuts)):
        search.feed(state, log_probs[:7])  # leaves the state as it was
        state = search.feed(state, piece)
    assert search.finish(state, 5) == whole


def test_errors_are_those_of_the_other():
    with pytest.raises(ValueError, match="shape"):
        both(2, LexiconOptions())[1](np.zeros((3, 4), np.float32))
    with pytest.raises(TypeError, match="not a state"):
        both(2, LexiconOptions())[1].finish("state")


def test_an_error_in_a_hotword_comes_through(monkeypatch):
    search = both(2, LexiconOptions(), HOTWORDS)[1]
    monkeypatch.setattr(HOTWORDS, "after", lambda spot, word: 1 / 0, raising=False)
    with pytest.raises(ZeroDivisionError):
        search(random_log_probs(30, len(PHONEMES) + 1, 3))


def test_it_is_chosen_where_it_can_be(monkeypatch):
    assert decoder.words_search(MODELS[2]) is CompiledSearch
    monkeypatch.setattr(decoder, "native", None)
    assert decoder.words_search(MODELS[2]) is LexiconSearch
