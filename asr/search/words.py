"""Search over a pronunciation lexicon: phonemes to words, with an n-gram model, by compiled loops.

The older way to words (with CTC: EESEN, Miao et al. 2015): how a word is spelt need not be learnt from sound,
so it pays most where training data is scarce. The vocabulary is closed. asr.search.tree is the same in Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from asr.errors import UsageError
from asr.language.ngram import UNKNOWN, NgramModel
from asr.native import search as native
from asr.search.base import Hypothesis, LexiconOptions, Partial, Search, checked
from asr.search.hotwords import HotwordScorer, HotwordState
from asr.search.lexicon import Lexicon, Pronunciation
from asr.text import Alphabet

MAX_ORDER = 8  # of a language model


class WordSearch(Search):
    """What is searched, in compiled loops or in Python.

    phonemes: columns 1.. of the log-probabilities (T, V). A word may end wherever the lexicon has one, and the
    next phoneme then begins another, so there is no symbol for the gap between words. A begun word is
    scored ahead by the likeliest word it can become; at its end the word's own score replaces that.
    log_prior (V,): ln of the model's mean output over much speech. Divided by it, as in hybrid systems, the
    probabilities lose a taste for the blank and for frequent phonemes, which the language model has already.
    """

    name = "lexicon"

    def __init__(
        self,
        phonemes: Sequence[str],
        lexicon: Iterable[Pronunciation] | Lexicon,
        lm: NgramModel,
        options: LexiconOptions = LexiconOptions(),
        log_prior: np.ndarray | None = None,
        hotwords: HotwordScorer = HotwordScorer(),
    ):
        """Raises UsageError for a phoneme that is not among these, no words at all, or a prior of another shape."""
        self.alphabet, self.lm, self.hotwords = Alphabet(phonemes), lm, hotwords
        self.options: LexiconOptions = options
        if log_prior is not None and np.shape(log_prior) != (len(self.alphabet),):
            raise UsageError(f"the prior has the shape {np.shape(log_prior)}, not ({len(self.alphabet)},)")
        self._log_prior = log_prior
        self._rarest = float(lm.unigrams.log_prob[3:].min(initial=0.0))
        self.said = lexicon if isinstance(lexicon, Lexicon) else Lexicon(lexicon)
        self._coded = self.said.coded(phonemes)
        if not len(self._coded):
            raise UsageError("the lexicon has no words: give at least one pronunciation")

    def _scores(self, letters: np.ndarray, phonemes: np.ndarray | None) -> np.ndarray:
        """Of the phonemes; where a model has one head, they are given alone."""
        log_probs = checked(letters if phonemes is None else phonemes, self.alphabet)
        if self._log_prior is None:
            return log_probs
        log_probs = log_probs - self.options.prior_weight * self._log_prior
        return log_probs - np.logaddexp.reduce(log_probs, axis=1, keepdims=True)

    @cached_property
    def _numbers(self) -> np.ndarray:
        """Of each of the lexicon's words, its number in the language model."""
        return self.lm.numbers(self._coded.words, self._coded.places)

    def _unigram_scores(self) -> np.ndarray:
        """Weighted ln probability of each of the lexicon's words without context, hotwords' weights included."""
        words, weight = self._coded.words, self.options.lm_weight
        ids = self._numbers
        due = weight * self.lm.unigrams.log_prob[ids].astype(np.float64)
        for i in np.flatnonzero(ids == UNKNOWN).tolist():
            due[i] += weight * self._penalty(words[i])
        return due + [self.hotwords.most(word) for word in words] if any(self.hotwords) else due

    def _penalty(self, word: str) -> float:
        """ln, of a word that the language model lacks; a hotword is as good as its rarest word."""
        if word in self.hotwords:
            return self._rarest - float(self.lm.unigrams.log_prob[UNKNOWN])
        return self.options.unknown * len(word)


class CompiledSearch(WordSearch):
    """The results of asr.search.tree.LexiconSearch, an order of magnitude sooner; its states cannot be looked into."""

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

    def finish(self, state: Any, n: int = 1, shown: bool = True) -> list[Hypothesis]:
        return [
            Hypothesis(" ".join([self._words[w] for w in words]), *scores)
            for words, *scores in self._engine.best(state, n, shown)
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
