"""CTC search over a pronunciation lexicon: phonemes to words, by a prefix tree and an n-gram model.

The older way to words (with CTC: EESEN, Miao et al. 2015): how a word is spelt need not be learnt from sound,
so it pays most where training data is scarce. The vocabulary is closed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from asr.language.ngram import UNKNOWN, NgramModel, State
from asr.search.base import (
    MIN_GAIN_LN,
    Hypothesis,
    LexiconOptions,
    Partial,
    PrefixBeamSearch,
    SearchState,
    common_prefix,
)
from asr.search.hotwords import HotwordScorer, HotwordState
from asr.search.lexicon import Lexicon
from asr.search.pronunciations import LexiconError, Pronunciation
from asr.text import Alphabet

if TYPE_CHECKING:  # who searches by compiled loops does without
    from asr.search.tree import Context, LookAhead, Node, PronunciationTree

MIN_SHOWN_RATIO = 0.007  # of a place's probability against the best one's (5 nats), for its words to be shown


class Text:
    """Finished words, and what the language model thinks of them."""

    __slots__ = ("word", "parent", "number", "future", "state", "hotword_state", "language", "fused", "ahead", "ends")

    def __init__(
        self, word: str, parent: Text | None, state: State, hotword_state: HotwordState, language: float, fused: float
    ):
        self.word, self.parent, self.state, self.hotword_state = word, parent, state, hotword_state
        self.number: int = hash((parent.number, word)) if parent else 0  # stands for the whole text
        self.future = hash((state, hotword_state))  # stands for all that scores of later words depend on
        self.language = language  # ln probability of the words
        self.fused = fused  # the same weighted, with bonuses
        self.ahead: Context  # of the nodes after it; see LexiconSearch._text
        self.ends: dict[Node, list[tuple[float, Text]]] = {}  # see LexiconSearch.ends

    def words(self) -> list[str]:
        words, text = [], self
        while text.parent:
            words.append(text.word)
            text = text.parent
        return words[::-1]


@dataclass(slots=True)
class Place:
    """A place in the tree after some finished words."""

    text: Text
    node: Node
    in_blank: float  # probability of its alignments that end in the blank
    in_symbol: float  # and in its last phoneme


@dataclass(slots=True)
class Bar:
    """The probability that a place has to exceed in a frame to be kept; it rises with the best place found."""

    top: float
    least: float
    narrow: float  # of the best place's probability

    def passed(self, reach: float) -> bool:
        if reach <= self.least:
            return False
        if reach > self.top:
            self.top, self.least = reach, max(self.least, reach * self.narrow)
        return True


class LexiconSearch(PrefixBeamSearch[Place]):
    """CTC prefix beam search in the prefix tree of a lexicon.

    phonemes: columns 1.. of the log-probabilities (T, V). A word may end wherever the tree has one, and the
    next phoneme then goes on from the root, so there is no symbol for the gap between words. A begun word is
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
        """Raises LexiconError for a phoneme that is not among these, no words at all, or a prior of another shape."""
        self.alphabet, self.lm, self.hotwords = Alphabet(phonemes), lm, hotwords
        self.options: LexiconOptions = options
        if log_prior is not None and np.shape(log_prior) != (len(self.alphabet),):
            raise LexiconError(f"the prior has the shape {np.shape(log_prior)}, not ({len(self.alphabet)},)")
        self._log_prior = log_prior
        self._rarest = float(lm.unigrams.log_prob[3:].min(initial=0.0))
        self.said = lexicon if isinstance(lexicon, Lexicon) else Lexicon(lexicon)
        self._coded = self.said.coded(phonemes)
        if not len(self._coded):
            raise LexiconError("the lexicon has no words: give at least one pronunciation")

    @cached_property
    def _tree(self) -> PronunciationTree:
        from asr.search.tree import PronunciationTree

        return PronunciationTree(self._coded)

    @cached_property
    def _ahead(self) -> LookAhead:
        from asr.search.tree import LookAhead

        weight, due = self.options.lm_weight, self._unigram_scores()[self._coded.word]
        if not self.options.look_ahead:
            weight, due = 0.0, np.zeros(len(due))
        return LookAhead(self._tree, self.lm, weight, due)

    def start(self) -> SearchState[Place]:
        text = self._text("", None, self.lm.start(), self.hotwords.start, 0.0, 0.0)
        return SearchState([Place(text, self._tree.root, 1.0, 0.0)], 0.0, resting=True)

    def finish(self, state: SearchState[Place], n: int = 1) -> list[Hypothesis]:
        """The n best texts so far, best first. Texts with an unfinished last word are left out, unless there is
        nothing else: then the word is.
        """
        whole: dict[str, Hypothesis] = {}
        broken_off: dict[str, Hypothesis] = {}
        for place in state.beam:
            text, node = place.text, place.node
            fused = text.fused + (math.log(text.ahead[node]) if node.depth else 0.0)
            acoustic = math.log(place.in_blank + place.in_symbol) + state.offset - fused
            found = broken_off if node.depth and not node.words else whole
            for ended in [last for _, last in self.ends(text, node)] if node.words else [text]:
                new = self._hypothesis(ended, acoustic)
                if old := found.get(new.text):  # by another pronunciation, or from another place
                    both = float(np.logaddexp(old.acoustic, acoustic))
                    new = Hypothesis(new.text, new.score + both - acoustic, both, new.language)
                found[new.text] = new
        return sorted((whole or broken_off).values(), key=lambda h: -h.score)[:n]

    def ends(self, text: Text, node: Node) -> list[tuple[float, Text]]:
        """The texts that a place becomes where its word ends, likeliest first, with the factor of their scores."""
        found = text.ends.get(node)
        if found is None:
            closed = [self._closed(text, word) for word in node.words]
            here = text.fused + math.log(text.ahead[node])
            found = [(math.exp(max(last.fused - here, MIN_GAIN_LN)), last) for last in closed]
            found = text.ends[node] = sorted(found, key=lambda end: -end[0])
        return found

    def partial(self, state: SearchState[Place]) -> Partial:
        """The likeliest text if speech ended here, or the finished words of the best if no word ends.

        Only of places about as likely as the best one. So a word is shown as soon as it has been said, though the
        best place may be in the middle of a longer word.
        """
        shown, likeliest = state.beam[0].text, 0.0
        for place in state.beam:
            probability = place.in_blank + place.in_symbol  # of the best place: 1
            if probability < MIN_SHOWN_RATIO:
                break
            for factor, ended in self.ends(place.text, place.node)[:1] if place.node.depth else [(1.0, place.text)]:
                if probability * factor > likeliest:
                    shown, likeliest = ended, probability * factor
        return Partial(tuple(shown.words()), common_prefix([place.text for place in state.beam])[1])

    def _scores(self, letters: np.ndarray, phonemes: np.ndarray | None) -> np.ndarray:
        """Of the phonemes; where a model has one head, they are given alone."""
        log_probs = self._checked(letters if phonemes is None else phonemes)
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

    def _step(self, beam: Sequence[Place], blank: float, symbols: list[tuple[int, float]]) -> list[Place]:
        again = dict(symbols).get
        after = {
            p.text.future ^ p.node.number: Place(
                p.text, p.node, (p.in_blank + p.in_symbol) * blank, p.in_symbol * again(p.node.symbol, 0.0)
            )
            for p in beam
        }
        for reach, text, node in self._grown(beam, blank, symbols):
            key = text.future ^ node.number
            entry = after.get(key)
            if entry is not None and entry.text.number == text.number:
                entry.in_symbol += reach
            elif entry is None or reach > entry.in_blank + entry.in_symbol:
                after[key] = Place(text, node, 0.0, reach)
        return list(after.values())

    def _grown(
        self, beam: Sequence[Place], blank: float, symbols: list[tuple[int, float]]
    ) -> Iterator[tuple[float, Text, Node]]:
        """Where the symbols lead from the places of the beam, as far as it may be kept: probability, text, node.

        All of a full beam can stay by a blank; what reaches less than the worst of it will be dropped.
        """
        narrow, totals = math.exp(-self.options.width), [place.in_blank + place.in_symbol for place in beam]
        top = blank * max(totals)
        full = len(beam) >= self.options.beam
        bar = Bar(top, max(top * narrow, blank * min(totals) if full else 0.0), narrow)
        for place, total in zip(beam, totals):
            for symbol, p in symbols:
                if total * p <= bar.least:
                    break
                flow = (place.in_blank if symbol == place.node.symbol else total) * p
                yield from self._reached(place, symbol, flow, bar)

    def _reached(self, place: Place, symbol: int, flow: float, bar: Bar) -> Iterator[tuple[float, Text, Node]]:
        """A phoneme goes on with the word, or ends it and begins the next one. flow: probability without words."""
        text, node = place.text, place.node
        if child := self._tree.children(node).get(symbol):
            reach = flow * text.ahead[child] / (text.ahead[node] if node.depth else 1.0)
            if bar.passed(reach):
                yield reach, text, child
        if node.words and flow > bar.least and (child := self._tree.children(self._tree.root).get(symbol)):
            for factor, closed in self.ends(text, node):
                if flow * factor <= bar.least:
                    break
                reach = flow * factor * closed.ahead[child]
                if bar.passed(reach):
                    yield reach, closed, child

    def _closed(self, text: Text, word: str) -> Text:
        score, state = self.lm.score(text.state, word)
        score += 0.0 if word in self.lm else self._penalty(word)
        boost, hotword_state = self.hotwords.after(text.hotword_state, word)
        fused = text.fused + self.options.lm_weight * score + self.options.word_bonus + boost
        return self._text(word, text, state, hotword_state, text.language + score, fused)

    def _scaled(self, entry: Place, in_blank: float, in_symbol: float) -> Place:
        return Place(entry.text, entry.node, in_blank, in_symbol)

    def _text(self, *values: Any) -> Text:
        text = Text(*values)
        text.ahead = self._ahead.context(text.state)
        if not self.options.recombine:
            text.future = text.number
        return text

    def _hypothesis(self, text: Text, acoustic: float) -> Hypothesis:
        end = self.lm.end(text.state)
        fused = text.fused + self.options.lm_weight * end + self.hotwords.end(text.hotword_state)
        return Hypothesis(" ".join(text.words()), acoustic + fused, acoustic, text.language + end)
