"""The protocol of Picovoice's wake-word benchmark, from any clips, background speech and noise.

https://github.com/Picovoice/wake-word-benchmark: one stream of 24 h in which every clip of the phrase comes once, in
random order; between clips utterances of background speech, of which only one in five is heard, the others are
silence of their length; all of it over noise. Every utterance and noise has its peak at 1; each utterance is scaled to
10 dB above the noise under it, loudest frame against loudest frame; the stream's peak is brought to 1. A detection
between a clip's start and half a second after its end is a hit.

Two things differ: recordings are drawn without replacement, a new order each round, and those above 30 s come in
pieces of 30 s; and a clip detected twice is one hit (theirs counts two, which hides a miss elsewhere).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asr import audio
from asr.audio.features import SAMPLE_RATE
from wakeword.evaluate.clips import SPEECH, Clips, EvaluationError, Noise, Recording, endless, noise_gain
from wakeword.evaluate.evaluation import Measurement, StreamTrace
from wakeword.evaluate.report import COUNTED, Row
from wakeword.scoring import Point, Scorer, alarm_rate, detections, first_hits, trace


@dataclass(frozen=True)
class ProtocolOptions:
    """The settings of Picovoice's wake-word-benchmark. Raises EvaluationError."""

    hours: float = 24.0  # of the stream, a little more with the clips
    snr: float = 10.0  # dB
    heard: float = 0.2  # share of the background utterances that are not silenced
    late: float = 0.5  # s after a clip's end in which a detection is a hit
    seed: int = 0

    def __post_init__(self):
        if self.hours <= 0 or not 0 <= self.heard <= 1 or self.late < 0:
            raise EvaluationError("the protocol needs hours above 0, a share in 0..1, late of at least 0 s")


class Stream:
    """The benchmark's audio, made anew piece by piece each time it is asked for, the same from one seed."""

    def __init__(
        self,
        clips: Sequence[Recording],
        speech: Sequence[Recording],
        noises: Sequence[Recording],
        options: ProtocolOptions = ProtocolOptions(),
    ):
        self.clips, self.speech, self.noises, self.options = clips, speech, noises, options
        self.slot = int(options.hours * 3600 * SAMPLE_RATE / (len(clips) + 1))  # samples between two clips
        if not clips or self.slot < 2 * SAMPLE_RATE:
            raise EvaluationError(f"{options.hours:g} h with {len(clips)} clips is no benchmark: 2 s or more to each")

    def pieces(self) -> Iterator[tuple[np.ndarray, bool]]:
        """(n,) float32 of one utterance over noise, and whether it is a clip of the phrase; before the last scaling."""
        noise = Noise(self.noises, np.random.default_rng([self.options.seed, 1]))
        for dry, is_clip in self._dry():
            under = noise.take(len(dry))
            gain = noise_gain(dry, under, self.options.snr)
            yield (under + dry / np.float32(gain) if gain else under), is_clip

    def _dry(self) -> Iterator[tuple[np.ndarray, bool]]:
        rng = np.random.default_rng([self.options.seed, 0])
        background = endless(self.speech, rng)
        for path in [None, *(self.clips[i].path for i in rng.permutation(len(self.clips)))]:
            if path is not None:
                yield _loud(audio.load(path), path), True
            count = 0
            while count < self.slot:
                utterance = next(background)
                count += len(utterance)
                yield (utterance if rng.random() < self.options.heard else np.zeros_like(utterance)), False


def _loud(clip: np.ndarray, path: str) -> np.ndarray:
    peak = np.abs(clip).max()
    if not peak:
        raise EvaluationError(f"{path} is silent: leave it out")
    return clip / peak


def hear(scorer: Scorer, stream: Stream) -> tuple[np.ndarray, float, np.ndarray]:
    """-> the score of every step (m,), the stream's seconds, and the window (n, 2) s of each clip."""
    peak = np.float32(max(np.abs(samples).max() for samples, _ in stream.pieces()))
    at, windows = 0, []

    def scaled() -> Iterator[np.ndarray]:
        nonlocal at
        for samples, is_clip in stream.pieces():
            start, at = at, at + len(samples)
            if is_clip:
                windows.append((start / SAMPLE_RATE, at / SAMPLE_RATE + stream.options.late))
            yield samples / peak

    scores, seconds = trace(scorer, scaled())
    return scores, seconds, np.array(windows)


def measurement(scorer: Scorer, stream: Stream) -> StreamMeasurement:
    """What the scorer hears; the stream is made twice, first for its peak. Raises EvaluationError, and AudioError."""
    scores, seconds, windows = hear(scorer, stream)
    clips = ClipsInStream(windows, np.full(len(windows), np.nan), {f"{stream.options.snr:g} dB": [scores]})
    return StreamMeasurement(scorer, clips, [StreamTrace("stream", SPEECH, scores, seconds)])


class ClipsInStream(Clips):
    """The windows lie in one trace."""

    def hits(self, scorer: Scorer, threshold: float, condition: str) -> np.ndarray:
        return first_hits(detections(scorer, self.traces[condition][0], threshold), self.windows)[0]


class StreamMeasurement(Measurement):
    """What fires outside the clips' windows is a false alarm."""

    def outside(self, threshold: float) -> np.ndarray:
        """(k,) s"""
        return first_hits(detections(self.scorer, self.streams[0].scores, threshold), self.clips.windows)[1]

    def alarms(self, threshold: float) -> int:
        return len(self.outside(threshold))

    def alarm_rows(self, point: Point) -> list[Row]:
        row: Row = {**point.columns, "negatives": COUNTED, "kind": "", "hours": self.streams[0].hours}
        if point.reached:
            times = self.outside(point.threshold)
            row |= {"alarms": len(times)}
            row |= alarm_rate([times], [self.streams[0].seconds]).columns("per hour")
        return [row]
