"""The compiled index of words: a dict in what it answers."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.native import search as native

pytestmark = pytest.mark.skipif(native is None, reason="installed without a compiler")
WORDS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), unique=True, max_size=60)


@given(WORDS, WORDS)
def test_as_a_dict(words, others):
    index, places = native.Index(words), {word: i for i, word in enumerate(words)}
    asked = others + words
    assert [index.get(word) for word in asked] == [places.get(word) for word in asked]
    assert [word in index for word in asked] == [word in places for word in asked]
    assert [index[word] for word in words] == [*places.values()] and [*index] == words and len(index) == len(words)
    found, same = np.empty(len(asked), np.int64), list(asked)
    index.find(same, found)
    assert found.tolist() == [places.get(word, -1) for word in asked] and same == asked
    assert all(word is words[place] for word, place in zip(same, found.tolist()) if place >= 0)
    assert [pickle.loads(pickle.dumps(index)).get(word) for word in asked] == [places.get(word) for word in asked]


def test_what_is_no_word():
    index = native.Index(["pear"])
    assert 3 not in index and index.get(None) is None
    with pytest.raises(KeyError, match="apple"):
        index["apple"]
    with pytest.raises(TypeError):
        native.Index(["pear", 3])
    with pytest.raises(UnicodeEncodeError):
        native.Index(["\ud800"])
    with pytest.raises(ValueError):
        index.find(["pear"], np.empty(2, np.int64))
    with pytest.raises(ValueError):
        native.Index.__new__(native.Index)["pear"]
