"""Several wake words at a time, as one detector: what they have in common is computed once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np

from asr.audio.samples import clean_samples
from wakeword.detector import Detection, Detector, WakeWordDetector
from wakeword.network import NetworkStack

LONGEST = 25  # steps of a block whose scores are remembered


class Several(WakeWordDetector):
    """Detectors by name; each detection has the name of its own. Any cut of a stream gives the same.

    Front-end and phonemes are shared by all detectors; here the networks of one shape take their steps together.
    """

    def __init__(self, detectors: Mapping[str, WakeWordDetector]):
        self.detectors = dict(detectors)
        alike: dict[Any, dict[str, Detector]] = defaultdict(dict)
        for name, detector in detectors.items():
            if isinstance(detector, Detector) and getattr(detector.network, "kind", "") == "gru":
                alike[tuple(sorted(detector.model.items()))][name] = copy(detector)
        for group in alike.values():
            if len(group) > 1:
                shared = _Shared([detector.network for detector in group.values()])
                for number, detector in enumerate(group.values()):
                    detector.network = _Part(shared, number)
                self.detectors |= group

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


class _Shared:
    """A stack of networks that remembers its last call: one network after the other asks for its own part of it."""

    def __init__(self, networks: Sequence[Any]):
        self._stack = NetworkStack(networks)
        self.start = self._stack.start()
        self._last: tuple = (None,) * 3

    def __call__(self, frames: np.ndarray, count: int, layers: tuple) -> tuple[np.ndarray, tuple]:
        last_frames, last_layers, found = self._last  # one look, as other threads may write it
        if layers is not last_layers or not np.array_equal(frames, last_frames):
            found = self._stack(frames, count, layers)
            if count <= LONGEST:
                self._last = frames, layers, found
        return found


class _Part:
    """One network of a stack, in its place."""

    def __init__(self, shared: _Shared, number: int):
        self._shared, self._number = shared, number

    def start(self) -> tuple[np.ndarray, ...]:
        return self._shared.start

    def __call__(self, frames: np.ndarray, count: int, layers: tuple) -> tuple[np.ndarray, tuple]:
        scores, states = self._shared(frames, count, layers)
        return scores[:, self._number], states
