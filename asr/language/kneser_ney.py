"""Train n-gram models: modified Kneser-Ney (Chen & Goodman 1999), interpolated; pruned by entropy if wished."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from asr.errors import UsageError
from asr.language.counts import CountedLevel, Counts, count
from asr.language.ngram import NEVER, START, NgramModel
from asr.language.numbered_text import Vocabulary
from asr.language.packed import Level

FALLBACK = (0.5, 1.0, 1.5)  # discounts for texts too small to estimate them, as in KenLM
BLOCK = 1 << 22  # n-grams read at a time


@dataclass(frozen=True)
class Grams:
    """The n-grams of one order, sorted by context, then word; a place is an n-gram's row in its level."""

    context: np.ndarray  # (N,) place of the first n - 1 words in the level below
    word: np.ndarray  # (N,) id of the last word
    suffix: np.ndarray  # (N,) place of the last n - 1 words in the level below
    share: np.ndarray  # (N,) how often it is met, of all places in a text
    prob: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (N,) of the word after the context
    backoff: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (N,) weight of the shorter context after this

    def __len__(self) -> int:
        return len(self.word)


def select(levels: Sequence[Grams], keep: Sequence[np.ndarray]) -> list[Grams]:
    """The n-grams to keep, with their places counted anew. keep: a mask for each level."""
    kept: list[Grams] = []
    places = np.zeros(1, np.int32)
    for grams, mask in zip(levels, keep):
        columns = {name: column[mask] for name, column in vars(grams).items()}
        if kept:
            columns["context"], columns["suffix"] = places[columns["context"]], places[columns["suffix"]]
        kept.append(Grams(**columns))
        places = np.cumsum(mask, dtype=np.int32) - 1
    return kept


def left_over(grams: Grams, below: Grams) -> tuple[np.ndarray, np.ndarray]:
    """Of each context: the probability of the words without an n-gram, by it and by the shorter context."""
    size = len(below)
    mass = 1.0 - np.bincount(grams.context, grams.prob, size)
    shorter = 1.0 - np.bincount(grams.context, below.prob[grams.suffix], size)
    return np.maximum(mass, 1e-12), np.maximum(shorter, 1e-12)


def renormalised(levels: Sequence[Grams]) -> list[Grams]:
    """The same with the backoff weights that let all words after a context add up to 1."""
    found = list(levels)
    for n in range(len(found) - 1):
        mass, shorter = left_over(found[n + 1], found[n])
        found[n] = replace(found[n], backoff=mass / shorter)
    return found


def finished(words: Sequence[str], levels: Sequence[Grams]) -> NgramModel:
    """The model that scores."""
    found, contexts = [], 1
    for grams in levels:
        with np.errstate(divide="ignore"):
            log_prob = np.maximum(np.log(grams.prob), NEVER).astype(np.float32)
        first = np.concatenate([[0], np.cumsum(np.bincount(grams.context, minlength=contexts))])
        found.append(Level(grams.word.astype(np.uint32), first, log_prob, np.log(grams.backoff).astype(np.float32)))
        contexts = len(grams)
    return NgramModel(words, found)


def prune(levels: Sequence[Grams], target: int) -> list[Grams]:
    """Drop the n-grams whose loss changes the model least, until about `target` longer than a word are left.

    By entropy (Stolcke 1998). What a longer n-gram that is kept begins or ends with is kept too.
    """
    losses = [loss(grams, below) for grams, below in zip(levels[1:], levels)]
    everything = np.concatenate([*losses, np.zeros(1, np.float32)])
    excess = len(everything) - 1 - target
    if excess <= 0:
        return list(levels)
    threshold = np.partition(everything, excess)[excess]
    del everything
    keep = [np.ones(len(levels[0]), bool), *(found > threshold for found in losses)]
    for n in range(len(levels) - 1, 1, -1):
        keep[n - 1][levels[n].context[keep[n]]] = True
        keep[n - 1][levels[n].suffix[keep[n]]] = True
    return renormalised(select(levels, keep))


def loss(grams: Grams, below: Grams) -> np.ndarray:
    """(N,) relative entropy that dropping each n-gram by itself costs (Stolcke 1998, equations 4 to 6).

    How often a context comes up is counted in the text: Kneser-Ney's lower orders do not know it.
    """
    mass, shorter_mass = left_over(grams, below)
    found = np.empty(len(grams))
    for at in range(0, len(grams), BLOCK):
        rows = slice(at, at + BLOCK)
        context, prob = grams.context[rows], grams.prob[rows]
        shorter = below.prob[grams.suffix[rows]]
        own, other = mass[context], shorter_mass[context]
        weight = (own + prob) / (other + shorter)
        change = prob * (np.log(shorter * weight) - np.log(prob)) + own * (np.log(weight) - np.log(own / other))
        found[rows] = -change * below.share[context]
    return found


@dataclass(frozen=True)
class TrainingOptions:
    """What is counted, and what is kept of it."""

    order: int = 3  # words in the longest n-grams
    min_word: int = 1  # words seen less often become <unk>
    max_words: int | None = None  # of those left, keep only this many, the most frequent
    min_counts: tuple[int, ...] = ()  # n-grams of order 1, 2, ... seen less often are dropped; missing: 1
    max_ngrams: int | None = None  # prune to about this many n-grams longer than one word

    def __post_init__(self):
        """Raises UsageError."""
        if self.order < 1 or list(self.min_counts) != sorted(self.min_counts):
            raise UsageError("the order of an n-gram model is at least 1, and min_counts may not fall")

    @property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(self.min_word, self.max_words)


def train(lines: Iterable[str], options: TrainingOptions = TrainingOptions()) -> NgramModel:
    """Train on normalised sentences, one a line. Raises UsageError if there are no words."""
    with tempfile.TemporaryDirectory() as work:
        return from_counts(count(lines, options.order, options.vocabulary, Path(work)), options)


def from_counts(counts: Counts, options: TrainingOptions) -> NgramModel:
    """The model of what has been counted with these options."""
    levels = estimate(counts, options.min_counts)
    if options.max_ngrams is not None:
        levels = prune(levels, options.max_ngrams)
    return finished(counts.words, levels)


def estimate(counts: Counts, min_counts: tuple[int, ...] = ()) -> list[Grams]:
    """Probabilities and backoff weights of the n-grams seen often enough."""
    cuts = [*min_counts, *[max(min_counts, default=1)] * (1 + len(counts.levels))]
    keep: np.ndarray = np.ones(len(counts.words), bool)
    done = [_unigrams(counts)]
    opens = np.arange(len(counts.words)) == START
    for n, level in enumerate(counts.levels, start=1):
        above = counts.levels[n] if n < len(counts.levels) else None
        adjusted = np.array(level.count)  # if it is the longest, or begins a sentence; else: after how many words
        if above is not None:
            begins = opens[level.context]
            adjusted, opens = np.where(begins, level.count, _continued(above, len(level.word))), begins
        rank = np.cumsum(keep, dtype=np.int32) - 1
        keep_here = np.asarray(level.count) >= cuts[n]
        grams, left = _estimated(level, adjusted, keep, keep_here, rank, done[-1].prob)
        done[-1] = replace(done[-1], backoff=left)
        done.append(replace(grams, share=grams.share / counts.tokens))
        keep = keep_here
    return done


def _unigrams(counts: Counts) -> Grams:
    size = len(counts.words)
    above = counts.levels[0] if counts.levels else None
    every, none = np.arange(size, dtype=np.int32), np.zeros(size, np.int32)
    adjusted = counts.count.copy() if above is None else _continued(above, size).astype(np.int64)
    adjusted[START] = 0
    discount = np.array([0.0, *_discounts(adjusted)])[np.minimum(adjusted, 3)]
    own = (adjusted - discount) / max(adjusted.sum(), 1)
    prob = own + (1.0 - own.sum()) / (size - 1)  # every word but <s> is equally likely
    prob[START] = 0.0
    return Grams(none, every, none, counts.count / counts.tokens, prob, np.ones(size))


def _continued(above: CountedLevel, size: int) -> np.ndarray:
    """How many n-grams of the level above end in each of the `size` below."""
    found = np.zeros(size, np.int32)
    for at in range(0, len(above.suffix), BLOCK):
        np.add.at(found, above.suffix[at : at + BLOCK], 1)
    return found


def _estimated(
    level: CountedLevel,
    counts: np.ndarray,
    keep_below: np.ndarray,
    keep: np.ndarray,
    rank: np.ndarray,
    lower: np.ndarray,
) -> tuple[Grams, np.ndarray]:
    """The kept n-grams of a level, share still in counts; and what each kept context leaves to the shorter one.

    counts (N,): Kneser-Ney's. rank: of the level below, each kept n-gram's place among the kept; lower: probabilities
    of these.
    """
    discounts = np.array([0.0, *_discounts(counts)])
    left = np.ones(len(lower))
    size = int(keep.sum())
    context, word, suffix, share = (np.empty(size, np.int32) for _ in range(4))
    prob, at = np.empty(size), 0
    for rows in _whole_contexts(level.context):
        places, kept = np.asarray(level.context[rows]), keep[rows]
        inside, own_counts = places - places[0], counts[rows]
        total = np.bincount(inside, own_counts)
        taken = discounts[np.minimum(own_counts, 3)]
        own = np.where(kept, own_counts - taken, 0.0) / np.maximum(total, 1)[inside]
        left_here = 1.0 - np.bincount(inside, own)
        known = keep_below[places[0] : places[0] + len(left_here)]
        left[rank[places[0] : places[0] + len(left_here)][known]] = left_here[known]
        here = slice(at, at + int(kept.sum()))
        context[here], word[here] = rank[places[kept]], level.word[rows][kept]
        suffix[here], share[here] = rank[level.suffix[rows][kept]], level.count[rows][kept]
        prob[here] = own[kept]
        at = here.stop
    for at in range(0, size, BLOCK):
        rows = slice(at, at + BLOCK)
        prob[rows] += left[context[rows]] * lower[suffix[rows]]
    return Grams(context, word, suffix, share, prob, np.ones(size)), left


def _whole_contexts(context: np.ndarray) -> Iterator[slice]:
    """The rows, about BLOCK at a time, all of a context together."""
    at = 0
    while at < len(context):
        end = min(at + BLOCK, len(context))
        end = int(np.searchsorted(context, context[end - 1], side="right"))
        yield slice(at, end)
        at = end


def _discounts(counts: np.ndarray) -> tuple[float, ...]:
    """What is taken off n-grams seen once, twice, and more often (Chen & Goodman, equation 26)."""
    seen = np.zeros(6, np.int64)
    for at in range(0, len(counts), BLOCK):
        seen += np.bincount(np.minimum(counts[at : at + BLOCK], 5), minlength=6)
    n1, n2, n3, n4 = seen[1:5].astype(float)
    if min(n1, n2, n3) == 0:
        return FALLBACK
    y = n1 / (n1 + 2 * n2)
    discounts = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return discounts if all(0 <= d <= k for k, d in enumerate(discounts, start=1)) else FALLBACK
