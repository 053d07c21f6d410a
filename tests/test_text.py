"""Text: normalisation, the alphabet, CTC's collapse rule."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.text import BLANK, LETTERS, Alphabet, collapse, normalise

ALPHABET = Alphabet()


def path(text: str, blank: str = "_") -> list[int]:
    return [BLANK if c == blank else ALPHABET.index(c) for c in text]


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("He took part, in 1 War!", "he took part in war"),
        ("I’m here — aren‘t I?", "i'm here aren't i"),
        ("rock 'n' roll, the dogs' 'day'", "rock n roll the dogs day"),
        ("café naïve Ångström", "cafe naive angstrom"),
        ("ﬁne\t\n  ＨＡＬＦ", "fine half"),
        ("well-known e-mail", "well known e mail"),
        ("12:30 %&", ""),
        ("", ""),
    ],
)
def test_normalise(written, normal):
    assert normalise(written) == normal


@given(st.lists(st.integers(0, 0xD7FF).map(chr) | st.sampled_from(LETTERS + "’É")).map("".join))
def test_normal_text_is_in_the_alphabet_and_stays_as_it_is(text):
    normal = normalise(text)
    assert set(normal) <= set(LETTERS) and "  " not in normal and normal == normal.strip()
    assert all(w.strip("'") == w != "" for w in normal.split())
    assert normalise(normal) == normal
    assert ALPHABET.decode(ALPHABET.encode(normal)) == normal


@given(st.text(alphabet=LETTERS + "XYZ’."), st.text(alphabet=LETTERS))
def test_normalise_goes_word_by_word(a, b):
    assert normalise(f"{a} {b}") == f"{normalise(a)} {normalise(b)}".strip()


def test_alphabet_leaves_index_0_to_the_blank():
    assert len(ALPHABET) == 29 and ALPHABET[BLANK] == ""
    assert [ALPHABET.index(s) for s in LETTERS] == list(range(1, 29))
    assert ALPHABET.decode([BLANK, 3, BLANK, 28]) == "az"


def test_alphabet_of_phonemes():
    phonemes = Alphabet(["AH", "DH", "K"])
    assert phonemes.encode(["DH", "AH"]) == [2, 1] and phonemes.decode([2, 1]) == "DHAH"


def test_alphabet_names_what_it_lacks():
    with pytest.raises(ValueError, match="not in the alphabet: '!' 'É'"):
        ALPHABET.encode("aÉb!!")
    with pytest.raises(KeyError):
        ALPHABET.index("ß")
    with pytest.raises(ValueError, match="each symbol once"):
        Alphabet("abca")


@pytest.mark.parametrize(
    ("alignment", "text"),
    [
        ("ttt_h_eee___ ____qqq__", "the q"),  # the lecture's example
        ("", ""),
        ("____", ""),
        ("aaaa", "a"),
        ("a_a", "aa"),
        ("he_llo", "helo"),
        ("he_l_lo", "hello"),
        ("  a  _  b", " a  b"),
    ],
)
def test_collapse(alignment, text):
    assert ALPHABET.decode(collapse(path(alignment))) == text


def test_collapse_of_all_short_paths():
    """Collapsing is the inverse of stretching: repeats, and blanks anywhere, but one between doubles."""
    for length in range(6):
        for target in itertools.product((1, 2), repeat=length):
            stretched = stretchings(target, 5)
            others = set(itertools.product((BLANK, 1, 2), repeat=5)) - stretched
            assert all(collapse(p) == list(target) for p in stretched)
            assert all(collapse(p) != list(target) for p in others)


def stretchings(target: tuple[int, ...], frames: int) -> set[tuple[int, ...]]:
    """All paths of that many frames that spell the target, by walking through its states."""
    states = [BLANK, *(s for label in target for s in (label, BLANK))]
    walks = {((0,), (states[0],)), *([((1,), (states[1],))] if target else [])}
    for _ in range(frames - 1):
        walks = {
            ((k,), spelt + (states[k],))
            for (j,), spelt in walks
            for k in (j, j + 1, j + 2)
            if k < len(states) and (k < j + 2 or (states[k] != BLANK and states[k] != states[j]))
        }
    return {spelt for (k,), spelt in walks if k >= len(states) - 2}
