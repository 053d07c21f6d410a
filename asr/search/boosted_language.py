"""A language model that expects hotwords, for the search in letters."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from asr.search.base import LanguageModel
from asr.search.hotwords import HotwordScorer, HotwordState

RARE = -16.0  # ln probability of a hotword that the language model lacks: about that of the rarest it has


class HotwordLanguageModel:
    """What the search asks of a language model, with the hotwords' weights (ln) on top; without a model, these alone.

    lm_weight: what the search multiplies scores by, so that these weights are divided by it.
    """

    def __init__(self, lm: LanguageModel | None, hotwords: HotwordScorer, lm_weight: float):
        self._lm, self._hotwords, self._scale = lm, hotwords, 1 / lm_weight
        self._words = sorted(hotwords)
        self._due = [self._scored(self.start()[0], w)[0] + self._scale * hotwords.most(w) for w in self._words]

    def start(self) -> tuple[Any, HotwordState]:
        return self._lm.start() if self._lm else None, self._hotwords.start

    def score(self, state: tuple[Any, HotwordState], word: str) -> tuple[float, tuple[Any, HotwordState]]:
        score, following = self._scored(state[0], word)
        boost, hotword_state = self._hotwords.after(state[1], word)
        return score + self._scale * boost, (following, hotword_state)

    def end(self, state: tuple[Any, HotwordState]) -> float:
        return (self._lm.end(state[0]) if self._lm else 0.0) + self._scale * self._hotwords.end(state[1])

    def __contains__(self, word: str) -> bool:
        return self._lm is None or word in self._hotwords or word in self._lm

    def best_completion(self, beginning: str) -> float | None:
        low = bisect_left(self._words, beginning)
        high = bisect_left(self._words, beginning + chr(0x10FFFF), low)
        best = self._lm.best_completion(beginning) if self._lm else 0.0
        return max([*self._due[low:high], *([] if best is None else [best])], default=None)

    def _scored(self, state: Any, word: str) -> tuple[float, Any]:
        if self._lm is None:
            return 0.0, None
        score, following = self._lm.score(state, word)
        return RARE if word in self._hotwords and word not in self._lm else score, following
