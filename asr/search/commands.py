"""A closed set of commands: which of them was said, or none.

Every command is scored whole by CTC over both heads, letters and phonemes, against the best free path through the
same frames, the filler of keyword spotting (Rose & Paul 1990). What is too far below it is none of the commands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from asr.search.base import Hypothesis
from asr.search.ctc_score import ctc_scores
from asr.search.hotwords import HotwordError
from asr.search.letter_to_sound import guess
from asr.text import Alphabet

MAX_PRONUNCIATIONS = 8  # pronunciations of a command
NO_COMMAND = Hypothesis("", 0.0, 0.0, 0.0)


class CommandSet:
    """threshold: ln a symbol that a command may lie below the best free path.

    lexicon: the pronunciations ("P EH R") of each word; other words are pronounced by rules.
    """

    def __init__(
        self,
        commands: Sequence[str],
        alphabet: Alphabet,
        phonemes: Sequence[str],
        lexicon: Mapping[str, Sequence[str]],
        threshold: float,
    ):
        """Raises HotwordError where there are no commands."""
        self.commands = list(dict.fromkeys(commands))
        if not self.commands:
            raise HotwordError("there are no commands to choose from: give at least one")
        self.threshold = threshold
        self._letters = [alphabet.encode(command) for command in self.commands]
        ways = [pronounced(command, lexicon) for command in self.commands]
        column = {p: i for i, p in enumerate(phonemes, start=1)}
        self._said = [[column[p] for p in way.split()] for of in ways for way in of] if phonemes else []
        self._first = np.cumsum([0, *(len(of) for of in ways[:-1])])

    def feed(self, state: np.ndarray | None, phonemes: np.ndarray | None) -> np.ndarray | None:
        """All log-probabilities of phonemes so far (T, P), from None on: a command is judged when it is whole."""
        return phonemes if state is None or phonemes is None else np.concatenate([state, phonemes])

    def best(self, state: np.ndarray | None, letters: np.ndarray, n: int = 1) -> list[Hypothesis]:
        """letters (T, V) -> the n likeliest commands, best first; or the empty text alone, where nothing comes near."""
        if not len(letters):
            return [NO_COMMAND]
        scores = self.scores(letters, state)
        order = np.argsort(-scores)[:n]
        if not scores[order[0]] >= -self.threshold:
            return [NO_COMMAND]
        total = [float(scores[i]) * len(self._letters[i]) for i in order]
        return [Hypothesis(self.commands[i], s, s, 0.0) for i, s in zip(order, total)]

    def scores(self, letters: np.ndarray, phonemes: np.ndarray | None) -> np.ndarray:
        """letters (T, V), phonemes (T, P) -> (commands,): ln of its probability over the best free path's, a letter."""
        scores = ctc_scores(letters, self._letters) - letters.max(1).sum(dtype=np.float64)
        if phonemes is not None and self._said:
            said = ctc_scores(phonemes, self._said)
            scores = scores + np.maximum.reduceat(said, self._first) - phonemes.max(1).sum(dtype=np.float64)
        return scores / [len(letters) for letters in self._letters]


def pronounced(command: str, lexicon: Mapping[str, Sequence[str]]) -> list[str]:
    """Ways to say a command, at least one and at most MOST."""
    ways = [""]
    for word in command.split():
        ways = [f"{way} {said}".strip() for way in ways for said in lexicon.get(word) or guess(word, lexicon)]
    return ways[:MAX_PRONUNCIATIONS]
