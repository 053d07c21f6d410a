"""One live stream: blocks of samples -> the words so far, and each sentence when it has ended."""

from __future__ import annotations

import json
import logging
import math
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from asr.audio.features import BAD_SAMPLES, FRAMES_PER_SECOND, SAMPLE_RATE, SlidingBuffer, clean_samples
from asr.audio.vad import Segmenter, Span, VoiceActivity
from asr.errors import UsageError
from asr.live.utterance import ListenerOptions, Utterance
from asr.model.interface import Latency
from asr.model.streaming import Chunk, EncoderState, Posteriors, StreamingEncoder
from asr.recognizer import CONTEXT, Recognizer, lead_frames
from asr.transcript import Word, fields

if TYPE_CHECKING:
    from asr.written.writer import Context

MAX_PIECE_SAMPLES = SAMPLE_RATE  # a longer block is worked through in pieces: bounds the memory that it takes
PAUSE_FRAMES = 20  # frames of silence after which the words so far are judged as those of a whole sentence are
PACE_WINDOW_S = 10.0  # s of sound over which the real-time factor is averaged
MAX_LAG_S = 1.0  # s of lag that are worth a line
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What is known at `time`. The partials of a segment are followed by its final, which may be empty."""

    kind: Literal["partial", "final", "nothing"]  # nothing: no word for a while; reported once, until there are words
    segment: int  # number of the stretch of speech, or of the next one
    time: float  # s of the stream that were heard when this was known
    text: str = ""
    stable: str = ""  # whole words at the beginning of the text that no later partial changes, unless it gets too long
    words: tuple[Word, ...] = ()  # with times in the stream; a partial may not have them yet
    endpoint: str = ""  # what ended a final: silence, too long, end (of the stream), or noise
    alternatives: tuple[str, ...] = ()  # of a final: further texts of the n-best list
    spoken: str = ""  # of a final: the words said; its text is written as people write it
    written: tuple[Word, ...] = ()  # of a final: the pieces of such a text
    lag: float = field(default=0.0, compare=False)  # s by which the machine was behind

    def as_json(self) -> str:
        """One line of ASCII, so that no terminal can break it; times in seconds of the stream."""
        content = {name: getattr(self, name) for name in ("kind", "segment", "text", "stable", "endpoint")}
        content |= {"time": round(self.time, 3), "lag": round(self.lag, 3)}
        content["words"] = [fields(word) for word in self.words]
        if self.kind == "final":
            content |= {"spoken": self.spoken, "written": [fields(piece) for piece in self.written]}
        return json.dumps(content | ({"alternatives": self.alternatives} if self.alternatives else {}))


# A piece of work on a stream: yields what the encoder is to be given, is sent the outputs, returns the results.
Work = Generator[list[Chunk], list[tuple[Posteriors, EncoderState]], list[Result]]


class Stream:
    """Feed blocks, flush at the end: any cut into blocks gives the same results, in bounded memory.

    Everything goes by the steps of voice activity, 40 ms each. Frames last 10 ms and are numbered from the stream's
    start.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        options: ListenerOptions = ListenerOptions(),
        encoder: StreamingEncoder | None = None,
    ):
        """encoder: the one that other streams use, too, of the latency in the options; without it, one of its own."""
        model = recognizer.model
        self.pace = Pace()
        self.bad_samples = 0  # that were NaN, infinite or absurdly large, and were taken for silence
        self._recognizer, self._options = recognizer, options
        self._encoder = encoder or StreamingEncoder(model, Latency.of(options.latency, model.options))
        self._activity = VoiceActivity(model.frontend)
        self._activity_state = self._activity.start()
        self._endpointer = Segmenter(options.endpoints.segments())
        self._frames = SlidingBuffer(model.options.frontend.n_mels)  # those that may still be needed
        self._open: deque[Utterance] = deque()  # without final result yet; only the last can go on
        self._number = 0  # of the next utterance
        self._silent_since_frame = 0  # where the last sentence was settled
        self._silence_reported = False
        self._ended = False
        self._context: Context | None = None  # of the text so far, once something is written

    def feed(self, samples: np.ndarray) -> list[Result]:
        """The next block, (n,) at 16 kHz of any n: float32 in -1..1, or int16. Raises UsageError, SamplesError."""
        return feed_streams(self._encoder, [self], [samples])[0]

    def flush(self) -> list[Result]:
        """The stream's end: the results of what is still open. Raises UsageError."""
        return feed_streams(self._encoder, [self], [np.zeros(0, np.float32)], last=True)[0]

    def work(self, samples: np.ndarray, last: bool = False) -> Work:
        """The way from samples to results, step by step; the encoder's part of a step is left to who runs this."""
        results: list[Result] = []
        for frames, span, ended in self._hear(samples, last):
            self._frames.append(frames)
            self._open_and_end(span, "end" if ended else "silence")
            jobs = [(utterance, chunk) for utterance in self._open if (chunk := self._chunk(utterance, ended))]
            if jobs:
                outputs = yield [chunk for _, chunk in jobs]
                for (utterance, chunk), (posteriors, state) in zip(jobs, outputs):
                    utterance.add(chunk.frames, posteriors, state)
            results += self._results()
            needed = [self._endpointer.keep_from - CONTEXT, *(utterance.next_frame for utterance in self._open)]
            self._frames.forget(min(needed))
        return results

    @property
    def seconds(self) -> float:
        """How much sound has been worked through."""
        return self._frames.end / FRAMES_PER_SECOND

    def accept(self, samples: np.ndarray) -> np.ndarray:
        """The next block as it is worked on: clean samples (n,) float32. Raises UsageError, SamplesError."""
        if self._ended:
            raise UsageError("this stream has ended: begin another one")
        samples, bad = clean_samples(samples)
        if samples.ndim != 1:
            raise UsageError(f"a block has the shape {samples.shape}: give one channel, (n,) at 16 kHz")
        if bad and not self.bad_samples:
            _log.warning(BAD_SAMPLES)
        self.bad_samples += bad
        return samples

    def _hear(self, samples: np.ndarray, last: bool) -> Iterator[tuple[np.ndarray, Span | None, bool]]:
        """Of each step: its frames, the span of speech that ended in it, and whether the stream has ended."""
        activity, self._activity_state = self._activity.feed(samples, self._activity_state)
        for frames, probability in activity.steps():
            yield frames, self._endpointer.step(probability), False
        if last:
            self._ended = True
            for frames, probability in self._activity.flush(self._activity_state).steps():
                yield frames, self._endpointer.step(probability), False
            yield activity.frames[:0], next(self._endpointer.flush(), None), True

    def _open_and_end(self, span: Span | None, endpoint: str) -> None:
        """Begin and end utterances as the endpointer says; `span`: what it has just ended."""
        current = self._open[-1] if self._open and self._open[-1].end_frame is None else None
        if current and (span or not self._endpointer.speaking):
            current.end_frame = min(span.end, self._frames.end) if span else current.start_frame
            current.endpoint = ("too long" if span.cut_right else endpoint) if span else "noise"
            current = None
        if self._endpointer.speaking and not current:
            start_frame = self._endpointer.keep_from
            stride = self._recognizer.model.options.stride
            lead = lead_frames(start_frame, stride) if self._endpointer.cut_left else 0
            aligner = self._recognizer.aligner
            twice = self._options.second_pass
            self._open.append(Utterance(self._number, start_frame, lead, self._encoder, aligner, twice))
            self._number += 1

    def _chunk(self, utterance: Utterance, ended: bool) -> Chunk | None:
        """What brings an utterance further in the encoder, if anything does."""
        if utterance.complete:
            return None
        until_frame, last = self._frames.end, ended
        if utterance.end_frame is None:
            until_frame = min(until_frame, self._endpointer.sure_until)
        elif utterance.endpoint != "too long" and utterance.next_frame <= utterance.end_frame:
            until_frame, last = utterance.end_frame, True
        before, after = (self._encoder.outputs(f - utterance.first_frame) for f in (utterance.next_frame, until_frame))
        if not last and before == after:
            return None
        return Chunk(self._frames.rows(utterance.next_frame, until_frame), utterance.encoder_state, last)

    def _results(self) -> Iterator[Result]:
        """What has become known in this step."""
        while self._open and self._open[0].complete:
            yield from self._final(self._open.popleft())
        if self._open:
            yield from self._partial(self._open[0])
        quiet = (self._frames.end - self._silent_since_frame) / FRAMES_PER_SECOND
        if quiet >= self._options.endpoints.nothing and not self._silence_reported:
            if not any(utterance.has_shown_words for utterance in self._open):
                self._silence_reported = True
                yield Result("nothing", self._open[0].number if self._open else self._number, self.seconds)

    def _partial(self, utterance: Utterance) -> Iterator[Result]:
        partial, pause = utterance.advance(), self._endpointer.pause
        if utterance.end_frame is None and pause.end - pause.start >= PAUSE_FRAMES:
            partial = utterance.judged(partial, pause.start)
        if partial != utterance.shown:
            words = utterance.show(partial)
            text, stable = " ".join(partial.words), " ".join(partial.words[: partial.stable])
            yield Result("partial", utterance.number, self.seconds, text, stable, words)

    def _final(self, utterance: Utterance) -> Iterator[Result]:
        found = utterance.final(self._recognizer.options.least_confidence)
        if found:
            self._silent_since_frame, self._silence_reported = self._frames.end, False
            if writer := self._recognizer.writer:  # as after the sentences before it; the next ones are not waited for
                pause = self._options.endpoints.silence if utterance.endpoint == "silence" else None
                found, self._context = writer.utterance(found, pause, self._context or writer.start())
            rest = found.text, found.text, found.words, utterance.endpoint, found.alternatives
            yield Result("final", utterance.number, self.seconds, *rest, spoken=found.spoken, written=found.written)
        elif utterance.has_shown_words:
            yield Result("final", utterance.number, self.seconds, endpoint="noise")


def feed_streams(
    encoder: StreamingEncoder, streams: Sequence[Stream], blocks: Sequence[np.ndarray], last: bool = False
) -> list[list[Result]]:
    """The next block of each of several streams of this encoder -> the results of each.

    last: the streams end with these blocks. Raises UsageError, asr.audio.features.SamplesError.
    """
    blocks = [stream.accept(block) for stream, block in zip(streams, blocks)]
    results: list[list[Result]] = [[] for _ in streams]
    for start in range(0, max([1, *map(len, blocks)]), MAX_PIECE_SAMPLES):
        pieces = [block[start : start + MAX_PIECE_SAMPLES] for block in blocks]
        began = time.perf_counter()
        new = _work_together(encoder, [stream.work(piece, last) for stream, piece in zip(streams, pieces)])
        spent = time.perf_counter() - began
        for i, (stream, piece) in enumerate(zip(streams, pieces)):
            stream.pace = stream.pace.after(spent, len(piece) / SAMPLE_RATE)
            results[i] += [replace(result, lag=stream.pace.lag) for result in new[i]]
    return results


def _work_together(encoder: StreamingEncoder, works: Sequence[Work]) -> list[list[Result]]:
    """Run all to their ends; whenever none can go on without the encoder, it takes one step for all."""
    results: list[list[Result]] = [[] for _ in works]
    given: dict[int, list | None] = dict.fromkeys(range(len(works)))  # what each is to be sent
    while given:
        wanted: dict[int, list[Chunk]] = {}
        for i, outputs in given.items():
            try:
                wanted[i] = works[i].send(outputs)  # type: ignore[arg-type]  # None begins it
            except StopIteration as end:
                results[i] = end.value
        answers = iter(encoder.step([chunk for chunks in wanted.values() for chunk in chunks]))
        given = {i: [next(answers) for _ in chunks] for i, chunks in wanted.items()}
    return results


class Pace(NamedTuple):
    """How a stream's processing goes: a value, replaced after every block.

    The lag is that of a queue (Lindley 1952): it grows by the time that a block takes and shrinks by the block's
    length. So it needs no clock of the sound card, whose drift over days would look like one.
    """

    lag: float = 0.0  # s of sound that wait because processing takes too long
    factor: float = 0.0  # real-time factor: seconds of processing for a second of sound, of late

    def after(self, spent: float, heard: float) -> Pace:
        """The pace after ``spent`` s of work on a block of ``heard`` s."""
        if not heard:
            return self._replace(lag=self.lag + spent)
        weight = 1 - math.exp(-heard / PACE_WINDOW_S)
        return Pace(max(0.0, self.lag + spent - heard), self.factor + weight * (spent / heard - self.factor))

    @property
    def warning(self) -> str:
        """A sentence for the user when the machine cannot keep up; else empty."""
        late = f"{self.lag:.1f} s behind, {self.factor:.1f} s of work for a second of sound"
        return f"this machine cannot keep up: {late}" if self.lag >= MAX_LAG_S else ""
