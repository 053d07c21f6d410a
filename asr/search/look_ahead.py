"""A lexicon as a prefix tree, and how likely a place in it is ahead of time; compiled in asr/native/look_ahead.h.

Look-ahead (Ortmanns et al. 1996): a place in the prefix tree stands for many words. Scored by the likeliest of them
after the word before, bad ways are seen, and pruned, as soon as they are taken.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from functools import cache

import numpy as np

from asr.language.ngram import UNKNOWN, NgramModel, State
from asr.search.base import MIN_GAIN_LN
from asr.search.lexicon import Pronunciations

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
