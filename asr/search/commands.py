"""A closed set of commands: which of them was said, or none.

Every command is scored whole by CTC over both heads, letters and phonemes, against the best free path through the
same frames, the filler of keyword spotting (Rose & Paul 1990). What is too far below it is none of the commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, product

import numpy as np

from asr.model.streaming import Posteriors
from asr.search.base import Hypothesis, Partial, Search
from asr.search.ctc_paths import ctc_scores
from asr.search.hotwords import HotwordError
from asr.search.lexicon import Lexicon
from asr.text import Alphabet

MAX_PRONUNCIATIONS = 8  # of a command
NO_COMMAND = Hypothesis("", 0.0, 0.0, 0.0)


class CommandSet(Search):
    """The state is all that the model has said so far: a command is judged, and told, when it is whole.

    threshold: ln a symbol that a command may lie below the best free path.
    """

    name = "commands"

    def __init__(
        self, commands: Sequence[str], alphabet: Alphabet, phonemes: Sequence[str], lexicon: Lexicon, threshold: float
    ):
        """Raises HotwordError where there are no commands. phonemes: () to judge by the letters alone."""
        self.commands = list(dict.fromkeys(commands))
        if not self.commands:
            raise HotwordError("there are no commands to choose from: give at least one")
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

    def finish(self, state: Posteriors | None, n: int = 1) -> list[Hypothesis]:
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
