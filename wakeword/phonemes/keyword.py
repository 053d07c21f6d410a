"""Find a phrase in the CTC model's output: no training, any words; slower and less sure than a detector of its own.

For every frame: the best path that says the phrase's symbols and ends here, against the model's best path of any
content over the same frames (a keyword-filler network: Rose & Paul 1990; with CTC: Hwang et al. 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr.model.streaming import Posteriors
from asr.text import BLANK


@dataclass(frozen=True)
class Keyword:
    """The symbols of one way to say a phrase, as the acoustic model's head numbers them."""

    symbols: tuple[int, ...]

    def __post_init__(self):
        if not self.symbols or BLANK in self.symbols:
            raise ValueError("a keyword needs at least one symbol, and none of them the blank")

    @staticmethod
    def of(phonemes: Sequence[str], symbols: Sequence[str]) -> Keyword:
        """A phrase's phonemes, where the head's are ``symbols``, numbered from 1. ValueError for one it has not."""
        return Keyword(tuple(symbols.index(p) + 1 for p in phonemes))

    def start(self) -> np.ndarray:
        """The state: the log-score of the best path into each place, (2 L,)."""
        return np.full(2 * len(self.symbols), -np.inf)

    def feed(self, log_probs: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log_probs (T, V), state -> scores (T,) in 0..1, and the new state.

        A score is the geometric mean, over the phrase's symbols, of the ratio between the phrase's path and the
        best path: 1 where the model hears exactly the phrase. Places 0, 2, .. are symbols, 1, 3, .. the blanks
        after them; a path may enter the first symbol at any frame.
        """
        symbols = np.repeat(self.symbols, 2)
        symbols[1::2] = BLANK
        skips = np.zeros(len(symbols), bool)  # from a symbol straight to the next one, unless they are the same
        skips[2::2] = symbols[2::2] != symbols[:-2:2]
        relative = log_probs - log_probs.max(-1, keepdims=True)
        at, scores = state, np.empty(len(log_probs), np.float32)
        for t, frame in enumerate(relative):
            step = np.concatenate([[0.0], at[:-1]])  # place 0 is entered from outside, at no cost
            jump = np.where(skips, np.concatenate([[-np.inf] * 2, at[:-2]]), -np.inf)
            at = np.maximum(np.maximum(at, step), jump) + frame[symbols]
            scores[t] = np.exp(at[-2] / len(self.symbols))
        return scores, at


def heard(
    phrase: Sequence[Keyword], posteriors: Posteriors, states: Sequence[np.ndarray]
) -> tuple[float, tuple[np.ndarray, ...]]:
    """The ways to say a phrase in the next frames, a state for each -> the best score anywhere, and the new states."""
    assert posteriors.phonemes is not None  # or wakeword.phonemes.verify.keywords had refused
    found = [k.feed(posteriors.phonemes, at) for k, at in zip(phrase, states)]
    return max(float(scores.max(initial=0)) for scores, _ in found), tuple(at for _, at in found)
