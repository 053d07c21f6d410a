"""The search in words by compiled loops."""

from __future__ import annotations

from typing import Any

import numpy as np

from asr.language.ngram import UNKNOWN, NgramModel
from asr.native import search as native
from asr.search.base import Hypothesis, Partial
from asr.search.hotwords import HotwordState
from asr.search.words import LexiconSearch

MAX_ORDER = 8  # of a language model


class CompiledSearch(LexiconSearch):
    """The same results from the same calls, an order of magnitude sooner; only its states cannot be looked into."""

    def __init__(self, *given: Any):
        super().__init__(*given)
        o, coded = self.options, self._coded
        self._words = coded.words
        self._hotword_states: list[HotwordState] = [self.hotwords.start]  # by number
        self._hotword_state_numbers = {self.hotwords.start: 0}
        known = self._numbers
        penalties, no_hotwords = np.zeros(len(known)), np.zeros(len(known), np.uint8)
        for i in np.flatnonzero(known == UNKNOWN).tolist():
            penalties[i] = 0.0 if self._words[i] in self.lm else self._penalty(self._words[i])
        self._engine = native.Engine(
            coded.said,
            coded.first,
            coded.word,
            known,
            penalties,
            self._unigram_scores()[coded.word],
            np.fromiter(map(self.hotwords.__contains__, self._words), np.uint8) if any(self.hotwords) else no_hotwords,
            self.lm.native,
            *((self._after, self._end) if any(self.hotwords) else (None, None)),
            (o.beam, o.symbols, o.lm_weight, o.word_bonus, o.sure_blank, o.least_symbol, o.width)
            + (o.recombine, o.look_ahead),
        )

    def start(self) -> Any:
        return self._engine.start()

    def feed(self, state: Any, letters: np.ndarray, phonemes: np.ndarray | None = None) -> Any:
        rows = np.ascontiguousarray(self._scores(letters, phonemes), np.float64)
        return self._engine.feed(state, rows, rows.shape[1])

    def finish(self, state: Any, n: int = 1) -> list[Hypothesis]:
        return [
            Hypothesis(" ".join([self._words[w] for w in words]), *scores)
            for words, *scores in self._engine.best(state, n)
        ]

    def partial(self, state: Any) -> Partial:
        words, stable = self._engine.so_far(state)
        return Partial(tuple(self._words[w] for w in words), stable)

    def _after(self, state: int, word: int) -> tuple[float, int]:
        boost, after = self.hotwords.after(self._hotword_states[state], self._words[word])
        number = self._hotword_state_numbers.setdefault(after, len(self._hotword_states))
        if number == len(self._hotword_states):
            self._hotword_states.append(after)
        return boost, number

    def _end(self, state: int) -> float:
        return self.hotwords.end(self._hotword_states[state])


def words_search(lm: NgramModel) -> type[LexiconSearch]:
    """Compiled, where that can be."""
    return CompiledSearch if native is not None and lm.order <= MAX_ORDER else LexiconSearch
