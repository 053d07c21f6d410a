"""Wake words for `asr serve`, which loads this by its name (asr.serve.service.WAKE_WORDS) when it starts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wakeword.detector import AFTERWARDS, Detection, DetectorError, WakeWordDetector, load, packaged
from wakeword.phrase.phrases import slug
from wakeword.several import Several

if TYPE_CHECKING:
    from asr.recognizer import Recognizer


@dataclass(frozen=True)
class Scored:
    """What a detector made of a block: a score every `step` s up to `time`, and where it fired."""

    name: str
    time: float  # s of the stream
    step: float  # s
    scores: np.ndarray  # (n,)
    detections: tuple[Detection, ...]


def detectors(names: Sequence[str], phrases: Sequence[str], recognizer: Recognizer) -> dict[str, WakeWordDetector]:
    """Wake words by the name that clients use: detectors, packaged ones or files, and phrases for the recogniser.

    Where none is named, all packaged detectors. Raises DetectorError, or another asr.errors.Error.
    """
    found: dict[str, WakeWordDetector] = {}
    for name, detector in _asked(names if names or phrases else packaged(), phrases, recognizer):
        if name in found:
            raise DetectorError(f"two wake words are called {name}: leave one out, or rename its file")
        found[name] = detector
    return found


def _asked(
    names: Sequence[str], phrases: Sequence[str], recognizer: Recognizer
) -> Iterator[tuple[str, WakeWordDetector]]:
    for name in names:
        yield Path(name).stem, load(name)
    for phrase in phrases:
        from wakeword.spotter import spotter

        if not recognizer.model.options.phonemes:
            raise DetectorError("--phrase needs a model that hears phonemes: choose another --model, or --wake")
        found = spotter(recognizer.model, phrase)
        yield slug(found.phrase), found


@lru_cache(64)
def _several(detectors: tuple[tuple[str, WakeWordDetector], ...]) -> Several:
    """Made once for all streams that listen for the same."""
    return Several(dict(detectors))


class Watch:
    """One stream's detectors. Any cut into blocks gives the same."""

    def __init__(self, detectors: dict[str, WakeWordDetector], names: Collection[str] | None = None):
        """names: which of them to listen for; None is all."""
        self._detectors = _several(tuple((n, d) for n, d in detectors.items() if names is None or n in names)).detectors
        self._states = {name: detector.start() for name, detector in self._detectors.items()}

    def feed(self, samples: np.ndarray) -> list[Scored]:
        """(n,) float32 at 16 kHz -> one entry for each detector that has made steps."""
        found = (self._heard(name, samples) for name in self._detectors)
        return [heard for heard in found if len(heard.scores)]

    def flush(self) -> list[Scored]:
        """At the stream's end: what a phrase that it ends with makes of a moment of silence after it."""
        return self.feed(AFTERWARDS)

    def _heard(self, name: str, samples: np.ndarray) -> Scored:
        detector = self._detectors[name]
        scores, found, state = detector.step(samples, self._states[name])
        self._states[name] = state
        return Scored(name, detector.time(max(0, state.steps - 1)), detector.step_seconds, scores, tuple(found))
