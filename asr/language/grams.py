"""A language model while it is made: n-grams by order, linked downwards, with what pruning and mixing need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from asr.language.ngram import END, NEVER, START, NgramModel
from asr.language.packed import Level


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
    return NgramModel(words, [_finished(grams, below) for grams, below in zip(levels, [None, *levels])])


def _finished(grams: Grams, below: Grams | None) -> Level:
    with np.errstate(divide="ignore"):
        log_prob = np.maximum(np.log(grams.prob), NEVER).astype(np.float32)
    contexts = 1 if below is None else len(below)
    first = np.zeros(contexts + 1, np.int64)
    np.cumsum(np.bincount(grams.context, minlength=contexts), out=first[1:])
    return Level(grams.word.astype(np.uint32), first, log_prob, np.log(grams.backoff).astype(np.float32))


def opened(model: NgramModel) -> list[Grams]:
    """The n-grams of a finished model. How often each is met is what the model itself expects."""
    levels: list[Grams] = []
    size = len(model.words)
    for level in model.levels:
        context = np.repeat(np.arange(len(level.first) - 1, dtype=np.int32), np.diff(level.first))
        prob, backoff = np.exp(level.log_prob.astype(np.float64)), np.exp(level.backoff.astype(np.float64))
        if not levels:
            prob[START] = 0.0
            share = prob.copy()
            share[START] = prob[END]  # a sentence begins as often as it ends
            levels.append(Grams(context, level.word.astype(np.int32), context, share, prob, backoff))
            continue
        below = levels[-1]
        suffix = level.word.astype(np.int32)
        if len(levels) > 1:
            keys = below.context.astype(np.int64) * size + below.word
            suffix = places_of(keys, below.suffix[context].astype(np.int64) * size + level.word)
        levels.append(Grams(context, level.word.astype(np.int32), suffix, below.share[context] * prob, prob, backoff))
    return levels


def places_of(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Rows of the wanted ones in sorted keys; looked up in order, which is far kinder to a large table."""
    order = np.argsort(wanted)
    found = np.empty(len(wanted), np.int32)
    found[order] = np.searchsorted(keys, wanted[order])
    return found
