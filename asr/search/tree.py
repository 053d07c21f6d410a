"""The search over a lexicon in Python, in its prefix tree: what the compiled loops do, step by step.

Look-ahead (Ortmanns et al. 1996): a place in the prefix tree stands for many words. Scored by the likeliest of them
after the word before, bad ways are seen, and pruned, as soon as they are taken.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from asr.language.ngram import UNKNOWN, NgramModel, State
from asr.search.base import MIN_GAIN_LN, Hypothesis, Partial, PrefixBeamSearch, SearchState, common_prefix
from asr.search.hotwords import HotwordState
from asr.search.lexicon import Pronunciations
from asr.search.words import LexiconOptions, WordSearch

ROOT = -1  # the symbol that the root is reached by
CACHE_SIZE = 200_000  # look-ahead scores remembered
MIN_SHOWN_RATIO = 0.007  # of a place's probability against the best one's (5 nats), for its words to be shown


class Node:
    """A node of the prefix tree: pronunciations low..high of the sorted list, alike up to `depth`."""

    __slots__ = ("low", "high", "depth", "symbol", "number", "words", "children")

    def __init__(self, low: int, high: int, depth: int, symbol: int):
        self.low, self.high, self.depth, self.symbol = low, high, depth, symbol
        self.number = hash((low, depth))  # 64 bits that stand for the node
        self.words: list[str] = []  # those pronounced exactly so
        self.children: dict[int, Node] | None = None  # by symbol; made when first asked for


class PronunciationTree:
    """All pronunciations as a prefix tree, whose nodes are made when the search first comes there.

    words, said: of the sorted pronunciations; said has a character for each phoneme, that of its number from 1.
    """

    def __init__(self, pronunciations: Pronunciations):
        self.said = pronunciations.strings()
        self.words = [pronunciations.words[word] for word in pronunciations.word.tolist()]
        self.root = Node(0, len(self.said), 0, ROOT)

    def children(self, node: Node) -> dict[int, Node]:
        """By the symbol that leads there."""
        if node.children is None:
            node.children = {child.symbol: child for child in self._expand(node)}
        return node.children

    def _expand(self, node: Node) -> Iterable[Node]:
        said, depth, low = self.said, node.depth, node.low + len(node.words)
        while low < node.high:
            beginning = said[low][: depth + 1]
            high = bisect_left(said, beginning[:-1] + chr(ord(beginning[-1]) + 1), low, node.high)
            child = Node(low, high, depth + 1, ord(beginning[-1]))
            child.words = self.words[low : bisect_left(said, beginning + chr(1), low, high)]
            yield child
            low = high


class Context(dict[Node, float]):
    """Of each node, the weighted probability of its likeliest word after this one; filled when asked for."""

    def __init__(self, ahead: LookAhead, word: int):
        self._ahead, self._backoff = ahead, ahead.backoff(word)
        self._places, self._scores = ahead.followers(word)

    def __missing__(self, node: Node) -> float:
        value = self._backoff * self._ahead.alone(node)
        low = bisect_left(self._places, node.low)
        high = bisect_left(self._places, node.high, low)
        value = self[node] = max([value, *self._scores[low:high]])
        self._ahead.kept += 1
        return value


class LookAhead:
    """weight: of ln probabilities. due (P,): weighted ln probability of each of the tree's words without context."""

    def __init__(self, tree: PronunciationTree, lm: NgramModel, weight: float, due: np.ndarray):
        self._lm, self._weight, self._due = lm, weight, np.exp(np.maximum(due, MIN_GAIN_LN))
        self._places: dict[int, list[int]] = {}  # of each word's number, those of its pronunciations in the tree
        for place, word in enumerate(tree.words):
            self._places.setdefault(lm.number(word), []).append(place)
        self.alone = cache(lambda node: float(self._due[node.low : node.high].max()))  # without context
        self._context = cache(lambda word: Context(self, word))
        self.kept = 0  # scores, in all contexts

    def context(self, state: State) -> Context:
        if self.kept > CACHE_SIZE:
            self._context.cache_clear()
            self.kept = 0
        return self._context(state[0] if state else UNKNOWN)

    def backoff(self, word: int) -> float:
        return math.exp(self._weight * float(self._lm.unigrams.backoff[word])) if self._lm.order > 1 else 1.0

    def followers(self, word: int) -> tuple[list[int], list[float]]:
        """The places in the tree of the words that have a bigram after this one, rising; the weighted probabilities."""
        if self._lm.order == 1:
            return [], []
        level = self._lm.levels[1]
        bigrams = slice(*level.first[word : word + 2])
        scores = np.exp(np.maximum(self._weight * level.log_prob[bigrams].astype(np.float64), MIN_GAIN_LN)).tolist()
        pairs = [(number, score) for number, score in zip(level.word[bigrams].tolist(), scores) if number != UNKNOWN]
        found = sorted((place, score) for number, score in pairs for place in self._places.get(number, ()))
        return [place for place, _ in found], [score for _, score in found]


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


class LexiconSearch(WordSearch, PrefixBeamSearch[Place]):
    """CTC prefix beam search in the prefix tree of a lexicon."""

    options: LexiconOptions

    @cached_property
    def _tree(self) -> PronunciationTree:
        return PronunciationTree(self._coded)

    @cached_property
    def _ahead(self) -> LookAhead:
        share, due = float(self.options.look_ahead), self._unigram_scores()[self._coded.word]  # 0: all words alike
        return LookAhead(self._tree, self.lm, share * self.options.lm_weight, share * due)

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

        Only of places about as likely as the best: a word is shown once it is said, though the best is amid a longer.
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
