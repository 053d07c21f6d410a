"""CTC prefix beam search in letters (or subwords), fused with a language model over words."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asr.search.base import (
    MIN_GAIN_LN,
    SPACE,
    Hypothesis,
    LanguageModel,
    Partial,
    PrefixBeamSearch,
    SearchOptions,
    SearchState,
    checked,
    common_prefix,
)
from asr.search.hotwords import HotwordScorer, HotwordState
from asr.text import Alphabet

UNLISTED_LN = -16.0  # ln probability of a hotword that the language model lacks: about that of the rarest it has
NO_SYMBOL = -1  # what the empty prefix ends in
SLACK = math.exp(-2.0)  # how far the language model may set back a likely symbol against an unlikely one


class HotwordLanguageModel:
    """A language model with the hotwords' weights (ln) on top; or these alone, without one.

    lm_weight: what the search multiplies scores by, so that these weights are divided by it.
    """

    def __init__(self, lm: LanguageModel | None, hotwords: HotwordScorer, lm_weight: float):
        self._lm, self._hotwords, self._scale = lm, hotwords, 1 / lm_weight
        self._words = sorted(hotwords)
        self._best_ln = [self._scored(self.start()[0], w)[0] + self._scale * hotwords.most(w) for w in self._words]

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
        return max([*self._best_ln[low:high], *([] if best is None else [best])], default=None)

    def _scored(self, state: Any, word: str) -> tuple[float, Any]:
        if self._lm is None:
            return 0.0, None
        score, following = self._lm.score(state, word)
        return UNLISTED_LN if word in self._hotwords and word not in self._lm else score, following


class Prefix:
    """A text that the frames so far may spell: its last symbol, and what the language model thinks of it."""

    __slots__ = ("symbol", "parent", "number", "factors", "fused", "language", "state", "word", "ahead")

    def __init__(self, symbol: int, parent: Prefix | None, state: Any):
        self.symbol = symbol
        self.parent = parent
        self.number: int = hash((parent.number, symbol)) if parent else 0  # 64 bits that stand for the whole text
        self.factors: dict[int, float] = {}  # of the language model, on a next symbol's probability
        self.fused = 0.0  # ln of the product of the factors of all symbols
        self.language = 0.0  # ln probability of the finished words
        self.state = state  # of the language model, after the finished words
        self.word = ""  # the unfinished word
        self.ahead = 0.0  # look-ahead score of the unfinished word, contained in `fused`


@dataclass(slots=True)
class Path:
    """A prefix of the beam; or one that is made only when it is kept: `prefix` grown by `next_symbol`."""

    prefix: Prefix
    in_blank: float  # probability of its alignments that end in the blank
    in_symbol: float  # and in its last symbol
    next_symbol: int | None = None


class LetterSearch(PrefixBeamSearch[Path]):
    """The search in letters, whose words end at spaces. Without a language model it sums CTC's alignments alone."""

    def __init__(
        self,
        alphabet: Alphabet,
        options: SearchOptions = SearchOptions(),
        lm: LanguageModel | None = None,
        prior: np.ndarray | float = 0.0,
        name: str = "letters",
    ):
        """prior (V,) or a number: taken off the log-probabilities."""
        self.alphabet, self.options, self.lm, self.name = alphabet, options, lm, name
        self._prior = prior
        self._space = alphabet.index(SPACE) if SPACE in alphabet.symbols else NO_SYMBOL - 1

    def start(self) -> SearchState[Path]:
        root = Prefix(NO_SYMBOL, None, self.lm.start() if self.lm else None)
        return SearchState([Path(root, 1.0, 0.0)], 0.0, resting=True)

    def finish(self, state: SearchState[Path], n: int = 1, shown: bool = True) -> list[Hypothesis]:
        texts: dict[str, Hypothesis] = {}
        for path in state.beam:
            acoustic = math.log(path.in_blank + path.in_symbol) + state.offset - path.prefix.fused
            language, weighted = self._closing_score(path.prefix)
            text = " ".join(self._text(path.prefix).split())
            if text in texts:  # "so" and "so " are the same text
                acoustic = float(np.logaddexp(acoustic, texts[text].acoustic))
            texts[text] = Hypothesis(text, acoustic + weighted, acoustic, language)
        return sorted(texts.values(), key=lambda h: -h.score)[:n]

    def partial(self, state: SearchState[Path]) -> Partial:
        """A word is finished where a space follows it."""
        chain, common = common_prefix([path.prefix for path in state.beam])
        symbols = [prefix.symbol for prefix in chain[1:]]
        finished = self.alphabet.decode(symbols[:common]).split(SPACE)[:-1]
        return Partial(tuple(self.alphabet.decode(symbols).split()), sum(map(bool, finished)))

    def _scores(self, letters: np.ndarray, phonemes: np.ndarray | None) -> np.ndarray:
        return checked(letters, self.alphabet) - self._prior

    def _step(self, beam: Sequence[Path], blank: float, symbols: list[tuple[int, float]]) -> list[Path]:
        after: dict[int, Path] = {}  # by the number of the prefix
        narrow = math.exp(-self.options.width)
        probability = dict(symbols)
        top = floor = 0.0
        if len(beam) >= self.options.beam:  # all can stay by a blank, or grow by the likeliest symbol
            floor = (beam[-1].in_blank + beam[-1].in_symbol) * max(blank, symbols[0][1] * SLACK)
        for path in beam:
            stay_blank, stay_symbol, word_begun = self._staying(path, blank, probability)
            total, last, number = path.in_blank + path.in_symbol, path.prefix.symbol, path.prefix.number
            entry = after.get(number)
            if entry is None:
                after[number] = Path(path.prefix, stay_blank, stay_symbol)
            else:  # its parent has grown to it already
                entry.prefix, entry.next_symbol = path.prefix, None
                entry.in_blank += stay_blank
                entry.in_symbol += stay_symbol
            if stay_blank + stay_symbol > top:
                top = stay_blank + stay_symbol
                floor = max(floor, top * narrow)
            factors = path.prefix.factors
            for symbol, p in symbols:
                if total * p <= floor:
                    break
                flow = (path.in_blank if symbol == last else total) * p
                if flow <= floor or (symbol == self._space and not word_begun):
                    continue
                if symbol not in factors:
                    factors[symbol] = math.exp(max(self._gain(path.prefix, symbol), MIN_GAIN_LN))
                flow *= factors[symbol]
                key = hash((number, symbol))
                entry = after.get(key)
                if entry is None:
                    after[key] = Path(path.prefix, 0.0, flow, symbol)
                else:
                    entry.in_symbol += flow
                if flow > top:
                    top = flow
                    floor = max(floor, top * narrow)
        return list(after.values())

    def _staying(self, path: Path, blank: float, probability: dict[int, float]) -> tuple[float, float, bool]:
        """-> what stays in the blank, and in the last symbol; whether there is a word that a space would end."""
        total, last = path.in_blank + path.in_symbol, path.prefix.symbol
        again = probability.get(self._space, 0.0)
        if last == self._space:  # a second space adds nothing,
            return total * blank, total * again, False
        if last == NO_SYMBOL:  # nor does one before the first word
            return total * blank + total * again, 0.0, False
        return total * blank, path.in_symbol * probability.get(last, 0.0), True

    def _scaled(self, entry: Path, in_blank: float, in_symbol: float) -> Path:
        grown = entry.prefix if entry.next_symbol is None else self._grow(entry.prefix, entry.next_symbol)
        return Path(grown, in_blank, in_symbol)

    def _gain(self, prefix: Prefix, symbol: int) -> float:
        """ln of what the language model makes of the prefix going on by a symbol."""
        if not self.lm:
            return 0.0
        if symbol == self._space:
            score, _ = self._word_score(self.lm, prefix)
            return self.options.lm_weight * score + self.options.word_bonus - prefix.ahead
        return self._look_ahead(prefix.word + self.alphabet[symbol]) - prefix.ahead

    def _grow(self, parent: Prefix, symbol: int) -> Prefix:
        child = Prefix(symbol, parent, parent.state)
        child.fused = parent.fused + math.log(parent.factors[symbol])
        child.language = parent.language
        if symbol != self._space:
            child.word = parent.word + self.alphabet[symbol]
            child.ahead = self._look_ahead(child.word)
        elif self.lm:
            score, child.state = self._word_score(self.lm, parent)
            child.language += score
        return child

    def _word_score(self, lm: LanguageModel, prefix: Prefix) -> tuple[float, Any]:
        """ln probability of the prefix's unfinished word as if it ended here, and the state after it."""
        score, state = lm.score(prefix.state, prefix.word)
        return score + (0.0 if prefix.word in lm else self.options.unknown * len(prefix.word)), state

    def _look_ahead(self, beginning: str) -> float:
        if not (self.lm and self.options.look_ahead):
            return 0.0
        best = self.lm.best_completion(beginning)
        return self.options.lm_weight * (self.options.unknown * len(beginning) if best is None else best)

    def _closing_score(self, prefix: Prefix) -> tuple[float, float]:
        """ln probability by the language model if the text ends here; the same weighted, with bonuses."""
        o = self.options
        language, weighted, state = prefix.language, prefix.fused, prefix.state
        if self.lm and prefix.word:
            score, state = self._word_score(self.lm, prefix)
            language += score
            weighted += o.lm_weight * score + o.word_bonus - prefix.ahead
        if self.lm:
            score = self.lm.end(state)
            language += score
            weighted += o.lm_weight * score
        return language, weighted

    def _text(self, prefix: Prefix) -> str:
        indices = []
        while prefix.parent is not None:
            indices.append(prefix.symbol)
            prefix = prefix.parent
        return self.alphabet.decode(reversed(indices))
