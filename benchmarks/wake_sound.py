"""What wake-word engines hear, laid out once as wav files: the same samples for all.

wakeword.evaluate.evaluation and benchmarks.picovoice play their audio to a tape; the scores that an engine in another
process gives to the tape's files take its place afterwards. So nothing is measured here in a way of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from asr.audio.features import SAMPLE_RATE
from benchmarks.joined import HUSH
from benchmarks.picovoice import ProtocolOptions, Stream, measurement
from wakeword.detector import DetectorOptions
from wakeword.evaluate.clips import ClipOptions, Recording, hear
from wakeword.evaluate.evaluation import Measurement, hear_streams
from wakeword.phrase import variants
from wakeword.scoring import Scorer
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
    snr: float,
    left_out: list[str],
) -> Material:
    """Clips one by one, clean and in noise; streams of the speech. What cannot be read goes to ``left_out``."""
    tape = Tape(folder)
    heard = hear(tape, clips, noises, ClipOptions((snr,), LEAD_IN), left_out)
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
