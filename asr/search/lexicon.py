"""How words are pronounced: a lexicon of words and phonemes, and what is done with words that it lacks."""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from asr.model.checkpoint import MODELS
from asr.search.pronunciations import LexiconError, Pronunciation, Pronunciations, open_packed

PACKAGED = MODELS / "english-lexicon.npz"  # or not
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


class Lexicon(Mapping[str, list[str]]):
    """Words and their pronunciations ("P EH R"), the usual one first: lexicon["pear"] == ["P EH R"]."""

    def __init__(self, pronunciations: Iterable[Pronunciation] = ()):
        self._words: dict[str, list[str]] = {}
        for word, said in pronunciations:
            self._words.setdefault(word, []).append(said)

    @classmethod
    def of(cls, words: Mapping[str, list[str]]) -> Lexicon:
        """The same as a mapping says."""
        found = cls()
        found._words = dict(words)
        return found

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
        return tuple(sorted({phoneme for said in self._words.values() for way in said for phoneme in way.split()}))

    def pairs(self) -> Iterator[Pronunciation]:
        """All pronunciations of all words."""
        return ((word, way) for word, ways in self._words.items() for way in ways)

    def coded(self, phonemes: Sequence[str]) -> Pronunciations:
        """As arrays, in the numbers of these phonemes. Raises LexiconError for another one."""
        return Pronunciations.of(phonemes, self.pairs())

    def overridden(self, own: Lexicon) -> Lexicon:
        """The same with the words of another one, which say how these are pronounced, and nothing else does."""
        return Lexicon.of(self._words | own._words)

    def with_guesses(self, texts: Iterable[str]) -> Lexicon:
        """The same, and of words of the texts that it lacks the likeliest guess.

        Raises LexiconError where that has phonemes that no word of the lexicon has.
        """
        known, guesses = set(self.phonemes), Lexicon()
        for word in sorted({word for text in texts for word in text.split() if word not in self}):
            guesses._words[word] = self.ways(word)[:1]
            if not known.issuperset(" ".join(guesses._words[word]).split()):
                raise LexiconError(f"the lexicon lacks {word!r} and phonemes that it may have: add it to the lexicon")
        return self.overridden(guesses)

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
        from asr.search.letter_to_sound import guess

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

    def __getitem__(self, word: str) -> list[str]:
        return self._words[word]

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)

    def __contains__(self, word: object) -> bool:
        return word in self._words


class PackedLexicon(Lexicon):
    """One that lies in arrays until somebody wants it whole."""

    def __init__(self, packed: Pronunciations, own: Mapping[str, list[str]] | None = None):
        """own: words that the arrays lack, or that are pronounced otherwise than they say."""
        self._packed, self._own = packed, dict(own or {})

    @cached_property
    def _words(self) -> dict[str, list[str]]:  # type: ignore[override]
        return {word: self[word] for word in self}

    @cached_property
    def _rows(self) -> tuple[np.ndarray, np.ndarray]:
        """The pronunciations word by word, the usual one first; and where each word's begin."""
        rows = np.lexsort((self._packed.rank, self._packed.word))
        return rows, np.searchsorted(self._packed.word[rows], np.arange(len(self._packed.words) + 1))

    @property
    def phonemes(self) -> tuple[str, ...]:
        """All that occur, sorted."""
        packed = [self._packed.phonemes[code - 1] for code in np.unique(self._packed.said).tolist()]
        return tuple(sorted({*packed, *Lexicon.of(self._own).phonemes}))

    def coded(self, phonemes: Sequence[str]) -> Pronunciations:
        """As arrays, in the numbers of these phonemes. Raises LexiconError for another one."""
        packed = self._packed.with_phonemes(phonemes)
        return packed.overridden(Lexicon.of(self._own).coded(phonemes)) if self._own else packed

    def overridden(self, own: Lexicon) -> Lexicon:
        """The same with the words of another one, which say how these are pronounced, and nothing else does."""
        return PackedLexicon(self._packed, self._own | dict(own))

    def pairs(self) -> Iterator[Pronunciation]:
        """All pronunciations of all words."""
        return ((word, way) for word in self for way in self[word])

    def __getitem__(self, word: str) -> list[str]:
        if word in self._own:
            return self._own[word]
        rows, first = self._rows
        place = self._packed.places[word]
        return [self._packed.spelt(row) for row in rows[first[place] : first[place + 1]].tolist()]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._packed.words, *self._own]))

    def __len__(self) -> int:
        return len(self._packed.words) + sum(word not in self._packed.places for word in self._own)

    def __bool__(self) -> bool:
        return True

    def __contains__(self, word: object) -> bool:
        return word in self._own or word in self._packed.places


@cache
def packaged() -> Lexicon:
    """The lexicon beside the models; an empty one where none is installed."""
    return PackedLexicon(open_packed(PACKAGED)) if PACKAGED.exists() else Lexicon()


def _parsed(lines: Iterable[str], name: str) -> Iterator[Pronunciation]:
    for number, line in enumerate(lines, start=1):
        line = line.partition("#")[0].strip()
        if not line or line.startswith(";;;"):
            continue
        word, _, said = line.partition("\t" if "\t" in line else " ")
        if not said.strip():
            raise LexiconError(f"{name}, line {number}, is not a word and its phonemes: write word<TAB>phonemes")
        yield re.sub(r"\(\d+\)$", "", word.strip()).lower(), " ".join(said.translate(_STRESS).split())
