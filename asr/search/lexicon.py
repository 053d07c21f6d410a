"""How words are pronounced: a lexicon of words and phonemes, and what is done with words that it lacks.

These are acronyms, two words of the lexicon, or pronounced by their letters (asr.search.letter_to_sound). A lexicon may
lie in arrays, sorted and in numbers, as the prefix tree wants it, and in a file of these that opens at once.
"""

from __future__ import annotations

import json
import lzma
import re
import zlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import cast

import numpy as np

from asr.errors import UsageError
from asr.language.packed import UNREADABLE, mapped
from asr.model.checkpoint import MODELS
from asr.native import search as native

Pronunciation = tuple[str, str]  # a word, and its phonemes with spaces between: ("pear", "P EH R")

PACKAGED = MODELS / "english-lexicon.npz"  # or not
FORMAT, VERSION = "pronunciation lexicon", 1
MAX_PHONEMES = 255  # of a word
MAX_GUESSES = 6  # pronunciations of a word
MIN_PART_LETTERS = 3  # letters of a word within a compound: "snow" + "boy"
MAX_ACRONYM_LETTERS = 5  # of a word that is also tried letter by letter
# words of English begin so; what does not, as "hdmi" and "gpu", is rather spelt than read
_READABLE = re.compile("(s?[cpt][hlr]?|sp?[lmnqw]|[bfg][lr]|[dkpt]r|[dt]w|[gkp]n|[gprsw]h|[dt]hr?|[^aeiouy]?)[aeiouy]")
_STRESS = str.maketrans("", "", "012")


@dataclass(frozen=True)
class Pronunciations:
    """Of a lexicon, sorted by phonemes, then by word."""

    phonemes: tuple[str, ...]
    words: list[str]  # each once
    word: np.ndarray  # (P,) int64: which of the words each pronunciation is of
    rank: np.ndarray  # (P,) uint8: its place among those of its word, the usual one first
    said: np.ndarray  # (phonemes of all,) uint8, by number from 1
    first: np.ndarray  # (P + 1,) int64: where each begins in `said`

    @classmethod
    def of(cls, phonemes: Sequence[str], pairs: Iterable[Pronunciation]) -> Pronunciations:
        """Of pairs in any order; one that is listed twice is kept once. Raises UsageError for other phonemes."""
        number = {p: i for i, p in enumerate(phonemes, start=1)}
        ways: dict[str, dict[bytes, None]] = {}
        try:
            for word, said in pairs:
                ways.setdefault(word, {})[bytes([number[p] for p in said.split()])] = None
        except KeyError as missing:
            raise UsageError(f"the lexicon has the phoneme {missing}, the acoustic model has not") from None
        ranked = [(said, word, rank) for word, each in ways.items() for rank, said in enumerate(each)]
        rows = sorted(row for row in ranked if 0 < len(row[0]) <= MAX_PHONEMES)
        words = list(dict.fromkeys(word for _, word, _ in rows))
        place = {word: i for i, word in enumerate(words)}
        return cls(
            tuple(phonemes),
            words,
            np.array([place[word] for _, word, _ in rows], np.int64),
            np.array([min(rank, 255) for *_, rank in rows], np.uint8),
            np.frombuffer(b"".join(said for said, *_ in rows), np.uint8),
            np.cumsum([0, *(len(said) for said, *_ in rows)], dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.word)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Where each of the words stands."""
        if native is not None:
            return cast(Mapping[str, int], native.Index(self.words))
        return dict(zip(self.words, range(len(self.words))))

    def heard(self) -> list[str]:
        """The phonemes that occur."""
        return [self.phonemes[code - 1] for code in np.flatnonzero(np.bincount(self.said)).tolist()]

    def spelt(self, row: int) -> str:
        """A pronunciation as text."""
        return " ".join([self.phonemes[code - 1] for code in self.said[self.first[row] : self.first[row + 1]].tolist()])

    def strings(self) -> list[str]:
        """Each pronunciation with a character for each phoneme, that of its number."""
        text, first = self.said.tobytes().decode("latin-1"), self.first.tolist()
        return [text[a:b] for a, b in zip(first, first[1:])]

    def with_phonemes(self, phonemes: Sequence[str]) -> Pronunciations:
        """The same in the numbers of other phonemes. Raises UsageError where one that occurs is not among them."""
        if tuple(phonemes) == self.phonemes:
            return self
        number = {p: i for i, p in enumerate(phonemes, start=1)}
        if missing := [p for p in self.heard() if p not in number]:
            raise UsageError(f"the lexicon has the phoneme {missing[0]!r}, the acoustic model has not")
        table = np.array([0, *(number.get(p, 0) for p in self.phonemes)], np.uint8)
        return replace(self, phonemes=tuple(phonemes), said=table[self.said])._sorted(np.arange(len(self)))

    def overridden(self, own: Pronunciations) -> Pronunciations:
        """The same, but words of the other, which has the same phonemes, are pronounced as that says alone."""
        old, new = np.array(self.words), np.array(own.words)
        kept = np.flatnonzero(~np.isin(old, new)[self.word])
        both = replace(
            self,
            words=[*self.words, *own.words],
            word=np.concatenate([self.word, own.word + len(self.words)]),
            rank=np.concatenate([self.rank, own.rank]),
            said=np.concatenate([self.said, own.said]),
            first=np.concatenate([self.first, own.first[1:] + self.first[-1]]),
        )
        return both._sorted(np.append(kept, np.arange(len(self), len(both))))

    def _sorted(self, rows: np.ndarray) -> Pronunciations:
        """These rows alone, by phonemes, then by place of the word."""
        length = np.diff(self.first)[rows]
        table = np.zeros((len(rows), max(1, int(length.max(initial=1)))), np.uint8)
        inside = np.arange(table.shape[1]) < length[:, None]
        table[inside] = self.said[(self.first[rows][:, None] + np.arange(table.shape[1]))[inside]]
        order = np.lexsort((self.word[rows], table.view(f"S{table.shape[1]}").reshape(-1)))
        first = np.append(0, np.cumsum(length[order]))
        rows, said = rows[order], table[order][inside[order]]
        return replace(self, word=self.word[rows], rank=self.rank[rows], said=said, first=first)


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

        Raises UsageError. Stress digits are dropped, "word(2)" is a further pronunciation; # and ;;; begin comments.
        """
        opened = lzma.open if str(path).endswith(".xz") else open
        try:
            with opened(path, "rt", encoding="utf-8-sig") as file:
                return cls.parse(file, str(path))
        except FileNotFoundError:
            raise UsageError(f"there is no lexicon {path}") from None
        except (OSError, lzma.LZMAError, EOFError, UnicodeDecodeError):
            raise UsageError(f"{path} is damaged or not a lexicon: expected text, word<TAB>phonemes") from None

    @classmethod
    def parse(cls, lines: Iterable[str], name: str = "the lexicon") -> Lexicon:
        """The lines of a file; name: what to call it. Raises UsageError."""
        found = cls()
        for number, line in enumerate(lines, start=1):
            line = line.partition("#")[0].strip()
            if not line or line.startswith(";;;"):
                continue
            word, _, said = line.partition("\t" if "\t" in line else " ")
            if not said.strip():
                raise UsageError(f"{name}, line {number}, is not a word and its phonemes: write word<TAB>phonemes")
            way = " ".join(said.translate(_STRESS).split())
            found._own.setdefault(re.sub(r"\(\d+\)$", "", word.strip()).lower(), []).append(way)
        return found

    @property
    def phonemes(self) -> tuple[str, ...]:
        """All that occur, sorted."""
        return tuple(
            sorted({*self._packed.heard(), *(p for ways in self._own.values() for way in ways for p in way.split())})
        )

    def pairs(self) -> Iterator[Pronunciation]:
        """All pronunciations of all words."""
        return ((word, way) for word in self for way in self[word])

    def coded(self, phonemes: Sequence[str]) -> Pronunciations:
        """As arrays, in the numbers of these phonemes. Raises UsageError for another one."""
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
        """With the likeliest guess of each word that it lacks. Raises UsageError for phonemes that no word has."""
        lacking = sorted({word for text in texts for word in text.split() if word not in self})
        guesses, known = {word: self.ways(word)[0] for word in lacking}, set(self.phonemes)
        for word, way in guesses.items():
            if not known.issuperset(way.split()):
                raise UsageError(f"the lexicon lacks {word!r} and phonemes that it may have: add it to the lexicon")
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
        from asr.search.letter_to_sound import letter_by_letter

        read = [(way, "by its spelling") for way in guess(word, self)]
        if not 1 < len(word) <= MAX_ACRONYM_LETTERS or "'" in word:
            return read
        spelt = [(letter_by_letter(word), "letter by letter")]
        return spelt + read if self.is_spelt(word) else read + spelt

    def is_spelt(self, word: str) -> bool:
        """True for an acronym that is read letter by letter: short, beginning as no word does, not listed otherwise."""
        if not 1 < len(word) <= MAX_ACRONYM_LETTERS or "'" in word or _READABLE.match(word):
            return False
        from asr.search.letter_to_sound import letter_by_letter

        return word not in self or self[word][0] == letter_by_letter(word)

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


def open_packed(path: Path | str) -> Pronunciations:
    """What recipes.language_model.lexicon wrote. Raises UsageError for anything else."""
    try:
        arrays = mapped(path)
        header = json.loads(bytes(arrays["header"]))
        words = zlib.decompress(bytes(arrays["words"])).decode().split("\n")
        first = np.concatenate([[0], np.cumsum(arrays["length"], dtype=np.int64)])
        phonemes, word, said = tuple(header["phonemes"]), arrays["word"].astype(np.int64), arrays["said"]
        whole = len(word) == len(first) - 1 == len(arrays["rank"]) and first[-1] == len(said)
        inside = word.max(initial=0) < len(words) and said.min(initial=1) > 0 and said.max(initial=1) <= len(phonemes)
        if (header["format"], header["version"]) != (FORMAT, VERSION) or not whole or not inside:
            raise ValueError
        return Pronunciations(phonemes, words, word, arrays["rank"], said, first)
    except FileNotFoundError:
        raise UsageError(f"there is no lexicon {path}") from None
    except (*UNREADABLE, OSError, zlib.error):
        raise UsageError(f"{path} is damaged or not a lexicon of this program") from None


def guess(word: str, lexicon: Mapping[str, Sequence[str]]) -> list[str]:
    """Pronunciations ("P EH R") of a lower-case word, likeliest first. lexicon: those of the words it has."""
    from asr.search.letter_to_sound import letter_to_sound

    found = [f"{a} {b}" for first, last in compounds(word, lexicon)[:1] for a in lexicon[first] for b in lexicon[last]]
    return list(dict.fromkeys([*found, *(said for said, _ in letter_to_sound().ways([word])[0])]))[:MAX_GUESSES]


def compounds(word: str, lexicon: Container[str]) -> list[tuple[str, str]]:
    """Ways to see a word as two of the lexicon's, the most even first: "snowboy" -> ("snow", "boy")."""
    cuts = range(MIN_PART_LETTERS, len(word) - MIN_PART_LETTERS + 1)
    pairs = [(word[:i], word[i:]) for i in cuts if word[:i] in lexicon and word[i:] in lexicon]
    return sorted(pairs, key=lambda pair: abs(len(pair[0]) - len(pair[1])))
