"""Spotting a phrase in CTC output: where it is, where it is not, any cut of the stream."""

from itertools import groupby, product
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.search import ctc_paths
from asr.search.ctc_paths import Keyword


def said(symbols: str, sure: float = 0.9) -> np.ndarray:
    """Log-probabilities (T, 4) of a model that hears these symbols, "-" the blank."""
    rows = np.full((len(symbols), 4), (1 - sure) / 3)
    for row, c in zip(rows, symbols):
        row["-abc".index(c)] = sure
    return np.log(rows)


def score(word: str, heard: np.ndarray) -> np.ndarray:
    keyword = Keyword([tuple("-abc".index(c) for c in word)])
    return keyword.feed(heard, keyword.start())[0]


@pytest.mark.parametrize("heard", ["-a-bb-c--", "cc-abc", "b-aaabc-b", "a--b--c"])
def test_a_phrase_that_is_heard_scores_one_at_its_end(heard):
    scores = score("abc", said(heard))
    assert scores.max() == pytest.approx(1)
    assert scores.argmax() == heard.rindex("abc"[-1]) or heard[scores.argmax()] == "c"


@pytest.mark.parametrize("word, heard", [("abc", "-a-b-"), ("abc", "c-b-a"), ("aa", "-aaa-"), ("abc", "------")])
def test_what_is_not_said_scores_low(word, heard):
    assert score(word, said(heard)).max() < 0.6


def best_path(word: str, heard: np.ndarray) -> float:
    """By brute force: the best of all paths through the last frames that collapse to the word."""
    relative, best = heard - heard.max(-1, keepdims=True), -np.inf
    for length in range(1, len(heard) + 1):
        for path in product(range(4), repeat=length):
            letters = "".join("-abc"[k] for k, _ in groupby(path))
            if letters.replace("-", "") == word and path[0] != 0 and path[-1] != 0:
                best = max(best, sum(relative[len(heard) - length + i, k] for i, k in enumerate(path)))
    return best


@given(st.integers(0, 1000))
def test_the_best_of_all_paths(seed):
    rng = np.random.default_rng(seed)
    heard = np.log(rng.dirichlet(np.ones(4), 4))
    word = str(rng.choice(["ab", "aa", "a", "bca"]))
    assert np.log(score(word, heard)[-1] + 1e-30) * len(word) == pytest.approx(
        max(best_path(word, heard), -60), abs=0.1
    )


@given(st.lists(st.integers(0, 40), max_size=5), st.integers(0, 100))
def test_any_cut(cuts, seed):
    heard = np.log(np.random.default_rng(seed).dirichlet(np.ones(4), 40))
    keyword, parts = Keyword([(1, 2, 2)]), []
    state = keyword.start()
    for part in np.split(heard, sorted(cuts)):
        scores, state = keyword.feed(part, state)
        parts.append(scores)
    assert np.array_equal(np.concatenate(parts), keyword.feed(heard, keyword.start())[0])


@given(st.integers(0, 100))
def test_compiled_and_not_it_scores_alike(seed):
    heard = np.log(np.random.default_rng(seed).dirichlet(np.ones(4), 40)).astype(np.float32)
    keyword = Keyword([(1, 2, 2), (3,)])
    found = keyword.feed(heard, keyword.start())
    with patch.object(ctc_paths, "native", None):
        scores, state = keyword.feed(heard, keyword.start())
    assert np.array_equal(found[0], scores) and np.array_equal(found[1], state)


def test_an_empty_keyword_is_refused():
    with pytest.raises(ValueError, match="at least one symbol"):
        Keyword([()])


@given(st.integers(0, 100))
def test_several_ways_score_as_the_best_of_them_alone(seed):
    heard = np.log(np.random.default_rng(seed).dirichlet(np.ones(4), 30))
    ways = [(1, 2), (3,), (2, 2, 1, 3)]
    together = Keyword(ways)
    apart = [k.feed(heard, k.start())[0] for k in (Keyword([way]) for way in ways)]
    assert np.allclose(together.feed(heard, together.start())[0], np.max(apart, axis=0))
