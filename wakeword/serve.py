"""Wake words for `asr serve`, which imports this where they are asked for; `asr` otherwise never imports `wakeword`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wakeword.detector import Detection, Detector, load, pick


@dataclass(frozen=True)
class Heard:
    """What a detector made of a block: a score every `step` s up to `time`, and where it fired."""

    name: str
    time: float  # s of the stream
    step: float  # s
    scores: np.ndarray  # (n,)
    detections: tuple[Detection, ...]


def detectors(names: Sequence[str]) -> dict[str, Detector]:
    """Packaged detectors or files, by the name that clients use. Raises wakeword.detector.DetectorError."""
    return {Path(name).stem: load(name) for name in names}


class Watch:
    """One stream's detectors. Any cut into blocks gives the same."""

    def __init__(self, detectors: dict[str, Detector], names: Collection[str] | None = None):
        """names: which of them to listen for; None is all."""
        self._detectors = {n: d for n, d in detectors.items() if names is None or n in names}
        self._states = {name: detector.start() for name, detector in self._detectors.items()}

    def feed(self, samples: np.ndarray) -> list[Heard]:
        """(n,) float32 at 16 kHz -> one entry for each detector that has made steps."""
        found = (self._heard(name, samples) for name in self._detectors)
        return [heard for heard in found if len(heard.scores)]

    def _heard(self, name: str, samples: np.ndarray) -> Heard:
        detector = self._detectors[name]
        scores, state = detector.scores(samples, self._states[name])
        first = state.steps - len(scores)
        fired, quiet = pick(scores, detector.options, detector.step_seconds, first, state.quiet_until)
        self._states[name] = state._replace(quiet_until=quiet)
        detections = tuple(Detection(detector.time(i), float(scores[i - first])) for i in fired)
        return Heard(name, detector.time(max(0, state.steps - 1)), detector.step_seconds, scores, detections)
