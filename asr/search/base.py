"""What all searches share: their options, what they find, and the prefix beam search of CTC around one step."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from asr.text import BLANK, Alphabet, collapse

SPACE = " "
MIN_GAIN_LN = -600.0  # ln; keeps the factors of language models above zero


@dataclass(frozen=True)
class Hypothesis:
    """A text that a search has found; scores are natural logarithms."""

    text: str
    score: float  # what the search maximises: acoustic + lm_weight * language + word_bonus * words
    acoustic: float  # ln of the probability of all alignments of the text that were kept
    language: float  # ln probability of the words by the language model, penalties for unknown words included


class Partial(NamedTuple):
    """The words of the best hypothesis so far; the last may be unfinished.

    The first `stable` of them begin every hypothesis of the beam. All later hypotheses go on from one of these,
    so no sound that follows can change them.
    """

    words: tuple[str, ...]
    stable: int


class Search(ABC):
    """One way from log-probabilities to texts. States are values: one can go on from a state twice.

    name: what weights and calibrations on a model's card are named after.
    said: of words that it may find, their pronunciations ("P EH R"), the usual one first; {} of a search in letters.
    """

    name: str
    said: Mapping[str, Sequence[str]] = {}

    def __call__(self, letters: np.ndarray, phonemes: np.ndarray | None = None, n: int = 1) -> list[Hypothesis]:
        """The n best texts of a whole utterance. letters (T, V), phonemes (T, P): natural log-probabilities."""
        return self.finish(self.feed(self.start(), letters, phonemes), n)

    @abstractmethod
    def start(self) -> Any:
        """The state before the first frame."""

    @abstractmethod
    def feed(self, state: Any, letters: np.ndarray, phonemes: np.ndarray | None = None) -> Any:
        """The state after the next frames, (T, V) and (T, P)."""

    @abstractmethod
    def partial(self, state: Any) -> Partial:
        """The words to show so far."""

    @abstractmethod
    def finish(self, state: Any, n: int = 1, shown: bool = True) -> list[Hypothesis]:
        """The n best texts, best first, if the speech ends here. shown: all begin with what `partial` calls stable."""


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
    """How wide the search in letters looks, and what its score is made of; natural logarithms."""

    beam: int = 64  # prefixes kept after every frame
    lm_weight: float = 0.6  # of the language model's ln probability
    word_bonus: float = 1.0  # ln added per word: makes up for the language model's taste for few words
    unknown: float = -4.0  # ln added per letter of a word the language model does not know
    prior_weight: float = 0.5  # of the prior that the probabilities are divided by
    look_ahead: bool = True  # score a begun word by the likeliest word it can become
    sure_blank: float = 0.999  # a frame whose blank is at least this probable costs nothing
    least_symbol: float = 0.002  # symbols less probable than this are passed over in a frame ...
    symbols: int = 10  # ... and so are all but this many
    width: float = 10.0  # prefixes this much (ln) below the best are dropped


@dataclass(frozen=True)
class LexiconOptions(SearchOptions):
    """Those of a search over words by their phonemes, whose probabilities are surer than those of letters."""

    beam: int = 160
    lm_weight: float = 1.1
    word_bonus: float = 0.0
    sure_blank: float = 0.99995
    least_symbol: float = 0.00015
    width: float = 12.0
    unknown: float = -3.3
    recombine: bool = True  # of texts that have the same future by the language model keep the likelier one


class Entry(Protocol):
    """A prefix of the beam."""

    in_blank: float  # probability of its alignments that end in the blank
    in_symbol: float  # and in its last symbol


E = TypeVar("E", bound=Entry)


@dataclass(frozen=True)
class SearchState(Generic[E]):
    """Where a search stands: a value, so one can go on from it twice."""

    beam: Sequence[E]  # best first
    offset: float  # ln of what the probabilities in `beam` are to be multiplied by
    resting: bool  # the last frame was surely blank: all alignments end in blank
    merged: Any = None  # what was dropped for likelier prefixes with the same future, if the search keeps it


class PrefixBeamSearch(Search, Generic[E]):
    """CTC prefix beam search (Hannun et al. 2014). Files and streams use the same calls, and any cut of the frames
    gives the same result:

        state = search.start()
        state = search.feed(state, log_probs)  # as often as there are blocks
        search.finish(state, n=5)

    Every prefix carries the probability of its alignments times the (weighted) probability of its words. These are
    kept as plain probabilities, scaled so that the best prefix of a frame is near 1: adding and multiplying then
    needs no logarithms.
    """

    alphabet: Alphabet
    options: SearchOptions

    def feed(self, state: SearchState[E], letters: np.ndarray, phonemes: np.ndarray | None = None) -> SearchState[E]:
        """Raises ValueError for log-probabilities of another width than the alphabet's."""
        beam, offset, resting = state.beam, state.offset, state.resting
        for blank, symbols in non_blank_frames(self._scores(letters, phonemes), self.options):
            if symbols:
                beam, scale = self._prune(self._step(beam, math.exp(blank), symbols))
                offset, resting = offset + scale, False
            else:
                if not resting:
                    beam, resting = [self._scaled(e, e.in_blank + e.in_symbol, 0.0) for e in beam], True
                offset += blank
        return SearchState(beam, offset, resting)

    @abstractmethod
    def _scores(self, letters: np.ndarray, phonemes: np.ndarray | None) -> np.ndarray:
        """(T, V): what is searched, without the prior."""

    @abstractmethod
    def _step(self, beam: Sequence[E], blank: float, symbols: list[tuple[int, float]]) -> list[E]:
        """One frame: every prefix stays (blank, or its last symbol again) or grows by a symbol."""

    @abstractmethod
    def _scaled(self, entry: E, in_blank: float, in_symbol: float) -> E:
        """The entry with other probabilities."""

    def _prune(self, entries: list[E]) -> tuple[list[E], float]:
        """Keep the best `beam` entries, none of them `width` below the best.

        Returns them scaled to a best one of 1, and ln of the scale.
        """
        entries.sort(key=_total, reverse=True)
        top = _total(entries[0])
        floor = max(top * math.exp(-self.options.width), sys.float_info.min)
        kept = [e for e in entries[: self.options.beam] if _total(e) >= floor]
        return [self._scaled(e, e.in_blank / top, e.in_symbol / top) for e in kept], math.log(top)


def checked(log_probs: np.ndarray, alphabet: Alphabet) -> np.ndarray:
    """Raises ValueError for log-probabilities of another width than the alphabet's."""
    shape, width = log_probs.shape, len(alphabet)
    if len(shape) != 2 or shape[1] != width:
        raise ValueError(f"log-probabilities have the shape {shape}; this alphabet needs (frames, {width})")
    return log_probs


def _total(entry: Entry) -> float:
    return entry.in_blank + entry.in_symbol


def greedy(log_probs: np.ndarray, alphabet: Alphabet) -> Hypothesis:
    """The best path, collapsed. log_probs (T, V), natural log; column 0 is the blank."""
    if len(log_probs) == 0:
        return Hypothesis("", 0.0, 0.0, 0.0)
    path = log_probs.argmax(-1)
    score = float(np.take_along_axis(log_probs, path[:, None], -1).sum(dtype=np.float64))
    return Hypothesis(" ".join(alphabet.decode(collapse(path.tolist())).split()), score, score, 0.0)


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

    def finish(self, state: np.ndarray, n: int = 1, shown: bool = True) -> list[Hypothesis]:
        return [greedy(state, self._alphabet)]


def non_blank_frames(log_probs: np.ndarray, o: SearchOptions) -> Iterator[tuple[float, list[tuple[int, float]]]]:
    """Of each frame: ln of the blank, and the symbols worth trying with their probabilities, best first.

    A frame that is surely blank has no symbols.
    """
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


def common_prefix(nodes: list) -> tuple[list, int]:
    """Nodes with `parent` and `number`: the chain from the root to the first, and after how many it parts from any."""
    chain, node = [], nodes[0]
    while node is not None:
        chain.append(node)
        node = node.parent
    chain.reverse()
    depth = {node.number: i for i, node in enumerate(chain)}
    common = len(chain) - 1
    for node in nodes[1:]:
        while node.number not in depth:
            node = node.parent
        common = min(common, depth[node.number])
    return chain, common
