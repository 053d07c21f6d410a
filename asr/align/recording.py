"""Forced alignment of a whole recording: the text over all of its speech, then each stretch of speech by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from asr.align.align import Aligned, AlignError, Evidence, around, spelt
from asr.align.fit import SymbolAlignment, align_symbols
from asr.align.words import align_words
from asr.model.streaming import Posteriors
from asr.search.decoder import Decoder
from asr.text import BLANK

ELSEWHERE = 1.0  # nats a frame; see asr.align.fit.fit: speech that the text lacks takes no words with it
BROKEN = -15.0  # ln of a word's going on after a pause
NO_EVIDENCE = Evidence(-10.0, -10.0, -10.0, 1.0, -10.0, -10.0, 0.0, 0.0)  # speaks for a word that had no room


@dataclass(frozen=True)
class Stretch:
    """Speech between two pauses, and the words of the text that were laid there."""

    start: float  # seconds
    posteriors: Posteriors
    loudness: np.ndarray  # (n,) of every 10 ms, dB
    words: tuple[Aligned, ...] = ()  # frames from the start


def align_speech(stretches: Sequence[Stretch], words: list[str], decoder: Decoder) -> list[Stretch]:
    """The words in their order, each in its stretch; cf. align.align. Time grows with the length of the speech.

    Raises AlignError where there is no speech, or not enough for so many words.
    """
    if not stretches:
        raise AlignError("no speech was found in the audio")
    lengths = np.array([len(s.posteriors[0]) for s in stretches])
    begins = np.cumsum(lengths + 1) - lengths - 1  # a frame of silence between two
    roughly = _over_all(stretches, words, decoder)
    numbers = np.searchsorted(begins, (roughly.extents.sum(1) - 1) / 2, "right") - 1
    found: list[list[Aligned]] = []
    for number, stretch in enumerate(stretches):
        share = np.flatnonzero(numbers == number)
        starts, ends = roughly.extents[share].T - begins[number]
        starts = np.clip(starts, 0, lengths[number] - 1)
        extents = np.stack([starts, np.clip(ends, starts + 1, lengths[number])], 1)
        found.append(_in_stretch(stretch, [words[k] for k in share], extents, decoder))
    return [replace(s, words=tuple(f)) for s, f in zip(stretches, _with_neighbours(found))]


def _over_all(stretches: Sequence[Stretch], words: list[str], decoder: Decoder) -> SymbolAlignment:
    """All words over all speech, with a frame between two stretches: by their phonemes, or letters where need be."""
    letters = len(decoder.alphabet)
    speech = [np.column_stack([head for head in s.posteriors if head is not None]) for s in stretches]
    pause = np.full((1, speech[0].shape[1]), BROKEN, np.float32)
    pause[0, decoder.alphabet.index(" ")] = 0.0
    log_probs = np.concatenate([x for s in speech for x in (s, pause)][:-1])
    said = {word: decoder.pronounced(word) for word in set(words)}
    symbols = [[letters + p for p in said[w][0]] if said[w] else spelt(w, decoder.alphabet) for w in words]
    return align_symbols(log_probs, symbols, (), ELSEWHERE, [letters if said[w] else BLANK for w in words])


def _in_stretch(stretch: Stretch, words: list[str], extents: np.ndarray, decoder: Decoder) -> list[Aligned]:
    """Words laid over their stretch alone, by all that is known; at ``extents`` (W, 2), unsure, if they do not fit."""
    try:
        return align_words(" ".join(words), stretch.posteriors, decoder, stretch.loudness, ELSEWHERE)
    except AlignError:
        return [Aligned(w, start, end, NO_EVIDENCE) for w, (start, end) in zip(words, extents.astype(float).tolist())]


def _with_neighbours(found: list[list[Aligned]]) -> Iterator[list[Aligned]]:
    """What speaks for a word includes its neighbours, those beyond a pause too."""
    means = iter(around(np.array([a.evidence.letters for words in found for a in words])).tolist())
    for words in found:
        yield [replace(a, evidence=a.evidence._replace(around=next(means))) for a in words]
