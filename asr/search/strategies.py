"""The searches that a decoder chooses from, behind one interface; commands have a file of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from asr.language.ngram import UNKNOWN, NgramModel
from asr.native import search as native
from asr.search.base import Hypothesis, LanguageModel, LexiconOptions, Partial, Search, SearchOptions, greedy
from asr.search.hotwords import Hotword, HotwordLanguageModel, HotwordScorer, HotwordState
from asr.search.lexicon import Lexicon
from asr.search.options import DecoderOptions, Weights
from asr.search.words import LexiconSearch
from asr.text import Alphabet

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


def words_search(lm: NgramModel) -> type[LexiconSearch]:
    """Compiled, where that can be."""
    return CompiledSearch if native is not None and lm.order <= MAX_ORDER else LexiconSearch


class Greedy(Search):
    """The best path of the letters. The state is all letters so far (T, V)."""

    name = "greedy"

    def __init__(self, alphabet: Alphabet):
        self._alphabet = alphabet

    def start(self) -> np.ndarray:
        return np.zeros((0, len(self._alphabet)), np.float32)

    def feed(self, state: np.ndarray, letters: np.ndarray, phonemes: np.ndarray | None = None) -> np.ndarray:
        return np.concatenate([state, letters])

    def partial(self, state: np.ndarray) -> Partial:
        """A greedy text only ever grows at its end."""
        words = tuple(greedy(state, self._alphabet).text.split())
        return Partial(words, max(0, len(words) - 1))

    def finish(self, state: np.ndarray, n: int = 1) -> list[Hypothesis]:
        return [greedy(state, self._alphabet)]


class Letters(Search):
    """Prefix beam search in letters, with a language model or without."""

    def __init__(
        self,
        alphabet: Alphabet,
        options: SearchOptions,
        lm: LanguageModel | None,
        hotwords: Sequence[Hotword] = (),
        prior: np.ndarray | float = 0.0,
        name: str = "letters",
    ):
        """prior (V,) or a number: taken off the log-probabilities."""
        from asr.search.letters import LetterSearch

        if hotwords:
            lm = HotwordLanguageModel(lm, HotwordScorer(hotwords), options.lm_weight)
        self.name, self.options, self._prior = name, options, prior
        self._search = LetterSearch(alphabet, options, lm)

    def start(self) -> Any:
        return self._search.start()

    def feed(self, state: Any, letters: np.ndarray, phonemes: np.ndarray | None = None) -> Any:
        return self._search.feed(state, letters - self._prior)

    def partial(self, state: Any) -> Partial:
        return self._search.partial(state)

    def finish(self, state: Any, n: int = 1) -> list[Hypothesis]:
        return self._search.best(state, n)


class Words(Search):
    """Search in the words of a lexicon by their phonemes; the search is compiled where it can be.

    words: to be found beside those of lexicon and hotwords; what the lexicon lacks is pronounced by its guesses.
    Where a model has one head, its log-probabilities are those of the phonemes, and given alone.
    """

    name = "lexicon"

    def __init__(
        self,
        phonemes: Sequence[str],
        lexicon: Lexicon,
        lm: NgramModel,
        words: Iterable[str],
        options: DecoderOptions,
        weights: Weights,
        log_prior: np.ndarray | None = None,
    ):
        hotwords, w = HotwordScorer(options.hotwords), weights.given
        unlisted = [word for word in dict.fromkeys([*hotwords, *words]) if word not in lexicon]
        self.said = lexicon.overridden(Lexicon((word, way) for word in unlisted for way in lexicon.ways(word)))
        self.options = LexiconOptions(options.beam or LexiconOptions.beam, w["lm"], w["word"], prior_weight=w["prior"])
        self._search = words_search(lm)(phonemes, self.said, lm, self.options, log_prior, hotwords)

    def start(self) -> Any:
        return self._search.start()

    def feed(self, state: Any, letters: np.ndarray, phonemes: np.ndarray | None = None) -> Any:
        return self._search.feed(state, letters if phonemes is None else phonemes)

    def partial(self, state: Any) -> Partial:
        return self._search.partial(state)

    def finish(self, state: Any, n: int = 1) -> list[Hypothesis]:
        return self._search.best(state, n)
