"""A recogniser that listens: any number of live streams, worked on together.

    for result in Listener(asr.load()).over(blocks):
        print(result.kind, result.text)

The blocks come from an open `asr.audio.microphone.Microphone`, or from anywhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from asr.live.stream import Result, Stream, feed_streams
from asr.live.utterance import ListenerOptions as ListenerOptions
from asr.model.interface import Latency
from asr.model.streaming import StreamingEncoder
from asr.recognizer import Recognizer


class Listener:
    """Opens streams that share an encoder's steps. Takes a recogniser's model, decoder and least confidence.

    The finals have the words and times of ``recognizer.segments`` with these endpoints: with two passes as of a whole
    file, with one as with this latency. The recogniser's own latency does not count. A sentence that is cut as it gets
    too long may differ a little. Finals are written without waiting for the next sentence.
    """

    def __init__(self, recognizer: Recognizer, options: ListenerOptions = ListenerOptions()):
        self.recognizer, self.options = recognizer, options
        self.encoder = StreamingEncoder(recognizer.model, Latency.of(options.latency, recognizer.model.options))

    def stream(self) -> Stream:
        """A new stream, before its first block."""
        return Stream(self.recognizer, self.options, self.encoder)

    def over(self, blocks: Iterable[np.ndarray]) -> Iterator[Result]:
        """Blocks of samples (n,) at 16 kHz, perhaps without end -> results as soon as they are known."""
        stream = self.stream()
        for block in blocks:
            yield from stream.feed(block)
        yield from stream.flush()

    def feed(self, streams: Sequence[Stream], blocks: Sequence[np.ndarray]) -> list[list[Result]]:
        """The next block of each of several streams -> the results of each. Raises UsageError, SamplesError."""
        return feed_streams(self.encoder, streams, blocks)

    def flush(self, streams: Sequence[Stream]) -> list[list[Result]]:
        """The end of several streams -> the last results of each."""
        return feed_streams(self.encoder, streams, [np.zeros(0, np.float32)] * len(streams), last=True)
