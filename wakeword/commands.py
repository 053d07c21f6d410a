"""Word, then command: a detection starts the recogniser, its final text hands back to the detector."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from asr.audio.features import SAMPLE_RATE
from asr.audio.samples import SlidingBuffer, clean_samples
from asr.live import Listener
from asr.transcript import Word
from wakeword.detector import Detection, WakeWordDetector
from wakeword.listen import BEFORE, Heard

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
