"""A second look: when the trigger-word RNN thinks that it has heard the phrase, do the phonemes say so, too?

The RNN knows the phrase from synthetic voices and listens all the time; the phonemes are known from hundreds of real
speakers, and are looked at a few times an hour. The two make different mistakes, so that what both hear was said.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from asr.search.ctc_paths import Keyword
from wakeword.phonemes.model import PhonemeModel

FRAMES_PER_SECOND = 100
MIN_PROBABILITY = 1e-4  # of what is heard: what is not there at all
NEUTRAL = 0.1  # heard, that leaves a score as it was
EVERY = 2  # steps of the RNN: a look on each would cost twice as much
WEIGHT = 2.0  # of the logarithm of what is heard, beside the logit of the RNN's score


@dataclass(frozen=True)
class SecondStageOptions:
    """How a detector's scores are looked at again."""

    ways: tuple[tuple[str, ...], ...]  # to say the phrase, in phonemes
    floor: float  # a score below it is no reason to look
    weight: float = WEIGHT

    def asdict(self) -> dict:
        return asdict(self)


class SecondStage:
    def __init__(self, options: SecondStageOptions, model: PhonemeModel | None = None):
        """Raises ValueError for a phoneme that the model does not know."""
        self.options, self._model = options, model or PhonemeModel.load()
        self._keywords = [Keyword.of(way, self._model.symbols) for way in options.ways]
        longest = max(len(way) for way in options.ways)
        self.frames = round((1.0 + 0.14 * longest) * FRAMES_PER_SECOND)  # that are looked at

    def heard(self, frames: np.ndarray) -> float:
        """(T, n_mels) -> 0..1: how well the phonemes of these frames say the phrase, at the best place."""
        log_probs = self._model(frames)
        return max(float(k.feed(log_probs, k.start())[0].max()) for k in self._keywords)

    def scores(self, given: np.ndarray, frames: np.ndarray, ends: np.ndarray, first: int) -> np.ndarray:
        """The RNN's scores (m,) at steps whose last frames end at ``ends`` in ``frames`` -> scores after the look.

        Their odds are multiplied by a power of what is heard; they are 0 where there was no reason to look, and at all
        steps but each EVERY-th. first: the number of the first step since the stream began.
        """
        out = np.zeros_like(given)
        due = (first + np.arange(len(given))) % EVERY == 0
        for i in np.flatnonzero(due & (given >= self.options.floor)):
            heard = self.heard(frames[max(0, ends[i] - self.frames) : ends[i]])
            odds = given[i] / max(1e-6, 1 - given[i]) * (max(heard, MIN_PROBABILITY) / NEUTRAL) ** self.options.weight
            out[i] = odds / (1 + odds)
        return out


def second_stage_of(card: dict[str, Any]) -> SecondStage | None:
    """What a detector's card asks for."""
    wanted = card.get("second look")
    return SecondStage(SecondStageOptions(**wanted | {"ways": tuple(map(tuple, wanted["ways"]))})) if wanted else None
