"""Text: normalisation, the alphabet of the acoustic model, and CTC's collapse rule."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

BLANK = 0
LETTERS = " 'abcdefghijklmnopqrstuvwxyz"

_QUOTES = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'", "ʼ": "'"})
_NOT_A_LETTER = re.compile(r"[^a-z' ]+")
_LOOSE_APOSTROPHE = re.compile(r"(?<![a-z])'|'(?![a-z])")


def normalise(text: str) -> str:
    """Lower-case ``text`` and keep only a-z, inner apostrophes and single spaces.

    Accents are dropped ("café" -> "cafe"); every other symbol becomes a space.
    Digits are not spelled out: write "twenty one", not "21".
    """
    text = _NOT_A_LETTER.sub(" ", folded(text))
    return " ".join(_LOOSE_APOSTROPHE.sub(" ", text).split())


def folded(text: str) -> str:
    """In lower case, without accents, with plain apostrophes."""
    text = unicodedata.normalize("NFKD", text.translate(_QUOTES).lower())
    return "".join(c for c in text if not unicodedata.combining(c))


class Alphabet:
    """Maps symbols to the indices 1..n of the CTC output; index 0 is the blank."""

    def __init__(self, symbols: Sequence[str] = LETTERS):
        self.symbols = list(symbols)
        self._index = {s: i for i, s in enumerate(self.symbols, start=1)}
        if len(self._index) != len(self.symbols):
            raise ValueError("an alphabet lists each symbol once")

    def __len__(self) -> int:
        """Number of CTC outputs, the blank included."""
        return len(self.symbols) + 1

    def __getitem__(self, index: int) -> str:
        return "" if index == BLANK else self.symbols[index - 1]

    def index(self, symbol: str) -> int:
        """Index of one symbol. Raises KeyError when the alphabet lacks it."""
        return self._index[symbol]

    def encode(self, symbols: Iterable[str]) -> list[int]:
        """Symbols -> indices. Raises ValueError naming what the alphabet lacks."""
        symbols = list(symbols)
        unknown = sorted({s for s in symbols if s not in self._index})
        if unknown:
            raise ValueError(f"not in the alphabet: {' '.join(map(repr, unknown))}")
        return [self._index[s] for s in symbols]

    def decode(self, indices: Iterable[int]) -> str:
        return "".join(self[i] for i in indices)


class Phonemes(Alphabet):
    """Phonemes, in texts with spaces between them: "P EH R"."""

    def encode(self, symbols: Iterable[str]) -> list[int]:
        return super().encode("".join(symbols).split())

    def decode(self, indices: Iterable[int]) -> str:
        return " ".join(self[i] for i in indices)


def collapse(path: Iterable[int]) -> list[int]:
    """CTC's collapse rule: merge repeats, then drop blanks (Graves et al. 2006).

    "ttt_h_eee___" -> "the"; a doubled letter needs a blank between its two.
    """
    kept, previous = [], BLANK
    for label in path:
        if label != previous and label != BLANK:
            kept.append(label)
        previous = label
    return kept
