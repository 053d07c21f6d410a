"""Prune n-gram models by entropy (Stolcke 1998)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asr.language.grams import Grams, left_over, renormalised, select


def prune(levels: Sequence[Grams], target: int) -> list[Grams]:
    """Drop the n-grams whose loss changes the model least, until about `target` longer than a word are left.

    What a longer n-gram that is kept begins or ends with is kept too.
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
    block = 1 << 22
    for at in range(0, len(grams), block):
        rows = slice(at, at + block)
        context, prob = grams.context[rows], grams.prob[rows]
        shorter = below.prob[grams.suffix[rows]]
        own, other = mass[context], shorter_mass[context]
        weight = (own + prob) / (other + shorter)
        change = prob * (np.log(shorter * weight) - np.log(prob)) + own * (np.log(weight) - np.log(own / other))
        found[rows] = -change * below.share[context]
    return found
