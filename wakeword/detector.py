"""Blocks of samples in, detections out; needs numpy only.

The same weights as wakeword.model, stepped through in numpy: at this size a step is quicker without torch.
The state is a value, so that one detector serves any number of streams, and any cut of a stream gives the
same detections.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from asr.frontend import SAMPLE_RATE, LogMel, LogMelOptions

FORMAT, VERSION = "wakeword", "1"
MODELS = Path(__file__).parent / "models"


class DetectorError(ValueError):
    """One sentence: why there is no such detector, or why it cannot be used, and what to do."""


class Detection(NamedTuple):
    time: float  # seconds since the stream's start at which it fired
    score: float  # 0..1


@dataclass(frozen=True)
class DetectorOptions:
    threshold: float  # a smoothed score from here on is a detection
    smooth: int = 3  # steps whose mean is the score
    refractory: float = 1.5  # s after a detection in which there is no other

    def __post_init__(self):
        if not 0 < self.threshold < 1:
            raise DetectorError(f"the threshold must lie between 0 and 1, not at {self.threshold:g}")
        if self.smooth < 1 or self.refractory < 0:
            raise DetectorError("smooth must be at least 1 step, refractory at least 0 s")


class StreamState(NamedTuple):
    tail: np.ndarray  # samples that later frames need
    frames: np.ndarray  # (0.., n_mels) frames that later steps need
    layers: tuple[np.ndarray, ...]  # the state of each recurrent layer, (1, H) or (2, H)
    recent: np.ndarray  # (smooth - 1,) last raw scores
    steps: int  # done so far
    quiet_until: int  # step before which nothing fires


class Detector:
    """A trigger-word RNN with its threshold."""

    def __init__(self, tensors: dict[str, np.ndarray], model: dict, card: dict, options: DetectorOptions):
        self.model, self.card, self.options = model, card, options
        self.frontend = LogMel(LogMelOptions(n_mels=model["n_mels"]))
        self._kernel, self._stride = model["kernel"], model["stride"]
        self.step_seconds = self._stride * self.frontend.options.hop / SAMPLE_RATE
        t = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
        weight = t["convolution.weight"] / t["deviation"][:, None]  # (channels, n_mels, kernel)
        self._bias = t["convolution.bias"] - (weight * t["mean"][:, None]).sum((1, 2))
        self._weight = np.ascontiguousarray(weight.transpose(2, 1, 0).reshape(-1, len(weight)))
        make = CELLS[model["kind"]]
        self._cells = [make(t, f"layers.{i}.") for i in range(model["layers"])]
        self._output, self._offset = t["output.weight"][0], t["output.bias"][0]

    @property
    def phrase(self) -> str:
        return self.card["phrase"]

    def start(self) -> StreamState:
        hidden, o = self.model["hidden"], self.options
        layers = tuple(np.zeros((cell.states, hidden), np.float32) for cell in self._cells)
        no_frames = np.zeros((0, self.model["n_mels"]), np.float32)
        return StreamState(self.frontend.start(), no_frames, layers, np.zeros(o.smooth - 1, np.float32), 0, 0)

    def feed(self, samples: np.ndarray, state: StreamState) -> tuple[list[Detection], StreamState]:
        """(n,) float32 at 16 kHz -> the detections in all steps now complete, and the new state."""
        scores, state = self.scores(samples, state)
        first = state.steps - len(scores)
        fired, quiet_until = pick(scores, self.options, self.step_seconds, first, state.quiet_until)
        found = [Detection(self.time(i), float(scores[i - first])) for i in fired]
        return found, state._replace(quiet_until=quiet_until)

    def scores(self, samples: np.ndarray, state: StreamState) -> tuple[np.ndarray, StreamState]:
        """(n,) samples -> the smoothed score (m,) of every step now complete, and the new state."""
        frames, tail = self.frontend.feed(samples, state.tail)
        frames = np.concatenate([state.frames, frames])
        count = max(0, (len(frames) - self._kernel) // self._stride + 1)
        raw, layers = self._steps(frames, count, state.layers)
        raw = np.concatenate([state.recent, raw])
        sums = np.concatenate([[0.0], np.cumsum(raw, dtype=np.float64)])
        smooth = self.options.smooth
        scores = ((sums[smooth:] - sums[:-smooth]) / smooth).astype(np.float32)[:count]
        rest = frames[count * self._stride :].copy()
        recent = raw[len(raw) - (smooth - 1) :]
        return scores, StreamState(tail, rest, layers, recent, state.steps + count, state.quiet_until)

    def _steps(self, frames: np.ndarray, count: int, layers: tuple) -> tuple[np.ndarray, tuple]:
        """The first ``count`` steps over frames (T, n_mels) -> sigmoids (count,), states."""
        if count == 0:
            return np.zeros(0, np.float32), layers
        windows = np.lib.stride_tricks.sliding_window_view(frames, self._kernel, axis=0)[:: self._stride][:count]
        x = windows.transpose(0, 2, 1).reshape(count, -1) @ self._weight + self._bias
        x, new = np.maximum(x, 0), []
        for cell, state in zip(self._cells, layers):
            x, state = cell(x, state)
            new.append(state)
        return sigmoid(x @ self._output + self._offset), tuple(new)

    def time(self, step: int) -> float:
        """When a step's last frame ended, in seconds of the stream."""
        hop, window = self.frontend.options.hop, self.frontend.options.window
        return ((step * self._stride + self._kernel - 1) * hop + window) / SAMPLE_RATE

    def detect(self, samples: np.ndarray) -> list[Detection]:
        """All detections in a whole recording (n,)."""
        return self.feed(samples, self.start())[0]


def pick(
    scores: np.ndarray, options: DetectorOptions, step_seconds: float, first: int = 0, quiet_until: int = 0
) -> tuple[list[int], int]:
    """The steps at which scores (n,), beginning with step ``first``, fire; and until when the rest is quiet."""
    fired, quiet = [], max(1, round(options.refractory / step_seconds))
    for i in (np.flatnonzero(scores >= options.threshold) + first).tolist():
        if i >= quiet_until:
            fired.append(i)
            quiet_until = i + quiet
    return fired, quiet_until


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # never overflows


# --- recurrent cells: (n, D) and a state -> (n, H) and the new state ------------------------------


class _GRU:
    states = 1

    def __init__(self, t: dict[str, np.ndarray], name: str):
        self._from_x, self._from_h = (np.ascontiguousarray(t[name + f"weight_{k}_l0"].T) for k in ("ih", "hh"))
        self._bias_x, self._bias_h = t[name + "bias_ih_l0"], t[name + "bias_hh_l0"]

    def __call__(self, x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        h, size = state[0], state.shape[1]
        out = np.empty((len(x), size), np.float32)
        for i, given in enumerate(x @ self._from_x + self._bias_x):
            own = h @ self._from_h
            own += self._bias_h
            gates = np.tanh(0.5 * (given[: 2 * size] + own[: 2 * size]))  # a sigmoid is 0.5 + 0.5 tanh(x / 2)
            gates *= 0.5
            gates += 0.5
            new = np.tanh(given[2 * size :] + gates[:size] * own[2 * size :])
            h = new + gates[size:] * (h - new)
            out[i] = h
        return out, h[None]


class _LSTM:
    states = 2

    def __init__(self, t: dict[str, np.ndarray], name: str):
        self._from_x, self._from_h = (np.ascontiguousarray(t[name + f"weight_{k}_l0"].T) for k in ("ih", "hh"))
        self._bias = t[name + "bias_ih_l0"] + t[name + "bias_hh_l0"]
        self._peephole = np.zeros((3, self._from_h.shape[0]), np.float32)

    def __call__(self, x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        (h, c), size = state, state.shape[1]
        of_update, of_forget, of_output = self._peephole
        out = np.empty((len(x), size), np.float32)
        for i, given in enumerate(x @ self._from_x + self._bias):
            update, forget, new, output = (given + h @ self._from_h).reshape(4, size)
            update, forget = sigmoid(update + of_update * c), sigmoid(forget + of_forget * c)
            c = forget * c + update * np.tanh(new)
            h = sigmoid(output + of_output * c) * np.tanh(c)
            out[i] = h
        return out, np.stack([h, c])


class _Peephole(_LSTM):
    def __init__(self, t: dict[str, np.ndarray], name: str):
        self._from_x = np.ascontiguousarray(t[name + "input.weight"].T)
        self._from_h = np.ascontiguousarray(t[name + "hidden.weight"].T)
        self._bias, self._peephole = t[name + "input.bias"], t[name + "peephole"]


CELLS: dict[str, Callable] = {"gru": _GRU, "lstm": _LSTM, "peephole": _Peephole}


# --- files ---------------------------------------------------------------------------------------


def packaged() -> list[str]:
    """The names of the detectors that come with the package."""
    return sorted(p.stem for p in MODELS.glob("*.safetensors"))


def locate(name: str | Path) -> Path:
    """A packaged detector's name, or a path -> the file. Raises DetectorError."""
    inside = MODELS / f"{name}.safetensors"
    path = inside if inside.is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(packaged()) or "none"
        raise DetectorError(
            f"no detector called {str(name)!r}: give a file, a packaged detector ({known}), "
            "or make one with `wakeword train PHRASE`"
        )
    return path


def load(name: str | Path, threshold: float | None = None, rate: float | None = None) -> Detector:
    """Read a detector. ``threshold`` replaces its own; or ``rate`` asks for that many false alarms an hour.

    Raises DetectorError, also when its file has no threshold for that rate.
    """
    path = locate(name)
    try:
        with safe_open(path, framework="numpy") as file:
            head = file.metadata() or {}
            if head.get("format") != FORMAT:
                raise DetectorError(f"{path} is no wake-word detector: make one with `wakeword train PHRASE`")
            if head.get("version") != VERSION:
                found = f"version {head.get('version')}, this program reads version {VERSION}"
                raise DetectorError(f"{path} is a detector of {found}: install the matching release or train it again")
            tensors = {key: file.get_tensor(key) for key in file.keys()}
        model, card = json.loads(head["options"]), json.loads(head["card"])
        options = DetectorOptions(**card["detector"])
    except (OSError, SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        brief = str(error).strip().splitlines()[0][:100]
        raise DetectorError(f"{path} is damaged ({brief}): fetch or train it again") from None
    if rate is not None:
        threshold = threshold_for(card, rate)
    if threshold is not None:
        options = DetectorOptions(threshold, options.smooth, options.refractory)
    return Detector(tensors, model, card, options)


def threshold_for(card: dict, rate: float) -> float:
    """The threshold of the card's table for ``rate`` false alarms an hour."""
    table = {float(k): v for k, v in card.get("thresholds", {}).items()}
    if rate not in table:
        known = ", ".join(f"{r:g}" for r in sorted(table)) or "none"
        raise DetectorError(f"this detector knows no threshold for {rate:g} false alarms an hour, only for {known}")
    return table[rate]
