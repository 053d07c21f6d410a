"""One stretch of speech in a live stream: what the encoder said of it, where the search stands, what was shown."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from asr.align.segment import WordAligner
from asr.align.words import AlignError, loudness
from asr.audio.features import FRAMES_PER_SECOND
from asr.audio.vad import SegmenterOptions
from asr.errors import UsageError
from asr.model.streaming import EncoderState, Posteriors, StreamingEncoder, encode
from asr.search.base import Partial
from asr.search.decoder import State
from asr.transcript import Segment, Word

NO_PARTIAL = Partial((), 0)
MIN_RIGHT_CONTEXT_S = 0.08  # less after an encoder frame of the look-ahead, and it is not shown
MAX_UNSTABLE_S = 10.0  # without stable words, over which the letters are asked at every step


@dataclass(frozen=True)
class EndpointOptions:
    """When a sentence has ended. Raises UsageError where the times contradict each other."""

    nothing: float = 5.0  # s without a word, since the start or the last sentence, that are told once; inf: never
    silence: float = 0.6  # s of silence after speech that end a sentence
    too_long: float = 30.0  # s; longer speech is cut where it pauses most
    pre_roll: float = 0.5  # s before and after the detected speech that belong to it; at most `silence`

    def __post_init__(self):
        if not (self.nothing > 0 and 0.04 <= self.silence < math.inf):
            raise UsageError("endpoints need a time above 0 s without a word, and a silence of at least 0.04 s")
        if not 0 <= self.pre_roll <= 10:
            raise UsageError(f"the pre-roll must lie between 0 and 10 s, not at {self.pre_roll:g} s")
        least = 1 + 2 * (self._padding + self.silence)
        if not least <= self.too_long <= 300:
            raise UsageError(f"with these endpoints a sentence may last {least:g} to 300 s, not {self.too_long:g} s")

    @property
    def _padding(self) -> float:
        return min(self.pre_roll, self.silence)

    def segments(self) -> SegmenterOptions:
        """The same rules, as asr.audio.vad takes them."""
        return SegmenterOptions(min_silence=self.silence, padding=self._padding, max_length=self.too_long)


@dataclass(frozen=True)
class ListenerOptions:
    """How a live stream is recognised."""

    # ms of sound that the encoder waits for. By the tables in recipes/english/README.md 640 makes 4 % fewer errors,
    # and words are shown later; 160 makes 12 % more
    latency: float = 320.0
    endpoints: EndpointOptions = EndpointOptions()
    # Two passes (Sainath et al. 2019): a sentence that has ended is heard again as a whole, as in a file. Without the
    # second one its final text begins with the words that were called stable, and has the errors of the latency
    second_pass: bool = True


class Utterance:
    """Frames (10 ms) are counted from the stream's start, steps (the encoder's frames) from the utterance's.

    The encoder hears `lead_frames` before the start, where running speech was cut.
    """

    def __init__(
        self,
        number: int,
        start_frame: int,
        lead_frames: int,
        encoder: StreamingEncoder,
        aligner: WordAligner,
        second_pass: bool,
    ):
        self.number, self.start_frame = number, start_frame
        self.first_frame = self.next_frame = start_frame - lead_frames  # frames from first to next - 1 are encoded
        self.encoder_state = encoder.start()  # after them
        self.end_frame: int | None = None  # once it is known
        self.endpoint = ""  # what ended it
        self.shown = NO_PARTIAL  # what the last partial result said
        self.has_shown_words = False  # some partial result had words
        self._stride = aligner.decoder.stride  # frames to a step
        self._lead_steps = lead_frames // self._stride
        self._posteriors = encoder.nothing()  # all outputs so far, the lead's too
        self._frames: list[np.ndarray] = []  # all that are encoded, the lead's too
        self._model = encoder.model if second_pass else None
        self._aligner, self._decoder = aligner, aligner.decoder
        self._search = self._decoder.start()
        self._searched_steps = 0
        self._ahead: Posteriors | None = None  # provisional outputs after them
        self._judged_pause = -1  # the frame at which the pause began ...
        self._judgement: tuple[str, ...] = ()  # ... in which these words were found
        self._times: tuple[Word, ...] = ()  # the words that were shown last

    def add(self, frames: np.ndarray, posteriors: Posteriors, state: EncoderState) -> None:
        """The next frames (t, n_mels), what the encoder made of them, and its state after them."""
        self.next_frame += len(frames)
        self._frames.append(frames)
        self._posteriors, self.encoder_state = self._posteriors.concatenate(posteriors), state

    @property
    def complete(self) -> bool:
        """It has ended, and all its outputs are there."""
        return self.end_frame is not None and self._available_steps >= self._steps_until(self.end_frame)

    def advance(self) -> Partial:
        """Search the outputs that are there."""
        until = self._available_steps
        if self.end_frame is not None:
            until = min(until, self._steps_until(self.end_frame))
        if until <= self._searched_steps:
            return self.shown
        self._search = self._decoder.feed(self._search, *self._part(self._searched_steps, until))
        self._searched_steps = until
        settled = self._decoder.partial(self._search)
        self._ahead = self._look_ahead()
        if self._ahead is None:
            return self._preferred(settled, self._search)
        search = self._decoder.feed(self._search, *self._ahead)
        return self._preferred(self._decoder.partial(search)._replace(stable=settled.stable), search)

    def judged(self, partial: Partial, pause_frame: int) -> Partial:
        """In a pause that began at `pause_frame`: the text that would be final if nothing followed.

        All models are asked once in a pause, when the outputs up to it are there. A command is told when it is whole.
        """
        if not partial.words or self._stride * self._searched_steps < pause_frame - self.start_frame:
            return partial
        if self._judged_pause != pause_frame:
            best = self._decoder.finish(self._search)[0]
            self._judged_pause, self._judgement = pause_frame, tuple(best.text.split())
        still = self._judgement[: partial.stable] == partial.words[: partial.stable]  # the search may have moved on
        return Partial(self._judgement, partial.stable) if self._judgement and still else partial

    def show(self, partial: Partial) -> tuple[Word, ...]:
        """The words with their times in the stream; none where the letters do not agree with them yet."""
        self.shown, words = partial, partial.words
        self.has_shown_words = self.has_shown_words or bool(words)
        kept = self._kept(words)
        begin = self.start_frame / FRAMES_PER_SECOND
        found = kept + self._timed(words[len(kept) :], kept[-1].end if kept else begin)
        if len(found) < len(words):  # too little room is left after the kept ones
            found = self._timed(words, begin)
        self._times = found
        return found

    def final(self, least_confidence: float) -> Segment | None:
        """The text of a complete utterance; None where it was noise, or has not ended."""
        if self.end_frame is None or not (steps := self._steps_until(self.end_frame)):
            return None
        frames = np.concatenate(self._frames)
        if self._model:
            (self._posteriors,) = encode(self._model, [frames])
        posteriors = self._part(0, steps)
        if self._model:
            hypotheses = self._decoder(*posteriors)
        elif self._searched_steps > steps:  # it was cut where the search had passed already
            hypotheses = self._decoder(*posteriors, shown=True)
        else:
            state = self._decoder.feed(self._search, *self._part(self._searched_steps, steps))
            hypotheses = self._decoder.finish(state)
        loud = loudness(frames[self.start_frame - self.first_frame : self.end_frame - self.first_frame])
        start = self.start_frame / FRAMES_PER_SECOND
        return self._aligner.segment(hypotheses, posteriors, start, loud, least_confidence)

    def _steps_until(self, end_frame: int) -> int:
        return -(-(end_frame - self.start_frame) // self._stride)

    @property
    def _available_steps(self) -> int:
        return max(0, len(self._posteriors.letters) - self._lead_steps)

    def _part(self, first: int, until: int) -> Posteriors:
        part = slice(self._lead_steps + first, self._lead_steps + until)
        return self._posteriors.map(lambda head: head[part])

    def _look_ahead(self) -> Posteriors | None:
        """What the encoder says of frames that it has only looked at ahead, as far as it is worth showing.

        The search goes on from there for the sake of what is shown, and forgets it.
        """
        ahead, unsure = self.encoder_state.ahead, self._steps(MIN_RIGHT_CONTEXT_S)
        if self.end_frame is not None or ahead is None or len(ahead.letters) <= unsure:
            return None
        return ahead.map(lambda head: head[:-unsure])

    def _preferred(self, partial: Partial, search: State) -> Partial:
        """What the letters like best, which are asked from where the stable words end: sooner right than the search."""
        kept = self._kept(partial.words[: partial.stable])
        first = self._step_at(kept[-1].end) if kept else 0
        if not partial.words or len(search.letters) - first > self._steps(MAX_UNSTABLE_S):
            return partial
        words = self._decoder.likeliest(search, first, len(kept))
        return Partial(words or partial.words, partial.stable)

    def _steps(self, seconds: float) -> int:
        return math.ceil(seconds * FRAMES_PER_SECOND / self._stride)

    def _step_at(self, time: float) -> int:
        return round((time * FRAMES_PER_SECOND - self.start_frame) / self._stride)

    def _kept(self, words: tuple[str, ...]) -> tuple[Word, ...]:
        """Words whose times are not worked out again; where the last one ends depends on the next."""
        same = takewhile(lambda pair: pair[0] == pair[1].text, zip(words, self._times))
        return tuple(word for _, word in same)[:-1]

    def _timed(self, words: tuple[str, ...], start: float) -> tuple[Word, ...]:
        """The words laid over the sound from `start` s on; none where they do not fit."""
        with suppress(AlignError):
            part = self._part(self._step_at(start), self._searched_steps)
            if self._ahead:
                part = part.concatenate(self._ahead)
            return self._aligner.timed(" ".join(words), part, start)
        return ()
