"""CTC search over a pronunciation lexicon: phonemes to words, by a prefix tree and an n-gram model.

The older way to words (with CTC: EESEN, Miao et al. 2015): how a word is spelt need not be learnt from sound,
so it pays most where training data is scarce. The vocabulary is closed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from asr.language.ngram import UNKNOWN, NgramModel, State
from asr.search.base import Hypothesis, SearchOptions, SearchState
from asr.search.hotwords import HotwordScorer, HotwordState
from asr.search.lexicon import LexiconError, Node, Pronunciation, PronunciationTree
from asr.search.look_ahead import MIN_SCORE_LN, Context, LookAhead
from asr.search.non_blank_frames import non_blank_frames
from asr.search.partial import common_prefix
from asr.text import Alphabet

MIN_SHOWN_RATIO = 0.007  # of a place's probability against the best one's (5 nats), for its words to be shown


@dataclass(frozen=True)
class LexiconOptions(SearchOptions):
    """Those of a search over words instead of letters."""

    lm_weight: float = 1.1
    unknown: float = -3.3
    word_bonus: float = 0.0
    prior_weight: float = 0.5  # of the prior that the probabilities are divided by
    recombine: bool = True  # of texts that have the same future by the language model keep the likelier one


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


Entry = tuple[Text, Node, float, float]
Beam = list[Entry]
Grown = list[tuple[float, Text, Node]]


class LexiconSearch:
    """CTC prefix beam search in the prefix tree of a lexicon; the calls are those of BeamSearch.

    phonemes: columns 1.. of the log-probabilities (T, V). A word may end wherever the tree has one, and the
    next phoneme then goes on from the root, so there is no symbol for the gap between words. A begun word is
    scored ahead by the likeliest word it can become; at its end the word's own score replaces that.
    log_prior (V,): ln of the model's mean output over much speech. Divided by it, as in hybrid systems, the
    probabilities lose a taste for the blank and for frequent phonemes, which the language model has already.
    """

    def __init__(
        self,
        phonemes: Sequence[str],
        pronunciations: Iterable[Pronunciation],
        lm: NgramModel,
        options: LexiconOptions = LexiconOptions(),
        log_prior: np.ndarray | None = None,
        hotwords: HotwordScorer = HotwordScorer(),
    ):
        self.alphabet, self.options, self.lm, self.hotwords = Alphabet(phonemes), options, lm, hotwords
        if log_prior is not None and np.shape(log_prior) != (len(self.alphabet),):
            raise LexiconError(f"the prior has the shape {np.shape(log_prior)}, not ({len(self.alphabet)},)")
        self._log_prior = log_prior
        self._rarest = float(lm.levels[0].log_prob[3:].min(initial=0.0))
        self._tree = PronunciationTree(phonemes, pronunciations)
        self._word_scores = self._unigram_scores()
        weight, due = options.lm_weight, self._word_scores
        if not options.look_ahead:
            weight, due = 0.0, np.zeros(len(due))
        self._ahead = LookAhead(self._tree, lm, weight, due)

    def decode(self, log_probs: np.ndarray, n: int = 1) -> list[Hypothesis]:
        """The n best hypotheses of a whole utterance. log_probs (T, V), natural log."""
        return self.best(self.feed(self.start(), log_probs), n)

    def start(self) -> SearchState[Entry]:
        """Before the first frame: the tree's root alone."""
        text = self._text("", None, self.lm.start(), self.hotwords.start, 0.0, 0.0)
        return SearchState([(text, self._tree.root, 1.0, 0.0)], 0.0, resting=True)

    def feed(self, state: SearchState[Entry], log_probs: np.ndarray) -> SearchState[Entry]:
        """The state after the frames of log_probs (T, V), natural log."""
        beam, offset, resting = state.beam, state.offset, state.resting
        for blank, symbols in non_blank_frames(self._subtract_prior(log_probs), self.options):
            if symbols:
                beam, scale = self._step(beam, math.exp(blank), symbols)
                offset, resting = offset + scale, False
            else:
                if not resting:
                    beam, resting = [(text, node, b + s, 0.0) for text, node, b, s in beam], True
                offset += blank
        return SearchState(beam, offset, resting)

    def best(self, state: SearchState[Entry], n: int = 1) -> list[Hypothesis]:
        """The n best texts so far, best first. Texts with an unfinished last word are left out, unless there is
        nothing else: then the word is.
        """
        ended: dict[str, Hypothesis] = {}
        broken_off: dict[str, Hypothesis] = {}
        for text, node, in_blank, in_symbol in state.beam:
            fused = text.fused + (math.log(text.ahead[node]) if node.depth else 0.0)
            acoustic = math.log(in_blank + in_symbol) + state.offset - fused
            for _, last in self.ends(text, node):
                _add(ended, self._hypothesis(last, acoustic))
            if not node.words:
                _add(broken_off if node.depth else ended, self._hypothesis(text, acoustic))
        return sorted((ended or broken_off).values(), key=lambda h: -h.score)[:n]

    def ends(self, text: Text, node: Node) -> list[tuple[float, Text]]:
        """The texts that a place becomes where its word ends, likeliest first, with the factor of their scores."""
        found = text.ends.get(node)
        if found is None:
            closed = [self._closed(text, word) for word in node.words]
            here = text.fused + math.log(text.ahead[node])
            found = [(math.exp(max(last.fused - here, MIN_SCORE_LN)), last) for last in closed]
            found = text.ends[node] = sorted(found, key=lambda end: -end[0])
        return found

    def so_far(self, state: SearchState[Entry]) -> tuple[list[str], int]:
        """The likeliest text if speech ended here, or the finished words of the best if no word ends; and how many
        of its words begin every text of the beam.

        Only of places about as likely as the best one. So a word is shown as soon as it has been said, though the
        best place may be in the middle of a longer word.
        """
        shown, likeliest = state.beam[0][0], 0.0
        for text, node, in_blank, in_symbol in state.beam:
            probability = in_blank + in_symbol  # of the best place: 1
            if probability < MIN_SHOWN_RATIO:
                break
            for factor, ended in self.ends(text, node)[:1] if node.depth else [(1.0, text)]:
                if probability * factor > likeliest:
                    shown, likeliest = ended, probability * factor
        return shown.words(), common_prefix([text for text, _, _, _ in state.beam])[1]

    def _subtract_prior(self, log_probs: np.ndarray) -> np.ndarray:
        """Log-probabilities (T, V) with the prior divided out. Raises ValueError for another V."""
        if log_probs.ndim != 2 or log_probs.shape[1] != len(self.alphabet):
            raise ValueError(f"log-probabilities have the shape {log_probs.shape}, not (frames, {len(self.alphabet)})")
        if self._log_prior is None:
            return log_probs
        log_probs = log_probs - self.options.prior_weight * self._log_prior
        return log_probs - np.logaddexp.reduce(log_probs, axis=1, keepdims=True)

    def _unigram_scores(self) -> np.ndarray:
        """Weighted ln probability of each of the tree's words without context, hotwords' weights included."""
        o, hotwords = self.options, self.hotwords
        known = {word: o.lm_weight * p for word, p in zip(self.lm.words, self.lm.levels[0].log_prob.tolist())}
        unknown = o.lm_weight * float(self.lm.levels[0].log_prob[UNKNOWN])
        due = [
            known[word] if word in known else unknown + o.lm_weight * self._penalty(word) for word in self._tree.words
        ]
        return np.array(due) + [hotwords.most(word) for word in self._tree.words]

    def _penalty(self, word: str) -> float:
        """ln, of a word that the language model lacks; a hotword is as good as its rarest word."""
        if word in self.hotwords:
            return self._rarest - float(self.lm.levels[0].log_prob[UNKNOWN])
        return self.options.unknown * len(word)

    def _step(self, beam: Beam, blank: float, symbols: list[tuple[int, float]]) -> tuple[Beam, float]:
        """One frame: every place stays (blank, or its last symbol again) or goes on by a symbol.

        Returns the new beam, scaled to a best place of 1, and ln of the scale.
        """
        again = dict(symbols).get
        after: dict[int, list] = {
            text.future ^ node.number: [text, node, (b + s) * blank, s * again(node.symbol, 0.0)]
            for text, node, b, s in beam
        }
        for reach, text, node in self._grown(beam, blank, symbols):
            key = text.future ^ node.number
            entry = after.get(key)
            if entry is None:
                after[key] = [text, node, 0.0, reach]
            elif entry[0].number == text.number:
                entry[3] += reach
            elif reach > entry[2] + entry[3]:
                after[key] = [text, node, 0.0, reach]
        return self._prune(list(after.values()))

    def _grown(self, beam: Beam, blank: float, symbols: list[tuple[int, float]]) -> Grown:
        """Where the symbols lead from the places of the beam, as far as it may be kept.

        All of a full beam can stay by a blank; what reaches less than the worst of it will be dropped.
        """
        grown: Grown = []
        add, children, first = grown.append, self._tree.children, self._tree.children(self._tree.root).get
        narrow = math.exp(-self.options.width)
        totals = [b + s for _, _, b, s in beam]
        top = blank * max(totals)
        floor = max(top * narrow, blank * min(totals) if len(beam) >= self.options.beam else 0.0)
        for text, node, in_blank, in_symbol in beam:
            total, last, ahead = in_blank + in_symbol, node.symbol, text.ahead
            deeper = (children(node) if node.children is None else node.children).get
            here = ahead[node] if node.depth else 1.0
            for symbol, p in symbols:
                flow = total * p
                if flow <= floor:
                    break
                if symbol == last:
                    flow = in_blank * p
                if child := deeper(symbol):
                    reach = flow * ahead[child] / here
                    if reach > floor:
                        add((reach, text, child))
                        if reach > top:
                            top, floor = reach, max(floor, reach * narrow)
                if node.words and flow > floor and (child := first(symbol)):
                    for factor, closed in text.ends.get(node) or self.ends(text, node):
                        if flow * factor <= floor:
                            break
                        reach = flow * factor * closed.ahead[child]
                        if reach > floor:
                            add((reach, closed, child))
                            if reach > top:
                                top, floor = reach, max(floor, reach * narrow)
        return grown

    def _prune(self, entries: list[list]) -> tuple[Beam, float]:
        """Keep the best `beam` places, none of them `width` below the best; scale the best to 1."""
        totals = [entry[2] + entry[3] for entry in entries]
        order = sorted(range(len(totals)), key=totals.__getitem__, reverse=True)[: self.options.beam]
        top = totals[order[0]]
        floor = max(top * math.exp(-self.options.width), sys.float_info.min)
        kept = [entries[i] for i in order if totals[i] >= floor]
        return [(text, node, b / top, s / top) for text, node, b, s in kept], math.log(top)

    def _closed(self, text: Text, word: str) -> Text:
        score, state = self.lm.score(text.state, word)
        score += 0.0 if word in self.lm else self._penalty(word)
        boost, hotword_state = self.hotwords.after(text.hotword_state, word)
        fused = text.fused + self.options.lm_weight * score + self.options.word_bonus + boost
        return self._text(word, text, state, hotword_state, text.language + score, fused)

    def _text(self, *values) -> Text:
        text = Text(*values)
        text.ahead = self._ahead.context(text.state)
        if not self.options.recombine:
            text.future = text.number
        return text

    def _hypothesis(self, text: Text, acoustic: float) -> Hypothesis:
        end = self.lm.end(text.state)
        fused = text.fused + self.options.lm_weight * end + self.hotwords.end(text.hotword_state)
        return Hypothesis(" ".join(text.words()), acoustic + fused, acoustic, text.language + end)


def _add(texts: dict[str, Hypothesis], new: Hypothesis) -> None:
    """Two pronunciations, or two places, of the same text: one hypothesis."""
    old = texts.get(new.text)
    both = float(np.logaddexp(old.acoustic, new.acoustic)) if old else new.acoustic
    texts[new.text] = Hypothesis(new.text, new.score + both - new.acoustic, both, new.language)
