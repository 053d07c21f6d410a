"""From log-probabilities to text: greedy decoding, and CTC prefix beam search with a language model."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from asr.text import BLANK, Alphabet, collapse

SPACE = " "
NO_SYMBOL = -1  # what the empty prefix ends in
COMPACT_EVERY = 250  # frames between two sweeps of the prefix tree: 10 s


@dataclass(frozen=True)
class Hypothesis:
    text: str
    score: float  # what the search maximises: acoustic + lm_weight * language + word_bonus * words
    acoustic: float  # ln of the probability of all alignments of the text that were kept
    language: float  # ln probability of the words by the language model, penalties for unknown words included


class LanguageModel(Protocol):
    """What the search asks of an n-gram or recurrent model; probabilities are natural logs."""

    def start(self) -> Any: ...
    def score(self, state: Any, word: str) -> tuple[float, Any]: ...
    def end(self, state: Any) -> float: ...
    def __contains__(self, word: str) -> bool: ...
    def best_completion(self, beginning: str) -> float | None: ...


@dataclass(frozen=True)
class SearchOptions:
    beam: int = 32  # prefixes kept after every frame
    lm_weight: float = 0.6  # of the language model's ln probability
    word_bonus: float = 1.0  # ln added per word: makes up for the language model's taste for few words
    unknown: float = -8.0  # ln added to the language model's score of a word it does not know
    sentence_end: bool = True  # score the end of the sentence too
    look_ahead: bool = True  # score a begun word by the likeliest word it can become
    sure_blank: float = 0.999  # a frame whose blank is at least this probable costs nothing
    least_symbol: float = 0.001  # symbols less probable than this are passed over in a frame ...
    symbols: int = 10  # ... and so are all but this many
    width: float = 14.0  # prefixes this much (ln) below the best are dropped


def greedy(log_probs: np.ndarray, alphabet: Alphabet) -> Hypothesis:
    """The best path, collapsed. log_probs (T, V), natural log; column 0 is the blank."""
    if len(log_probs) == 0:
        return Hypothesis("", 0.0, 0.0, 0.0)
    path = log_probs.argmax(-1)
    score = float(np.take_along_axis(log_probs, path[:, None], -1).sum(dtype=np.float64))
    return Hypothesis(_tidy(alphabet.decode(collapse(path.tolist()))), score, score, 0.0)


class Prefix:
    """A node of the prefix tree: the text from the root to here, and what the language model thinks of it.

    Nodes do not change once made, apart from `children`, which only remembers nodes made before.
    """

    __slots__ = ("symbol", "parent", "children", "factor", "fused", "language", "state", "word", "ahead")

    def __init__(self, symbol: int, parent: Prefix | None, state: Any):
        self.symbol = symbol
        self.parent = parent
        self.children: dict[int, Prefix] = {}
        self.factor = 1.0  # what the last symbol's language score multiplies probabilities by
        self.fused = 0.0  # ln of the product of all factors from the root
        self.language = 0.0  # ln probability of the finished words
        self.state = state  # of the language model, after the finished words
        self.word = ""  # the unfinished word
        self.ahead = 0.0  # look-ahead score of the unfinished word, contained in `fused`


Beam = dict[Prefix, tuple[float, float]]


@dataclass(frozen=True)
class SearchState:
    """Where a search stands: a value, so one can go on from it twice."""

    beam: Beam  # prefix -> probability of its alignments ending in blank, and in its symbol; best first
    offset: float  # ln of what the probabilities in `beam` are to be multiplied by
    frames: int
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

    def __init__(self, alphabet: Alphabet, options: SearchOptions = SearchOptions(), lm: LanguageModel | None = None):
        self.alphabet = alphabet
        self.options = options
        self.lm = lm
        self._space = alphabet.index(SPACE) if SPACE in alphabet.symbols else NO_SYMBOL - 1

    def decode(self, log_probs: np.ndarray, n: int = 1) -> list[Hypothesis]:
        """The n best hypotheses of a whole utterance. log_probs (T, V), natural log."""
        return self.best(self.feed(self.start(), log_probs), n)

    def start(self) -> SearchState:
        root = Prefix(NO_SYMBOL, None, self.lm.start() if self.lm else None)
        return SearchState({root: (1.0, 0.0)}, 0.0, 0, resting=True)

    def feed(self, state: SearchState, log_probs: np.ndarray) -> SearchState:
        """The state after the frames of log_probs (T, V), natural log."""
        if log_probs.ndim != 2 or log_probs.shape[1] != len(self.alphabet):
            raise ValueError(
                f"log-probabilities have the shape {log_probs.shape}; "
                f"this alphabet needs (frames, {len(self.alphabet)})"
            )
        beam, offset, frames, resting = state.beam, state.offset, state.frames, state.resting
        for blank, symbols in self._frames(log_probs):
            if symbols:
                beam, scale = self._step(beam, math.exp(blank), symbols)
                offset, resting = offset + scale, False
            else:
                if not resting:
                    beam, resting = {p: (b + s, 0.0) for p, (b, s) in beam.items()}, True
                offset += blank
            frames += 1
            if frames % COMPACT_EVERY == 0:
                _forget_others(beam)
        return SearchState(beam, offset, frames, resting)

    def best(self, state: SearchState, n: int = 1, final: bool = True) -> list[Hypothesis]:
        """The n best texts so far, best first. Unless `final`, an unfinished last word is not scored yet."""
        texts: dict[str, Hypothesis] = {}
        for prefix, (in_blank, in_symbol) in state.beam.items():
            acoustic = math.log(in_blank + in_symbol) + state.offset - prefix.fused
            language, weighted = self._closing_score(prefix) if final else (prefix.language, prefix.fused)
            text = _tidy(self._text(prefix))
            if text in texts:  # "so" and "so " are the same text
                acoustic = float(np.logaddexp(acoustic, texts[text].acoustic))
            texts[text] = Hypothesis(text, acoustic + weighted, acoustic, language)
        return sorted(texts.values(), key=lambda h: -h.score)[:n]

    def _frames(self, log_probs: np.ndarray) -> Iterator[tuple[float, list[tuple[int, float]]]]:
        """Of each frame: ln of the blank, and the symbols worth trying with their probabilities, best first.

        A frame that is surely blank has no symbols.
        """
        o = self.options
        busy = log_probs[:, BLANK] < math.log(o.sure_blank)
        worth = (log_probs > math.log(max(o.least_symbol, 1e-300))) & busy[:, None]
        worth[:, BLANK] = False
        at, symbol = np.nonzero(worth)
        value = log_probs[at, symbol]
        order = np.lexsort((-value, at))
        pairs = list(zip(symbol[order].tolist(), np.exp(value[order].astype(np.float64)).tolist()))
        ends = np.cumsum(worth.sum(1)).tolist()
        start = 0
        for blank, end in zip(log_probs[:, BLANK].tolist(), ends):
            yield blank, pairs[start : min(end, start + o.symbols)]
            start = end

    def _step(self, beam: Beam, blank: float, symbols: list[tuple[int, float]]) -> tuple[Beam, float]:
        """One frame: every prefix stays (blank, or its last symbol again) or grows by a symbol.

        Returns the new beam, scaled to a best prefix of 1, and ln of the scale.
        """
        after: dict[Prefix, list[float]] = {}
        space = self._space
        narrow = math.exp(-self.options.width)
        probability = dict(symbols)
        again = probability.get(space, 0.0)
        top = floor = 0.0
        for prefix, (in_blank, in_symbol) in beam.items():
            total = in_blank + in_symbol
            last = prefix.symbol
            stay_blank = total * blank
            stay_symbol = in_symbol * probability.get(last, 0.0)
            word_begun = True
            if last == space:  # a second space adds nothing,
                stay_symbol, word_begun = total * again, False
            elif last == NO_SYMBOL:  # nor does one before the first word
                stay_blank, word_begun = stay_blank + total * again, False
            entry = after.get(prefix)
            if entry is None:
                entry = after[prefix] = [0.0, 0.0]
            entry[0] += stay_blank
            entry[1] += stay_symbol
            if stay_blank + stay_symbol > top:
                top = stay_blank + stay_symbol
                floor = top * narrow
            children = prefix.children
            for symbol, p in symbols:
                if total * p <= floor:
                    break
                flow = (in_blank if symbol == last else total) * p
                if flow <= floor or (symbol == space and not word_begun):
                    continue
                child = children.get(symbol) or self._grow(prefix, symbol)
                flow *= child.factor
                entry = after.get(child)
                if entry is None:
                    after[child] = [0.0, flow]
                else:
                    entry[1] += flow
                if flow > top:
                    top = flow
                    floor = top * narrow
        return self._prune(after)

    def _prune(self, after: dict[Prefix, list[float]]) -> tuple[Beam, float]:
        """Keep the best `beam` prefixes, none of them `width` below the best; scale the best to 1."""
        top = max(b + s for b, s in after.values())
        floor = max(top * math.exp(-self.options.width), sys.float_info.min)
        ranked = [(b + s, i, p, b, s) for i, (p, (b, s)) in enumerate(after.items()) if b + s >= floor]
        ranked.sort(reverse=True)
        return {p: (b / top, s / top) for _, _, p, b, s in ranked[: self.options.beam]}, math.log(top)

    def _grow(self, parent: Prefix, symbol: int) -> Prefix:
        """Make the child of `parent` by `symbol`, and let the language model score what it completes."""
        child = Prefix(symbol, parent, parent.state)
        child.language = parent.language
        child.word = "" if symbol == self._space else parent.word + self.alphabet[symbol]
        gain = 0.0
        if self.lm and symbol == self._space:
            score, child.state = self._word_score(parent)
            child.language += score
            gain = self.options.lm_weight * score + self.options.word_bonus - parent.ahead
        elif self.lm and self.options.look_ahead:
            child.ahead = self._look_ahead(child.word)
            gain = child.ahead - parent.ahead
        child.fused = parent.fused + gain
        child.factor = math.exp(gain)
        parent.children[symbol] = child
        return child

    def _word_score(self, prefix: Prefix) -> tuple[float, Any]:
        """ln probability of the prefix's unfinished word as if it ended here, and the state after it."""
        score, state = self.lm.score(prefix.state, prefix.word)
        return score + (0.0 if prefix.word in self.lm else self.options.unknown), state

    def _look_ahead(self, beginning: str) -> float:
        best = self.lm.best_completion(beginning)
        return self.options.lm_weight * (self.options.unknown if best is None else best)

    def _closing_score(self, prefix: Prefix) -> tuple[float, float]:
        """ln probability by the language model if the text ends here; the same weighted, with bonuses."""
        o = self.options
        language, weighted, state = prefix.language, prefix.fused, prefix.state
        if self.lm and prefix.word:
            score, state = self._word_score(prefix)
            language += score
            weighted += o.lm_weight * score + o.word_bonus - prefix.ahead
        if self.lm and o.sentence_end:
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


def _forget_others(beam: Beam) -> None:
    """Let go of the branches of the tree that no prefix in the beam stands on."""
    kept: set[Prefix] = set()
    for prefix in beam:
        while prefix is not None and prefix not in kept:
            kept.add(prefix)
            prefix = prefix.parent
    for prefix in kept:
        prefix.children = {s: c for s, c in prefix.children.items() if c in kept}
