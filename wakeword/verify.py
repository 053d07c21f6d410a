"""A second opinion on a detection: does the CTC model, too, hear the phrase in the last seconds?

Slower than the detector by orders of magnitude, but asked only when that fires; trained on other data, it makes other
mistakes.
"""

from __future__ import annotations

import numpy as np

from asr.recognizer import Recognizer
from wakeword.pronunciation import ways
from wakeword.spotting import Keyword

LEAST = 0.1  # a score from here on confirms: of real recordings 3.2 % ("snowboy") and 1.4 % ("smart mirror") score less


class VerifyError(ValueError):
    """One sentence: why this phrase cannot be verified."""


def keywords(phrase: str, symbols: tuple[str, ...]) -> list[Keyword]:
    """The ways to say a normalised phrase, in the model's phonemes (``symbols``, numbered from 1)."""
    return [Keyword.of(way, symbols) for way in ways(phrase)]


class Verifier:
    """Scores the samples around a detection with a recogniser's phonemes."""

    def __init__(self, recognizer: Recognizer, phrase: str, least: float = LEAST):
        symbols = recognizer.model.options.phonemes
        if not symbols:
            raise VerifyError("this acoustic model has no phonemes to verify a phrase with: use the packaged one")
        self._recognizer, self._keywords, self.least = recognizer, keywords(phrase, symbols), least

    def score(self, samples: np.ndarray) -> float:
        """(n,) float32 at 16 kHz -> 0..1, the phrase's best score anywhere in them."""
        if len(samples) < 1_600:
            return 0.0
        _, phonemes = self._recognizer.log_probs([self._recognizer.model.frontend(samples)])[0]
        return max(float(k.feed(phonemes, k.start())[0].max(initial=0)) for k in self._keywords)

    def __call__(self, samples: np.ndarray) -> bool:
        return self.score(samples) >= self.least
