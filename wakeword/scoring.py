"""How high a score must be for at most so many false alarms an hour; hits and false alarms at any threshold.

All of it comes from traces, the scores of every step, computed once. A threshold is tried by the detector's own
``pick`` on the traces, so every figure is that of the real detector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from asr.audio.features import SAMPLE_RATE
from asr.score import interval
from wakeword.detector import DetectorOptions, pick

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


# --- hits and false alarms -----------------------------------------------------------------------

CHUNK = 60.0  # s of audio without the phrase that the bootstrap draws at once
SWEPT, BEFOREHAND, AS_SET = "swept", "beforehand", "as set"


class Scorer(Protocol):
    """What can be measured: wakeword.detector.Detector, or another engine behind these names. Scores lie in 0..1."""

    options: DetectorOptions
    step_seconds: float
    card: dict  # "phrase" and "thresholds" {false alarms an hour: threshold}, where they are known

    def start(self) -> Any:
        """The state before a stream."""

    def scores(self, samples: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        """(n,) float32 at 16 kHz -> the scores (m,) of the steps now complete, and the new state."""

    def time(self, step: int) -> float:
        """Seconds of the stream at which a step's last sample was heard."""


def trace(scorer: Scorer, pieces: Iterable[np.ndarray]) -> tuple[np.ndarray, float]:
    """One stream in pieces (n,) -> the score of every step (m,) float32, and the stream's seconds."""
    state, parts, count = scorer.start(), [np.zeros(0, np.float32)], 0
    for samples in pieces:
        scores, state = scorer.scores(samples, state)
        parts.append(np.asarray(scores, np.float32))
        count += len(samples)
    return np.concatenate(parts), count / SAMPLE_RATE


def detections(scorer: Scorer, scores: np.ndarray, threshold: float) -> np.ndarray:
    """(k,) seconds of the stream at which the detector would have fired."""
    fired, _ = pick(scores, replace(scorer.options, threshold=threshold), scorer.step_seconds)
    return np.array([scorer.time(i) for i in fired])


def first_hits(times: np.ndarray, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Detections (k,) and windows (n, 2) in s, both in order -> the first in each window (n,), and those in none.

    nan stands for a window without a detection; a second detection in a window is neither a hit nor a false alarm.
    """
    index = np.searchsorted(windows[:, 0], times, side="right") - 1
    inside = (index >= 0) & (times <= windows[index, 1])
    first = np.full(len(windows), np.nan)
    first[index[inside][::-1]] = times[inside][::-1]  # the earliest is written last
    return first, times[~inside]


# --- thresholds ----------------------------------------------------------------------------------


class Point(NamedTuple):
    """An operating point."""

    set_by: str  # SWEPT on the test itself, fixed BEFOREHAND for a rate, or AS_SET in the detector
    rate: float | None  # false alarms an hour that were wanted
    threshold: float  # nan where no threshold gives that rate

    @property
    def reached(self) -> bool:
        return not np.isnan(self.threshold)

    @property
    def columns(self) -> dict[str, object]:
        threshold = self.threshold if self.reached else None
        return {"set": self.set_by, "wanted per hour": self.rate, "threshold": threshold}


def fixed_points(scorer: Scorer) -> list[Point]:
    """The thresholds that the detector's card names for a rate, and the one that it is set to."""
    table = {float(rate): float(threshold) for rate, threshold in scorer.card.get("thresholds", {}).items()}
    points = [Point(BEFOREHAND, rate, table[rate]) for rate in sorted(table)]
    own = scorer.options.threshold
    return points if own in table.values() else [*points, Point(AS_SET, None, own)]


def swept_points(lowest: Sequence[float], rates: Sequence[float], hours: float) -> list[Point]:
    """Of each rate the lowest threshold that keeps it; ``lowest`` as ``sweep`` gives it."""
    return [Point(SWEPT, rate, lowest[allowed(rate, hours)]) for rate in rates]


def allowed(rate: float, hours: float) -> int:
    """The most alarms that are still no more than ``rate`` an hour."""
    return int(rate * hours + 1e-9)


def sweep(scores: np.ndarray, alarms: Callable[[float], int], most: int) -> list[float]:
    """Element k, 0 to ``most``: the lowest threshold at which there are at most k false alarms, as at all above it.

    scores (n,) are all that can fire; ``alarms`` counts at a threshold. Taken down from the highest score; nan where
    no threshold below 1 is high enough.
    """
    levels, found = np.unique(np.asarray(scores, np.float32))[::-1], []
    levels = levels[levels > 0]
    for level in levels:
        count = alarms(float(min(level, np.nextafter(np.float32(1), np.float32(0)))))
        above = float(np.nextafter(level, np.float32(2)))
        found += [above if above < 1 else float("nan")] * (min(count, most + 1) - len(found))
        if len(found) > most:
            return found
    lowest = float(levels[-1]) if len(levels) else float(np.finfo(np.float32).tiny)
    return found + [min(lowest, 0.999999)] * (most + 1 - len(found))


# --- intervals -----------------------------------------------------------------------------------


class Estimate(NamedTuple):
    """A rate with its 95 % interval: a bootstrap's, or 0 to 3 / n where nothing was counted (the rule of three)."""

    value: float
    low: float
    high: float

    def columns(self, name: str, scale: float = 1.0) -> dict[str, float]:
        return {name: scale * self.value, f"{name}, low": scale * self.low, f"{name}, high": scale * self.high}


def miss_rate(missed: np.ndarray, seed: int = 0) -> Estimate:
    """missed (n,) bool -> the share of clips missed; clips are resampled, the threshold stays."""
    if not missed.any():
        return Estimate(0.0, 0.0, min(1.0, 3 / len(missed)))
    return Estimate(float(missed.mean()), *interval(missed, np.ones(len(missed)), seed=seed))


def alarm_rate(times: Sequence[np.ndarray], seconds: Sequence[float], seed: int = 0) -> Estimate:
    """The false alarms (k,) s and the length of each stream -> false alarms an hour; the chunks are resampled."""
    counts, lengths = zip(*(_chunks(t, s) for t, s in zip(times, seconds, strict=True)))
    count, length = np.concatenate(counts), np.concatenate(lengths)
    hours = float(length.sum()) / 3600
    if not count.any():
        return Estimate(0.0, 0.0, 3 / hours)
    low, high = interval(count, length, samples=1000, seed=seed)
    return Estimate(float(count.sum() / hours), 3600 * low, 3600 * high)


def _chunks(times: np.ndarray, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """-> alarms and seconds of each chunk of a stream."""
    n = max(1, int(np.ceil(seconds / CHUNK)))
    index = np.minimum((times // CHUNK).astype(int), n - 1)
    lengths = np.full(n, CHUNK)
    lengths[-1] = seconds - CHUNK * (n - 1)
    return np.bincount(index, minlength=n), lengths
