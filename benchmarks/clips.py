"""Real clips: joined to streams, with pauses as between the sentences of a speaker; word errors on each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from asr import audio
from asr.score import compare, errors, interval, rate
from asr.text import normalise
from recipes.language_model.numbers import cardinal, digits, ordinal, pairs, plural

RATE = audio.SAMPLE_RATE
PAUSES = 1.0, 2.5  # s, drawn evenly
HUSH = 10 ** (-70 / 20)  # RMS of the noise in a pause: -70 dB of full scale, a quiet microphone
BLOCK = 0.08  # s of sound that the microphone hands over at a time


@dataclass(frozen=True)
class Joined:
    """One stream."""

    samples: np.ndarray  # (n,) float32 at 16 kHz
    rows: tuple[dict, ...]  # the clips' lines of the manifest
    starts: tuple[float, ...]  # s at which each clip begins
    ends: tuple[float, ...]

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE

    def clip(self, time: float) -> int:
        """The clip that is nearest to that time."""
        return int(np.argmin([max(a - time, time - b) for a, b in zip(self.starts, self.ends)]))

    def blocks(self, seconds: float = BLOCK) -> list[np.ndarray]:
        return np.split(self.samples, range(round(seconds * RATE), len(self.samples), round(seconds * RATE)))


def joined(rows: Sequence[dict], seed: int) -> Joined:
    """These clips, with a pause before each and after the last."""
    random, parts, starts, ends, now = np.random.default_rng(seed), [], [], [], 0
    for row in [*rows, None]:
        pause = int(random.uniform(*PAUSES) * RATE)
        clip = audio.load(row["audio_filepath"]) if row else np.zeros(0, np.float32)
        parts += [HUSH * random.standard_normal(pause, np.float32), clip]
        starts.append((now + pause) / RATE)
        now += pause + len(clip)
        ends.append(now / RATE)
    return Joined(np.concatenate(parts), tuple(rows), tuple(starts[:-1]), tuple(ends[:-1]))


def streams(rows: Sequence[dict], clips: int, seed: int) -> list[Joined]:
    """All clips, shuffled, ``clips`` to a stream."""
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    groups = [order[i : i + clips] for i in range(0, len(order), clips)]
    return [joined([rows[i] for i in group], seed + 1 + number) for number, group in enumerate(groups)]


CURRENCY = {"$": "dollars", "£": "pounds", "€": "euros"}
NUMBER = re.compile(r"([$£€]?)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(st\b|nd\b|rd\b|th\b|s\b|%)?", re.IGNORECASE)
STYLES = {
    "cardinal": lambda n: cardinal(int(n)),
    "cardinal with and": lambda n: cardinal(int(n), " and"),
    "pairs": pairs,
    "digits": digits,
    "digits, oh": lambda n: digits(n, "oh"),
}


def clip_errors(reference: str, text: str) -> int:
    """Word errors after the same normalisation of both sides; the closest reading of digits counts."""
    wanted = normalise(reference).split()
    return min(errors(wanted, normalise(reading).split()) for reading in readings(text))


def count(references: Iterable[str], texts: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """-> word errors and reference words of each clip."""
    pairs = list(zip(references, texts, strict=True))
    return (np.array([clip_errors(reference, text) for reference, text in pairs]),
            np.array([len(normalise(reference).split()) for reference, _ in pairs]))  # fmt: skip


def summary(name: str, wrong: np.ndarray, total: np.ndarray) -> dict[str, float]:
    """Error rate and its 95 % interval in per cent, as the columns ``name``, ``name low``, ``name high``."""
    low, high = interval(wrong, total)
    return {name: 100 * rate(wrong, total), f"{name} low": 100 * low, f"{name} high": 100 * high}


def difference(
    ours: np.ndarray, theirs: np.ndarray, total: np.ndarray, samples: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Our error rate minus theirs and its 95 % interval, in points; both on the same resampled clips."""
    found = compare(theirs, ours, total, samples, seed)
    return 100 * found.difference, 100 * found.low, 100 * found.high


def _spell(match: re.Match, style: str) -> str:
    currency, number, decimal, suffix = match.groups()
    number, suffix = number.replace(",", ""), (suffix or "").lower()
    words = STYLES[style](number) if len(number) <= 12 else digits(number)
    if decimal:
        words += f" point {digits(decimal[1:])}"
    if suffix in ("st", "nd", "rd", "th"):
        words = ordinal(words)
    elif suffix == "s":
        words = plural(words)
    extra = (["percent"] if suffix == "%" else []) + ([CURRENCY[currency]] if currency else [])
    return f" {' '.join([words, *extra])} "


def readings(text: str) -> list[str]:
    """The ways to say a text: itself where it holds no digits, else one for each style of number."""
    text = text.replace("&", " and ")
    if not re.search(r"\d", text):
        return [text]
    return list(dict.fromkeys(NUMBER.sub(lambda match: _spell(match, style), text) for style in STYLES))
