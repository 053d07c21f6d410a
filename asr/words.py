"""Texts laid over the log-probabilities: words with times and confidences, and what is taken for noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asr.align import AlignError, Sound, align
from asr.decoding import Decoder
from asr.encoder import STRIDE
from asr.search import Hypothesis
from asr.transcript import Segment, Word

SECONDS = STRIDE / 100  # an encoder frame
FEW = 3  # words; a segment of so few is noise where the model doubts them
Heads = tuple[np.ndarray, np.ndarray | None]  # log-probabilities of letters (T, V), phonemes (T, P)


def timed(
    text: str, heads: Heads, start: float, decoder: Decoder, loudness: np.ndarray | None = None
) -> tuple[Word, ...]:
    """The words of ``text``, said in frames that begin ``start`` seconds into the stream.

    loudness: see asr.align.Sound. Raises asr.align.AlignError where the text does not fit.
    """
    letters, phonemes = heads
    sound = Sound(phonemes, decoder.pronounced(text), loudness)
    return tuple(
        Word(a.word, start + SECONDS * a.start_frame, start + SECONDS * a.end_frame, a.confidence)
        for a in align(letters, text, decoder.alphabet, sound)
    )


def segment(
    hypotheses: Sequence[Hypothesis],
    heads: Heads,
    start: float,
    decoder: Decoder,
    loudness: np.ndarray,
    least_confidence: float,
) -> Segment | None:
    """The best of the hypotheses with its times; None where it says nothing, or nothing that could be trusted."""
    best, *others = hypotheses
    try:
        words = timed(best.text, heads, start, decoder, loudness)
    except AlignError:  # more letters than frames: the search made up what cannot have been said
        return None
    if not words:
        return None
    found = Segment(words[0].start, words[-1].end, words, tuple(h.text for h in others))
    return None if len(words) <= FEW and found.confidence < least_confidence else found
