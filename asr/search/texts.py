"""The texts of a search over a lexicon: those that it follows, and those that it dropped for likelier ones.

Of texts that have the same future only the likeliest is followed, so all that a search ends with nearly agree in their
beginnings. What was dropped on the way makes a word lattice of them, out of which the best texts are taken.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import NamedTuple

from asr.language.ngram import State
from asr.search.base import Hypothesis
from asr.search.hotwords import HotwordState
from asr.search.look_ahead import Context, Node

TRIES = 20  # texts put together for each one that is wanted, at most: some come out the same


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


class Merge(NamedTuple):
    """Two texts came to the same place with the same future, and the likelier one was kept."""

    kept: Text
    lost: Text
    gap: float  # ln, how much less likely the other was
    likely: float  # the other, among all that was followed at that time
    before: Merge | None


class Way(NamedTuple):
    """A text that is put together: some words, and those that follow them."""

    cost: float  # - ln of the score; of the same ones the first counts
    number: int
    hypothesis: Hypothesis
    start: Text  # of which other beginnings are still to be tried
    after: tuple[str, ...]


def with_merged(
    found: Sequence[tuple[Text, Hypothesis]], merged: Merge | None, n: int, stable: Text
) -> list[Hypothesis]:
    """The n best of the texts found, and of those that begin otherwise, by what was dropped on the way. Best first.

    From the end to the beginning of a text every beginning is exchanged for those that it was kept for. All go on from
    `stable`.
    """
    gaps: dict[tuple[int, int], Merge] = {}
    while merged:
        pair = merged.kept.number, merged.lost.number
        if pair not in gaps or merged.likely > gaps[pair].likely:
            gaps[pair] = merged
        merged = merged.before
    others: dict[int, list[Merge]] = {}
    for merge in gaps.values():
        if begins(stable, merge.lost):
            others.setdefault(merge.kept.number, []).append(merge)
    number = count()
    ways = [Way(-h.score, next(number), h, text, ()) for text, h in found]
    heapq.heapify(ways)
    texts: dict[str, Hypothesis] = {}
    for _ in range(TRIES * n):
        if not ways or len(texts) == n:
            break
        _, _, h, text, after = heapq.heappop(ways)
        words = " ".join([*text.words(), *after])
        texts.setdefault(words, replace(h, text=words))
        while text.parent and text.number != stable.number:
            for kept, lost, gap, *_ in others.get(text.number, ()):
                acoustic, language = gap - (lost.fused - kept.fused), lost.language - kept.language
                new = Hypothesis("", h.score + gap, h.acoustic + acoustic, h.language + language)
                heapq.heappush(ways, Way(-new.score, next(number), new, lost, after))
            text, after = text.parent, (text.word, *after)
    return list(texts.values())


def begins(stable: Text, text: Text | None) -> bool:
    """Whether a text goes on from another one."""
    while text and text.number != stable.number:
        text = text.parent
    return text is not None
