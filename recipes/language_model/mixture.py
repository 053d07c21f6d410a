"""Mix n-gram models into one: linear interpolation, with weights for each history or one set for all.

With one set of weights (static) the mixture of every n-gram's probabilities is kept, as SRILM's -mix-lm does. With
`by_history` a model's weight grows with how well it foretold the words before (Bayesian interpolation, Allauzen &
Riley 2011): after "turn on the" the model of requests speaks, after "the population of" that of encyclopaedias.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from asr.errors import UsageError
from asr.language.kneser_ney import Grams, renormalised
from asr.language.ngram import END, SPECIAL, START, NgramModel

ROUNDS = 100  # of expectation and maximisation, at most


def mix(models: Sequence[Sequence[Grams]], weights: Sequence[float], by_history: bool = True) -> list[Grams]:
    """One model of all n-grams of the models, which share a vocabulary and an order. weights: of each, above 0."""
    if len({len(levels) for levels in models}) != 1 or len({len(levels[0]) for levels in models}) != 1:
        raise UsageError("models are mixed that have the same order and the same words")
    shares = np.asarray(weights, float) / np.sum(weights)
    size = len(models[0][0])
    context = np.zeros(size, np.int32)
    probs = [levels[0].prob for levels in models]
    backoffs = [levels[0].backoff for levels in models]
    joint = [np.full(size, weight) * levels[0].share for weight, levels in zip(shares, models)]
    places: list[np.ndarray] = [np.arange(size, dtype=np.int32)] * len(models)
    share = sum(joint)
    mixed = [Grams(context, models[0][0].word, context, share, _weighted(probs, shares), np.ones(size))]
    for n in range(1, len(models[0])):
        here = [levels[n] for levels in models]
        keys = [places[i][grams.context].astype(np.int64) * size + grams.word for i, grams in enumerate(here)]
        union = _union(keys)
        found = [np.searchsorted(union, key).astype(np.int32) for key in keys]
        del keys
        context, word = (union // size).astype(np.int32), (union % size).astype(np.int32)
        del union
        suffix = np.zeros(len(word), np.int32)
        for place, below, grams in zip(found, places, here):
            suffix[place] = below[grams.suffix]
        total = np.zeros(len(word))
        share = np.zeros(len(word))
        norm = sum(joint) if by_history else None
        for i, (place, grams) in enumerate(zip(found, here)):
            prob = (backoffs[i][context] * probs[i][suffix]).astype(np.float32)
            prob[place] = grams.prob
            if norm is None:
                total += shares[i] * prob
            else:
                trust = np.where(norm > 0, joint[i] / np.maximum(norm, 1e-300), shares[i])
                total += trust[context] * prob
            share[place] += shares[i] * grams.share
            backoffs[i] = np.ones(len(word), np.float32)
            backoffs[i][place] = grams.backoff
            joint[i] = (joint[i][context] * prob).astype(np.float64)
            probs[i] = prob
        places = found
        mixed.append(Grams(context, word, suffix, share, total, np.ones(len(word))))
    return renormalised(mixed)


def same_words(models: Sequence[NgramModel]) -> tuple[list[str], list[list[Grams]]]:
    """One vocabulary, and the models' n-grams in it; a model gives no probability to a word that it lacks.

    Raises UsageError where the models' orders differ.
    """
    if len({model.order for model in models}) != 1:
        raise UsageError("only models of the same order can be mixed: train them with the same --order")
    words = list(dict.fromkeys(word for model in models for word in model.words))
    number = {word: i for i, word in enumerate(words)}
    return words, [_renumbered(opened(m), np.array([number[w] for w in m.words]), len(words)) for m in models]


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
            suffix = _places_of(keys, below.suffix[context].astype(np.int64) * size + level.word)
        levels.append(Grams(context, level.word.astype(np.int32), suffix, below.share[context] * prob, prob, backoff))
    return levels


def _places_of(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Rows of the wanted ones in sorted keys; looked up in order, which is far kinder to a large table."""
    order = np.argsort(wanted)
    found = np.empty(len(wanted), np.int32)
    found[order] = np.searchsorted(keys, wanted[order])
    return found


def _renumbered(levels: Sequence[Grams], new_id: np.ndarray, size: int) -> list[Grams]:
    """The same with other word ids, of a vocabulary of `size`."""
    first = levels[0]
    columns = [np.zeros(size), np.zeros(size), np.ones(size)]
    for column, old in zip(columns, (first.share, first.prob, first.backoff)):
        column[new_id] = old
    found = [Grams(np.zeros(size, np.int32), np.arange(size, dtype=np.int32), np.zeros(size, np.int32), *columns)]
    places = new_id.astype(np.int32)
    for grams in levels[1:]:
        context, word = places[grams.context], new_id[grams.word].astype(np.int32)
        order = np.argsort(context.astype(np.int64) * size + word)
        columns = [context, word, places[grams.suffix], grams.share, grams.prob, grams.backoff]
        found.append(Grams(*(column[order] for column in columns)))
        places = np.empty(len(order), np.int32)
        places[order] = np.arange(len(order), dtype=np.int32)
    return found


def likelihoods(models: Sequence[NgramModel], lines: Iterable[str]) -> np.ndarray:
    """(models, tokens): what each model gives to each word and sentence end; 0 for what only another one knows."""
    known = {word for model in models for word in model.words}
    rows: list[list[float]] = [[] for _ in models]
    for line in lines:
        for row, model in zip(rows, models):
            state = model.start()
            for word in [*line.split(), SPECIAL[END]]:
                score, state = model.score(state, word)
                row.append(math.exp(score) if word in model or word not in known else 0.0)
    return np.array(rows)


def _union(keys: Sequence[np.ndarray]) -> np.ndarray:
    merged = np.sort(np.concatenate(keys))
    new = np.ones(len(merged), bool)
    np.not_equal(merged[1:], merged[:-1], out=new[1:])
    return merged[new]


def _weighted(probs: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    return sum(weight * prob for weight, prob in zip(weights, probs))


def fitted(likelihoods: np.ndarray) -> np.ndarray:
    """(models,) weights that make a text likeliest, by EM. likelihoods (models, tokens): each model's probabilities."""
    weights = np.full(len(likelihoods), 1 / len(likelihoods))
    for _ in range(ROUNDS):
        parts = weights[:, None] * likelihoods
        new = (parts / np.maximum(parts.sum(0), 1e-300)).mean(1)
        if np.abs(new - weights).max() < 1e-5:
            return new
        weights = new
    return weights
