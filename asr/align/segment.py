"""From texts to segments: words with times and confidences, without what is taken for noise."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from asr.align.confidence import ALIGNED, HEARD, RECOGNISED, Confidence, search_evidence
from asr.align.words import Aligned, AlignError, Sound, align
from asr.model.interface import FRAME_SECONDS
from asr.model.streaming import Posteriors
from asr.search.base import Hypothesis
from asr.search.decoder import Decoder
from asr.transcript import Segment, Word

NOISE_MAX_WORDS = 3  # a segment of so few words is noise where the model doubts them
MIN_WORDS_PER_SECOND = 1.0  # that somebody says who is really speaking


class WordAligner:
    """When each word was said and how sure it is: the texts come from the decoder, the calibration from the card."""

    def __init__(self, decoder: Decoder, card: dict):
        """card: of the model. Raises CheckpointError where calibrations on the card are of no use."""
        self.decoder = decoder
        self.confidence = Confidence.of(card, decoder.search)

    def align(
        self, text: str, posteriors: Posteriors, loudness: np.ndarray | None = None, elsewhere: float = np.inf
    ) -> list[Aligned]:
        """The words of a text with their frames. loudness, elsewhere, and what it raises: see asr.align.words.align."""
        letters, phonemes = posteriors
        sound = Sound(phonemes, self.decoder.pronounced(text), loudness)
        return align(letters, text, self.decoder.alphabet, sound, elsewhere)

    def timed(
        self, text: str, posteriors: Posteriors, start: float, loudness: np.ndarray | None = None
    ) -> tuple[Word, ...]:
        """The words of a text, said in frames that begin ``start`` seconds into the stream. Raises AlignError."""
        aligned = self.align(text, posteriors, loudness)
        return to_seconds(aligned, start, self.confidence(HEARD, aligned))

    def segment(
        self,
        hypotheses: Sequence[Hypothesis],
        posteriors: Posteriors,
        start: float,
        loudness: np.ndarray,
        least_confidence: float,
    ) -> Segment | None:
        """The best of the hypotheses with its times; None where it says nothing, or nothing that could be trusted: few
        words whose letters' mean confidence (0..1) is below the least. start: s; loudness (n,): dB of every 10 ms.
        """
        best, *others = hypotheses
        try:
            aligned = self.align(best.text, posteriors, loudness)
        except AlignError:  # more letters than frames: the search made up what cannot have been said
            return None
        few = max(NOISE_MAX_WORDS, MIN_WORDS_PER_SECOND * FRAME_SECONDS * len(posteriors[0]))
        if not aligned or len(aligned) <= few and fmean(a.confidence for a in aligned) < least_confidence:
            return None  # the letters' posteriors: they tell noise from speech better than the calibrated confidence
        words = to_seconds(aligned, start, self._confidences(aligned, hypotheses))
        alternatives = tuple(h.text for h in others[: self.decoder.options.n_best - 1])
        return Segment(words[0].start, words[-1].end, words, alternatives)

    def _confidences(self, aligned: Sequence[Aligned], hypotheses: Sequence[Hypothesis]) -> list[float]:
        """Of the words of the best hypothesis; a command is one of the given texts."""
        if self.decoder.options.commands is not None:
            return self.confidence(ALIGNED, aligned)
        evidence = search_evidence([a.word for a in aligned], hypotheses, self.decoder.lm)
        return self.confidence(RECOGNISED, aligned, evidence)


def to_seconds(words: Sequence[Aligned], start: float, confidences: Sequence[float]) -> tuple[Word, ...]:
    """From frames after ``start`` to seconds."""
    return tuple(
        Word(a.word, start + FRAME_SECONDS * a.start_frame, start + FRAME_SECONDS * a.end_frame, confidence)
        for a, confidence in zip(words, confidences)
    )
