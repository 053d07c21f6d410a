"""Texts laid over the log-probabilities: words with times and confidences, and what is taken for noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np

from asr.align.align import Aligned, AlignError, Sound, align
from asr.align.confidence import ALIGNED, HEARD, RECOGNISED, Confidence, search_evidence
from asr.model.interface import FRAME_SECONDS, AcousticModel
from asr.model.streaming import Posteriors
from asr.search.base import Hypothesis
from asr.search.decoder import Decoder, DecoderOptions
from asr.transcript import Segment, Word

NOISE_MAX_WORDS = 3  # words; a segment of so few is noise where the model doubts them
MIN_WORDS_PER_SECOND = 1.0  # words a second that somebody says who is really speaking


class SureDecoder(Decoder):
    """A decoder that knows how sure words are; so it hands out all its candidates, not only the n best."""

    def __init__(self, model: AcousticModel, card: dict, options: DecoderOptions):
        """Raises CheckpointError where calibrations or weights on the card are of no use, WeightError."""
        wanted = max(options.n_best, options.candidates)
        super().__init__(model, card, replace(options, n_best=wanted))
        self.n_best = options.n_best  # texts of a segment
        self.confidence = Confidence.of(card, self.search)


def timed_words(
    text: str, posteriors: Posteriors, start: float, decoder: SureDecoder, loudness: np.ndarray | None = None
) -> tuple[Word, ...]:
    """The words of ``text``, said in frames that begin ``start`` seconds into the stream.

    loudness: see asr.align.align.Sound. Raises asr.align.align.AlignError where the text does not fit.
    """
    found = align_words(text, posteriors, decoder, loudness)
    return to_seconds(found, start, decoder.confidence(HEARD, found))


def align_words(
    text: str, posteriors: Posteriors, decoder: Decoder, loudness: np.ndarray | None = None, elsewhere: float = np.inf
) -> list[Aligned]:
    """See asr.align.align.align."""
    letters, phonemes = posteriors
    sound = Sound(phonemes, decoder.pronounced(text), loudness)
    return align(letters, text, decoder.alphabet, sound, elsewhere)


def to_seconds(words: Sequence[Aligned], start: float, confidences: Sequence[float]) -> tuple[Word, ...]:
    """From frames after ``start`` to seconds."""
    return tuple(
        Word(a.word, start + FRAME_SECONDS * a.start_frame, start + FRAME_SECONDS * a.end_frame, confidence)
        for a, confidence in zip(words, confidences)
    )


def make_segment(
    hypotheses: Sequence[Hypothesis],
    posteriors: Posteriors,
    start: float,
    decoder: SureDecoder,
    loudness: np.ndarray,
    least_confidence: float,
) -> Segment | None:
    """The best of the hypotheses with its times; None where it says nothing, or nothing that could be trusted: few
    words whose letters' mean confidence (0..1) is below the least. start: s; loudness (n,): dB of every 10 ms.
    """
    best, *others = hypotheses
    try:
        found = align_words(best.text, posteriors, decoder, loudness)
    except AlignError:  # more letters than frames: the search made up what cannot have been said
        return None
    few = max(NOISE_MAX_WORDS, MIN_WORDS_PER_SECOND * FRAME_SECONDS * len(posteriors[0]))
    if not found or len(found) <= few and fmean(a.confidence for a in found) < least_confidence:
        return None  # the letters' posteriors: they tell noise from speech better than the calibrated confidence
    if decoder.search == "commands":  # one of the given texts
        sure = decoder.confidence(ALIGNED, found)
    else:
        search = search_evidence([a.word for a in found], hypotheses, decoder.lm)
        sure = decoder.confidence(RECOGNISED, found, search)
    words = to_seconds(found, start, sure)
    alternatives = tuple(h.text for h in others[: decoder.n_best - 1])
    return Segment(words[0].start, words[-1].end, words, alternatives)
