"""Clips of the phrase, heard as they would be live: from a fresh state, sound before and after, clean or in noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asr import audio
from asr.audio.features import SAMPLE_RATE
from wakeword.evaluate.scoring import Scorer, detections, first_hits, trace
from wakeword.evaluate.sources import EvaluationError, Noise, Recording, noise_gain

CLEAN = "clean"


@dataclass(frozen=True)
class ClipOptions:
    """How clips of the phrase are heard, and what is a hit. Raises EvaluationError."""

    snrs: tuple[float, ...] = (20.0, 10.0, 5.0, 0.0)  # dB, as wakeword.evaluate.sources defines it
    lead_in: float = 1.0  # s heard before each clip: digital silence, or the condition's noise
    late: float = 0.5  # s heard after it; a hit falls between the clip's start and this long after its end
    seed: int = 0  # of the noise

    def __post_init__(self):
        if self.lead_in < 0 or self.late < 0:
            raise EvaluationError("a clip's lead-in and the time after it are at least 0 s")


@dataclass(frozen=True)
class Clips:
    """What a detector made of each clip, in every condition."""

    windows: np.ndarray  # (n, 2) s of each clip's trace: where a detection is a hit
    word_ends: np.ndarray  # (n,) s of the trace
    traces: dict[str, list[np.ndarray]]  # condition -> the scores (steps,) of each clip

    def hits(self, scorer: Scorer, threshold: float, condition: str) -> np.ndarray:
        """(n,) s of the trace at which each clip was first detected, nan where it was missed."""
        heard = zip(self.traces[condition], self.windows)
        return np.array([first_hits(detections(scorer, s, threshold), w[None])[0][0] for s, w in heard])


def hear(
    scorer: Scorer, files: Sequence[Recording], noises: Sequence[Recording], options: ClipOptions, left_out: list[str]
) -> Clips:
    """Clips in every condition, a clip's noise the same in all of them; bad files are noted in ``left_out``.

    The clip keeps its level, the noise is scaled; what lies around the clip is the noise under it, repeated.
    """
    noise = Noise(noises, np.random.default_rng(options.seed)) if noises else None
    lead, late = (round(s * SAMPLE_RATE) for s in (options.lead_in, options.late))
    snrs = {f"{snr:g} dB": snr for snr in (options.snrs if noise else ())}
    traces: dict[str, list[np.ndarray]] = {name: [] for name in [CLEAN, *snrs]}
    windows, ends = [], []
    for clip in _readable(files, left_out):
        alone = np.pad(clip, (lead, late))
        traces[CLEAN].append(trace(scorer, [alone])[0])
        if noise:
            under = noise.take(len(clip))
            around = np.pad(under, (lead, late), mode="wrap")
            for name, snr in snrs.items():
                traces[name].append(trace(scorer, [alone + around * np.float32(noise_gain(clip, under, snr))])[0])
        windows.append((lead / SAMPLE_RATE, (lead + len(clip)) / SAMPLE_RATE + options.late))
        ends.append(lead / SAMPLE_RATE + word_end(clip))
    if not windows:
        raise EvaluationError("misses need recordings of the phrase: give some that say it and can be read")
    return Clips(np.array(windows), np.array(ends), traces)


def _readable(files: Sequence[Recording], left_out: list[str]) -> Iterator[np.ndarray]:
    for file in files:
        try:
            clip = audio.load(file.path)
        except audio.AudioError as error:
            left_out.append(str(error))
            continue
        if clip.any():
            yield clip
        else:
            left_out.append(f"{file.path} is silent")


def word_end(samples: np.ndarray, depth: float = 35.0, pause: float = 0.4) -> float:
    """A clip (n,) that says one phrase -> seconds at which the phrase ends, by its energy.

    That is the last 10 ms, from the loudest on, before ``pause`` s below a level: a third of the way (in dB) from the
    clip's quiet tenth to its loudest, but at most ``depth`` dB below the loudest. Good to a few hundredths of a second
    in quiet clips; late in reverberation, early after a weak last consonant or a longer pause inside the phrase.
    """
    n = max(1, len(samples) // 160)
    power = np.square(np.resize(samples, (n, 160)), dtype=np.float64).mean(1)
    level = np.convolve(np.pad(10 * np.log10(power + 1e-10), 1, mode="edge"), np.ones(3) / 3, "valid")
    top, floor = level.max(), np.percentile(level, 10)
    loud = np.flatnonzero(level >= max(top - depth, floor + (top - floor) / 3))
    loud = loud[loud >= level.argmax()]
    gaps = np.flatnonzero(np.diff(loud) > pause * 100)
    last = loud[gaps[0]] if len(gaps) else loud[-1]
    return (last + 1) * 160 / SAMPLE_RATE
