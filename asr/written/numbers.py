"""Numbers, dates, times, money, measures and the like: from the words as said to the way they are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Dates = Literal["said", "us", "uk"]
Numbers = Literal["always", "large", "never"]


@dataclass(frozen=True)
class Span:
    """``words[first:last]`` are written as ``text``.

    ``attention`` has a row for each piece of the text and a column for each word: how much of the word the model read
    while it wrote the piece. It is there only when it was asked for.
    """

    first: int
    last: int
    text: str
    attention: np.ndarray | None = field(default=None, compare=False)  # (pieces, words of the stretch)


class NumberWriter:
    """Finds stretches of words that are better written in figures, and writes them.

    ``dates``: the order in which they were said, or "May 3, 2021" (us), or "3 May 2021" (uk). ``numbers``: all in
    figures; only those of ten and more, and those that count a unit (large); or none at all (never).
    """

    def __init__(self, dates: Dates = "said", numbers: Numbers = "large"):
        self.dates, self.numbers = dates, numbers

    @classmethod
    def load(cls, dates: Dates = "said", numbers: Numbers = "large") -> NumberWriter:
        """The packaged model, which is read when the first stretch is met."""
        return cls(dates, numbers)

    def spans(self, words: Sequence[str]) -> list[Span]:
        """Stretches to write otherwise, in order, without overlap; all other words stay. Unsure: no span."""
        return []
