"""The settings of a live stream: how long the encoder waits for more sound, and when a sentence begins and ends."""

from __future__ import annotations

import math
from dataclasses import dataclass

from asr.audio.vad import SegmenterOptions, VadError


@dataclass(frozen=True)
class EndpointOptions:
    """When a sentence has ended. Raises VadError where the times contradict each other."""

    nothing: float = 5.0  # s without a word, since the start or the last sentence, that are told once; inf: never
    silence: float = 0.6  # s of silence after speech that end a sentence
    too_long: float = 30.0  # s; longer speech is cut where it pauses most
    pre_roll: float = 0.5  # s before and after the detected speech that belong to it; at most `silence`

    def __post_init__(self):
        if not (self.nothing > 0 and 0.04 <= self.silence < math.inf):
            raise VadError("endpoints need a time above 0 s without a word, and a silence of at least 0.04 s")
        if not 0 <= self.pre_roll <= 10:
            raise VadError(f"the pre-roll must lie between 0 and 10 s, not at {self.pre_roll:g} s")
        least = 1 + 2 * (self._padding + self.silence)
        if not least <= self.too_long <= 300:
            raise VadError(f"with these endpoints a sentence may last {least:g} to 300 s, not {self.too_long:g} s")

    @property
    def _padding(self) -> float:
        return min(self.pre_roll, self.silence)

    def segments(self) -> SegmenterOptions:
        """The same rules, as asr.audio.vad takes them."""
        return SegmenterOptions(min_silence=self.silence, padding=self._padding, max_length=self.too_long)


@dataclass(frozen=True)
class ListenerOptions:
    """How a live stream is recognised."""

    # ms of sound that the encoder waits for. By the tables in recipes/english/README.md 640 makes 4 % fewer errors,
    # and words are shown later; 160 makes 12 % more
    latency: float = 320.0
    endpoints: EndpointOptions = EndpointOptions()
