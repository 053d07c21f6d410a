"""How words are pronounced: a lexicon of words and phonemes, and what is done with words that it lacks.

These are acronyms, two words of the lexicon, or pronounced by a model of letters and phonemes: an n-gram over pairs of
a letter and the phonemes that it stands for, "x:K_S", trained on a lexicon whose words are cut into such pairs (joint
sequences: Bisani & Ney 2008). recipes/language_model/letter_to_sound.py makes it.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from asr.language.ngram import NgramModel, State, load
from asr.model.checkpoint import MODELS
from asr.native import search as native
from asr.search.pronunciations import LexiconError, Pronunciation, Pronunciations, open_packed

PACKAGED = MODELS / "english-lexicon.npz"  # or not
LETTER_TO_SOUND = MODELS / "english-letter-to-sound.npz"
MAX_GUESSES = 6  # pronunciations of a word
MIN_PART_LETTERS = 3  # letters of a word within a compound: "snow" + "boy"
BEAM = 8  # beginnings of a word that are kept at each letter
LEAST_LN = 4.0  # ways so much less likely than the first are not given
MAX_ACRONYM_LETTERS = 5  # of a word that is also tried letter by letter
LETTER_NAMES = {
    "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY", "h": "EY CH", "i": "AY",
    "j": "JH EY", "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N", "o": "OW", "p": "P IY", "q": "K Y UW",
    "r": "AA R", "s": "EH S", "t": "T IY", "u": "Y UW", "v": "V IY", "w": "D AH B AH L Y UW", "x": "EH K S",
    "y": "W AY", "z": "Z IY",
}  # fmt: skip
# words of English begin so; what does not, as "hdmi" and "gpu", is rather spelt than read
_READABLE = re.compile("(s?[cpt][hlr]?|sp?[lmnqw]|[bfg][lr]|[dkpt]r|[dt]w|[gkp]n|[gprsw]h|[dt]hr?|[^aeiouy]?)[aeiouy]")
_STRESS = str.maketrans("", "", "012")


EMPTY = Pronunciations.of((), ())


class Lexicon(Mapping[str, list[str]]):
    """Words and their pronunciations ("P EH R"), the usual one first: lexicon["pear"] == ["P EH R"]."""

    def __init__(self, pronunciations: Iterable[Pronunciation] = (), packed: Pronunciations = EMPTY):
        """packed: more words, in arrays, which are pronounced so where the pronunciations say nothing else."""
        self._packed, self._own = packed, dict[str, list[str]]()
        for word, said in pronunciations:
            self._own.setdefault(word, []).append(said)

    @classmethod
    def read(cls, path: Path | str) -> Lexicon:
        """A file of lines "word phonemes", .xz or plain: CMUdict's format, or a tab after the word.

        Raises LexiconError. Stress digits are dropped, "word(2)" is a further pronunciation; # and ;;; begin comments.
        """
        opened = lzma.open if str(path).endswith(".xz") else open
        try:
            with opened(path, "rt", encoding="utf-8-sig") as file:
                return cls.parse(file, str(path))
        except FileNotFoundError:
            raise LexiconError(f"there is no lexicon {path}") from None
        except (OSError, lzma.LZMAError, EOFError, UnicodeDecodeError):
            raise LexiconError(f"{path} is damaged or not a lexicon: expected text, word<TAB>phonemes") from None

    @classmethod
    def parse(cls, lines: Iterable[str], name: str = "the lexicon") -> Lexicon:
        """The lines of a file; name: what to call it. Raises LexiconError."""
        return cls(_parsed(lines, name))

    @property
    def phonemes(self) -> tuple[str, ...]:
        """All that occur, sorted."""
        packed = [self._packed.phonemes[code - 1] for code in np.unique(self._packed.said).tolist()]
        return tuple(sorted({*packed, *(p for ways in self._own.values() for way in ways for p in way.split())}))

    def pairs(self) -> Iterator[Pronunciation]:
        """All pronunciations of all words."""
        return ((word, way) for word in self for way in self[word])

    def coded(self, phonemes: Sequence[str]) -> Pronunciations:
        """As arrays, in the numbers of these phonemes. Raises LexiconError for another one."""
        own = Pronunciations.of(phonemes, ((word, way) for word, ways in self._own.items() for way in ways))
        if not len(self._packed):
            return own
        packed = self._packed.with_phonemes(phonemes)
        return packed.overridden(own) if self._own else packed

    def overridden(self, own: Lexicon) -> Lexicon:
        """The same with the words of another one, which say how these are pronounced, and nothing else does."""
        found = Lexicon(packed=self._packed)
        found._own = self._own | dict(own)
        return found

    def with_guesses(self, texts: Iterable[str]) -> Lexicon:
        """The same, and of words of the texts that it lacks the likeliest guess.

        Raises LexiconError where that has phonemes that no word of the lexicon has.
        """
        lacking = sorted({word for text in texts for word in text.split() if word not in self})
        guesses, known = {word: self.ways(word)[0] for word in lacking}, set(self.phonemes)
        for word, way in guesses.items():
            if not known.issuperset(way.split()):
                raise LexiconError(f"the lexicon lacks {word!r} and phonemes that it may have: add it to the lexicon")
        return self.overridden(Lexicon(guesses.items()))

    def pronounce(self, text: str) -> list[str] | None:
        """The phonemes of a text by the first pronunciation of each word; None where it lacks one of them."""
        words = text.split()
        return [p for word in words for p in self[word][0].split()] if all(word in self for word in words) else None

    def ways(self, word: str) -> list[str]:
        """How a lower-case word may be pronounced, likeliest first: at least one way, for all that has a letter."""
        return [way for way, _ in self.explained(word)]

    def explained(self, word: str) -> list[tuple[str, str]]:
        """The same, and where each way comes from: what the lexicon lacks may be an acronym, spelt or read."""
        if word in self:
            return [(way, "lexicon") for way in self[word]]
        read = [(way, "by its spelling") for way in guess(word, self)]
        if not 1 < len(word) <= MAX_ACRONYM_LETTERS or "'" in word:
            return read
        spelt = [(" ".join(LETTER_NAMES[c] for c in word), "letter by letter")]
        return spelt + read if self.is_spelt(word) else read + spelt

    def is_spelt(self, word: str) -> bool:
        """True for an acronym that is read letter by letter: it is short, begins as no word does, and is not listed
        otherwise.
        """
        if not 1 < len(word) <= MAX_ACRONYM_LETTERS or "'" in word or _READABLE.match(word):
            return False
        return word not in self or self[word][0] == " ".join(LETTER_NAMES[c] for c in word)

    @cached_property
    def _rows(self) -> tuple[np.ndarray, np.ndarray]:
        """The packed pronunciations word by word, the usual one first; and where each word's begin."""
        rows = np.lexsort((self._packed.rank, self._packed.word))
        return rows, np.searchsorted(self._packed.word[rows], np.arange(len(self._packed.words) + 1))

    def __getitem__(self, word: str) -> list[str]:
        if word in self._own:
            return self._own[word]
        place, (rows, first) = self._packed.places[word], self._rows
        return [self._packed.spelt(row) for row in rows[first[place] : first[place + 1]].tolist()]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._packed.words, *self._own]))

    def __len__(self) -> int:
        return len(self._packed.words) + sum(word not in self._packed.places for word in self._own)

    def __bool__(self) -> bool:
        return bool(self._own or self._packed.words)

    def __contains__(self, word: object) -> bool:
        return word in self._own or word in self._packed.places


@cache
def packaged() -> Lexicon:
    """The lexicon beside the models; an empty one where none is installed."""
    return Lexicon(packed=open_packed(PACKAGED)) if PACKAGED.exists() else Lexicon()


def _parsed(lines: Iterable[str], name: str) -> Iterator[Pronunciation]:
    for number, line in enumerate(lines, start=1):
        line = line.partition("#")[0].strip()
        if not line or line.startswith(";;;"):
            continue
        word, _, said = line.partition("\t" if "\t" in line else " ")
        if not said.strip():
            raise LexiconError(f"{name}, line {number}, is not a word and its phonemes: write word<TAB>phonemes")
        yield re.sub(r"\(\d+\)$", "", word.strip()).lower(), " ".join(said.translate(_STRESS).split())


def guess(word: str, lexicon: Mapping[str, Sequence[str]]) -> list[str]:
    """Pronunciations ("P EH R") of a lower-case word, likeliest first. lexicon: those of the words it has."""
    found = [f"{a} {b}" for first, last in compounds(word, lexicon)[:1] for a in lexicon[first] for b in lexicon[last]]
    return list(dict.fromkeys([*found, *(said for said, _ in letter_to_sound().ways([word])[0])]))[:MAX_GUESSES]


def compounds(word: str, lexicon: Container[str]) -> list[tuple[str, str]]:
    """Ways to see a word as two of the lexicon's, the most even first: "snowboy" -> ("snow", "boy")."""
    cuts = range(MIN_PART_LETTERS, len(word) - MIN_PART_LETTERS + 1)
    pairs = [(word[:i], word[i:]) for i in cuts if word[:i] in lexicon and word[i:] in lexicon]
    return sorted(pairs, key=lambda pair: abs(len(pair[0]) - len(pair[1])))


def pair(letter: str, phonemes: Iterable[str]) -> str:
    """A letter and what it stands for, as a token of the model: "x:K_S"; "b:" is silent."""
    return f"{letter}:{'_'.join(phonemes)}"


class LetterToSound:
    """Pronounces words by an n-gram model of pairs."""

    def __init__(self, model: NgramModel):
        self._model = model
        self._phonemes = [word.partition(":")[2].replace("_", " ") for word in model.words]
        self._pairs: dict[str, list[int]] = {}  # of each letter
        for i, word in enumerate(model.words[3:], start=3):
            self._pairs.setdefault(word[0], []).append(i)

    def ways(self, words: Sequence[str]) -> list[list[tuple[str, float]]]:
        """Of each word its pronunciations and their ln probabilities, the likeliest first; at least one."""
        known = ["".join(c for c in word if c in self._pairs) for word in words]
        return [self._told_apart(word, ways) for word, ways in zip(known, self._searched(known))]

    def _searched(self, words: Sequence[str]) -> Sequence[Iterable[tuple[float, list[int]]]]:
        if native is None:
            return [self._search(word) for word in words]
        number = {letter: i for i, letter in enumerate(self._pairs)}
        letters = np.array([number[c] for word in words for c in word], np.uint8)
        pairs = [np.array(each, np.int32) for each in self._pairs.values()]
        starts = [np.cumsum([0, *map(len, lists)], dtype=np.int64) for lists in (words, pairs)]
        return native.spell(self._model.native, letters, starts[0], np.concatenate(pairs), starts[1], BEAM)

    def _search(self, word: str) -> list[tuple[float, list[int]]]:
        """As native/spelling.h, twenty times slower: (ln probability, pairs), best first."""
        places: list[tuple[float, State, list[int]]] = [(0.0, self._model.start(), [])]
        for letter in word:
            grown = []
            for score, state, before in places:
                for token in self._pairs[letter]:
                    more, after = self._model.score(state, self._model.words[token])
                    grown.append((score + more, after, [*before, token]))
            places = sorted(grown, key=lambda place: -place[0])[:BEAM]
        ended = [(score + self._model.end(state), pairs) for score, state, pairs in places]
        return sorted(ended, key=lambda end: -end[0])

    def _told_apart(self, word: str, ways: Iterable[tuple[float, list[int]]]) -> list[tuple[str, float]]:
        """Each pronunciation once, by its likeliest pairs; of a word of silent letters the first that sounds."""
        found: dict[str, float] = {}
        for score, tokens in ways:
            said = " ".join(filter(None, (self._phonemes[token] for token in tokens)))
            if said:
                found.setdefault(said, score)
        if not found:
            loud = [self._phonemes[token] for letter in word or "a" for token in self._pairs[letter]]
            found = {next(filter(None, loud), "AH"): -np.inf}
        best = max(found.values())
        return [(said, score) for said, score in found.items() if score >= best - LEAST_LN]


@cache
def letter_to_sound() -> LetterToSound:
    """The packaged model. Raises NgramError where it is missing."""
    return LetterToSound(load(LETTER_TO_SOUND))
