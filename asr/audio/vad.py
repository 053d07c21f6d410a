"""Voice activity: samples -> log-mel frames, the probability of speech every 40 ms -> segments. Needs numpy only."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from asr.audio.features import BAD_SAMPLES, FRAMES_PER_SECOND, LogMel, clean_samples
from asr.errors import UsageError
from asr.numpy_gru import affine, gru, sigmoid

_log = logging.getLogger(__name__)
STEP = 4  # log-mel frames of 10 ms per probability: a step takes 40 ms
STEPS_PER_SECOND = FRAMES_PER_SECOND // STEP
PACKAGED = Path(__file__).parent.parent / "models" / "vad.safetensors"
TENSORS = (
    *("project.weight", "project.bias"),  # (STEP * n_mels, H), (H,)
    *("gru.w_x", "gru.b_x", "gru.w_h", "gru.b_h"),  # (H, 3H) and (3H,): reset, update, new
    *("out.weight", "out.bias"),  # (H,), ()
)


class DetectorState(NamedTuple):
    """Where a stream stands: a value, so one can go on from it twice."""

    pending: np.ndarray  # (0..3, n_mels) frames that do not fill a step yet
    hidden: np.ndarray  # (H,)


class SpeechDetector:
    """Four stacked log-mel frames -> dense -> GRU (Cho et al. 2014) -> probability of speech.

    Causal: a probability knows the frames up to its own last one. The model is shared by any
    number of streams; each stream has its own state.
    """

    def __init__(self, tensors: dict[str, np.ndarray], metadata: dict):
        self.metadata = metadata
        self._t = {name: np.asarray(tensors[name], np.float32) for name in TENSORS}
        self.n_mels = len(self._t["project.weight"]) // STEP

    @classmethod
    @cache
    def load(cls, path: Path = PACKAGED) -> SpeechDetector:
        """Read the packaged weights, or those at ``path``. Raises UsageError when they are damaged."""
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = json.loads((file.metadata() or {}).get("vad", "{}"))
                return cls({name: file.get_tensor(name) for name in TENSORS}, metadata)
        except (OSError, SafetensorError, ValueError) as error:
            message = f"{path} holds no speech detector ({error}): reinstall, or name another file"
            raise UsageError(message) from error

    def start(self) -> DetectorState:
        hidden = np.zeros(len(self._t["gru.w_h"]), np.float32)
        return DetectorState(np.zeros((0, self.n_mels), np.float32), hidden)

    def probabilities(self, frames: np.ndarray, state: DetectorState) -> tuple[np.ndarray, DetectorState]:
        """frames (T, n_mels) -> the probabilities (n,) of all steps now complete, and the new state."""
        frames = np.concatenate([state.pending, frames])
        n = len(frames) // STEP
        stacked = frames[: n * STEP].reshape(n, STEP * self.n_mels)
        t = self._t
        x = np.maximum(affine(stacked, t["project.weight"], t["project.bias"]), 0)
        hidden = gru(affine(x, t["gru.w_x"], t["gru.b_x"]), state.hidden, t["gru.w_h"], t["gru.b_h"])  # (n, H)
        logits = (hidden * t["out.weight"]).sum(1) + t["out.bias"]
        last = hidden[-1] if n else state.hidden
        return sigmoid(logits), DetectorState(frames[n * STEP :].copy(), last)

    def flush(self, state: DetectorState) -> np.ndarray:
        """The probability (0..1,) of a last, incomplete step, its last frame repeated."""
        missing = -len(state.pending) % STEP
        return self.probabilities(state.pending[-1:].repeat(missing, 0), state)[0]

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """frames (T, n_mels) of a whole recording -> probabilities (ceil(T / STEP),)."""
        p, state = self.probabilities(frames, self.start())
        return np.concatenate([p, self.flush(state)])


class ActivityState(NamedTuple):
    """Where a stream stands in its voice activity."""

    tail: np.ndarray  # (0..,) samples that later frames need
    detector: DetectorState


class Activity(NamedTuple):
    """The log-mel frames of the next steps, and how likely each step is speech."""

    frames: np.ndarray  # (STEP * n, n_mels); the last step of a stream may be shorter
    probabilities: np.ndarray  # (n,)

    def steps(self) -> Iterator[tuple[np.ndarray, float]]:
        """One step after the other: its frames (STEP, n_mels) and its probability."""
        for i, p in enumerate(self.probabilities.tolist()):
            yield self.frames[STEP * i : STEP * (i + 1)], p


class VoiceActivity:
    """The front-end and the speech detector of a stream, for whatever wants to know when somebody speaks.

    Any cut of a stream into blocks gives the same steps.
    """

    def __init__(self, frontend: LogMel, detector: SpeechDetector | None = None):
        """Without a detector, the packaged one. Raises UsageError when it is damaged."""
        self._frontend, self._detector = frontend, detector or SpeechDetector.load()

    def over(self, blocks: Iterable[np.ndarray]) -> Iterator[Activity]:
        """The blocks of samples of a whole recording -> the steps that each of them completes, and those at the end.

        Bad samples are heard as silence, which is logged once. Raises asr.audio.features.SamplesError.
        """
        state, bad = self.start(), 0
        for block in blocks:
            samples, more = clean_samples(block)
            if more and not bad:
                _log.warning(BAD_SAMPLES)
            bad += more
            activity, state = self.feed(samples, state)
            yield activity
        yield self.flush(state)

    def start(self) -> ActivityState:
        return ActivityState(self._frontend.start(), self._detector.start())

    def feed(self, samples: np.ndarray, state: ActivityState) -> tuple[Activity, ActivityState]:
        """The next samples (n,) float32 at 16 kHz -> all steps that are now complete, and the new state."""
        frames, tail = self._frontend.feed(samples, state.tail)
        probabilities, detector = self._detector.probabilities(frames, state.detector)
        complete = np.concatenate([state.detector.pending, frames])[: STEP * len(probabilities)]
        return Activity(complete, probabilities), ActivityState(tail, detector)

    def flush(self, state: ActivityState) -> Activity:
        """The end of the stream: the steps that are left, the last of 1 to STEP frames."""
        frames = self._frontend.flush(state.tail)
        probabilities, detector = self._detector.probabilities(frames, state.detector)
        frames = np.concatenate([state.detector.pending, frames])
        return Activity(frames, np.concatenate([probabilities, self._detector.flush(detector)]))


@dataclass(frozen=True)
class SegmenterOptions:
    """From probabilities of speech to segments: hysteresis, padding, cuts. Raises UsageError."""

    on: float = 0.15  # speech begins at this probability
    off: float = 0.09  # and lasts while the probability stays above this one
    min_speech: float = 0.2  # s; shorter bursts are dropped
    min_silence: float = 0.6  # s of silence that end a segment
    padding: float = 0.32  # s kept before and after the speech
    max_length: float = 30.0  # s; longer speech is cut where the probability is lowest

    def __post_init__(self):
        if not 0 < self.off <= self.on < 1:
            raise UsageError(f"voice activity needs 0 < off <= on < 1, not off={self.off}, on={self.on}")
        if not 0 <= self.padding <= self.min_silence:
            raise UsageError("padding must lie between 0 and min_silence: it is taken from that silence")
        if self.max_length < 2 * (self.padding + self.min_silence) + 1:
            raise UsageError("max_length must leave room for 1 s of speech beside padding and min_silence")

    @property
    def padding_steps(self) -> int:
        return _steps(self.padding)

    def open_steps(self, probability: float, before: int) -> int:
        """For how many further steps a gate stays open if no speech follows; 0: it is closed.

        probability: that the current step is speech; before: the answer of the step before.
        """
        if probability >= (self.off if before else self.on):
            return max(1, _steps(self.min_silence))
        return max(0, before - 1)


class Span(NamedTuple):
    """Frames [start, end) of 10 ms to transcribe; ``cut_*`` where speech goes on beyond that side."""

    start: int
    end: int
    cut_left: bool = False
    cut_right: bool = False


class Segmenter:
    """Probabilities, block by block -> segments, each as soon as its end is known.

    One object a stream. Blocks of any size give the same segments. Segments never overlap and none is longer than
    ``max_length``. What is given out counts in frames of 10 ms, what is kept in steps of 40 ms.
    """

    def __init__(self, options: SegmenterOptions = SegmenterOptions()):
        self.options = options
        self._min_speech_steps = _steps(options.min_speech)
        self._padding_steps = options.padding_steps
        self._max_steps = _steps(options.max_length)
        self._now_step = 0  # steps seen
        self._free_step = 0  # end of the segment before: nothing earlier is given out again
        self._idle()

    def _idle(self) -> None:
        self._start_step: int | None = None  # of the current segment, its padding included
        self._open_steps = 0  # steps for which the segment goes on without further speech
        self._onset_step = self._speech_end_step = 0  # first step of its speech, end of its last
        self.cut_left = False  # the segment begins where speech that was too long has been cut
        self._probabilities: list[float] = []  # of all steps since its start

    @property
    def speaking(self) -> bool:
        """A segment is open."""
        return self._start_step is not None

    @property
    def keep_from(self) -> int:
        """Segments to come start at this frame or later; earlier frames can be forgotten."""
        earliest_step = max(self._free_step, self._now_step - self._padding_steps)
        return STEP * (earliest_step if self._start_step is None else self._start_step)

    @property
    def sure_until(self) -> int:
        """Frames of the open segment up to this one stay in it, unless it becomes too long and is cut before.

        While there is speech, these are all frames so far; in the silence after it, those of the padding.
        """
        return STEP * min(self._now_step, self._speech_end_step + self._padding_steps)

    @property
    def pause(self) -> Span:
        """The silence that the open segment ends with so far; of no length while there is speech."""
        return Span(STEP * self._speech_end_step, STEP * self._now_step)

    def feed(self, probabilities: Iterable[float]) -> Iterator[Span]:
        """The probabilities of the next steps of 40 ms (n,) -> the segments that end in them."""
        return filter(None, map(self.step, np.asarray(probabilities, np.float64).tolist()))

    def flush(self) -> Iterator[Span]:
        """End of the recording: the segment that is still open, if any."""
        start, end = self._start_step, min(self._speech_end_step + self._padding_steps, self._now_step)
        if start is not None and (segment := self._close(start, end)):
            yield segment

    def step(self, p: float) -> Span | None:
        """The probability of the next step -> the segment that ends in it, if one does."""
        now, self._now_step = self._now_step, self._now_step + 1
        was_open, self._open_steps = self._open_steps, self.options.open_steps(p, self._open_steps)
        if self._start_step is None:
            if not self._open_steps:
                return None
            self._start_step = max(now - self._padding_steps, self._free_step)
            self._onset_step = now
            self._probabilities = [1.0] * (now - self._start_step)  # no cut in the padding
        self._probabilities.append(p)
        if self._open_steps >= was_open:  # this step is speech
            self._speech_end_step = now + 1
        elif not self._open_steps:
            return self._close(self._start_step, self._speech_end_step + self._padding_steps)
        if self._now_step - self._start_step >= self._max_steps:
            return self._cut(self._start_step)
        return None

    def _close(self, start: int, end: int) -> Span | None:
        cut_left, spoken = self.cut_left, self._speech_end_step - self._onset_step
        self._idle()
        if spoken < self._min_speech_steps and not cut_left:
            return None
        self._free_step = end
        return Span(STEP * start, STEP * end, cut_left)

    def _cut(self, start: int) -> Span | None:
        """Split speech that went on for too long in the deepest dip of its second half."""
        smooth = np.convolve(self._probabilities, np.ones(5) / 5, mode="valid")  # a dip of 0.2 s, not a single step
        half = len(smooth) // 2
        offset = half + int(np.argmin(smooth[half:])) + 2
        cut = start + offset
        if self._speech_end_step <= cut:  # silent since then
            return self._close(start, cut)
        segment = Span(STEP * start, STEP * cut, self.cut_left, True)
        self._start_step = self._onset_step = self._free_step = cut
        self.cut_left, self._probabilities = True, self._probabilities[offset:]
        return segment


def _steps(seconds: float) -> int:
    return round(seconds * STEPS_PER_SECOND)
