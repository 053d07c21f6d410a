"""CTC search over a pronunciation lexicon: phonemes to words, by a prefix tree and an n-gram model.

The older way to words (with CTC: EESEN, Miao et al. 2015): how a word is spelt need not be learnt from sound,
so it pays most where training data is scarce. The vocabulary is closed.
"""

from __future__ import annotations

import lzma
import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.ngram import UNKNOWN, NgramModel, State
from asr.search import NO_SYMBOL, Beam, BeamSearch, Hypothesis, SearchOptions, SearchState
from asr.text import Alphabet

Pronunciation = tuple[str, str]  # a word, and its phonemes with spaces between: ("pear", "P EH R")
DEPTH_BITS = 8  # of a node's number; no word has 256 phonemes
LEAST = -700.0  # ln; keeps factors above zero


class LexiconError(ValueError):
    """A lexicon cannot be used, with the reason in a sentence."""


@dataclass(frozen=True)
class LexiconOptions(SearchOptions):
    lm_weight: float = 1.1
    unknown: float = -3.3
    word_bonus: float = 0.0
    prior_weight: float = 0.5  # of the prior that the probabilities are divided by


def read_lexicon(path: Path | str) -> list[Pronunciation]:
    """Lines word<TAB>phonemes of a text file, .xz or plain; # begins a comment line. Raises LexiconError."""
    opened = lzma.open if str(path).endswith(".xz") else open
    try:
        with opened(path, "rt", encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        raise LexiconError(f"there is no lexicon {path}") from None
    except (OSError, lzma.LZMAError, EOFError, UnicodeDecodeError):
        raise LexiconError(f"{path} is damaged or not a lexicon: expected text, word<TAB>phonemes") from None
    pairs = [tuple(line.split("\t")) for line in lines if line and line[0] != "#"]
    if any(len(pair) != 2 for pair in pairs):
        raise LexiconError(f"{path} is not a lexicon: every line must be word<TAB>phonemes")
    return pairs


class Node:
    """A node of the prefix tree: pronunciations low..high of the sorted list, alike up to `depth`."""

    __slots__ = ("low", "high", "depth", "symbol", "number", "ahead", "words", "children")

    def __init__(self, low: int, high: int, depth: int, symbol: int, ahead: float):
        self.low, self.high, self.depth, self.symbol, self.ahead = low, high, depth, symbol, ahead
        self.number = low << DEPTH_BITS | depth
        self.words: list[str] = []  # those pronounced exactly so
        self.children: dict[int, Node] | None = None  # by symbol; made when first asked for


class PronunciationTree:
    """All pronunciations as a prefix tree, whose nodes are made when the search first comes there.

    ahead: of each word, the (weighted) ln probability that is its due; a node gets the largest.
    """

    def __init__(
        self, phonemes: Sequence[str], pronunciations: Iterable[Pronunciation], ahead: dict[str, float]
    ):
        letter = {p: chr(i) for i, p in enumerate(phonemes, start=1)}
        try:
            spelt = [("".join([letter[p] for p in said.split()]), word) for word, said in pronunciations]
        except KeyError as missing:
            raise LexiconError(f"the lexicon has the phoneme {missing}, the acoustic model has not") from None
        spelt = sorted({pair for pair in spelt if 0 < len(pair[0]) < 1 << DEPTH_BITS})
        if not spelt:
            raise LexiconError("the lexicon has no words: give at least one pronunciation")
        self._said = [said for said, _ in spelt]
        self._words = [word for _, word in spelt]
        self._ahead = np.array([ahead[word] for word in self._words])
        self.root = Node(0, len(spelt), 0, NO_SYMBOL, float(self._ahead.max()))

    def children(self, node: Node) -> dict[int, Node]:
        if node.children is None:
            node.children = {child.symbol: child for child in self._expand(node)}
        return node.children

    def _expand(self, node: Node) -> Iterable[Node]:
        said, depth, low = self._said, node.depth, node.low + len(node.words)
        while low < node.high:
            beginning = said[low][: depth + 1]
            high = bisect_left(said, beginning[:-1] + chr(ord(beginning[-1]) + 1), low, node.high)
            ahead = float(self._ahead[low:high].max())
            child = Node(low, high, depth + 1, ord(beginning[-1]), ahead)
            child.words = self._words[low : bisect_left(said, beginning + chr(1), low, high)]
            yield child
            low = high


class Text:
    """Finished words, and what the language model thinks of them."""

    __slots__ = ("word", "parent", "number", "state", "language", "fused")

    def __init__(self, word: str, parent: Text | None, state: State, language: float, fused: float):
        self.word, self.parent, self.state = word, parent, state
        self.number = hash((parent.number, word)) if parent else 0  # stands for the whole text
        self.language = language  # ln probability of the words
        self.fused = fused  # the same weighted, with bonuses

    def words(self) -> list[str]:
        words, text = [], self
        while text.parent:
            words.append(text.word)
            text = text.parent
        return words[::-1]


Way = tuple[int, float, Text, Node]  # where a phoneme leads: number of the place, factor, text and node


class Place:
    """Finished words and a node of the tree: what the search keeps probabilities of."""

    __slots__ = ("text", "node", "number", "ways", "closings")

    def __init__(self, text: Text, node: Node):
        self.text, self.node = text, node
        self.number = hash((text.number, node.number))
        self.ways: dict[int, list[Way]] = {}  # by the next symbol
        self.closings: list[Text] | None = None  # what it becomes where its word ends; made when first asked for


class LexiconSearch(BeamSearch):
    """CTC prefix beam search in the prefix tree of a lexicon; the calls are those of BeamSearch.

    phonemes: columns 1.. of the log-probabilities (T, V). A word may end wherever the tree has one, and the
    next phoneme then goes on from the root, so there is no symbol for the gap between words. Nodes are scored
    ahead by their likeliest word, without context; at its end the word's own score replaces that.
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
    ):
        super().__init__(Alphabet(phonemes), options, lm)
        if log_prior is not None and np.shape(log_prior) != (len(self.alphabet),):
            raise LexiconError(f"the prior has the shape {np.shape(log_prior)}, not ({len(self.alphabet)},)")
        self._log_prior = log_prior
        pronunciations = list(pronunciations)
        self._tree = PronunciationTree(phonemes, pronunciations, self._due({w for w, _ in pronunciations}))

    def start(self) -> SearchState:
        place = Place(Text("", None, self.lm.start(), 0.0, 0.0), self._tree.root)
        return SearchState([(place, 1.0, 0.0)], 0.0, resting=True)

    def feed(self, state: SearchState, log_probs: np.ndarray) -> SearchState:
        """The state after the frames of log_probs (T, V), natural log."""
        if self._log_prior is not None and log_probs.shape[1:] == self._log_prior.shape:
            log_probs = log_probs - self.options.prior_weight * self._log_prior
            log_probs = log_probs - np.logaddexp.reduce(log_probs, axis=1, keepdims=True)
        return super().feed(state, log_probs)

    def best(self, state: SearchState, n: int = 1, final: bool = True) -> list[Hypothesis]:
        """The n best texts so far, best first. An unfinished last word is left out; if `final`, texts without
        one come first.
        """
        ended: dict[str, Hypothesis] = {}
        broken_off: dict[str, Hypothesis] = {}
        for place, in_blank, in_symbol in state.beam:
            node, text = place.node, place.text
            fused = text.fused + (node.ahead if node.depth else 0.0)
            acoustic = math.log(in_blank + in_symbol) + state.offset - fused
            for last in self.closings(place):
                _add(ended, self._hypothesis(last, acoustic, final))
            if not node.words:
                whole = not final or not node.depth
                _add(ended if whole else broken_off, self._hypothesis(text, acoustic, final))
        rest = [h for text, h in broken_off.items() if text not in ended]
        ranked = [sorted(hypotheses, key=lambda h: -h.score) for hypotheses in (ended.values(), rest)]
        return (ranked[0] + ranked[1])[:n]

    def _due(self, words: Iterable[str]) -> dict[str, float]:
        """Weighted ln probability of each word without context."""
        weight, log_probs = self.options.lm_weight, self.lm.levels[0].log_prob.tolist()
        if not self.options.look_ahead:
            return dict.fromkeys(words, 0.0)
        due = {word: weight * p for word, p in zip(self.lm.words, log_probs)}
        for word in words:
            if word not in due:
                due[word] = weight * (log_probs[UNKNOWN] + self.options.unknown * len(word))
        return due

    def _step(self, beam: Beam, blank: float, symbols: list[tuple[int, float]]) -> tuple[Beam, float]:
        """One frame: every place stays (blank, or its last symbol again) or goes on by a symbol.

        Returns the new beam, scaled to a best place of 1, and ln of the scale.
        """
        after: dict[int, list] = {}  # number -> [in_blank, in_symbol, place, text, node]
        narrow = math.exp(-self.options.width)
        probability = dict(symbols)
        top, floor = 0.0, self._staying_floor(beam, blank)
        for place, in_blank, in_symbol in beam:
            total = in_blank + in_symbol
            last, ways = place.node.symbol, place.ways
            stay_blank, stay_symbol = total * blank, in_symbol * probability.get(last, 0.0)
            entry = after.get(place.number)
            if entry is None:
                after[place.number] = [stay_blank, stay_symbol, place, None, None]
            else:
                entry[0] += stay_blank
                entry[1] += stay_symbol
                entry[2] = place
            if stay_blank + stay_symbol > top:
                top = stay_blank + stay_symbol
                floor = max(floor, top * narrow)
            for symbol, p in symbols:
                if total * p <= floor:
                    break
                flow = (in_blank if symbol == last else total) * p
                if flow <= floor:
                    continue
                found = ways.get(symbol)
                if found is None:
                    found = ways[symbol] = self._ways(place, symbol)
                for number, factor, text, node in found:
                    reach = flow * factor
                    if reach <= floor:
                        break
                    entry = after.get(number)
                    if entry is None:
                        after[number] = [0.0, reach, None, text, node]
                    else:
                        entry[1] += reach
                    if reach > top:
                        top = reach
                        floor = max(floor, top * narrow)
        return self._prune(list(after.values()))

    def _staying_floor(self, beam: Beam, blank: float) -> float:
        """What a place must reach to be among the best after this frame, since all can stay by a blank."""
        if len(beam) < self.options.beam:
            return 0.0
        return (beam[-1][1] + beam[-1][2]) * blank

    def _grow(self, text: Text, node: Node) -> Place:
        return Place(text, node)

    def _ways(self, place: Place, symbol: int) -> list[Way]:
        """Where a symbol leads, likeliest first: deeper into the word, or past its end into another."""
        tree, text, node = self._tree, place.text, place.node
        here = text.fused + (node.ahead if node.depth else 0.0)
        leads = [(text, child)] if (child := tree.children(node).get(symbol)) else []
        if node.words and (first := tree.children(tree.root).get(symbol)):
            leads += [(closed, first) for closed in self.closings(place)]
        ways = [
            (hash((t.number, n.number)), math.exp(max(t.fused + n.ahead - here, LEAST)), t, n)
            for t, n in leads
        ]
        return sorted(ways, key=lambda way: -way[1])

    def closings(self, place: Place) -> list[Text]:
        """The texts that the place becomes where its word ends: one for each word pronounced so."""
        if place.closings is None:
            place.closings = [self._closed(place.text, word) for word in place.node.words]
        return place.closings

    def _closed(self, text: Text, word: str) -> Text:
        score, state = self.lm.score(text.state, word)
        score += 0.0 if word in self.lm else self.options.unknown * len(word)
        fused = text.fused + self.options.lm_weight * score + self.options.word_bonus
        return Text(word, text, state, text.language + score, fused)

    def _hypothesis(self, text: Text, acoustic: float, final: bool) -> Hypothesis:
        end = self.lm.end(text.state) if final and self.options.sentence_end else 0.0
        score = acoustic + text.fused + self.options.lm_weight * end
        return Hypothesis(" ".join(text.words()), score, acoustic, text.language + end)


def _add(texts: dict[str, Hypothesis], new: Hypothesis) -> None:
    """Two pronunciations, or two places, of the same text: one hypothesis."""
    old = texts.get(new.text)
    both = float(np.logaddexp(old.acoustic, new.acoustic)) if old else new.acoustic
    texts[new.text] = Hypothesis(new.text, new.score + both - new.acoustic, both, new.language)
