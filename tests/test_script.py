"""asr.align.recording: words as they are written and as they are said; what has to be written otherwise."""

import pytest

from asr.align.recording import Token, tokens
from asr.errors import UsageError


def test_words_keep_how_they_are_written():
    found = tokens("“Well-known,” he said —\nCafé’s open!\n")
    assert found[0] == Token("“Well-known,”", ("well", "known"))
    assert [t.written for t in found] == ["“Well-known,”", "he", "said", "Café’s", "open!"]
    assert found[3].said == ("cafe's",)


@pytest.mark.parametrize(
    "word", ["20", "1st", "½", "²", "&", "R&B", "€5", "C++", "50%", "#tag", "привет", "straße", "日本"]
)
def test_what_normalising_would_lose_is_refused(word):
    with pytest.raises(UsageError) as caught:
        tokens(f"she said\nyes {word} no")
    assert f'"{word}" in line 2' in str(caught.value) and "as it is said" in str(caught.value)


def test_a_message_names_a_few_words_only():
    with pytest.raises(UsageError, match='"1" in line 1, "2" in line 1, "3" in line 1 and 97 more;'):
        tokens(" ".join(map(str, range(1, 101))))


@pytest.mark.parametrize("text", ["", " \n", "... — !"])
def test_nothing_to_align(text):
    with pytest.raises(UsageError, match="no words"):
        tokens(text)
