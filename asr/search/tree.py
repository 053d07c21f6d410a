"""The search over a lexicon in Python, in its prefix tree: what the compiled loops do, step by step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from asr.search.base import MIN_GAIN_LN, Hypothesis, Partial, PrefixBeamSearch, SearchState, common_prefix
from asr.search.look_ahead import LookAhead, Node, PronunciationTree
from asr.search.texts import Merge, Text, with_merged
from asr.search.words import LexiconOptions, WordSearch

MIN_SHOWN_RATIO = 0.007  # of a place's probability against the best one's (5 nats), for its words to be shown


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
    """CTC prefix beam search in the prefix tree of a lexicon.

    Of texts that have the same future only the likeliest is followed. What was dropped for it is remembered: without it
    the best texts would all but agree in their beginnings.
    """

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

    def feed(
        self, state: SearchState[Place], letters: np.ndarray, phonemes: np.ndarray | None = None
    ) -> SearchState[Place]:
        self._merged: Merge | None = state.merged
        return replace(super().feed(state, letters, phonemes), merged=self._merged)

    def finish(self, state: SearchState[Place], n: int = 1, shown: bool = True) -> list[Hypothesis]:
        """The n best texts so far, best first. Texts with an unfinished last word are left out, unless there is
        nothing else: then the word is.
        """
        whole: dict[str, tuple[Text, Hypothesis]] = {}
        broken_off: dict[str, tuple[Text, Hypothesis]] = {}
        for place in state.beam:
            text, node = place.text, place.node
            fused = text.fused + (math.log(text.ahead[node]) if node.depth else 0.0)
            acoustic = math.log(place.in_blank + place.in_symbol) + state.offset - fused
            found = broken_off if node.depth and not node.words else whole
            for ended in [last for _, last in self.ends(text, node)] if node.words else [text]:
                new = self._hypothesis(ended, acoustic)
                if new.text in found:  # by another pronunciation, or from another place
                    both = float(np.logaddexp(found[new.text][1].acoustic, acoustic))
                    new = Hypothesis(new.text, new.score + both - acoustic, both, new.language)
                found[new.text] = ended, new
        best = sorted((whole or broken_off).values(), key=lambda pair: -pair[1].score)
        if n == 1 or not state.merged:
            return [h for _, h in best[:n]]
        texts, stable = common_prefix([place.text for place in state.beam])
        return with_merged(best, state.merged, n, texts[stable if shown else 0])

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
            if entry is None:
                after[key] = Place(text, node, 0.0, reach)
            elif entry.text.number == text.number:
                entry.in_symbol += reach
            else:
                before = entry.in_blank + entry.in_symbol
                gap = math.log(reach / before) if before else math.inf
                if abs(gap) < self.options.width:
                    texts = (text, entry.text) if gap > 0 else (entry.text, text)
                    self._merged = Merge(*texts, -abs(gap), min(before, reach), self._merged)
                if gap > 0:
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
