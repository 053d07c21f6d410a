"""A small two-way CTC model of phonemes in numpy, and how what it hears and the RNN's score become one score.

The RNN knows the phrase from synthetic voices; the phonemes are known from hundreds of real speakers. The two make
different mistakes, so that what both hear was said. The RNN hears everything, the phoneme model all stretches in which
voice activity finds a voice; a power of the odds of the RNN's score is multiplied by a power of what the phonemes say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from safetensors import safe_open

from asr.audio.features import LogMelOptions, hz_to_mel
from asr.audio.vad import DetectorState, SegmenterOptions, SpeechDetector
from asr.model.checkpoint import RECEPTIVE_FIELD
from asr.search.ctc_paths import Keyword
from wakeword.network import CELLS

WEIGHTS = Path(__file__).parent / "phonemes.safetensors"
STRIDE = 4  # log-mel frames from one output to the next

States = tuple[np.ndarray, ...]  # (1, H) of each layer


class PhonemeModel:
    """Log-mel frames -> log-probabilities of phonemes and blank for every 40 ms.

    The acoustic model of asr.model.network.ctc, with weights of its own (recipes/wake_words/phonemes.toml). They
    are read when they are first asked for: a detector that has heard nothing yet needs 10 MB less.
    """

    def __init__(self, tensors: Mapping[str, np.ndarray] | Path, symbols: tuple[str, ...], layers: int, n_mels: int):
        """tensors: named as in asr.model.network.ctc.CTCModel, or their file; symbols: the phonemes, from 1."""
        self.symbols, self.n_mels, self._tensors, self._count = symbols, n_mels, tensors, layers

    @cached_property
    def _network(self) -> _Network:
        if isinstance(self._tensors, Path):
            with safe_open(self._tensors, framework="numpy") as file:
                return _Network(_Read(file), self._count)
        return _Network(self._tensors, self._count)

    @staticmethod
    @cache
    def load(path: Path = WEIGHTS) -> PhonemeModel:
        with safe_open(path, framework="numpy") as file:
            options = json.loads(file.metadata()["options"])
        return PhonemeModel(path, tuple(options["phonemes"]), options["layers"], options["frontend"]["n_mels"])

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Hear a whole recording: (T, n_mels) -> (ceil(T / 4), 1 + symbols) natural log-probabilities."""
        count = -(-len(frames) // STRIDE)
        missing = max(0, STRIDE * (count - 1) + RECEPTIVE_FIELD - len(frames))
        mean = np.broadcast_to(self._network.mean, (missing, self.n_mels))
        return self.window(np.concatenate([frames, mean]), count, self.start(), count)[0]

    def start(self) -> States:
        """The forward state of each layer before a stream: all zero."""
        return ()

    def window(self, frames: np.ndarray, count: int, states: States, final: int) -> tuple[np.ndarray, States]:
        """Hear ``count`` outputs of a stream, whose first frame is frames[0], latency-controlled.

        Forward states are taken up before the first output and given back as they are after the ``final`` first ones;
        backward states begin afresh at the window's end. -> (count, 1 + symbols), new states.
        """
        return self._network(frames, count, states, final)


class _Read(dict[str, np.ndarray]):
    """Tensors of an open file, each read when it is asked for: there are never two copies of all."""

    def __init__(self, file: Any):
        self._file = file

    def __missing__(self, name: str) -> np.ndarray:
        return self._file.get_tensor(name).astype(np.float32)


class _Network:
    def __init__(self, t: Mapping[str, np.ndarray], layers: int):
        self.mean, self._deviation = t["mean"], t["deviation"]
        part = "encoder.subsampling."
        self._convolutions = [(t[f"{part}{name}.weight"], t[f"{part}{name}.bias"]) for name in ("first", "second")]
        self._project = t[part + "project.weight"].T, t[part + "project.bias"]
        names = [f"encoder.layers.{i}." for i in range(layers)]
        self._layers = [[CELLS["gru"](t, n + way) for way in ("forwards.", "backwards.")] for n in names]
        self._norms = [(t[f"encoder.norms.{i}.weight"], t[f"encoder.norms.{i}.bias"]) for i in range(layers)]
        self._head = t["phoneme_head.weight"].T, t["phoneme_head.bias"]
        self._hidden = t["encoder.layers.0.forwards.weight_hh_l0"].shape[1]

    def __call__(self, frames: np.ndarray, count: int, states: States, final: int) -> tuple[np.ndarray, States]:
        """As PhonemeModel.window."""
        states = states or (np.zeros((1, self._hidden), np.float32),) * len(self._layers)
        x = ((frames[: STRIDE * (count - 1) + RECEPTIVE_FIELD] - self.mean) / self._deviation)[None]
        for weight, bias in self._convolutions:
            x = np.maximum(_convolve(x, weight, bias), 0)
        x = x.transpose(1, 0, 2).reshape(x.shape[1], -1) @ self._project[0] + self._project[1]
        new_states = []
        for (forwards, backwards), norm, state in zip(self._layers, self._norms, states):
            ahead, back = forwards(x, state)[0], backwards(x[::-1], np.zeros_like(state))[0]
            new_states.append(ahead[final - 1 : final].copy() if final else state)
            x = _layer_norm(np.concatenate([ahead, back[::-1]], 1), *norm)
        logits = x @ self._head[0] + self._head[1]
        logits -= logits.max(-1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True)), tuple(new_states)


def _convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """x (C, T, F), weight (O, C, 3, 3) -> (O, T', F'), a stride of 2 both ways."""
    windows = sliding_window_view(x, weight.shape[2:], (1, 2))[:, ::2, ::2]
    c, t, f = windows.shape[:3]
    columns = windows.transpose(1, 2, 0, 3, 4).reshape(t * f, -1)
    return (columns @ weight.reshape(len(weight), -1).T + bias).reshape(t, f, -1).transpose(2, 0, 1)


def _layer_norm(x: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * scale + shift


FRAMES_PER_SECOND = 100
STEP_FRAMES, FIRST_STEP_FRAMES = 4, 8  # frames from one step of the RNN to the next, and that the first step hears
MIN_HEARD = 1e-4  # what the phonemes say of sound that holds nothing of the phrase
NEUTRAL = 0.1  # what they say of sound that leaves the RNN's score as it was

CHUNK = 8  # steps between two fused scores: the phoneme model and voice activity hear so many at once
LOOK_AHEAD = 4  # steps that the phoneme model hears beyond those whose outputs are final
VOICE = SegmenterOptions()  # the phoneme model hears a voice, and its padding before it
WITHIN = 24  # steps (0.96 s) of which the highest score of each, RNN and phonemes, counts
CHUNKS = WITHIN // CHUNK


def fused(rnn: float | np.ndarray, heard: float | np.ndarray, rnn_weight: float, weight: float) -> np.ndarray:
    """Return the score for the RNN's score and what the phonemes say, all in 0..1.

    Its logit is ``rnn_weight`` logit(rnn) + ``weight`` ln(heard / NEUTRAL).
    """
    rnn = np.clip(np.asarray(rnn, np.float64), 1e-6, 1 - 1e-6)
    logit = rnn_weight * np.log(rnn / (1 - rnn)) + weight * np.log(np.maximum(heard, MIN_HEARD) / NEUTRAL)
    return (1 / (1 + np.exp(-logit))).astype(np.float32)


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
    vad: DetectorState
    open: int  # steps for which the phoneme model goes on if no more voice comes; 0: it does not run
    hidden: tuple[np.ndarray, ...]  # forward states of its layers before ``first``


class Window(NamedTuple):
    """What the phoneme model makes of a chunk with a voice in it."""

    outputs: np.ndarray  # (n, 1 + symbols) natural log-probabilities
    final: int  # how many of the outputs are never computed again
    begins: bool  # nothing before it belongs to it


class Hearing:
    """What is the same for all words: where there is a voice, and what its phonemes are.

    step      4  5  6  7  8  9 10 11 12 13 14 15|   heard after step 15
    final     f  f  f  f  f  f  f  f                these have heard LOOK_AHEAD steps after them: never computed again
    provisional                       p  p  p  p    these count now as they are, and are computed again after step 23
    """

    def __init__(self, model: PhonemeModel):
        self._model, self._vad = model, SpeechDetector.load()
        self._to_vad = band_interpolation(model.n_mels, self._vad.n_mels)
        no_frames = np.zeros((0, model.n_mels), np.float32)
        self.start = HearingState(no_frames, 0, 0, self._vad.start(), 0, model.start())  # before a stream
        self._last: tuple = (None,) * 3  # frames, state and what came of them: detectors that hear the same share it

    @staticmethod
    @cache
    def of(model: PhonemeModel) -> Hearing:
        return Hearing(model)

    def feed(self, frames: np.ndarray, state: HearingState) -> tuple[list[Window | None], HearingState]:
        """The frames (t, n_mels) that are new -> a window for each chunk now complete, None without a voice; state."""
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
        """Take the CHUNK steps before ``step``: is there a voice, and what are its phonemes?"""
        chunk = state.frames[STEP_FRAMES * (step - CHUNK - state.first) : STEP_FRAMES * (step - state.first)]
        probabilities, vad = self._vad.probabilities(chunk @ self._to_vad, state.vad)
        gate = list(accumulate(probabilities, lambda before, p: VOICE.open_steps(p, before), initial=state.open))
        window, hidden, done = None, state.hidden, max(0, step - VOICE.padding_steps - state.first)
        if any(gate[1:]):
            done = max(0, step - LOOK_AHEAD - state.first)
            hidden = state.hidden if state.open else self._model.start()
            outputs, hidden = self._model.window(state.frames, step - state.first, hidden, done)
            window = Window(outputs, done, not state.open)
        frames = state.frames[STEP_FRAMES * done :]
        return window, HearingState(frames, state.first + done, step, vad, gate[-1], hidden)


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
        ends = np.arange(CHUNK - state.steps % CHUNK, len(scores) + 1, CHUNK)  # of chunks, in steps from now
        if len(ends):
            highest = sliding_window_view(rnn, WITHIN)[ends].max(1), sliding_window_view(heard, CHUNKS)[1:].max(1)
            scores[ends - 1] = fused(*highest, self.options.rnn_weight, self.options.weight)
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


def band_interpolation(bands: int, wanted: int) -> np.ndarray:
    """(bands, wanted) float32: log-mel frames @ this are about the frames of a front-end with ``wanted`` bands."""
    o = LogMelOptions()
    low, high = float(hz_to_mel(o.low)), float(hz_to_mel(o.high))
    centres, wanted_centres = (np.linspace(low, high, n + 2)[1:-1] for n in (bands, wanted))
    return np.stack([np.interp(wanted_centres, centres, row) for row in np.eye(bands)]).astype(np.float32)


def fusion_of(card: dict[str, Any]) -> Fusion | None:
    """What a detector's card asks for; ValueError, LookupError or TypeError where that makes no sense."""
    if not (wanted := card.get("fusion")):
        return None
    return Fusion(FusionOptions(**wanted | {"ways": tuple(map(tuple, wanted["ways"]))}))
