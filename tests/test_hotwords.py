"""Hotwords: what they add to scores, how unknown words are pronounced, what the search makes of them."""

import io
import itertools
import lzma
import os
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.cli import main
from asr.errors import UsageError
from asr.language.kneser_ney import TrainingOptions, train
from asr.search.base import SearchOptions
from asr.search.hotwords import Hotword, HotwordScorer, read_commands, read_hotwords
from asr.search.letters import UNLISTED_LN, HotwordLanguageModel, LetterSearch
from asr.search.lexicon import compounds, guess
from asr.search.tree import LexiconSearch
from asr.text import Alphabet

PHONEMES = ("AA", "B", "EH", "IY", "P", "R", "S", "T")
LEXICON = [("a", "AA"), ("pear", "P EH R"), ("tea", "T IY"), ("eat", "IY T"), ("bee", "B IY")]
PHRASES = [Hotword("new york", 4.0), Hotword("new york city", 9.0), Hotword("york", 1.0), Hotword("salad", 3.0)]


@pytest.fixture(scope="module")
def lm():
    return train(
        ["eat a pear", "a bee", "eat tea", "tea a pear"], TrainingOptions(order=2, min_word=1, min_counts=(1, 1))
    )


def earned(hotwords: HotwordScorer, text: str) -> float:
    state, total = hotwords.start, 0.0
    for word in text.split():
        more, state = hotwords.after(state, word)
        total += more
    return total + hotwords.end(state)


def test_a_phrase_earns_its_weight_when_it_is_whole():
    hotwords = HotwordScorer(PHRASES)
    wanted = {"new york": 4, "the new york times": 4, "new york city": 9, "new jersey": 0, "york": 1, "a salad": 3}
    wanted |= {"new": 0, "new salad": 3, "new new york": 4, "new york salad": 7, "salad salad": 6, "nothing": 0}
    assert {text: pytest.approx(earned(hotwords, text)) for text in wanted} == wanted
    assert hotwords.after((), "new")[0] > 0  # some of it is paid in advance


@given(st.lists(st.sampled_from("abc"), max_size=12))
def test_what_is_taken_back_was_paid(words):
    assert earned(HotwordScorer([Hotword("a b c", 3.0)]), " ".join(words)) >= -1e-9


def spoken(path: str, symbols: tuple[str, ...], sure: float = 0.9) -> np.ndarray:
    best = [0 if p == "_" else 1 + symbols.index(p) for p in path.split()]
    rows = np.full((len(best), len(symbols) + 1), (1 - sure) / len(symbols))
    rows[np.arange(len(best)), best] = sure
    return np.log(rows).astype(np.float32)


def test_the_search_finds_a_word_that_no_lexicon_knows(lm):
    said = spoken("IY T _ S EH P _", PHONEMES)
    with_it = [*LEXICON, ("sepp", guess("sepp", {})[0])]
    assert LexiconSearch(PHONEMES, with_it, lm)(said)[0].text != "eat sepp"
    search = LexiconSearch(PHONEMES, with_it, lm, hotwords=HotwordScorer([Hotword("sepp")]))
    assert search(said)[0].text == "eat sepp"
    assert search(spoken("IY T _ T IY _", PHONEMES))[0].text == "eat tea"


@pytest.mark.parametrize("cut", range(1, 8))
def test_streaming_with_hotwords(lm, cut):
    search = LexiconSearch(
        PHONEMES, LEXICON, lm, hotwords=HotwordScorer([Hotword("pear tea", 5.0), Hotword("bee", 2.0)])
    )
    logits = np.random.default_rng(cut).normal(size=(24, 9)) * 2
    log_probs = (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)
    state = search.start()
    for block in np.split(log_probs, range(cut, 24, cut)):
        state = search.feed(state, block)
    assert search.finish(state, 5) == search(log_probs, n=5)


@pytest.mark.parametrize("with_lm", [True, False])
def test_letters_with_hotwords(lm, with_lm):
    symbols = ("|", "a", "e", "p", "r", "t")
    said = spoken("p e r a _", symbols, 0.6)
    said[2, 1 + symbols.index("t")] = said[2].max() - 0.1  # an r or, a little less, a t
    boosted = HotwordLanguageModel(lm if with_lm else None, HotwordScorer([Hotword("peta", 9.0)]), 0.6)
    search = LetterSearch(Alphabet(symbols), SearchOptions(), boosted)
    assert search(said)[0].text == "peta"


@given(st.lists(st.text("aept", min_size=1, max_size=5), max_size=12), st.text("aept", max_size=3))
def test_the_best_completion_is_a_hotword_or_a_word_of_the_model(lm, words, beginning):
    hotwords = HotwordScorer([Hotword(word, float(i + 1)) for i, word in enumerate(words)])
    boosted = HotwordLanguageModel(lm, hotwords, 0.5)
    due = [
        (lm.score(lm.start(), w)[0] if w in lm else UNLISTED_LN) + 2 * hotwords.most(w)
        for w in words
        if w.startswith(beginning)
    ]
    best = lm.best_completion(beginning)
    wanted = max([*due, *([] if best is None else [best])], default=None)
    assert boosted.best_completion(beginning) == (None if wanted is None else pytest.approx(wanted))


def test_letters_to_sound():
    assert guess("snowboy", {"snow": ["S N OW"], "boy": ["B OY"]})[0] == "S N OW B OY"
    assert compounds("snowboy", {"snow": [], "boy": []}) == [("snow", "boy")]
    wanted = {"sepp": "S EH P", "kate": "K EY T", "phone": "F OW N", "chip": "CH IH P", "cell": "S EH L"}
    assert {word: guess(word, {})[0] for word in wanted} == wanted


@given(st.text("abcdefghijklmnopqrstuvwxyz'", min_size=1, max_size=12).filter(lambda w: w.strip("'")))
def test_every_word_can_be_pronounced(word):
    ways = guess(word, {})
    assert 1 <= len(ways) <= 6 and all(way.split() for way in ways)


@pytest.mark.parametrize(
    "text, message",
    [
        ("apple\nKöln\n", "line 2: the alphabet has no 'ö'"),
        ("apple\n\n9 lives", "line 3: the alphabet has no '9'"),
        ("apple\tmuch", "line 1: 'much' is not a weight"),
        ("apple\t-3", "line 1: '-3' is not a weight"),
        ("'", "line 1: there is no word"),
        ("\n \n", "no text"),
    ],
)
def test_bad_files_are_told_in_a_sentence(tmp_path, capsys, text, message):
    file = tmp_path / "words.txt"
    file.write_text(text, "utf-8")
    with pytest.raises(UsageError, match=message):
        read_hotwords(file)
    assert main(["transcribe", "x.wav", "--hotwords", str(file)]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_a_good_file(tmp_path):
    (tmp_path / "words.txt").write_text("\ufeffNew  York\t3\r\nO\u2019Neill\n\n", "utf-8")
    assert read_hotwords(tmp_path / "words.txt") == (("new york", 3.0), Hotword("o'neill"))


def test_lists_come_from_pipes_standard_input_and_xz(tmp_path, monkeypatch):
    reading, writing = os.pipe()
    os.write(writing, b"Zork\t3\n")
    os.close(writing)
    assert read_hotwords(f"/dev/fd/{reading}") == (("zork", 3.0),)
    os.close(reading)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"\nlights on\n")))
    assert read_commands("-") == ("lights on",)
    (tmp_path / "names.txt.xz").write_bytes(lzma.compress(b"zork\n"))
    assert read_hotwords(tmp_path / "names.txt.xz") == (Hotword("zork"),)


def test_hotwords_from_python_have_the_rules_of_the_file():
    assert "zork" in HotwordScorer([Hotword("Zork")])
    with pytest.raises(UsageError, match="'9 lives': the alphabet has no '9'"):
        HotwordScorer([Hotword("9 lives")])


def test_all_beginnings_are_known():
    hotwords = HotwordScorer(PHRASES)
    for words in itertools.product(["new", "york", "city", "salad"], repeat=4):
        earned(hotwords, " ".join(words))
    assert set(hotwords) == {"new", "york", "city", "salad"}
