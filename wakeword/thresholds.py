"""Thresholds from scores on speech without the phrase: how high for at most so many false alarms an hour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RATES = (0.1, 0.5, 1.0, 3.0)  # false alarms an hour for which a detector knows a threshold
USUAL = 0.5  # ... unless another one is asked for
TAIL = 25  # highest peaks that the tail of an RNN's scores is fitted to
TAIL_RATE, LEAST_TAIL = 30.0, 12  # highest peaks an hour that the tail of fused scores is fitted to, at least so many
FEW, SHAPES = 20, (-0.5, 0.1)  # so many excesses say as much about a tail's shape as is known of it before: 0
CEILING = 1 - 1e-6


def peaks(scores: np.ndarray, gap: int) -> np.ndarray:
    """The highest of scores (n,), and of those ``gap`` steps or more away from all higher ones: the highest first.

    Each could be a false alarm.
    """
    free, found = np.ones(len(scores), bool), []
    for i in np.argsort(-scores, kind="stable").tolist():
        if free[i]:
            found.append(scores[i])
            free[max(0, i - gap + 1) : i + gap] = False
    return np.array(found, scores.dtype)


def thresholds(
    events: np.ndarray, hours: float, rates: Sequence[float], tail: int = TAIL, shape: bool = False
) -> dict[float, float]:
    """Peaks (n,) in ``hours`` of audio without the phrase -> a threshold for each rate of false alarms an hour.

    The highest peaks' logits are taken to fall off exponentially (the tail of most distributions: Pickands 1975), so
    that an hour of audio says something about rates below one an hour; a single odd clip does not decide. With
    ``shape`` they may fall off faster or slower than that, as a generalised Pareto distribution does.
    """
    logits = np.sort(logit(events))[::-1][: tail + 1]
    if len(logits) < 2:
        return {rate: 0.5 for rate in rates}
    k = len(logits) - 1
    base, excesses = logits[k], logits[:k] - logits[k]
    bend = pareto_shape(excesses) if shape else 0.0
    scale = float(excesses.mean()) * (1 - bend)
    rarer = {rate: np.log(k / (rate * hours)) for rate in rates}  # ln of how much rarer than the base
    wanted = {rate: base + scale * (np.expm1(bend * x) / bend if bend else x) for rate, x in rarer.items()}
    return {rate: float(np.clip(1 / (1 + np.exp(-x)), 0.02, CEILING)) for rate, x in wanted.items()}


def pareto_shape(excesses: np.ndarray) -> float:
    """Excesses (k,) over a threshold, highest first -> the shape of their generalised Pareto distribution.

    0 is the exponential distribution; below 0 the tail ends somewhere. By probability-weighted moments (Hosking &
    Wallis 1987), drawn towards 0 where there are few excesses, and between SHAPES.
    """
    k = len(excesses)
    mean, weighted = excesses.mean(), float((np.arange(k) / max(1, k - 1) * excesses).mean())
    if mean <= 2 * weighted:
        return SHAPES[1]
    shape = 2 - mean / (mean - 2 * weighted)
    return float(np.clip(shape * k / (k + FEW), *SHAPES))


def logit(p: np.ndarray) -> np.ndarray:
    p = np.clip(np.asarray(p, np.float64), 1e-6, CEILING)
    return np.log(p / (1 - p))


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of ``count`` (Wilson 1927)."""
    z2 = 1.96**2 / max(1, count)
    middle, half = share + z2 / 2, (share * (1 - share) * z2 + z2**2 / 4) ** 0.5
    return (middle - half) / (1 + z2), (middle + half) / (1 + z2)
