"""A second opinion on a detection: does the CTC model, too, hear the phrase in the last seconds?

Slower than the detector by orders of magnitude, but asked only when that fires; trained on other data, it makes other
mistakes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asr.errors import Error
from asr.model.interface import AcousticModel
from asr.model.streaming import Posteriors, encode
from asr.search.ctc_paths import Keyword
from wakeword.phrase.pronunciation import ways

MIN_SCORE = 0.1  # that confirms; of real recordings 3.2 % ("snowboy") and 1.4 % ("smart mirror") score less


class VerifyError(Error, ValueError):
    """One sentence: why this phrase cannot be verified."""


def keywords(phrase: str, symbols: tuple[str, ...]) -> list[Keyword]:
    """The ways to say a normalised phrase, in the model's phonemes (``symbols``, from number 1). Raises VerifyError."""
    if not symbols:
        raise VerifyError("this acoustic model has no phonemes to hear a phrase by: use the packaged one")
    return [Keyword.of(way, symbols) for way in ways(phrase)]


def heard(
    phrase: Sequence[Keyword], posteriors: Posteriors, states: Sequence[np.ndarray]
) -> tuple[float, tuple[np.ndarray, ...]]:
    """The ways to say a phrase in the next frames, a state for each -> the best score anywhere, and the new states."""
    assert posteriors.phonemes is not None  # or `keywords` had refused
    found = [k.feed(posteriors.phonemes, at) for k, at in zip(phrase, states)]
    return max(float(scores.max(initial=0)) for scores, _ in found), tuple(at for _, at in found)


class Verifier:
    """Scores the samples around a detection with an acoustic model's phonemes."""

    def __init__(self, model: AcousticModel, phrase: str, least: float = MIN_SCORE):
        """phrase: normalised. Raises VerifyError."""
        self._keywords = keywords(phrase, model.options.phonemes)
        self._model, self.least = model, least

    def score(self, samples: np.ndarray) -> float:
        """(n,) float32 at 16 kHz -> 0..1, the phrase's best score anywhere in them."""
        if len(samples) < 1_600:
            return 0.0
        [posteriors] = encode(self._model, [self._model.frontend(samples)])
        return heard(self._keywords, posteriors, [k.start() for k in self._keywords])[0]

    def __call__(self, samples: np.ndarray) -> bool:
        return self.score(samples) >= self.least
