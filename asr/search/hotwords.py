"""Words and phrases of one's own that the search should expect: a file of them, and how they raise scores.

A phrase earns its weight word by word; where it breaks off, what it has earned is taken back (as in the context
graphs of icefall). Words outside the lexicon are pronounced as asr.search.lexicon.Lexicon.ways says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from asr.errors import Error
from asr.files import TextError, numbered_lines
from asr.text import LETTERS

DEFAULT_WEIGHT = 6.0  # ln, of a word without a weight of its own
MAX_WEIGHT = 50.0  # ln
HotwordState = tuple[str, ...]  # the words of a phrase that have been said


class HotwordError(Error, ValueError):
    """Hotwords or commands cannot be used; one sentence names the line."""


class Hotword(NamedTuple):
    """A word or phrase to expect, as it is spoken: a to z, apostrophes, spaces."""

    text: str
    weight: float = DEFAULT_WEIGHT  # ln, added to the score of a text for each time it has the word or phrase


class HotwordScorer:
    """What the hotwords add to scores. The state is where a text stands: in the middle of a phrase, or nowhere."""

    start: HotwordState = ()

    def __init__(self, hotwords: Iterable[Hotword] = ()):
        self._paid: dict[HotwordState, float] = {}  # for a beginning of a phrase
        self._sure: dict[HotwordState, float] = {}  # of that, what is kept when the phrase is not completed
        self._inner: set[HotwordState] = set()  # beginnings that go on
        self._most: dict[str, float] = {}
        for text, weight in hotwords:
            words = tuple(spelt(text, f"the hotword {text!r}").split())
            for n in range(1, len(words) + 1):
                self._paid[words[:n]] = max(weight * n / len(words), self._paid.get(words[:n], 0.0))
            self._sure[words] = max(weight, self._sure.get(words, 0.0))
            self._inner.update(words[:n] for n in range(1, len(words)))
        for state, paid in self._paid.items():
            step = paid - self._paid.get(state[:-1], 0.0)
            self._most[state[-1]] = max(step, self._most.get(state[-1], 0.0))

    def __contains__(self, word: str) -> bool:
        return word in self._most

    def __iter__(self) -> Iterator[str]:
        return iter(self._most)

    def most(self, word: str) -> float:
        """The most that a word can earn."""
        return self._most.get(word, 0.0)

    def after(self, state: HotwordState, word: str) -> tuple[float, HotwordState]:
        """What a word adds, and the state after it."""
        if not state and word not in self._most:
            return 0.0, state
        longer = (*state, word)
        if longer in self._paid:
            return self._paid[longer] - self._paid.get(state, 0.0), longer if longer in self._inner else ()
        lost = self.end(state)
        for n in range(1, len(longer)):
            if longer[n:] in self._paid:
                return lost + self._paid[longer[n:]], longer[n:] if longer[n:] in self._inner else ()
        return lost, ()

    def end(self, state: HotwordState) -> float:
        """What the end of the text adds: nothing, or less where it breaks a phrase off."""
        if not state:
            return 0.0
        kept = max((self._sure.get(state[:n], 0.0) for n in range(1, len(state) + 1)), default=0.0)
        return kept - self._paid[state]


def read_hotwords(path: Path | str) -> tuple[Hotword, ...]:
    """A word or phrase a line, perhaps TAB and its weight. Raises HotwordError."""
    found = []
    for number, line in _lines(path, "hotwords"):
        text, _, weight = line.partition("\t")
        try:
            value = float(weight) if weight.strip() else DEFAULT_WEIGHT
        except ValueError:
            value = -1.0
        if not 0 < value <= MAX_WEIGHT:
            raise HotwordError(
                f"{path}, line {number}: {weight.strip()!r} is not a weight: "
                f"give a number above 0, at most {MAX_WEIGHT:g}"
            )
        found.append(Hotword(spelt(text, f"{path}, line {number}"), value))
    return tuple(found)


def read_commands(path: Path | str) -> tuple[str, ...]:
    """A command a line. Raises HotwordError."""
    return tuple(spelt(line, f"{path}, line {number}") for number, line in _lines(path, "commands"))


def spelt(text: str, where: str) -> str:
    """Lower case, single spaces. Raises HotwordError where the text has symbols that the alphabet lacks."""
    found = " ".join(text.lower().replace("\u2019", "'").split())
    strange = sorted({c for c in found if c not in LETTERS})
    if strange or not any(c.isalpha() for c in found):
        what = f"the alphabet has no {' '.join(map(repr, strange))}" if strange else "there is no word"
        raise HotwordError(f"{where}: {what}: write words as they are spoken, with letters a to z and apostrophes")
    return found


def _lines(path: Path | str, what: str) -> list[tuple[int, str]]:
    """The lines that are not empty, with their numbers."""
    try:
        return numbered_lines(str(path), what)
    except TextError as error:
        raise HotwordError(str(error)) from None
