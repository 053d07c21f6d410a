"""Real clips joined to streams, with pauses between them as between the sentences of a speaker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr import audio

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
