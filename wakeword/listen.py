"""The live listener: blocks from any source in, an action for every detection; word, then command; recordings."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asr.audio.features import SAMPLE_RATE, LogMel, SlidingBuffer, clean_samples
from asr.audio.quiet import quiet
from asr.audio.vad import Segmenter, SegmenterOptions, VoiceActivity
from asr.errors import UsageError
from asr.transcript import Word
from wakeword.detector import Detection, WakeWordDetector
from wakeword.phrase import slug

if TYPE_CHECKING:  # who waits for a word alone does without
    from asr.live import Listener

BEFORE = 2.5  # s of audio up to a detection that are looked at again, or saved


@dataclass(frozen=True)
class Heard:
    """A detection, and the audio that led to it."""

    detection: Detection
    samples: np.ndarray  # (n,) float32 at 16 kHz: the last seconds up to the moment at which it fired


def listen(detector: WakeWordDetector, blocks: Iterable[np.ndarray], keep: float = BEFORE) -> Iterator[Heard]:
    """Blocks of samples (n,) float32 at 16 kHz -> each detection as soon as it is made.

    Any cut of a stream into blocks gives the same.
    """
    state, recent = detector.start(), SlidingBuffer()
    kept_samples = int(keep * SAMPLE_RATE)
    for block in blocks:
        found, state = detector.feed(block, state)
        recent.append(clean_samples(block)[0])
        for detection in found:
            end = round(detection.time * SAMPLE_RATE)
            yield Heard(detection, recent.rows(end - kept_samples, end))
        recent.forget(recent.end - kept_samples - SAMPLE_RATE)  # a step to come may end a little before the block does


class Recorder:
    """Writes recordings into a folder, numbered on from what is there already."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, samples: np.ndarray) -> Path:
        numbers = [int(p.stem) for p in self.folder.glob("*.wav") if p.stem.isdecimal()]
        return self.write(f"{max(numbers, default=0) + 1:03d}.wav", samples)

    def write(self, name: str, samples: np.ndarray) -> Path:
        import soundfile

        soundfile.write(self.folder / name, np.clip(samples, -1, 1), SAMPLE_RATE, subtype="PCM_16")
        return self.folder / name


class Alarms:
    """`--save-alarms DIR`: a wav file for each detection; those that were false go back into the training."""

    def __init__(self, folder: Path):
        self._files = Recorder(folder)

    def save(self, heard: Heard) -> Path:
        name = slug(Path(heard.detection.name).stem)
        return self._files.write(f"{name}-{datetime.now():%Y%m%d-%H%M%S-%f}.wav", heard.samples)


class Program:
    """`--run CMD`: a program started for each detection, never waited for.

    {score}, {time}, {name} and {text} are filled in.
    """

    def __init__(self, line: str):
        try:
            self._words = shlex.split(line)
        except ValueError as error:
            raise UsageError(f"--run {line}: {str(error).lower()}") from None
        if not self._words:
            raise UsageError("--run needs a command, for example --run 'aplay yes.wav'")
        if "{" not in self._words[0] and not shutil.which(self._words[0]):  # now, not when the word is heard
            raise UsageError(f"--run {self._words[0]}: there is no such program; give one that can be started")
        self._running: list[subprocess.Popen] = []

    def __call__(self, detection: Detection, text: str = "") -> None:
        score, time = f"{detection.score:.3f}", f"{detection.time:.2f}"
        filled = {"{score}": score, "{time}": time, "{name}": detection.name, "{text}": text}
        words = [re.sub(r"\{(score|time|name|text)\}", lambda m: filled[m[0]], word) for word in self._words]
        self._running = [p for p in self._running if p.poll() is None]
        try:
            self._running.append(subprocess.Popen(words))
        except OSError as error:
            raise UsageError(f"--run {words[0]}: {error.strerror}; give a program that can be started") from None


PITCH, LENGTH, LEVEL = 880.0, 0.12, 0.2  # Hz, s, of full scale
BUFFER = 0.1  # s between us and the loudspeaker


def tone() -> np.ndarray:
    """(n,) float32; swells and fades, so that it does not click."""
    seconds = np.arange(round(LENGTH * SAMPLE_RATE)) / SAMPLE_RATE
    wave = np.sin(2 * np.pi * PITCH * seconds) * np.sin(np.pi * seconds / LENGTH)
    return (LEVEL * wave).astype(np.float32)


def beep(say: Callable[[str], None]) -> None:
    """Play the tone and return when it is over; without an output to play it on, a line says so.

    The output is open only so long, has no thread of its own, and is closed without asking whether it has played
    everything: each of these can keep a program from ending.
    """
    import sounddevice

    try:
        with quiet():
            stream = sounddevice.OutputStream(SAMPLE_RATE, channels=1, dtype="float32", latency=BUFFER)
            try:
                stream.start()
                _play(stream, tone())
            finally:
                stream.close()
    except sounddevice.PortAudioError as error:
        say(f"no tone: {error}")


def _play(stream, samples: np.ndarray) -> None:
    """As the stream takes them, and until they have been heard; longer than that nothing is waited for."""
    until = time.monotonic() + LENGTH + 2 * BUFFER
    while (left := until - time.monotonic()) > 0:
        if count := min(stream.write_available, len(samples)):
            stream.write(samples[:count])
            samples = samples[count:]
        time.sleep(min(left, 0.01))


HOP_SAMPLES = SAMPLE_RATE // 100  # samples of a log-mel frame
MAX_UTTERANCE_S = 6.0  # s of an utterance; longer ones are cut


def utterances(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Blocks of samples (n,) float32 at 16 kHz -> each utterance with a little silence around it."""
    activity, segmenter = VoiceActivity(LogMel()), Segmenter(SegmenterOptions(max_length=MAX_UTTERANCE_S))
    state, recent = activity.start(), SlidingBuffer()
    for block in blocks:
        block, _ = clean_samples(block)
        recent.append(block)
        found, state = activity.feed(block, state)
        for span in segmenter.feed(found.probabilities):
            yield recent.rows(span.start * HOP_SAMPLES, span.end * HOP_SAMPLES)
        recent.forget(segmenter.keep_from * HOP_SAMPLES)


DETECTION_DELAY_S = 0.12  # may lie between a word's end and its detection: the command is heard from so long before


@dataclass(frozen=True)
class Command:
    """What was said after the word; empty text where nothing was."""

    detection: Detection
    text: str
    words: tuple[Word, ...]  # with times in seconds of the whole stream


def commands(
    detector: WakeWordDetector,
    listener: Listener,
    blocks: Iterable[np.ndarray],
    on_word: Callable[[Heard], object] = lambda heard: None,
    confirmed: Callable[[Heard], bool] = lambda heard: True,
    late: Callable[[str], object] = lambda text: None,
) -> Iterator[Command]:
    """Blocks of samples (n,) float32 at 16 kHz, without end -> each command when its sentence has ended.

    ``confirmed`` has the last word on a detection; ``on_word`` is told at once, with the sound up to it. No sample
    between the word and the command is lost, nor any after the command: the detector goes on where the recogniser
    stopped. A listener whose endpoints have a ``nothing`` rule gives up after that long without a word. ``late`` gets a
    sentence, once in a command, where the machine cannot keep up.
    """
    source = _Source(blocks)
    while (heard := _wait(detector, source, confirmed)) is not None:
        on_word(heard)
        yield _heard(heard.detection, listener, source, late)


class _Source:
    """Blocks, of which what has been read too far can be given back."""

    def __init__(self, blocks: Iterable[np.ndarray]):
        self._blocks, self._given_back = iter(blocks), np.zeros(0, np.float32)
        self.now = 0  # samples read

    def read(self) -> np.ndarray | None:
        given_back, self._given_back = self._given_back, self._given_back[:0]
        block = given_back if len(given_back) else next(self._blocks, None)
        if block is not None:
            self.now += len(block)
        return block

    def give_back(self, samples: np.ndarray) -> None:
        self._given_back = np.concatenate([samples, self._given_back])
        self.now -= len(samples)


def _wait(detector: WakeWordDetector, source: _Source, confirmed: Callable[[Heard], bool]) -> Heard | None:
    """Until the word has been said; the source then stands where the command may begin. None at the end."""
    began, state, recent = source.now, detector.start(), SlidingBuffer()
    kept_samples, delay_samples = round((BEFORE + 1) * SAMPLE_RATE), round(DETECTION_DELAY_S * SAMPLE_RATE)
    while (block := source.read()) is not None:
        found, state = detector.feed(block, state)
        recent.append(clean_samples(block)[0])
        for detection in found:
            time = began / SAMPLE_RATE + detection.time
            end = round(time * SAMPLE_RATE) - began
            samples = recent.rows(end - round(BEFORE * SAMPLE_RATE), end)
            heard = Heard(detection._replace(time=time), samples)
            if confirmed(heard):
                source.give_back(recent.rows(end - delay_samples, recent.end))
                return heard
        recent.forget(recent.end - kept_samples)
    return None


def _heard(detection: Detection, listener: Listener, source: _Source, late: Callable[[str], object]) -> Command:
    """The first sentence from here on."""
    began, stream, told = source.now, listener.stream(), False
    while (block := source.read()) is not None:
        results = stream.feed(block)
        if stream.pace.warning and not told:
            told = True
            late(stream.pace.warning)
        for result in results:
            if result.kind == "nothing" or (result.kind == "final" and result.text):
                return _command(detection, result, began)
    finals = [r for r in stream.flush() if r.kind == "final" and r.text]
    return _command(detection, finals[0] if finals else None, began)


def _command(detection: Detection, result, began: int) -> Command:
    if result is None:
        return Command(detection, "", ())
    offset = began / SAMPLE_RATE
    words = tuple(Word(w.text, w.start + offset, w.end + offset, w.confidence) for w in result.words)
    return Command(detection, result.spoken, words)
