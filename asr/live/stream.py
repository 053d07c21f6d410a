"""One live stream: blocks of samples -> the words so far, and each sentence when it has ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from asr.audio.features import FRAMES_PER_SECOND
from asr.audio.vad import STEP, Segmenter, Span
from asr.errors import Error
from asr.live.meter import Pace
from asr.live.utterance import Utterance
from asr.model.streaming import Chunk
from asr.recognizer import CONTEXT
from asr.transcript import Word

if TYPE_CHECKING:
    from asr.live.listener import Listener

PAUSE_FRAMES = 20  # frames of silence after which the words so far are judged as those of a whole sentence are


class StreamError(Error, ValueError):
    """A stream was given what it cannot use; the text says what to do."""


@dataclass(frozen=True)
class Result:
    """What is known at `time`. The partials of a segment are followed by its final, which may be empty."""

    kind: Literal["partial", "final", "nothing"]  # nothing: no word for a while; told once, until there are words
    segment: int  # number of the stretch of speech, or of the next one
    time: float  # s of the stream that were heard when this was known
    text: str = ""
    stable: str = ""  # whole words at the beginning of the text that will not change, unless it gets too long
    words: tuple[Word, ...] = ()  # with times in the stream; a partial may not have them yet
    endpoint: str = ""  # what ended a final: silence, too long, end (of the stream), or noise
    alternatives: tuple[str, ...] = ()  # of a final: further texts of the n-best list
    lag: float = field(default=0.0, compare=False)  # s by which the machine was behind


class Stream:
    """Feed blocks, flush at the end: any cut into blocks gives the same results, in bounded memory.

    Everything goes by steps of 40 ms, those of voice activity. A step is done in two parts, `step` and `results`,
    between which the encoder works on many streams at a time.
    """

    def __init__(self, listener: Listener):
        self.pace = Pace()
        self._listener, self._model = listener, listener.recognizer.model
        self._tail, self._vad = self._model.frontend.start(), listener.detector.start()
        self._rest = np.zeros((0, self._model.options.frontend.n_mels), np.float32)  # frames of a step to come
        self._coming: deque[tuple[float, np.ndarray] | None] = deque()  # probability and frames of steps; None: the end
        self._endpointer = Segmenter(listener.options.endpoints.segments())
        self._kept: deque[np.ndarray] = deque()  # the frames of steps that may still be needed ...
        self._first = 0  # ... and how many steps came before
        self._now = 0  # frames so far
        self._number = 0  # of the next utterance
        self._open: deque[Utterance] = deque()  # without final result yet; only the last can go on
        self._spoken = 0  # frame at which the last sentence ended
        self._told = False  # that nothing has been said since
        self._ended = False

    def feed(self, samples: np.ndarray) -> list[Result]:
        """The next block, (n,) float32 at 16 kHz of any n. Raises StreamError."""
        return self._listener.feed([self], [samples])[0]

    def flush(self) -> list[Result]:
        """The stream's end: what is still open."""
        return self._listener.flush([self])[0]

    @property
    def seconds(self) -> float:
        """Of sound that have been worked through."""
        return self._now / FRAMES_PER_SECOND

    @property
    def waiting(self) -> bool:
        """There are steps to do."""
        return bool(self._coming)

    def hear(self, samples: np.ndarray, last: bool = False) -> None:
        """Front-end and voice activity: samples to steps that are waiting."""
        if self._ended:
            raise StreamError("this stream has ended: begin another one")
        self._ended = last
        frontend, detector = self._model.frontend, self._listener.detector
        frames, self._tail = frontend.feed(samples, self._tail)
        if last:
            frames = np.concatenate([frames, frontend.flush(self._tail)])
        p, self._vad = detector.probabilities(frames, self._vad)
        if last:
            p = np.concatenate([p, detector.flush(self._vad)])
        frames = np.concatenate([self._rest, frames])
        self._coming += [(x, frames[STEP * i : STEP * (i + 1)]) for i, x in enumerate(p.tolist())]
        self._coming += [None] * last
        self._rest = frames[STEP * len(p) :]

    def step(self) -> list[tuple[Utterance, Chunk]]:
        """Do the next step, up to the encoder's part: what it is to be given."""
        coming, endpoint = self._coming.popleft(), "end"
        if coming:
            p, frames = coming
            self._kept.append(frames)
            self._now += len(frames)
            spans, endpoint = self._endpointer.feed([p]), "silence"
        else:
            spans = self._endpointer.flush()
        self._follow(next(spans, None), endpoint)
        jobs = [(u, chunk) for u in self._open if (chunk := self._chunk(u, not coming))]
        self._forget()
        return jobs

    def results(self) -> Iterator[Result]:
        """The rest of the step, when the utterances have the encoder's outputs."""
        while self._open and self._open[0].complete:
            yield from self._final(self._open.popleft())
        if self._open:
            yield from self._partial(self._open[0])
        yield from self._nothing()

    def _follow(self, span: Span | None, endpoint: str) -> None:
        """Open and end utterances as the endpointer says; `span`: what it has just ended."""
        current = self._open[-1] if self._open and self._open[-1].end is None else None
        if current and (span or not self._endpointer.speaking):
            current.end = min(span.end, self._now) if span else current.start
            current.endpoint = ("too long" if span.cut_right else endpoint) if span else "noise"
            current = None
        if self._endpointer.speaking and not current:
            start = self._endpointer.keep_from
            lead = min(CONTEXT, start) if self._endpointer.cut_left else 0
            encoder, aligner = self._listener.encoder, self._listener.recognizer.aligner
            self._open.append(Utterance(self._number, start, lead, encoder, aligner))
            self._number += 1

    def _chunk(self, utterance: Utterance, last: bool) -> Chunk | None:
        """The frames that bring an utterance further, if any do."""
        begin, given, until = utterance.begin, utterance.given, self._now
        if utterance.complete:
            return None
        if utterance.end is None:
            until = min(until, self._endpointer.sure_until)
        elif utterance.endpoint != "too long" and given <= utterance.end:
            until, last = utterance.end, True
        outputs = self._listener.encoder.outputs
        if not last and outputs(until - begin) == outputs(given - begin):
            return None
        frames = self._frames(given, until)
        utterance.give(frames)
        return Chunk(frames, utterance.state, last)

    def _frames(self, start: int, until: int) -> np.ndarray:
        steps = range(start // STEP - self._first, -(-until // STEP) - self._first)
        return np.concatenate([self._rest[:0], *(self._kept[i] for i in steps)])

    def _forget(self) -> None:
        needed = min([self._endpointer.keep_from - CONTEXT, *(u.given for u in self._open)])
        while self._kept and STEP * self._first < needed:
            self._kept.popleft()
            self._first += 1

    def _partial(self, utterance: Utterance) -> Iterator[Result]:
        partial, pause = utterance.advance(), self._endpointer.pause
        if utterance.end is None and pause.length >= PAUSE_FRAMES:
            partial = utterance.judged(partial, pause.start)
        if partial != utterance.shown:
            words = utterance.show(partial)
            text, stable = " ".join(partial.words), " ".join(partial.words[: partial.stable])
            yield Result("partial", utterance.number, self.seconds, text, stable, words)

    def _final(self, utterance: Utterance) -> Iterator[Result]:
        found = utterance.final(self._listener.recognizer.options.least_confidence)
        if found:
            self._spoken, self._told = self._now, False
            rest = found.text, found.text, found.words, utterance.endpoint, found.alternatives
            yield Result("final", utterance.number, self.seconds, *rest)
        elif utterance.said:
            yield Result("final", utterance.number, self.seconds, endpoint="noise")

    def _nothing(self) -> Iterator[Result]:
        """The rule of the endpoints that needs no speech."""
        quiet = (self._now - self._spoken) / FRAMES_PER_SECOND
        if quiet >= self._listener.options.endpoints.nothing and not self._told:
            if not any(u.said for u in self._open):
                self._told = True
                yield Result("nothing", self._open[0].number if self._open else self._number, self.seconds)
