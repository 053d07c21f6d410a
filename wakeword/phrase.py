"""A wake phrase: is it one, how is it said, which words sound alike? By the packaged lexicon, no network needed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice, product
from string import ascii_lowercase

from asr.errors import Error
from asr.language.ngram import load
from asr.model.checkpoint import MODELS
from asr.search import lexicon as asr_lexicon
from asr.search.lexicon import packaged as lexicon
from asr.text import normalise

Phonemes = tuple[str, ...]

MAX_WAYS = 12  # to say a phrase
MAX_FREQUENT_WORDS = 50_000  # that are taken for other words' near misses: those that people know
VOWELS = frozenset("AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split())


@cache
def pronunciations(word: str) -> tuple[Phonemes, ...]:
    """All the lexicon has for a lower-case word, or for the two words it is made of; () where it has neither."""
    known = lexicon()
    ways = known.get(word) or [f"{a} {b}" for x, y in compounds(word)[:1] for a in known[x] for b in known[y]]
    return tuple(tuple(way.split()) for way in ways)


def pronounce(text: str) -> list[str] | None:
    """Phonemes of a normalised text, by each word's first pronunciation; None if one of its words is unknown."""
    said = [pronunciations(word) for word in text.split()]
    return [phoneme for ways in said for phoneme in ways[0]] if all(said) else None


def ways(phrase: str) -> list[Phonemes]:
    """Ways to say a normalised phrase; words that the lexicon lacks are said as they are spelt, acronyms by letters."""
    said = [pronunciations(w) or [tuple(way.split()) for way in lexicon().ways(w)] for w in phrase.split()]
    return [sum(way, ()) for way in islice(product(*said), MAX_WAYS)]


def compounds(word: str) -> list[tuple[str, str]]:
    """Ways to see a word as two of the lexicon's, the most even first: "snowboy" -> ("snow", "boy")."""
    return asr_lexicon.compounds(word, lexicon())


def says(text: str, phrase: str) -> bool:
    """True if whole words of a normalised text spell the phrase or sound like it: "the snow boy" says "snowboy"."""
    words, letters = text.split(), phrase.replace(" ", "")
    ways = [sum(way, ()) for way in product(*map(_heard, phrase.split()))]
    starts = (words[i:] for i in range(len(words)))
    return any(_spell(rest, letters) or any(_sound(rest, said) for said in ways) for rest in starts)


def _heard(word: str) -> set[Phonemes]:
    """Its pronunciations without the difference that nobody hears in "activate" and "active eight"."""
    return {tuple("AH" if p == "IH" else p for p in said) for said in pronunciations(word)}


def _spell(words: Sequence[str], letters: str) -> bool:
    return any("".join(words[:n]) == letters for n in range(1, len(words) + 1))


def _sound(words: Sequence[str], said: Phonemes) -> bool:
    """True if the first few words can be pronounced so."""
    if not said or not words:
        return not said
    return any(way == said[: len(way)] and _sound(words[1:], said[len(way) :]) for way in _heard(words[0]))


def alike(said: Sequence[str], distance: int) -> dict[str, int]:
    """Words of the lexicon within an edit distance in phonemes -> their distance, nearest first; 0: homophones."""
    coded, words = _coded()
    return _nearest(_code(said), coded, words, distance)


def spelt_alike(word: str, distance: int) -> dict[str, int]:
    """The same by letters, for a word that the lexicon cannot pronounce."""
    words = list(lexicon())
    return _nearest(word, words, words, distance)


def _nearest(query: str, choices: Sequence[str], words: Sequence[str], distance: int) -> dict[str, int]:
    from rapidfuzz import process  # a listener does without
    from rapidfuzz.distance import Levenshtein

    found = process.extract(query, choices, scorer=Levenshtein.distance, limit=None, score_cutoff=distance)
    nearest: dict[str, int] = {}
    for _, far, i in sorted(found, key=lambda hit: (hit[1], hit[2])):
        nearest.setdefault(words[i], int(far))
    return nearest


def beginning(said: Sequence[str]) -> list[str]:
    """Words of the lexicon that begin with these phonemes."""
    wanted = _code(said)
    return sorted({word for way, word in zip(*_coded()) if way.startswith(wanted)})


def containing(said: Sequence[str]) -> list[str]:
    """Words of the lexicon that have these phonemes in a row, and more."""
    wanted = _code(said)
    return sorted({word for way, word in zip(*_coded()) if wanted in way and way != wanted})


@cache
def _letters() -> dict[str, str]:
    """A character for each phoneme, so that a pronunciation is a string."""
    return {p: chr(ord("A") + i) for i, p in enumerate(lexicon().phonemes)}


@cache
def _coded() -> tuple[list[str], list[str]]:
    """The pronunciations of the more frequent words as strings, and the word of each."""
    language = MODELS / "english-lm.npz"
    known: Iterable[str] = load(language).words[:MAX_FREQUENT_WORDS] if language.exists() else lexicon()
    pairs = [(_code(way.split()), word) for word in known if word in lexicon() for way in lexicon()[word]]
    return [said for said, _ in pairs], [word for _, word in pairs]


def _code(said: Iterable[str]) -> str:
    return "".join(_letters()[p] for p in said)


# --- is it a phrase, and in which ways can a synthesiser be asked to say it? ------------------------

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
