"""The RNN's score and what a model of phonemes hears become one score.

The RNN knows the phrase from synthetic voices; the phonemes are known from hundreds of real speakers. The two make
different mistakes, so that what both hear was said. In both rules a power of the odds of the RNN's score is multiplied
by a power of what the phonemes say; they differ in when the phoneme model is asked:

    Fusion       it hears all stretches in which voice activity finds a voice
    SecondStage  it is asked only where the RNN's score is above a floor (detectors up to version 2)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from asr.audio.features import LogMelOptions, hz_to_mel
from asr.audio.vad import DetectorState, SegmenterOptions, SpeechDetector
from asr.search.ctc_paths import Keyword
from wakeword.phonemes.model import PhonemeModel

FRAMES_PER_SECOND = 100
STEP_FRAMES, FIRST_STEP_FRAMES = 4, 8  # frames from one step of the RNN to the next, and that the first step hears
MIN_HEARD = 1e-4  # what the phonemes say of sound that holds nothing of the phrase
NEUTRAL = 0.1  # what they say of sound that leaves the RNN's score as it was

CHUNK = 8  # steps between two fused scores: the phoneme model and voice activity hear so many at once
LOOK_AHEAD = 4  # steps that the phoneme model hears beyond those whose outputs are final
VOICE = SegmenterOptions()  # the phoneme model hears a voice, and its padding before it
WITHIN = 24  # steps (0.96 s) of which the highest score of each, RNN and phonemes, counts


def fused(rnn: float | np.ndarray, heard: float | np.ndarray, rnn_weight: float, weight: float) -> np.ndarray:
    """Return the score for the RNN's score and what the phonemes say, all in 0..1.

    Its logit is ``rnn_weight`` logit(rnn) + ``weight`` ln(heard / NEUTRAL).
    """
    rnn = np.clip(np.asarray(rnn, np.float64), 1e-6, 1 - 1e-6)
    logit = rnn_weight * np.log(rnn / (1 - rnn)) + weight * np.log(np.maximum(heard, MIN_HEARD) / NEUTRAL)
    return (1 / (1 + np.exp(-logit))).astype(np.float32)


# --- both hear everything ------------------------------------------------------------------------


@dataclass(frozen=True)
class FusionOptions:
    """How the two scores of a detector become one."""

    ways: tuple[tuple[str, ...], ...]  # to say the phrase, in phonemes
    rnn_weight: float = 0.5  # of the logit of the RNN's score
    weight: float = 2.0  # of the logarithm of what the phonemes say

    def asdict(self) -> dict:
        return asdict(self)


class FusionState(NamedTuple):
    """Where a stream stands. A step is 40 ms: one score of the RNN, one output of the phoneme model."""

    steps: int  # done so far
    frames: np.ndarray  # (t, n_mels) of the stream from step ``first`` on
    first: int  # step that the phoneme model hears next
    vad: DetectorState
    open: int  # steps for which the phoneme model goes on if no more voice comes; 0: it does not run
    hidden: tuple[np.ndarray, ...]  # forward states of its layers before ``first``
    keyword: np.ndarray  # state of the keyword before ``first``
    heard: tuple[float, ...]  # what the phonemes said in the last chunks
    rnn: np.ndarray  # (WITHIN,) last scores of the RNN


class Fusion:
    """Both scores over the last second, at every CHUNK-th step; the steps between have the score 0.

    step      4  5  6  7  8  9 10 11 12 13 14 15|   a score is due after step 15
    final     f  f  f  f  f  f  f  f                these have heard LOOK_AHEAD steps after them: never computed again
    provisional                       p  p  p  p    these count now as they are, and are computed again after step 23
    """

    def __init__(self, options: FusionOptions, model: PhonemeModel | None = None):
        """Raises ValueError for a phoneme that the model does not know."""
        self.options, self._model, self._vad = options, model or PhonemeModel.load(), SpeechDetector.load()
        self._keyword = Keyword.of(options.ways, self._model.symbols)
        self._to_vad = band_interpolation(self._model.n_mels, self._vad.n_mels)

    def start(self) -> FusionState:
        """The state before a stream."""
        frames, heard, rnn = np.zeros((0, self._model.n_mels), np.float32), (0.0,) * (WITHIN // CHUNK), np.zeros(WITHIN)
        return FusionState(0, frames, 0, self._vad.start(), 0, *self._unheard(), heard, rnn.astype(np.float32))

    def feed(self, rnn: np.ndarray, frames: np.ndarray, state: FusionState) -> tuple[np.ndarray, FusionState]:
        """The RNN's next scores (m,), and the log-mel frames (t, n_mels) that are new -> fused scores (m,), state."""
        recent, scores, began = np.concatenate([state.rnn, rnn]), np.zeros(len(rnn), np.float32), state.steps
        state = state._replace(frames=np.concatenate([state.frames, frames]))
        for step in range((began // CHUNK + 1) * CHUNK, began + len(rnn) + 1, CHUNK):
            state, last = self._hear(step, state), step - began
            rnn_score = recent[last : last + WITHIN].max()
            scores[last - 1] = fused(rnn_score, max(state.heard), self.options.rnn_weight, self.options.weight)
        return scores, state._replace(steps=began + len(rnn), rnn=recent[-WITHIN:])

    def heard(self, frames: np.ndarray) -> float:
        """(T, n_mels) -> 0..1: how well the phonemes of these frames say the phrase, at the best place."""
        return float(self._keyword.feed(self._model(frames), self._keyword.start())[0].max())

    def _unheard(self) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        return self._model.start(), self._keyword.start()

    def _hear(self, step: int, state: FusionState) -> FusionState:
        """Take the CHUNK steps before ``step``: is there a voice, and what do its phonemes say?"""
        chunk = state.frames[STEP_FRAMES * (step - CHUNK - state.first) : STEP_FRAMES * (step - state.first)]
        probabilities, vad = self._vad.probabilities(chunk @ self._to_vad, state.vad)
        gate = list(accumulate(probabilities, lambda before, p: VOICE.open_steps(p, before), initial=state.open))
        if not any(gate[1:]):
            drop = max(0, step - VOICE.padding_steps - state.first)
            state = state._replace(vad=vad, open=0, heard=(*state.heard[1:], 0.0))
            return state._replace(first=state.first + drop, frames=state.frames[STEP_FRAMES * drop :])
        hidden, keyword = (state.hidden, state.keyword) if state.open else self._unheard()
        final = max(0, step - LOOK_AHEAD - state.first)
        outputs, hidden = self._model.window(state.frames, step - state.first, hidden, final)
        scores, keyword = self._keyword.feed(outputs[:final], keyword)
        provisional, _ = self._keyword.feed(outputs[final:], keyword)
        heard = float(max(scores.max(initial=0), provisional.max(initial=0)))
        frames = state.frames[STEP_FRAMES * final :]
        return FusionState(
            state.steps,
            frames,
            state.first + final,
            vad,
            gate[-1],
            hidden,
            keyword,
            (*state.heard[1:], heard),
            state.rnn,
        )


def band_interpolation(bands: int, wanted: int) -> np.ndarray:
    """(bands, wanted) float32: log-mel frames @ this are about the frames of a front-end with ``wanted`` bands."""
    o = LogMelOptions()
    low, high = float(hz_to_mel(o.low)), float(hz_to_mel(o.high))
    centres, wanted_centres = (np.linspace(low, high, n + 2)[1:-1] for n in (bands, wanted))
    return np.stack([np.interp(wanted_centres, centres, row) for row in np.eye(bands)]).astype(np.float32)


# --- the phonemes only where the RNN has heard something ------------------------------------------


@dataclass(frozen=True)
class SecondStageOptions:
    """How the scores of a detector up to version 2 are looked at again."""

    ways: tuple[tuple[str, ...], ...]  # to say the phrase, in phonemes
    floor: float  # a score below it is no reason to look
    weight: float = 2.0  # of the logarithm of what the phonemes say, beside the logit of the RNN's score

    def asdict(self) -> dict:
        return asdict(self)


class SecondStageState(NamedTuple):
    steps: int  # done so far
    frames: np.ndarray  # (t, n_mels) that later steps look at
    first: int  # frame of the stream that is frames[0]


class SecondStage:
    """The phonemes of the last seconds, at every EVERY-th step at which the RNN's score is above the floor."""

    EVERY = 2

    def __init__(self, options: SecondStageOptions, model: PhonemeModel | None = None):
        """Raises ValueError for a phoneme that the model does not know."""
        self.options, self._model = options, model or PhonemeModel.load()
        self._keyword = Keyword.of(options.ways, self._model.symbols)
        longest = max(len(way) for way in options.ways)
        self.frames = round((1.0 + 0.14 * longest) * FRAMES_PER_SECOND)  # that are looked at

    def start(self) -> SecondStageState:
        """The state before a stream."""
        return SecondStageState(0, np.zeros((0, self._model.n_mels), np.float32), 0)

    def feed(self, rnn: np.ndarray, frames: np.ndarray, state: SecondStageState) -> tuple[np.ndarray, SecondStageState]:
        """As Fusion.feed; the score is 0 where there was no reason to look."""
        frames = np.concatenate([state.frames, frames]) if len(state.frames) else frames
        scores = np.zeros_like(rnn)
        steps = state.steps + np.arange(len(rnn))
        for i in np.flatnonzero((steps % self.EVERY == 0) & (rnn >= self.options.floor)):
            end = STEP_FRAMES * steps[i] + FIRST_STEP_FRAMES - state.first
            heard = self.heard(frames[max(0, end - self.frames) : end])
            scores[i] = fused(rnn[i], heard, 1.0, self.options.weight)
        done = state.steps + len(rnn)
        drop = max(0, STEP_FRAMES * done + FIRST_STEP_FRAMES - self.frames - state.first)
        return scores, SecondStageState(done, frames[drop:], state.first + drop)

    def heard(self, frames: np.ndarray) -> float:
        """(T, n_mels) -> 0..1: how well the phonemes of these frames say the phrase, at the best place."""
        return float(self._keyword.feed(self._model(frames), self._keyword.start())[0].max())


def fusion_of(card: dict[str, Any]) -> Fusion | SecondStage | None:
    """What a detector's card asks for."""
    if "fusion" in card:
        return Fusion(FusionOptions(**card["fusion"] | {"ways": tuple(map(tuple, card["fusion"]["ways"]))}))
    if wanted := card.get("second look"):
        return SecondStage(SecondStageOptions(**wanted | {"ways": tuple(map(tuple, wanted["ways"]))}))
    return None
