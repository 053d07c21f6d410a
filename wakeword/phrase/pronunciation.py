"""How English words are pronounced, and which of them sound alike: the packaged lexicon, no network needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice, product

from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from asr.language.ngram_file import load
from asr.model.checkpoint import MODELS
from asr.search import letter_to_sound
from asr.search.lexicon import packaged as lexicon

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
    return letter_to_sound.compounds(word, lexicon())


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
