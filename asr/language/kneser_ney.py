"""Train n-gram models: modified Kneser-Ney (Chen & Goodman 1999), pruned by entropy (Stolcke 1998)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from asr.language.ngram import END, NEVER, SPECIAL, START, UNKNOWN, Level, NgramError, NgramModel

FALLBACK = (0.5, 1.0, 1.5)  # discounts for texts too small to estimate them, as in KenLM


@dataclass(frozen=True)
class TrainingOptions:
    """What is counted, and what is kept of it."""

    order: int = 3  # words in the longest n-grams
    min_word: int = 1  # words seen less often become <unk>
    max_words: int | None = None  # of those left, keep only this many, the most frequent
    min_counts: tuple[int, ...] = ()  # n-grams of order 1, 2, ... seen less often are dropped; missing: 1
    max_ngrams: int | None = None  # prune to about this many n-grams longer than one word


@dataclass(frozen=True)
class _Grams:
    """The distinct n-grams of one order, sorted by context, then word."""

    context: np.ndarray  # (N,) place of the first n - 1 words in the level below
    word: np.ndarray  # (N,) id of the last word
    suffix: np.ndarray  # (N,) place of the last n - 1 words in the level below
    count: np.ndarray  # (N,) how often it is in the text
    opens: np.ndarray  # (N,) whether it begins with <s>
    prob: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (N,) of the word after the context
    backoff: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (N,) weight of the shorter context after this


def train(lines: Iterable[str], options: TrainingOptions = TrainingOptions()) -> NgramModel:
    """Train on normalised sentences, one a line. Raises NgramError if there are no words."""
    if options.order < 1 or list(options.min_counts) != sorted(options.min_counts):
        raise NgramError("the order of an n-gram model is at least 1, and min_counts may not fall")
    words, tokens, position = _tokens(lines, options)
    levels = _estimate(_count(tokens, position, options.order, len(words)), options)
    if options.max_ngrams is not None:
        levels = _prune(levels, options.max_ngrams, len(tokens))
    return NgramModel(words, [_finished(g, below) for g, below in zip(levels, [None, *levels])])


def _tokens(lines: Iterable[str], options: TrainingOptions) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The vocabulary, most frequent first; all sentences as ids, with <s> and </s>; places in them."""
    sentences = [words for line in lines if (words := line.split())]
    counts: Counter[str] = Counter()
    for sentence in sentences:
        counts.update(sentence)
    for special in SPECIAL:
        counts.pop(special, None)
    if not counts:
        raise NgramError("there are no words to train a language model on")
    kept = [w for w, c in counts.most_common(options.max_words) if c >= options.min_word]
    ids = {word: i for i, word in enumerate(kept, start=len(SPECIAL))}
    lengths = np.array([len(s) + 2 for s in sentences])
    starts = np.cumsum(lengths) - lengths
    tokens = np.full(lengths.sum(), END, np.int64)
    tokens[starts] = START
    position = np.arange(len(tokens)) - np.repeat(starts, lengths)
    inner = (position > 0) & (position < np.repeat(lengths, lengths) - 1)
    tokens[inner] = np.fromiter((ids.get(w, UNKNOWN) for s in sentences for w in s), np.int64)
    return [*SPECIAL, *kept], tokens, position


def _count(tokens: np.ndarray, position: np.ndarray, order: int, size: int) -> list[_Grams]:
    """N-grams of every order up to `order`. Place of a context x `size` + word is an n-gram's key."""
    every = np.arange(size)
    none = np.zeros(size, np.int64)
    levels = [_Grams(none, every, none, np.bincount(tokens, minlength=size), every == START)]
    places = tokens  # of the n-gram that ends at each token
    for n in range(1, order):
        ends = np.flatnonzero(position >= n)
        keys = places[ends - 1] * size + tokens[ends]
        keys, at, inverse, count = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        opens = position[ends[at]] == n
        levels.append(_Grams(keys // size, keys % size, places[ends[at]], count, opens))
        places = np.full(len(tokens), -1)
        places[ends] = inverse
    return levels


def _estimate(levels: list[_Grams], options: TrainingOptions) -> list[_Grams]:
    """Fill in probabilities and backoff weights, and drop n-grams that are too rare."""
    cuts = [*options.min_counts, *[max(options.min_counts, default=1)] * len(levels)]
    done: list[_Grams] = []
    lower = np.full(1, 1.0 / (len(levels[0].word) - 1))  # every word but <s> is equally likely
    keep = []
    for n, grams in enumerate(levels):
        counts = _adjusted(grams, levels[n + 1] if n + 1 < len(levels) else None)
        if n == 0:
            counts[START] = 0
        kept = (grams.count >= cuts[n]) if n else np.ones(len(counts), bool)
        contexts = len(lower)
        total = np.bincount(grams.context, counts, contexts)
        discount = np.array([0.0, *_discounts(counts)])[np.minimum(counts, 3)]
        own = np.where(kept, counts - discount, 0.0) / np.maximum(total, 1)[grams.context]
        left = 1.0 - np.bincount(grams.context, own, contexts)  # for the shorter context
        prob = own + left[grams.context] * lower[grams.suffix]
        if n == 0:
            prob[START] = 0.0
        else:
            done[-1] = replace(done[-1], backoff=left)
        done.append(replace(grams, prob=prob, backoff=np.ones(len(prob))))
        keep.append(kept)
        lower = prob
    return _select(done, keep)


def _adjusted(grams: _Grams, above: _Grams | None) -> np.ndarray:
    """Kneser-Ney's counts: in how many words' company an n-gram is seen; how often, if it is the longest."""
    if above is None:
        return grams.count.copy()
    return np.where(grams.opens, grams.count, np.bincount(above.suffix, minlength=len(grams.word)))


def _discounts(counts: np.ndarray) -> tuple[float, ...]:
    """What is taken off n-grams seen once, twice, and more often (Chen & Goodman, equation 26)."""
    n1, n2, n3, n4 = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].astype(float)
    if min(n1, n2, n3) == 0:
        return FALLBACK
    y = n1 / (n1 + 2 * n2)
    discounts = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return discounts if all(0 <= d <= k for k, d in enumerate(discounts, start=1)) else FALLBACK


def _prune(levels: list[_Grams], target: int, tokens: int) -> list[_Grams]:
    """Drop the n-grams whose loss changes the model least, until about `target` longer than a word are left.

    How often a context comes up is counted in the text: Kneser-Ney's lower orders do not know it.
    What a longer n-gram that is kept begins or ends with is kept too.
    """
    losses = [_loss(grams, below, tokens) for grams, below in zip(levels[1:], levels)]
    everything = np.concatenate([*losses, np.zeros(1)])
    excess = len(everything) - 1 - target
    if excess <= 0:
        return levels
    threshold = np.partition(everything, excess)[excess]
    keep = [np.ones(len(levels[0].word), bool), *(loss > threshold for loss in losses)]
    for n in range(len(levels) - 1, 1, -1):
        keep[n - 1][levels[n].context[keep[n]]] = True
        keep[n - 1][levels[n].suffix[keep[n]]] = True
    return _renormalised(_select(levels, keep))


def _loss(grams: _Grams, below: _Grams, tokens: int) -> np.ndarray:
    """Relative entropy that dropping each n-gram by itself costs (Stolcke 1998, equations 4 to 6)."""
    shorter = below.prob[grams.suffix]
    mass, shorter_mass = (m[grams.context] for m in _left_over(grams, below))
    weight = mass / shorter_mass
    new_weight = (mass + grams.prob) / (shorter_mass + shorter)
    change = grams.prob * (np.log(shorter * new_weight) - np.log(grams.prob))
    change += mass * (np.log(new_weight) - np.log(weight))
    return -change * below.count[grams.context] / tokens


def _left_over(grams: _Grams, below: _Grams) -> tuple[np.ndarray, np.ndarray]:
    """Of each context: the probability of the words without an n-gram, by it and by the shorter context."""
    size = len(below.word)
    mass = 1.0 - np.bincount(grams.context, grams.prob, size)
    shorter = 1.0 - np.bincount(grams.context, below.prob[grams.suffix], size)
    return np.maximum(mass, 1e-12), np.maximum(shorter, 1e-12)


def _renormalised(levels: list[_Grams]) -> list[_Grams]:
    for n in range(len(levels) - 1):
        mass, shorter = _left_over(levels[n + 1], levels[n])
        levels[n] = replace(levels[n], backoff=mass / shorter)
    return levels


def _select(levels: list[_Grams], keep: list[np.ndarray]) -> list[_Grams]:
    """The n-grams to keep, with their places counted anew."""
    kept, places = [], np.zeros(1, np.int64)
    for grams, mask in zip(levels, keep):
        columns = {name: c[mask] for name, c in vars(grams).items()}
        columns["context"] = places[columns["context"]] if kept else columns["context"]
        columns["suffix"] = places[columns["suffix"]] if kept else columns["suffix"]
        kept.append(_Grams(**columns))
        places = np.cumsum(mask) - 1
    return kept


def _finished(grams: _Grams, below: _Grams | None) -> Level:
    with np.errstate(divide="ignore"):
        log_prob = np.maximum(np.log(grams.prob), NEVER).astype(np.float32)
    contexts = 1 if below is None else len(below.word)
    first = np.searchsorted(grams.context, np.arange(contexts + 1))
    return Level(grams.word.astype(np.uint32), first, log_prob, np.log(grams.backoff).astype(np.float32))
