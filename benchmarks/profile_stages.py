"""The stages of the three hot paths, each with the matrix products of a call; what has none lists no arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

import asr.language.rnn
import asr.live.stream
import asr.search.decoder
from asr.align.segment import WordAligner
from asr.audio.features import LogMel
from asr.audio.vad import STEP, DetectorState, SpeechDetector
from asr.language.rnn import AdaptiveScores, RnnScorer
from asr.model.interface import RECEPTIVE_FIELD, STRIDE
from asr.model.onnx import OnnxModel
from asr.model.streaming import StreamingEncoder
from asr.search.decoder import Decoder
from benchmarks.arithmetic import Product
from benchmarks.stopwatch import Point
from wakeword.detector import Detector
from wakeword.network import CELLS, Network

Products = Iterator[Product]


def log_mel(frontend: LogMel, samples: np.ndarray, count: int) -> Products:
    """A Fourier transform of n samples counts as 1.25 n log2 n multiply-adds."""
    window, n_mels = frontend.options.window, frontend.options.n_mels
    yield Product(count, round(1.25 * window * math.log2(window) / n_mels), n_mels)
    yield Product(count, window // 2 + 1, n_mels)


def activity(detector: SpeechDetector, frames: np.ndarray, state: DetectorState) -> Products:
    inner, size = detector._t["project.weight"].shape
    steps = (len(state.pending) + len(frames)) // STEP
    yield Product(steps, inner, size)
    yield Product(steps, size, 3 * size)
    for _ in range(steps):
        yield Product(1, size, 3 * size)


def subsampling(model: OnnxModel, frames: np.ndarray) -> Products:
    b, t, n_mels = frames.shape
    steps, channels = max(0, (t - RECEPTIVE_FIELD) // STRIDE + 1), model.options.channels
    rows, bands = (n_mels - 1) // 2, ((n_mels - 1) // 2 - 1) // 2
    yield Product(b * (2 * steps + 1) * rows, 9, channels)
    yield Product(b * steps * bands, 9 * channels, channels)
    yield Product(b * steps, channels * bands, model.options.hidden)


def recurrent(model: OnnxModel, windows: np.ndarray, _: np.ndarray, chunk: int, layers: list) -> Products:
    """What goes in is one product for all frames, what goes from state to state one a step."""
    (b, n, width, _), o = windows.shape, model.options
    for number in range(o.layers):
        inner = o.hidden * (2 if number else 1)
        yield Product(b * n * 2 * width, inner, 3 * o.hidden)
        for rows, steps in ((b, n * chunk), (b * n, 2 * width - chunk)):
            for _step in range(steps):
                yield Product(rows, o.hidden, 3 * o.hidden)
    for layers_read, symbols in zip(o.read, (len(model.alphabet), len(o.phonemes) + 1 if o.phonemes else 0)):
        yield Product(b * n * width, len(layers_read) * 2 * o.hidden, symbols)


def read_words(given: np.ndarray, h: np.ndarray, w_h: np.ndarray, _: np.ndarray) -> Products:
    for _step in given:
        yield Product(len(h), *w_h.shape)


def next_words(scores: AdaptiveScores, x: np.ndarray, ids: np.ndarray) -> Products:
    yield Product(len(x), *scores._head.shape)
    for k, (at, _) in scores._later(ids):
        yield Product(len(at), *scores._maps[k - 1].shape)
        yield Product(len(at), *scores._vectors[k].T.shape)


def convolution(network: Network, frames: np.ndarray, count: int, layers: tuple) -> Products:
    yield Product(count, *network._weight.shape)


def cell(layer: Any, x: np.ndarray, state: np.ndarray) -> Products:
    yield Product(len(x), *layer._from_x.shape)
    for _ in x:
        yield Product(1, *layer._from_h.shape)


MODEL = (
    Point("front-end", LogMel, "_frames", log_mel),
    Point("voice activity", SpeechDetector, "probabilities", activity),
    Point("convolutions", OnnxModel, "subsample", subsampling),
    Point("recurrent layers and heads", OnnxModel, "advance", recurrent),
    Point("encoder, the rest", StreamingEncoder, "step"),
    Point("search", Decoder, "feed"),
    Point("n-best list", Decoder, "finish"),
    Point("letters' opinion", asr.search.decoder, "ctc_scores"),
    Point("recurrent language model", RnnScorer, "ln_probability"),
    Point("recurrent language model", asr.language.rnn, "gru", read_words),
    Point("recurrent language model", AdaptiveScores, "log_prob", next_words),
)
FILE = (*MODEL, Point("times and confidence", WordAligner, "segment"))
STREAM = (
    *MODEL,
    Point("words to show", Decoder, "partial"),
    Point("words to show", Decoder, "likeliest"),
    Point("times and confidence", WordAligner, "segment"),
    Point("times and confidence", WordAligner, "timed"),
    Point("the stream's own", asr.live.stream, "_work_together"),
)
WAKE_WORD = (
    Point("front-end", LogMel, "_frames", log_mel),
    Point("convolution and output", Network, "__call__", convolution),
    *(Point("recurrent layers", kind, "__call__", cell) for kind in (CELLS["gru"], CELLS["lstm"])),
    Point("the detector's own", Detector, "feed"),
)
