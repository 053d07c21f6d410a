"""A language model that expects hotwords, for the search in letters."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from asr.search.base import LanguageModel
from asr.search.hotwords import Boosts, Spot

RARE = -16.0  # ln probability of a hotword that the language model lacks: about that of the rarest it has


class BoostedLanguage:
    """What the search asks of a language model, with boosts (ln) on top; without a model, boosts alone.

    lm_weight: what the search multiplies scores by, so that boosts are divided by it.
    """

    def __init__(self, lm: LanguageModel | None, boosts: Boosts, lm_weight: float):
        self._lm, self._boosts, self._scale = lm, boosts, 1 / lm_weight
        self._words = sorted(boosts)
        self._due = [self._scored(self.start()[0], w)[0] + self._scale * boosts.most(w) for w in self._words]

    def start(self) -> tuple[Any, Spot]:
        return self._lm.start() if self._lm else None, self._boosts.start

    def score(self, state: tuple[Any, Spot], word: str) -> tuple[float, tuple[Any, Spot]]:
        score, following = self._scored(state[0], word)
        boost, spot = self._boosts.after(state[1], word)
        return score + self._scale * boost, (following, spot)

    def end(self, state: tuple[Any, Spot]) -> float:
        return (self._lm.end(state[0]) if self._lm else 0.0) + self._scale * self._boosts.end(state[1])

    def __contains__(self, word: str) -> bool:
        return self._lm is None or word in self._boosts or word in self._lm

    def best_completion(self, beginning: str) -> float | None:
        low = bisect_left(self._words, beginning)
        high = bisect_left(self._words, beginning + chr(0x10FFFF), low)
        best = self._lm.best_completion(beginning) if self._lm else 0.0
        return max([*self._due[low:high], *([] if best is None else [best])], default=None)

    def _scored(self, state: Any, word: str) -> tuple[float, Any]:
        if self._lm is None:
            return 0.0, None
        score, following = self._lm.score(state, word)
        return RARE if word in self._boosts and word not in self._lm else score, following
