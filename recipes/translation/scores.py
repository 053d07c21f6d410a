"""BLEU and chrF by sacrebleu, with intervals by resampling sentences (Koehn 2004)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asr.errors import Error
from recipes.translation.pictures import Interval

SAMPLES = 1000  # of the bootstrap
ORDERS = 4  # n-grams of up to so many words count for BLEU


def sacrebleu():
    """The package. Raises Error."""
    try:
        import sacrebleu
    except ImportError:
        raise Error("sacrebleu is missing: pip install 'asr[train]'") from None
    return sacrebleu


def counts(texts: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """What BLEU needs of each sentence (n, 10): n-grams that are right, n-grams, words of it and of the reference."""
    bleu = sacrebleu().BLEU(effective_order=True)
    scores = [bleu.sentence_score(text, list(some)) for text, some in zip(texts, references, strict=True)]
    return np.array([[*s.counts, *s.totals, s.sys_len, s.ref_len] for s in scores])


def bleu(found: np.ndarray) -> float:
    """Of a set of sentences, by their counts (n, 10); not a number where there are none."""
    if not len(found):
        return np.nan
    total = [int(n) for n in found.sum(0)]
    return sacrebleu().BLEU.compute_bleu(total[:ORDERS], total[ORDERS : 2 * ORDERS], total[-2], total[-1]).score


def resampled(found: Sequence[np.ndarray], samples: int = SAMPLES, seed: int = 0) -> np.ndarray:
    """BLEU of each system (samples, systems) on the same resampled sentences; found: (n, 10) of each."""
    rng, n = np.random.default_rng(seed), len(found[0])
    if not n:
        return np.full((samples, len(found)), np.nan)
    return np.array([[bleu(each[rows]) for each in found] for rows in rng.integers(n, size=(samples, n))])


def bleu_interval(found: np.ndarray) -> Interval:
    low, high = np.percentile(resampled([found])[:, 0], [2.5, 97.5])
    return bleu(found), float(low), float(high)


def gain(first: np.ndarray, second: np.ndarray) -> Interval:
    """BLEU of the second minus that of the first, on the same sentences."""
    both = resampled([first, second])
    low, high = np.percentile(both[:, 1] - both[:, 0], [2.5, 97.5])
    return bleu(second) - bleu(first), float(low), float(high)


def chrf(texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    most = max(map(len, references))
    streams = [[some[i] if i < len(some) else None for some in references] for i in range(most)]
    return sacrebleu().CHRF().corpus_score(list(texts), streams).score
