"""Frames of a larger recogniser's encoder as a second target: distillation of features (FitNets, Romero et al. 2015).

`python -m recipes.english.teacher` writes them; a model that `asr train --teacher` trains predicts them by one more
matrix from what its phonemes are read from. The teacher hears each utterance clean, the model hears it augmented.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.errors import Error
from asr.model.checkpoint import RECEPTIVE_FIELD, ModelOptions

LIMIT, STEP = 4.0, 1 / 32  # standard deviations: larger values are cut, and what a byte counts
FRAMES, INDEX = "frames.int8", "index.json"


@dataclass(frozen=True)
class Placed:
    """An utterance in an example: where its first sample stands, and how much faster than recorded it is."""

    name: str  # asr.training.data.Utterance.name
    start: int
    speed: float


class Teacher:
    """What a teacher's encoder made of utterances, as a folder holds it."""

    def __init__(self, folder: Path):
        """Raises Error where that is no such folder."""
        try:
            index = json.loads((folder / INDEX).read_text("utf-8"))
            self.hop, self.centre, self.size = (index[key] for key in ("hop", "centre", "size"))  # samples, twice
            self._spans: dict[str, tuple[int, int]] = index["utterances"]  # name: first frame, and how many
            total = max((first + count for first, count in self._spans.values()), default=0)
            self._frames = np.memmap(folder / FRAMES, np.int8, "r", shape=(total, self.size))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Error(
                f"{folder} holds no frames of a teacher ({error}): make it by recipes.english.teacher"
            ) from None

    def targets(self, example: Sequence[Placed], steps: int, options: ModelOptions = ModelOptions()) -> np.ndarray:
        """-> (steps, size) float32 for each step of the encoder; NaN where no utterance is heard that is known.

        options: of the model that is taught.
        """
        found = np.full((steps, self.size), np.nan, np.float32)
        o, stride = options.frontend, options.stride
        heard = o.hop * (stride * np.arange(steps) + RECEPTIVE_FIELD // 2) + o.window // 2  # samples: centre of each
        for placed in example:
            if placed.name not in self._spans:
                continue
            first, count = self._spans[placed.name]
            at = ((heard - placed.start) * placed.speed - self.centre) / self.hop
            inside = np.flatnonzero((at >= 0) & (at <= count - 1))
            low = np.minimum(at[inside].astype(np.int64), max(0, count - 2))
            share = (at[inside] - low)[:, None].astype(np.float32)
            below, above = (self._frames[first + np.minimum(low + k, count - 1)].astype(np.float32) for k in (0, 1))
            found[inside] = (below * (1 - share) + above * share) * STEP
        return found


def as_bytes(frames: np.ndarray) -> np.ndarray:
    """Standardised frames (T, size) -> int8."""
    return np.round(np.clip(frames, -LIMIT + STEP, LIMIT - STEP) / STEP).astype(np.int8)
