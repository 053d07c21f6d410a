"""A recogniser that listens: any number of live streams, worked on together.

    for result in Listener(asr.load()).over(blocks):
        print(result.kind, result.text)

The blocks come from an open `asr.audio.microphone.Microphone`, or from anywhere else.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from asr.audio.features import SAMPLE_RATE
from asr.audio.vad import SpeechDetector
from asr.live.endpoint import EndpointOptions
from asr.live.stream import Result, Stream, StreamError
from asr.model.interface import Latency
from asr.model.streaming import StreamingEncoder
from asr.recognizer import Recognizer

MAX_PIECE_SAMPLES = SAMPLE_RATE  # samples worked on at a time: bounds the memory that a long block takes


@dataclass(frozen=True)
class ListenerOptions:
    """How long the encoder waits for more sound, in ms, and where a sentence ends."""

    # ms of sound that the encoder waits for. By the tables in recipes/english/README.md 640 makes 4 % fewer errors,
    # and words are shown later; 160 makes 12 % more
    latency: float = 320.0
    endpoints: EndpointOptions = EndpointOptions()


class Listener:
    """Has no state of any stream. Takes a recogniser's model, decoder and least confidence.

    The finals have the text and times of ``recognizer.segments`` with this latency and these endpoints. (One case
    is close only: speech that gets too long just after it has ended.)
    """

    def __init__(self, recognizer: Recognizer, options: ListenerOptions = ListenerOptions()):
        self.recognizer, self.options = recognizer, options
        self.encoder = StreamingEncoder(recognizer.model, Latency.of(options.latency))
        self.detector = SpeechDetector.load()

    def stream(self) -> Stream:
        """A new stream, before its first block."""
        return Stream(self)

    def over(self, blocks: Iterable[np.ndarray]) -> Iterator[Result]:
        """Blocks of samples (n,) float32 at 16 kHz, perhaps without end -> results as soon as they are known."""
        stream = self.stream()
        for block in blocks:
            yield from stream.feed(block)
        yield from stream.flush()

    def feed(self, streams: Sequence[Stream], blocks: Sequence[np.ndarray]) -> list[list[Result]]:
        """The next block of each of several streams -> the results of each. Raises StreamError."""
        results: list[list[Result]] = [[] for _ in streams]
        blocks = [_samples(block) for block in blocks]
        for start in range(0, max(map(len, blocks), default=0), MAX_PIECE_SAMPLES):
            for found, new in zip(results, self._work(streams, [b[start : start + MAX_PIECE_SAMPLES] for b in blocks])):
                found += new
        return results

    def flush(self, streams: Sequence[Stream]) -> list[list[Result]]:
        """The end of several streams."""
        return self._work(streams, [np.zeros(0, np.float32)] * len(streams), last=True)

    def _work(self, streams: Sequence[Stream], pieces: Sequence[np.ndarray], last: bool = False) -> list[list[Result]]:
        began = time.perf_counter()
        for stream, piece in zip(streams, pieces):
            stream.hear(piece, last)
        results: list[list[Result]] = [[] for _ in streams]
        while waiting := [i for i, stream in enumerate(streams) if stream.waiting]:
            jobs = [job for i in waiting for job in streams[i].step()]
            for (utterance, _), (posteriors, state) in zip(jobs, self.encoder.step([chunk for _, chunk in jobs])):
                utterance.add(posteriors, state)
            for i in waiting:
                results[i] += streams[i].results()
        spent = time.perf_counter() - began
        for i, (stream, piece) in enumerate(zip(streams, pieces)):
            stream.pace = stream.pace.after(spent, len(piece) / SAMPLE_RATE)
            results[i] = [replace(result, lag=stream.pace.lag) for result in results[i]]
        return results


def _samples(block: np.ndarray) -> np.ndarray:
    """Silence where a driver gives no numbers."""
    block = np.asarray(block, np.float32)
    if block.ndim != 1:
        raise StreamError(f"a block has the shape {block.shape}: give one channel, (n,) at 16 kHz")
    return block if np.isfinite(block).all() else np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
