"""Pronunciations as arrays, as the prefix tree wants them: sorted, in numbers, and in a file that opens at once."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from asr.errors import Error
from asr.language.ngram import UNREADABLE, mapped

Pronunciation = tuple[str, str]  # a word, and its phonemes with spaces between: ("pear", "P EH R")
MAX_PHONEMES = 255  # of a word
FORMAT, VERSION = "pronunciation lexicon", 1


class LexiconError(Error, ValueError):
    """A lexicon cannot be used, with the reason in a sentence."""


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
        """Of pairs in any order; one that is listed twice is kept once. Raises LexiconError for other phonemes."""
        number = {p: i for i, p in enumerate(phonemes, start=1)}
        ways: dict[str, dict[bytes, None]] = {}
        try:
            for word, said in pairs:
                ways.setdefault(word, {})[bytes([number[p] for p in said.split()])] = None
        except KeyError as missing:
            raise LexiconError(f"the lexicon has the phoneme {missing}, the acoustic model has not") from None
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
    def places(self) -> dict[str, int]:
        """Where each of the words stands."""
        return dict(zip(self.words, range(len(self.words))))

    def spelt(self, row: int) -> str:
        """A pronunciation as text."""
        return " ".join([self.phonemes[code - 1] for code in self.said[self.first[row] : self.first[row + 1]].tolist()])

    def strings(self) -> list[str]:
        """Each pronunciation with a character for each phoneme, that of its number."""
        text, first = self.said.tobytes().decode("latin-1"), self.first.tolist()
        return [text[a:b] for a, b in zip(first, first[1:])]

    def with_phonemes(self, phonemes: Sequence[str]) -> Pronunciations:
        """The same in the numbers of other phonemes. Raises LexiconError where one that occurs is not among them."""
        if tuple(phonemes) == self.phonemes:
            return self
        number = {p: i for i, p in enumerate(phonemes, start=1)}
        for code in np.unique(self.said).tolist():
            if self.phonemes[code - 1] not in number:
                missing = self.phonemes[code - 1]
                raise LexiconError(f"the lexicon has the phoneme {missing!r}, the acoustic model has not")
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
        first = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(length[order], out=first[1:])
        rows, said = rows[order], table[order][inside[order]]
        return replace(self, word=self.word[rows], rank=self.rank[rows], said=said, first=first)


def open_packed(path: Path | str) -> Pronunciations:
    """What recipes.language_model.lexicon wrote. Raises LexiconError for anything else."""
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
        raise LexiconError(f"there is no lexicon {path}") from None
    except (*UNREADABLE, OSError, zlib.error):
        raise LexiconError(f"{path} is damaged or not a lexicon of this program") from None
