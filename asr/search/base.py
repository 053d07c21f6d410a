"""From log-probabilities to text: greedy decoding, and CTC prefix beam search with a language model."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from asr.search.non_blank_frames import non_blank_frames
from asr.text import Alphabet, collapse

SPACE = " "
NO_SYMBOL = -1  # what the empty prefix ends in
MIN_GAIN_LN = -600.0  # ln; keeps factors above zero
SLACK = math.exp(-2.0)  # how far the language model may set back a likely symbol against an unlikely one


@dataclass(frozen=True)
class Hypothesis:
    """A text that a search has found; scores are natural logarithms."""

    text: str
    score: float  # what the search maximises: acoustic + lm_weight * language + word_bonus * words
    acoustic: float  # ln of the probability of all alignments of the text that were kept
    language: float  # ln probability of the words by the language model, penalties for unknown words included


class LanguageModel(Protocol):
    """What the search asks of an n-gram or recurrent model; probabilities are natural logs."""

    def start(self) -> Any: ...
    def score(self, state: Any, word: str) -> tuple[float, Any]:
        """ln probability of the word after the words before it, and the state after it."""

    def end(self, state: Any) -> float:
        """ln probability that the sentence ends here."""

    def __contains__(self, word: str) -> bool: ...

    def best_completion(self, beginning: str) -> float | None:
        """ln probability, without context, of the likeliest word with this beginning; None where there is none."""


@dataclass(frozen=True)
class SearchOptions:
    """How wide the search looks, and what its score is made of; natural logarithms."""

    beam: int = 32  # prefixes kept after every frame
    lm_weight: float = 0.6  # of the language model's ln probability
    word_bonus: float = 1.0  # ln added per word: makes up for the language model's taste for few words
    unknown: float = -4.0  # ln added per letter of a word the language model does not know
    look_ahead: bool = True  # score a begun word by the likeliest word it can become
    sure_blank: float = 0.999  # a frame whose blank is at least this probable costs nothing
    least_symbol: float = 0.002  # symbols less probable than this are passed over in a frame ...
    symbols: int = 10  # ... and so are all but this many
    width: float = 10.0  # prefixes this much (ln) below the best are dropped


def greedy(log_probs: np.ndarray, alphabet: Alphabet) -> Hypothesis:
    """The best path, collapsed. log_probs (T, V), natural log; column 0 is the blank."""
    if len(log_probs) == 0:
        return Hypothesis("", 0.0, 0.0, 0.0)
    path = log_probs.argmax(-1)
    score = float(np.take_along_axis(log_probs, path[:, None], -1).sum(dtype=np.float64))
    return Hypothesis(_tidy(alphabet.decode(collapse(path.tolist()))), score, score, 0.0)


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


Entry = tuple[Prefix, float, float]
Beam = list[Entry]
Any_Entry = TypeVar("Any_Entry")


@dataclass(frozen=True)
class SearchState(Generic[Any_Entry]):
    """Where a search stands: a value, so one can go on from it twice."""

    beam: list[Any_Entry]  # best first; each with the probability of its alignments ending in blank, and in its symbol
    offset: float  # ln of what the probabilities in `beam` are to be multiplied by
    resting: bool  # the last frame was surely blank: all alignments end in blank


class BeamSearch:
    """CTC prefix beam search (Hannun et al. 2014), fused with a language model over words.

    Files and streams use the same calls, and any cut of the frames gives the same result:

        state = search.start()
        state = search.feed(state, log_probs)  # as often as there are blocks
        search.best(state, n=5)

    Every prefix carries the probability of its alignments times the (weighted) probability of its words.
    These are kept as plain probabilities, scaled so that the best prefix of a frame is near 1: adding and
    multiplying then needs no logarithms.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        options: SearchOptions = SearchOptions(),
        lm: LanguageModel | None = None,
    ):
        self.alphabet = alphabet
        self.options = options
        self.lm = lm
        self._space = alphabet.index(SPACE) if SPACE in alphabet.symbols else NO_SYMBOL - 1

    def decode(self, log_probs: np.ndarray, n: int = 1) -> list[Hypothesis]:
        """The n best hypotheses of a whole utterance. log_probs (T, V), natural log."""
        return self.best(self.feed(self.start(), log_probs), n)

    def start(self) -> SearchState[Entry]:
        root = Prefix(NO_SYMBOL, None, self.lm.start() if self.lm else None)
        return SearchState([(root, 1.0, 0.0)], 0.0, resting=True)

    def feed(self, state: SearchState[Entry], log_probs: np.ndarray) -> SearchState[Entry]:
        """The state after the frames of log_probs (T, V), natural log."""
        if log_probs.ndim != 2 or log_probs.shape[1] != len(self.alphabet):
            raise ValueError(
                f"log-probabilities have the shape {log_probs.shape}; "
                f"this alphabet needs (frames, {len(self.alphabet)})"
            )
        beam, offset, resting = state.beam, state.offset, state.resting
        for blank, symbols in non_blank_frames(log_probs, self.options):
            if symbols:
                beam, scale = self._step(beam, math.exp(blank), symbols)
                offset, resting = offset + scale, False
            else:
                if not resting:
                    beam, resting = [(p, b + s, 0.0) for p, b, s in beam], True
                offset += blank
        return SearchState(beam, offset, resting)

    def best(self, state: SearchState[Entry], n: int = 1) -> list[Hypothesis]:
        """The n best texts so far, best first, as if they ended here."""
        texts: dict[str, Hypothesis] = {}
        for prefix, in_blank, in_symbol in state.beam:
            acoustic = math.log(in_blank + in_symbol) + state.offset - prefix.fused
            language, weighted = self._closing_score(prefix)
            text = _tidy(self._text(prefix))
            if text in texts:  # "so" and "so " are the same text
                acoustic = float(np.logaddexp(acoustic, texts[text].acoustic))
            texts[text] = Hypothesis(text, acoustic + weighted, acoustic, language)
        return sorted(texts.values(), key=lambda h: -h.score)[:n]

    def _step(self, beam: Beam, blank: float, symbols: list[tuple[int, float]]) -> tuple[Beam, float]:
        """One frame: every prefix stays (blank, or its last symbol again) or grows by a symbol.

        Returns the new beam, scaled to a best prefix of 1, and ln of the scale.
        """
        after: dict[int, list] = {}  # number -> [in_blank, in_symbol, prefix, parent, symbol]
        space = self._space
        narrow = math.exp(-self.options.width)
        probability = dict(symbols)
        again = probability.get(space, 0.0)
        top = 0.0
        floor = self._sure_floor(beam, blank, symbols[0][1])
        for prefix, in_blank, in_symbol in beam:
            total = in_blank + in_symbol
            last, number, factors = prefix.symbol, prefix.number, prefix.factors
            stay_blank = total * blank
            stay_symbol = in_symbol * probability.get(last, 0.0)
            word_begun = True
            if last == space:  # a second space adds nothing,
                stay_symbol, word_begun = total * again, False
            elif last == NO_SYMBOL:  # nor does one before the first word
                stay_blank, word_begun = stay_blank + total * again, False
            entry = after.get(number)
            if entry is None:
                after[number] = [stay_blank, stay_symbol, prefix, None, last]
            else:
                entry[0] += stay_blank
                entry[1] += stay_symbol
                entry[2] = prefix
            if stay_blank + stay_symbol > top:
                top = stay_blank + stay_symbol
                floor = max(floor, top * narrow)
            for symbol, p in symbols:
                if total * p <= floor:
                    break
                flow = (in_blank if symbol == last else total) * p
                if flow <= floor or (symbol == space and not word_begun):
                    continue
                factor = factors.get(symbol)
                if factor is None:
                    factor = factors[symbol] = math.exp(max(self._gain(prefix, symbol), MIN_GAIN_LN))
                flow *= factor
                key = hash((number, symbol))
                entry = after.get(key)
                if entry is None:
                    after[key] = [0.0, flow, None, prefix, symbol]
                else:
                    entry[1] += flow
                if flow > top:
                    top = flow
                    floor = max(floor, top * narrow)
        return self._prune(list(after.values()))

    def _sure_floor(self, beam: Beam, blank: float, likeliest: float) -> float:
        """What a prefix must reach to be among the best after this frame, since all of a full beam can go on.

        All can stay by a blank; all can grow by the likeliest symbol, which the language model may punish.
        """
        if len(beam) < self.options.beam:
            return 0.0
        lowest = beam[-1][1] + beam[-1][2]
        return lowest * max(blank, likeliest * SLACK)

    def _prune(self, entries: list[list]) -> tuple[Beam, float]:
        """Keep the best `beam` prefixes, none of them `width` below the best; scale the best to 1."""
        entries.sort(key=_total, reverse=True)
        top = _total(entries[0])
        floor = max(top * math.exp(-self.options.width), sys.float_info.min)
        kept = [
            (prefix or self._grow(parent, symbol), in_blank / top, in_symbol / top)
            for in_blank, in_symbol, prefix, parent, symbol in entries[: self.options.beam]
            if in_blank + in_symbol >= floor
        ]
        return kept, math.log(top)

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


def _tidy(text: str) -> str:
    return " ".join(text.split())


def _total(entry: list) -> float:
    return entry[0] + entry[1]
