"""Several wake words at a time, as one detector: what they have in common is computed once.

`asr serve` loads this module by its name (asr.serve.service.WAKE_WORDS), for `detectors` and `Watch`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asr.audio.features import clean_samples
from wakeword.detector import AFTERWARDS, Detection, DetectorError, WakeWordDetector, load, packaged
from wakeword.phrase import slug

if TYPE_CHECKING:
    from asr.recognizer import Recognizer


class Several(WakeWordDetector):
    """Detectors by name; each detection has the name of its own. Any cut of a stream gives the same.

    Front-end and phonemes are shared by all detectors.
    """

    def __init__(self, detectors: Mapping[str, WakeWordDetector]):
        self.detectors = dict(detectors)

    @property
    def phrase(self) -> str:
        return " or ".join(detector.phrase for detector in self.detectors.values())

    def start(self) -> tuple[Any, ...]:
        """The state before a stream: that of each detector."""
        return tuple(detector.start() for detector in self.detectors.values())

    def feed(self, samples: np.ndarray, state: tuple[Any, ...]) -> tuple[list[Detection], tuple[Any, ...]]:
        """As WakeWordDetector.feed; in the order of time. The first detector tells of bad samples."""
        clean = clean_samples(samples)[0]
        found, states = [], []
        for (name, detector), before in zip(self.detectors.items(), state):
            _, detections, after = detector.fired(clean, before) if states else detector.step(samples, before)
            found += [detection._replace(name=name) for detection in detections]
            states.append(after)
        return sorted(found), tuple(states)


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
    if phrases and not recognizer.model.options.phonemes:
        raise DetectorError("--phrase needs a model that hears phonemes: choose another --model, or --wake")
    asked: list[tuple[str, WakeWordDetector]]
    asked = [(Path(name).stem, load(name)) for name in (names if names or phrases else packaged())]
    if phrases:
        from wakeword.spotter import spotter

        asked += [(slug(found.phrase), found) for found in (spotter(recognizer.model, phrase) for phrase in phrases)]
    for name, count in Counter(name for name, _ in asked).items():
        if count > 1:
            raise DetectorError(f"two wake words are called {name}: leave one out, or rename its file")
    return dict(asked)


class Watch:
    """One stream's detectors. Any cut into blocks gives the same."""

    def __init__(self, detectors: dict[str, WakeWordDetector], names: Collection[str] | None = None):
        """names: which of them to listen for; None is all."""
        self._detectors = {n: d for n, d in detectors.items() if names is None or n in names}
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
