"""A small two-way CTC model of phonemes, and how what it hears and the RNN's score become one score.

The RNN knows the phrase from synthetic voices; the phonemes are known from hundreds of real speakers. The two make
different mistakes, so that what both hear was said. The RNN hears everything, the phoneme model all stretches that are
not still; a power of the odds of the RNN's score is multiplied by a power of what the phonemes say.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from math import inf, log, tanh
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import safe_open

from asr.model.checkpoint import RECEPTIVE_FIELD, ModelOptions
from asr.model.interface import AcousticModel, Layers
from asr.model.onnx import load_model
from asr.model.streaming import encode
from asr.search.ctc_paths import Keyword

WEIGHTS = Path(__file__).parent / "phonemes.safetensors"
FRAMES_PER_SECOND = 100
STEP_FRAMES, FIRST_STEP_FRAMES = 4, 8  # frames from one step of the RNN to the next, and that the first step hears


class PhonemeModel:
    """Log-mel frames -> log-probabilities of phonemes and blank for every 40 ms.

    An acoustic model of asr.model, with weights of its own (recipes/wake_words/phonemes.toml). They are read when they
    are first asked for: a detector that has heard nothing yet needs less memory.
    """

    def __init__(self, path: Path):
        """path: a checkpoint of ``asr train`` whose encoder frames are 40 ms."""
        with safe_open(path, framework="numpy") as file:
            options = ModelOptions.from_dict(json.loads(file.metadata()["options"]))
        self.symbols, self.n_mels, self._path = options.phonemes, options.frontend.n_mels, path

    @cached_property
    def _model(self) -> AcousticModel:
        return load_model(self._path)[0]

    @staticmethod
    @cache
    def load(path: Path = WEIGHTS) -> PhonemeModel:
        return PhonemeModel(path)

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Hear a whole recording: (T, n_mels) -> (ceil(T / 4), 1 + symbols) natural log-probabilities."""
        phonemes = encode(self._model, [frames])[0].phonemes
        assert phonemes is not None
        return phonemes

    def window(self, frames: np.ndarray, count: int, states: Layers, final: int) -> tuple[np.ndarray, Layers]:
        """Hear ``count`` outputs of a stream, whose first frame is frames[0], latency-controlled.

        Forward states are taken up before the first output (None: of a stream that begins) and given back as they are
        after the ``final`` first ones; backward states begin afresh at the window's end.
        -> (count, 1 + symbols), new states.
        """
        before = self._model.initial_state() if states is None else states
        given = self._model.subsample(frames[None, : STEP_FRAMES * (count - 1) + RECEPTIVE_FIELD])
        _, outputs, (after,) = self._model.advance(given[:, None], np.array([[count]]), final or count, [before])
        assert outputs is not None
        return outputs[0, 0], after if final else before


MIN_HEARD = 1e-4  # what the phonemes say of sound that holds nothing of the phrase
NEUTRAL = 0.1  # what they say of sound that leaves the RNN's score as it was

CHUNK = 8  # steps between two fused scores: the phoneme model hears so many at once
LOOK_AHEAD = 4  # steps that the phoneme model hears beyond those whose outputs are final
PADDING, HOLD = 8, 15  # steps before a sound that the phoneme model hears too, and after it
ABOVE, RISE = 0.3, 0.02  # ln: a step so much above the floor is a sound; what the floor rises by from step to step
WITHIN = 24  # steps (0.96 s) of which the highest score of each, RNN and phonemes, counts
CHUNKS = WITHIN // CHUNK


def fused(rnn: float, heard: float, rnn_weight: float, weight: float) -> float:
    """Return the score for the RNN's score and what the phonemes say, all in 0..1.

    Its logit is ``rnn_weight`` logit(rnn) + ``weight`` ln(heard / NEUTRAL).
    """
    rnn = min(max(rnn, 1e-6), 1 - 1e-6)
    logit = rnn_weight * log(rnn / (1 - rnn)) + weight * log(max(heard, MIN_HEARD) / NEUTRAL)
    return 0.5 + 0.5 * tanh(0.5 * logit)


@dataclass(frozen=True)
class FusionOptions:
    """How the two scores of a detector become one."""

    ways: tuple[tuple[str, ...], ...]  # to say the phrase, in phonemes
    rnn_weight: float = 1.0  # of the logit of the RNN's score
    weight: float = 2.2  # of the logarithm of what the phonemes say

    def asdict(self) -> dict:
        return asdict(self)


class HearingState(NamedTuple):
    """Where a stream stands, whatever the words. A step is 40 ms: one output of the phoneme model."""

    frames: np.ndarray  # (t, n_mels) of the stream from step ``first`` on
    first: int  # step that the phoneme model hears next
    heard: int  # steps, whole chunks, for which this is done
    floor: float  # mean log-mel value of a still step
    open: int  # steps for which the phoneme model goes on if no more sound comes; 0: it does not run
    hidden: Layers  # forward states of its layers before ``first``; None: none yet


class Window(NamedTuple):
    """What the phoneme model makes of a chunk that is not still."""

    outputs: np.ndarray  # (n, 1 + symbols) natural log-probabilities
    final: int  # how many of the outputs are never computed again
    begins: bool  # nothing before it belongs to it


class Hearing:
    """What is the same for all words: where it is not still, and what phonemes are there.

    Still is what stays as it is, however loud: a fan, but not music. Whether it is speech is not asked: voice activity
    misses a phrase in loud noise that its phonemes still tell.

    step      4  5  6  7  8  9 10 11 12 13 14 15|   heard after step 15
    final     f  f  f  f  f  f  f  f                these have heard LOOK_AHEAD steps after them: never computed again
    provisional                       p  p  p  p    these count now as they are, and are computed again after step 23
    """

    def __init__(self, model: PhonemeModel):
        self._model = model
        self.start = HearingState(np.zeros((0, model.n_mels), np.float32), 0, 0, inf, 0, None)  # before a stream
        self._last: tuple = (None,) * 3  # frames, state and what came of them: detectors that hear the same share it

    @staticmethod
    @cache
    def of(model: PhonemeModel) -> Hearing:
        return Hearing(model)

    def feed(self, frames: np.ndarray, state: HearingState) -> tuple[list[Window | None], HearingState]:
        """The frames (t, n_mels) that are new -> a window for each chunk now complete, None for a still one; state."""
        last_frames, last_state, found = self._last
        if frames is not last_frames or state is not last_state:
            found = self._windows(state._replace(frames=np.concatenate([state.frames, frames])))
            if len(frames) <= FRAMES_PER_SECOND:  # a recording is not kept in memory
                self._last = frames, state, found
        return found

    def _windows(self, state: HearingState) -> tuple[list[Window | None], HearingState]:
        windows: list[Window | None] = []
        complete = state.first + (len(state.frames) - FIRST_STEP_FRAMES) // STEP_FRAMES + 1
        while state.heard + CHUNK <= complete:
            window, state = self._hear(state.heard + CHUNK, state)
            windows.append(window)
        return windows, state

    def _hear(self, step: int, state: HearingState) -> tuple[Window | None, HearingState]:
        """Take the CHUNK steps before ``step``: are they still, and what are their phonemes?"""
        chunk = state.frames[STEP_FRAMES * (step - CHUNK - state.first) : STEP_FRAMES * (step - state.first)]
        floor, open_for, sounds = state.floor, state.open, False
        for level in chunk.reshape(CHUNK, -1).mean(1).tolist():
            floor = min(level, floor + RISE)
            open_for = HOLD if level > floor + ABOVE else max(0, open_for - 1)
            sounds |= open_for > 0
        window, hidden, done = None, state.hidden, max(0, step - PADDING - state.first)
        if sounds:
            done = max(0, step - LOOK_AHEAD - state.first)
            hidden = state.hidden if state.open else None
            outputs, hidden = self._model.window(state.frames, step - state.first, hidden, done)
            window = Window(outputs, done, not state.open)
        frames = state.frames[STEP_FRAMES * done :]
        return window, HearingState(frames, state.first + done, step, floor, open_for, hidden)


class FusionState(NamedTuple):
    """Where a stream stands. A step is 40 ms: one score of the RNN, one output of the phoneme model."""

    steps: int  # done so far
    hearing: HearingState
    keyword: np.ndarray  # state of the keyword before what is not final
    heard: np.ndarray  # (CHUNKS,) how well the phonemes of the last chunks said the phrase
    rnn: np.ndarray  # (WITHIN,) last scores of the RNN


class Fusion:
    """Both scores over the last second, at every CHUNK-th step; the steps between have the score 0."""

    def __init__(self, options: FusionOptions, model: PhonemeModel | None = None):
        """Raises ValueError for a phoneme that the model does not know."""
        self.options, self._model = options, model or PhonemeModel.load()
        self._keyword, self._hearing = Keyword.of(options.ways, self._model.symbols), Hearing.of(self._model)

    def start(self) -> FusionState:
        """The state before a stream."""
        heard, rnn = np.zeros(CHUNKS, np.float32), np.zeros(WITHIN, np.float32)
        return FusionState(0, self._hearing.start, self._keyword.start(), heard, rnn)

    def feed(self, rnn: np.ndarray, frames: np.ndarray, state: FusionState) -> tuple[np.ndarray, FusionState]:
        """The RNN's next scores (m,), and the log-mel frames (t, n_mels) that are new -> fused scores (m,), state."""
        windows, hearing = self._hearing.feed(frames, state.hearing)
        said, keyword = self._said(windows, state.keyword)
        scores, recent, heard = self._fuse(rnn, said, state)
        return scores, FusionState(state.steps + len(rnn), hearing, keyword, heard, recent)

    def hear(self, frames: np.ndarray) -> np.ndarray:
        """All frames (T, n_mels) of a stream -> (chunks,) 0..1: how well the phonemes of each say the phrase."""
        return self._said(self._hearing.feed(frames, self._hearing.start)[0], self._keyword.start())[0]

    def fuse(self, rnn: np.ndarray, heard: np.ndarray) -> np.ndarray:
        """All scores of the RNN (n,) in a stream, and what ``hear`` gave -> the scores (n,) of ``feed``."""
        return self._fuse(rnn, heard, self.start())[0]

    def _fuse(self, rnn: np.ndarray, said: np.ndarray, state: FusionState) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """-> the scores, and the new ends of FusionState.rnn and .heard."""
        rnn, heard, scores = np.concatenate([state.rnn, rnn]), np.concatenate([state.heard, said]), np.zeros_like(rnn)
        ends = range(CHUNK - state.steps % CHUNK, len(scores) + 1, CHUNK)  # of chunks, in steps from now
        for i, end in enumerate(ends, start=1):
            loudest, clearest = float(rnn[end : end + WITHIN].max()), float(heard[i : i + CHUNKS].max())
            scores[end - 1] = fused(loudest, clearest, self.options.rnn_weight, self.options.weight)
        return scores, rnn[-WITHIN:], heard[-CHUNKS:]

    def heard(self, frames: np.ndarray) -> float:
        """(T, n_mels) -> 0..1: how well the phonemes of these frames say the phrase, at the best place."""
        return float(self._keyword.feed(self._model(frames), self._keyword.start())[0].max())

    def _said(self, windows: list[Window | None], keyword: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How well the phonemes of each chunk say the phrase (chunks,), and the new state of the keyword."""
        said = np.zeros(len(windows), np.float32)
        for i, window in enumerate(windows):
            if window:
                before = self._keyword.start() if window.begins else keyword
                scores, keyword = self._keyword.feed(window.outputs[: window.final], before)
                provisional, _ = self._keyword.feed(window.outputs[window.final :], keyword)
                said[i] = max(scores.max(initial=0), provisional.max(initial=0))
        return said, keyword


def fusion_of(card: dict[str, Any]) -> Fusion | None:
    """What a detector's card asks for; ValueError, LookupError or TypeError where that makes no sense."""
    if not (wanted := card.get("fusion")):
        return None
    return Fusion(FusionOptions(**wanted | {"ways": tuple(map(tuple, wanted["ways"]))}))
