"""Words as numbers: a row of its own for each common word, and rows for pieces of its spelling, which any word has.

The pieces are the beginnings and ends of two to four letters and all runs of three (Bojanowski et al. 2017), hashed to
a fixed number of rows. So a name that training has never seen still looks like a name.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache

UNLISTED = 0  # the row of words that are not in the list
CACHED = 100_000  # words whose pieces are remembered


class Vocabulary:
    """words: those with a row of their own, from row 1 on; rows: how many the pieces share."""

    def __init__(self, words: Sequence[str], rows: int):
        self.words, self.rows = list(words), rows
        self._numbers = {word: number for number, word in enumerate(self.words, start=1)}
        self.pieces = lru_cache(CACHED)(self._pieces)

    def number(self, word: str) -> int:
        return self._numbers.get(word, UNLISTED)

    def _pieces(self, word: str) -> tuple[int, ...]:
        """The rows of a word's pieces, at least one."""
        whole = f"<{word}>"
        found = {whole[i : i + 3] for i in range(len(whole) - 2)} | {whole}
        for length in (2, 4, 5):
            found |= {whole[:length], whole[-length:]}
        return tuple(sorted(zlib.crc32(piece.encode()) % self.rows for piece in found))
