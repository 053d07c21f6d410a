"""Words of one's own: hotwords, which the search should expect, and closed sets of commands; files of both.

A hotword may be a phrase, and earns its weight word by word; where it breaks off, what it has earned is taken back (as
in the context graphs of icefall). Words outside the lexicon are pronounced as asr.search.lexicon.Lexicon.ways says.

Which of the commands was said, or none? Every command is scored whole by CTC over both heads, letters and phonemes,
against the best free path through the same frames, the filler of keyword spotting (Rose & Paul 1990). What is too far
below it is none of the commands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asr.errors import UsageError
from asr.files import numbered_lines
from asr.model.streaming import Posteriors
from asr.search.base import Hypothesis, Partial, Search
from asr.search.ctc_paths import ctc_scores
from asr.search.lexicon import Lexicon
from asr.text import LETTERS, Alphabet

DEFAULT_WEIGHT = 6.0  # ln, of a word without a weight of its own
MAX_WEIGHT = 50.0  # ln
MAX_PRONUNCIATIONS = 8  # of a command
NO_COMMAND = Hypothesis("", 0.0, 0.0, 0.0)
HotwordState = tuple[str, ...]  # the words of a phrase that have been said


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


class CommandSet(Search):
    """The state is all that the model has said so far: a command is judged, and told, when it is whole.

    threshold: ln a symbol that a command may lie below the best free path.
    """

    name = "commands"

    def __init__(
        self, commands: Sequence[str], alphabet: Alphabet, phonemes: Sequence[str], lexicon: Lexicon, threshold: float
    ):
        """Raises UsageError where there are no commands. phonemes: () to judge by the letters alone."""
        self.commands = list(dict.fromkeys(commands))
        if not self.commands:
            raise UsageError("there are no commands to choose from: give at least one")
        self.threshold = threshold
        self._letters = [alphabet.encode(command) for command in self.commands]
        column = {p: i for i, p in enumerate(phonemes, start=1)}
        ways = [pronounced(command, lexicon) for command in self.commands]
        self._phonemes = [[column[p] for p in way.split()] for of in ways for way in of] if phonemes else []
        self._first = np.cumsum([0, *(len(of) for of in ways[:-1])])
        if phonemes:
            self.said = {word: lexicon.ways(word) for command in self.commands for word in command.split()}

    def start(self) -> Posteriors | None:
        return None

    def feed(self, state: Posteriors | None, letters: np.ndarray, phonemes: np.ndarray | None = None) -> Posteriors:
        new = Posteriors(letters, phonemes)
        return new if state is None else state.concatenate(new)

    def partial(self, state: Posteriors | None) -> Partial:
        return Partial((), 0)

    def finish(self, state: Posteriors | None, n: int = 1, shown: bool = True) -> list[Hypothesis]:
        """The n likeliest commands, best first; or the empty text alone, where nothing comes near."""
        if state is None or not len(state.letters):
            return [NO_COMMAND]
        scores = self.scores(*state)
        order = np.argsort(-scores)[:n]
        if not scores[order[0]] >= -self.threshold:
            return [NO_COMMAND]
        total = [float(scores[i]) * len(self._letters[i]) for i in order]
        return [Hypothesis(self.commands[i], s, s, 0.0) for i, s in zip(order, total)]

    def scores(self, letters: np.ndarray, phonemes: np.ndarray | None) -> np.ndarray:
        """letters (T, V), phonemes (T, P) -> (commands,): ln of its probability over the best free path's, a letter."""
        scores = ctc_scores(letters, self._letters) - letters.max(1).sum(dtype=np.float64)
        if phonemes is not None and self._phonemes:
            by_phonemes = ctc_scores(phonemes, self._phonemes)
            scores = scores + np.maximum.reduceat(by_phonemes, self._first) - phonemes.max(1).sum(dtype=np.float64)
        return scores / [len(letters) for letters in self._letters]


def pronounced(command: str, lexicon: Lexicon) -> list[str]:
    """Ways to say a command, at least one and at most MAX_PRONUNCIATIONS."""
    return [" ".join(way) for way in islice(product(*map(lexicon.ways, command.split())), MAX_PRONUNCIATIONS)]


def read_hotwords(path: Path | str) -> tuple[Hotword, ...]:
    """A word or phrase a line, perhaps TAB and its weight. Raises UsageError."""
    found = []
    for number, line in numbered_lines(path, "hotwords"):
        text, _, weight = line.partition("\t")
        try:
            value = float(weight) if weight.strip() else DEFAULT_WEIGHT
        except ValueError:
            value = -1.0
        if not 0 < value <= MAX_WEIGHT:
            raise UsageError(
                f"{path}, line {number}: {weight.strip()!r} is not a weight: "
                f"give a number above 0, at most {MAX_WEIGHT:g}"
            )
        found.append(Hotword(spelt(text, f"{path}, line {number}"), value))
    return tuple(found)


def read_commands(path: Path | str) -> tuple[str, ...]:
    """A command a line. Raises UsageError."""
    return tuple(spelt(line, f"{path}, line {number}") for number, line in numbered_lines(path, "commands"))


def spelt(text: str, where: str) -> str:
    """Lower case, single spaces. Raises UsageError where the text has symbols that the alphabet lacks."""
    found = " ".join(text.lower().replace("\u2019", "'").split())
    strange = sorted({c for c in found if c not in LETTERS})
    if strange or not any(c.isalpha() for c in found):
        what = f"the alphabet has no {' '.join(map(repr, strange))}" if strange else "there is no word"
        raise UsageError(f"{where}: {what}: write words as they are spoken, with letters a to z and apostrophes")
    return found
