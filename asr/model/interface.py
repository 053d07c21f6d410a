"""What files and streams ask of an acoustic model, whichever engine runs it: torch (ctc.py) or ONNX (onnx.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from asr.audio.features import LogMel
from asr.model.checkpoint import ModelOptions
from asr.text import Alphabet


@dataclass(frozen=True)
class Latency:
    """Chunk and look-ahead of the backward layers, in encoder frames."""

    chunk: int  # Nc
    ahead: int  # Nr

    @classmethod
    def of(cls, milliseconds: float, options: ModelOptions) -> Latency:
        """Three eighths of the latency gather the chunk, the rest looks ahead of it.

        On dev at 320 ms that makes as many word errors as a quarter (35.1 %) and costs two thirds, as there are fewer
        windows; with a half there are 1 to 2 more in a hundred.
        """
        frames = max(2, round(milliseconds / 1000 / options.frame_seconds))
        chunk = max(1, 3 * frames // 8)
        return cls(chunk, frames - chunk)

    @classmethod
    def whole(cls, frames: int, options: ModelOptions) -> Latency:
        """One window over so many log-mel frames."""
        return cls(max(1, -(-frames // options.stride)), 0)


Layers = Any  # the forward state of each layer of one stream: an engine's own


class AcousticModel(Protocol):
    """An acoustic model in two parts, so that windows that overlap share their subsampled frames.

    Arrays are float32. D is the size of a subsampled frame, W = Nc + Nr that of a window.
    """

    @property
    def options(self) -> ModelOptions: ...

    @property
    def alphabet(self) -> Alphabet: ...

    @property
    def frontend(self) -> LogMel: ...

    @property
    def mean_frame(self) -> np.ndarray:
        """(n_mels,): the log-mel frame that stands after a recording's end."""

    def initial_state(self) -> Layers:
        """The state before a stream."""

    def subsample(self, frames: np.ndarray) -> np.ndarray:
        """Log-mel frames (B, T, n_mels), T at least FIELD -> (B, T', D); output t sees the frames 4t .. 4t + 6."""

    def advance(
        self, windows: np.ndarray, valid: np.ndarray, chunk: int, layers: list[Layers]
    ) -> tuple[np.ndarray, np.ndarray | None, list[Layers]]:
        """windows (B, n, W, D), valid (B, n) frames of each that are audio, Nc, the state of B streams.

        -> natural log-probabilities of letters (B, n, W, V) and phonemes (B, n, W, P), if it has that head; new states.
        An engine that cannot say yet what lies ahead gives out the chunks alone (B, n, Nc, ...).
        """


class Loaded:
    """What is loaded owes to pickle: another process loads it again."""

    loaded_by: tuple | None = None  # the function that did it, and its arguments
    pickled = "a model that was loaded from a file"  # what can be

    def __reduce__(self) -> tuple:
        """Raises TypeError for what was put together."""
        if self.loaded_by is None:
            raise TypeError(f"only {self.pickled} can be pickled")
        return self.loaded_by
