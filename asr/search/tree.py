"""The pronunciations as a prefix tree, and what a begun word can still become, by the bigrams.

Look-ahead (Ortmanns et al. 1996): a place in the prefix tree stands for many words. Scored by the likeliest of them
after the word before, bad ways are seen, and pruned, as soon as they are taken.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from functools import cache

import numpy as np

from asr.language.ngram import UNKNOWN, NgramModel, State
from asr.search.base import MIN_GAIN_LN
from asr.search.pronunciations import Pronunciations

ROOT = -1  # the symbol that the root is reached by
CACHE_SIZE = 200_000  # look-ahead scores remembered


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

    words: of the sorted pronunciations, each beginning as its node says. said: the same, a character a phoneme:
    that of its number, from 1.
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
    """Of each node, the weighted probability of its likeliest word in this context; filled when asked for."""

    def __init__(self, ahead: LookAhead, word: int):
        self._ahead, self._word = ahead, word

    def __missing__(self, node: Node) -> float:
        value = self[node] = self._ahead.likeliest(self._word, node)
        self._ahead.kept += 1
        return value


class LookAhead:
    """weight: of ln probabilities. due (P,): weighted ln probability of each of the tree's words without context."""

    def __init__(self, tree: PronunciationTree, lm: NgramModel, weight: float, due: np.ndarray):
        self._due = np.exp(np.maximum(due, MIN_GAIN_LN))
        self._alone: dict[Node, float] = {}
        self._backoff = [1.0]
        if lm.order > 1:
            self._backoff = np.exp(weight * lm.unigrams.backoff.astype(np.float64)).tolist()
        self._tables = cache(lambda: _bigrams(tree, lm, weight))
        self._context = cache(lambda word: Context(self, word))
        self.kept = 0  # scores, in all contexts

    def context(self, state: State) -> Context:
        if self.kept > CACHE_SIZE:
            self._context.cache_clear()
            self.kept = 0
        return self._context(state[0] if state else UNKNOWN)

    def likeliest(self, word: int, node: Node) -> float:
        """exp of the weighted ln probability of the node's likeliest word after this one."""
        alone = self._alone.get(node)
        if alone is None:
            alone = self._alone[node] = float(self._due[node.low : node.high].max())
        if word >= len(self._backoff):
            return alone
        first, place, score = self._tables()
        low, high = first[word], first[word + 1]
        low = bisect_left(place, node.low, low, high)
        high = bisect_left(place, node.high, low, high)
        alone *= self._backoff[word]
        return max(alone, max(score[low:high])) if low < high else alone


def _bigrams(tree: PronunciationTree, lm: NgramModel, weight: float) -> tuple[list[int], memoryview, memoryview]:
    """Where each first word's bigrams begin; of each bigram the place of its second word in the tree, rising, and
    its weighted probability. A word of several pronunciations has a place for each.
    """
    if lm.order == 1:
        return [0, 0], memoryview(b""), memoryview(b"")
    spoken = np.array([lm.number(word) for word in tree.words])
    places = np.argsort(spoken, kind="stable")
    first = np.searchsorted(spoken[places], np.arange(len(lm.words) + 1))
    level = lm.levels[1]
    count = np.diff(first)
    count[UNKNOWN] = 0
    count = count[level.word]
    bigram = np.repeat(np.arange(len(level.word)), count)
    nth = np.arange(len(bigram)) - np.repeat(np.cumsum(count) - count, count)
    place = places[first[level.word[bigram]] + nth]
    context = np.repeat(np.arange(len(level.first) - 1), np.diff(level.first))[bigram]
    order = np.argsort(context * len(places) + place, kind="stable")
    starts = np.searchsorted(context[order], np.arange(len(lm.words) + 1)).tolist()
    score = np.exp(np.maximum(weight * level.log_prob[bigram[order]].astype(np.float64), MIN_GAIN_LN))
    return starts, place[order].astype(np.int32).data, score.data
