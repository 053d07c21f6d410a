"""A wake phrase: is it one, and in which ways can a synthesiser be asked to say it?"""

from __future__ import annotations

import re
import unicodedata
from string import ascii_lowercase

from asr.errors import Error
from asr.text import normalise
from wakeword.phrase.pronunciation import VOWELS, alike, compounds, lexicon, pronunciations, ways

MAX_WORDS = 6
MAX_WORD_LETTERS = 30  # letters
MIN_PHONEMES = 4  # fewer are in too many other words: "hey" is in "obey the", "they", "hail"
FEW_PHONEMES, MANY_NEIGHBOURS = 4, 3  # a phrase so short, with so many words like it, is warned of

_SILENT = " .,;:!?…'’‘`´ʼ\"“”-–—"
# what no English word holds: seven consonants in a row, a letter four times in a row
_UNSAYABLE = re.compile(r"[bcdfghjklmnpqrstvwxz']{7}|(.)\1{3}")
_NAMES = "ay bee see dee ee eff gee aitch eye jay kay ell em en oh pee cue are ess tee you vee double-you ex why zee"
_READ_ALOUD = dict(zip(ascii_lowercase, _NAMES.split()))
_GREETINGS = frozenset("hey hi hello ok okay yo hallo oh dear".split())  # a comma may follow


class PhraseError(Error, ValueError):
    """A phrase cannot become a wake word; one sentence says why and what to do."""


def check(phrase: str) -> str:
    """-> the phrase normalised: lower-case words of a-z and inner apostrophes. Raises PhraseError."""
    _check_letters(phrase)
    text = normalise(phrase)
    if not text:
        raise PhraseError('the phrase is empty: give one to six words, such as "hey computer"')
    if len(text) == 1:
        raise PhraseError(f'"{text}" is a single letter: give one to six words, such as "hey computer"')
    words = text.split()
    if len(words) > MAX_WORDS:
        raise PhraseError(f"the phrase has {len(words)} words: choose one of at most {MAX_WORDS}")
    if mute := [word for word in words if not _sayable(word)]:
        raise PhraseError(f'"{mute[0]}" cannot be pronounced: spell it as it is spoken, such as "tee vee" for TV')
    return text


def _check_letters(phrase: str) -> None:
    """Only what English voices read as it is written."""
    if foreign := "".join(c for c in phrase if c.isalpha() and not normalise(c)):
        raise PhraseError(f'no voice here can read "{foreign}": write the phrase in English spelling, with a to z')
    if digits := "".join(c for c in phrase if c.isnumeric()):
        raise PhraseError(f'the phrase holds the digits "{digits}": write numbers as words, "twenty one" for 21')
    if other := [c for c in phrase if not (normalise(c) or c.isspace() or unicodedata.combining(c) or c in _SILENT)]:
        raise PhraseError(f'the phrase holds "{other[0]}", which voices read in different ways: write it as a word')


def _sayable(word: str) -> bool:
    """True if the word has a vowel sound, or looks as if it had, or is an acronym, read letter by letter."""
    if lexicon().is_spelt(word) and not re.search(r"(.)\1\1", word):  # bzzzt is no acronym
        return True
    if known := pronunciations(word):
        return any(VOWELS.intersection(said) for said in known)
    return bool(re.search("[aeiouy]", word)) and not _UNSAYABLE.search(word) and len(word) <= MAX_WORD_LETTERS


def warning(phrase: str) -> str | None:
    """A sentence for the user of a normalised phrase that will work badly; None for a good one."""
    length = len(ways(phrase)[0])
    if length < MIN_PHONEMES:
        return f'"{phrase}" is very short: expect false alarms, or choose a longer phrase, such as "hey computer"'
    near = neighbours(phrase) if length <= FEW_PHONEMES else []
    if len(near) < MANY_NEIGHBOURS:
        return None
    shown = ", ".join(f'"{other}"' for other in near[:MANY_NEIGHBOURS])
    return f'"{phrase}" sounds nearly like {shown}: expect false alarms or misses, or choose a longer phrase'


def neighbours(phrase: str) -> list[str]:
    """The normalised phrase with its last word replaced by one that differs in a single phoneme."""
    first, _, last = phrase.rpartition(" ")
    near = alike(ways(last)[0], 1)
    return [f"{first} {word}".strip() for word, distance in near.items() if distance]


def variants(text: str) -> list[str]:
    """Ways to write a normalised phrase that make synthesisers vary its melody, never its words.

    Voices read acronyms in many ways, so they get the names of the letters.
    """
    text = " ".join(" ".join(_READ_ALOUD[c] for c in w) if lexicon().is_spelt(w) else w for w in text.split())
    text = text.replace("-", " ")
    unknown = [word for word in text.split() if word not in lexicon()]  # voices guess at these: "snowboy", "snow boy"
    apart = [text.replace(word, " ".join(compounds(word)[0])) for word in unknown if compounds(word)]
    return [*punctuated(text), *apart]


def punctuated(text: str) -> list[str]:
    """A normalised text with and without the marks that change its melody, and with a pause: "hey, computer!"."""
    first, _, rest = text.partition(" ")
    paused = f"{first}, {rest}"
    written = _marked(text, ".!?")
    if not rest:
        return written
    return [*written, *_marked(paused, ".!?" if first in _GREETINGS else ".")]


def _marked(text: str, marks: str) -> list[str]:
    return [text, *(text[0].upper() + text[1:] + mark for mark in marks)]


def slug(phrase: str) -> str:
    """ "Hey, Computer!" -> hey-computer"""
    return re.sub(r"[^a-z0-9']+", "-", phrase.lower()).strip("-") or "detector"
