"""The lexicon search with its inner loops compiled (native/search.cpp), where the installation has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from asr.language.ngram import NgramModel
from asr.language.packed import PackedLevel
from asr.native import search as native
from asr.search.base import Hypothesis, LexiconOptions, Partial
from asr.search.hotwords import HotwordScorer, HotwordState
from asr.search.lexicon import Pronunciation
from asr.search.words import LexiconSearch

MAX_ORDER = 8  # of a language model


class CompiledSearch(LexiconSearch):
    """The same results from the same calls, an order of magnitude sooner; only its states cannot be looked into."""

    def __init__(
        self,
        phonemes: Sequence[str],
        pronunciations: Iterable[Pronunciation],
        lm: NgramModel,
        options: LexiconOptions = LexiconOptions(),
        log_prior: np.ndarray | None = None,
        hotwords: HotwordScorer = HotwordScorer(),
    ):
        super().__init__(phonemes, pronunciations, lm, options, log_prior, hotwords)
        said, words, o = self._tree.said, self._tree.words, self.options
        number = {word: i for i, word in enumerate(dict.fromkeys(words))}
        self._words = list(number)
        self._hotword_states: list[HotwordState] = [self.hotwords.start]  # by number
        self._hotword_state_numbers = {self.hotwords.start: 0}
        known = [self.lm.number(word) for word in self._words]
        self._engine = native.Engine(
            np.frombuffer("".join(said).encode("latin-1"), np.uint8),
            np.cumsum([0, *map(len, said)], dtype=np.int64),
            np.array([number[word] for word in words], np.int64),
            np.array(known, np.int64),
            np.array([0.0 if word in self.lm else self._penalty(word) for word in self._words]),
            self._word_scores,
            np.array([word in self.hotwords for word in self._words], np.uint8),
            tuple(_level(level) for level in self.lm.packed),
            *((self._after, self._end) if any(self.hotwords) else (None, None)),
            (o.beam, o.symbols, o.lm_weight, o.word_bonus, o.sure_blank, o.least_symbol, o.width)
            + (o.recombine, o.look_ahead),
        )

    def start(self) -> Any:
        return self._engine.start()

    def feed(self, state: Any, log_probs: np.ndarray) -> Any:
        rows = np.ascontiguousarray(self._checked(log_probs), np.float64)
        return self._engine.feed(state, rows, rows.shape[1])

    def best(self, state: Any, n: int = 1) -> list[Hypothesis]:
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


def _level(level: PackedLevel) -> tuple:
    arrays = (level.records, level.is_node, level.ranks, level.nodes, level.prob_table, level.backoff_table)
    return *arrays, level.size, level.word_bits, level.start_bits


def lexicon_search(
    phonemes: Sequence[str],
    pronunciations: Iterable[Pronunciation],
    lm: NgramModel,
    options: LexiconOptions = LexiconOptions(),
    log_prior: np.ndarray | None = None,
    hotwords: HotwordScorer = HotwordScorer(),
) -> LexiconSearch:
    """LexiconSearch(...), compiled if it can be."""
    kind = CompiledSearch if native is not None and lm.order <= MAX_ORDER else LexiconSearch
    return kind(phonemes, pronunciations, lm, options, log_prior, hotwords)
