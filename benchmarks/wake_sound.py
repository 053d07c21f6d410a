"""What wake-word engines hear, laid out once as wav files: the same samples for all.

wakeword.evaluate and Picovoice's protocol below play their audio to a tape; the scores that an engine in
another process gives to the tape's files take its place afterwards. So nothing is measured here in a way of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from asr import audio
from asr.audio.features import SAMPLE_RATE
from benchmarks.clips import HUSH
from wakeword.detector import DetectorOptions
from wakeword.evaluate import Measurement, StreamTrace, hear_streams
from wakeword.evaluate.clips import (
    SPEECH,
    ClipOptions,
    Clips,
    EvaluationError,
    Noise,
    Recording,
    endless,
    hear,
    noise_gain,
)
from wakeword.evaluate.report import COUNTED, Row
from wakeword.phrase import variants
from wakeword.scoring import Point, Scorer, alarm_rate, detections, first_hits, trace
from wakeword.synthesis import Job, speak
from wakeword.voices import chosen

LEAD_IN = 2.0  # s before a clip: as far as any of these engines looks back
SEED = 108  # of the hush, and of the spoken clips: training uses those near 1


class Tape:
    """A wakeword.scoring.Scorer that writes each stream to a wav file and scores it by that file's number.

    Digital silence, which no microphone gives and Porcupine does not bear, gets a quiet one's noise, as does all else.
    """

    def __init__(self, folder: Path):
        self.options, self.step_seconds, self.card = DetectorOptions(0.5), 1.0, {}
        self.folder, self.wavs, self._random = folder, [], np.random.default_rng(SEED)

    def start(self) -> int:
        self.wavs.append(str(self.folder / f"{len(self.wavs):05}.wav"))
        soundfile.write(self.wavs[-1], np.zeros(0), SAMPLE_RATE, "PCM_16")
        return len(self.wavs) - 1

    def scores(self, samples: np.ndarray, state: int) -> tuple[np.ndarray, int]:
        with soundfile.SoundFile(self.wavs[state], "r+") as file:
            file.seek(0, soundfile.SEEK_END)
            file.write(samples + HUSH * self._random.standard_normal(len(samples), np.float32))
        return np.array([state]), state

    def time(self, step: int) -> float:
        return float(step)


class Heard:
    """An engine of which only scores are known: a wakeword.scoring.Scorer with nothing left to score.

    After a detection every engine is deaf for equally long.
    """

    def __init__(self, threshold: float, step_seconds: float, first: float):
        """threshold: the engine's own; first: s of the stream at which the first score is known."""
        self.options, self.step_seconds, self.card = DetectorOptions(threshold), step_seconds, {}
        self.first = first

    def start(self) -> None:
        raise NotImplementedError("these scores come from another process")

    def scores(self, samples: np.ndarray, state: None) -> tuple[np.ndarray, None]:
        raise NotImplementedError("these scores come from another process")

    def time(self, step: int) -> float:
        return self.first + step * self.step_seconds


@dataclass(frozen=True)
class Material:
    wavs: list[str]
    taped: Measurement  # its traces begin with the number of their wav file

    def heard(self, scorer: Scorer, scores: Sequence[np.ndarray]) -> Measurement:
        """scores: the engine's, of each wav file."""
        traces = {name: [scores[int(t[0])] for t in tapes] for name, tapes in self.taped.clips.traces.items()}
        streams = [s._replace(scores=scores[int(s.scores[0])]) for s in self.taped.streams]
        return replace(self.taped, scorer=scorer, clips=replace(self.taped.clips, traces=traces), streams=streams)


def everyday(
    clips: Sequence[Recording],
    speech: Sequence[Recording],
    noises: Sequence[Recording],
    folder: Path,
    options: ClipOptions,
    left_out: list[str],
) -> Material:
    """Clips one by one, clean and in noise; streams of the speech. What cannot be read goes to ``left_out``."""
    tape = Tape(folder)
    heard = hear(tape, clips, noises, options, left_out, speech)
    return Material(tape.wavs, Measurement(tape, heard, hear_streams(tape, speech, left_out)))


# --- Picovoice's protocol ------------------------------------------------------------------------


def picovoice(
    clips: Sequence[Recording], speech: Sequence[Recording], noises: Sequence[Recording], folder: Path,
    options: ProtocolOptions,
) -> Material:  # fmt: skip
    """One stream of many hours, in which each clip comes once."""
    tape = Tape(folder)
    return Material(tape.wavs, measurement(tape, Stream(clips, speech, noises, options)))


# --- clips by synthesisers -----------------------------------------------------------------------


@dataclass(frozen=True)
class SpeakOptions:
    count: int = 200  # clips, at most
    voices: tuple[str, ...] = ()  # of wakeword.voices; none: all that are installed
    known: frozenset[str] = frozenset()  # voices that a detector was trained with


def spoken(phrase: str, folder: Path, options: SpeakOptions, progress: Callable[[int], None]) -> list[Recording]:
    """The phrase, by voices that the detectors do not know; where there is none, by speakers kept from training.

    The folder keeps the clips: the same ones, if it is asked for them again.
    """
    voices = chosen(options.voices)
    strangers = tuple(name for name in voices if name not in options.known)
    voices, times = (strangers, 1) if strangers else (voices, 10)  # one speaker in six to ten is held out
    place = folder / "-".join(voices)
    [clips] = speak([Job(place, tuple(variants(phrase)), options.count * times, voices, SEED)], 1, progress)
    clips = [clip for clip in clips if strangers or clip.held_out][: options.count]
    source = f"{', '.join(voices)}: {'unknown' if strangers else 'held-out'} speakers"
    found = []
    for number, clip in enumerate(clips):
        found.append(Recording(str(place / f"{number:05}.wav"), source, phrase))
        soundfile.write(found[-1].path, clip.samples, SAMPLE_RATE, "PCM_16")
    return found


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
    """The audio of Picovoice's benchmark, made anew piece by piece each time it is asked for, the same from one seed.

    https://github.com/Picovoice/wake-word-benchmark: one stream of 24 h in which every clip of the phrase comes once,
    in random order; between clips utterances of background speech, of which only one in five is heard, the others are
    silence of their length; all of it over noise. Every utterance and noise has its peak at 1; each utterance is scaled
    to 10 dB above the noise under it, loudest frame against loudest frame; the stream's peak is brought to 1. A
    detection between a clip's start and half a second after its end is a hit.

    Two things differ: recordings are drawn without replacement, a new order each round, and those above 30 s come in
    pieces of 30 s; and a clip detected twice is one hit (theirs counts two, which hides a miss elsewhere).
    """

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


def measurement(scorer: Scorer, stream: Stream) -> StreamMeasurement:
    """What the scorer hears; the stream is made twice, first for its peak. Raises EvaluationError, and AudioError."""
    peak = np.float32(max(np.abs(samples).max() for samples, _ in stream.pieces()))
    at, found = 0, []

    def scaled() -> Iterator[np.ndarray]:
        nonlocal at
        for samples, is_clip in stream.pieces():
            start, at = at, at + len(samples)
            if is_clip:
                found.append((start / SAMPLE_RATE, at / SAMPLE_RATE + stream.options.late))
            yield samples / peak

    scores, seconds = trace(scorer, scaled())
    windows = np.array(found)
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
