"""Forced alignment of a whole recording: a text, as it is written and as it is said, over all of the speech, then each
stretch of speech by itself.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from asr.align.segment import WordAligner
from asr.align.words import Aligned, AlignError, Evidence, SymbolAlignment, align_symbols, around, spelt
from asr.errors import UsageError
from asr.model.streaming import Posteriors
from asr.search.decoder import Decoder
from asr.text import BLANK, normalise

ELSEWHERE = 1.0  # nats a frame; see asr.align.words.align_symbols: speech that the text lacks takes no words with it
BROKEN = -15.0  # ln of a word's going on after a pause
READ_AS_WORDS = "&@#%°"  # signs that have to be written as the words that they are read as
MAX_LISTED = 3  # words named in a message
NO_EVIDENCE = Evidence(-10.0, -10.0, -10.0, 1.0, -10.0, -10.0, 0.0, 0.0)  # speaks for a word that had no room


@dataclass(frozen=True)
class Token:
    """A word as it is written, and the words that are said."""

    written: str  # "Well-known,"
    said: tuple[str, ...]  # "well", "known"


def tokens(text: str) -> list[Token]:
    """The words of a text; punctuation that stands alone is left out. Raises UsageError."""
    found, wrong = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        for written in line.split():
            if not _sayable(written):
                wrong.append(f'"{written}" in line {number}')
            elif said := normalise(written).split():
                found.append(Token(written, tuple(said)))
    if wrong:
        more = f" and {len(wrong) - MAX_LISTED} more" if len(wrong) > MAX_LISTED else ""
        raise UsageError(
            f"the text has what cannot be aligned: {', '.join(wrong[:MAX_LISTED])}{more}; "
            'write it in letters a to z as it is said, for example "twenty" for "20" and "and" for "&"'
        )
    if not found:
        raise UsageError("the text has no words: there is nothing to align")
    return found


def _sayable(written: str) -> bool:
    """No digit, no sign that is read as a word, no letter of another alphabet: normalising would lose it."""
    for c in unicodedata.normalize("NFKD", written):
        kind, foreign = unicodedata.category(c), c.isalpha() and not normalise(c) and c != "ʼ"  # which is an apostrophe
        if c in READ_AS_WORDS or kind in ("Sc", "Sm") or kind[0] == "N" or foreign:
            return False
    return True


@dataclass(frozen=True)
class Stretch:
    """Speech between two pauses, and the words of the text that were laid there."""

    start: float  # seconds
    posteriors: Posteriors
    loudness: np.ndarray  # (n,) of every 10 ms, dB
    words: tuple[Aligned, ...] = ()  # frames from the start


def align_speech(stretches: Sequence[Stretch], words: list[str], aligner: WordAligner) -> list[Stretch]:
    """The words in their order, each in its stretch; see asr.align.words.align.

    Time grows with the length of the speech. Raises AlignError where there is not enough speech for so many words.
    """
    if not stretches:
        raise AlignError("no speech was found in the audio")
    lengths = np.array([len(s.posteriors[0]) for s in stretches])
    begins = np.cumsum(lengths + 1) - lengths - 1  # a frame of silence between two
    roughly = _over_all(stretches, words, aligner.decoder)
    numbers = np.searchsorted(begins, (roughly.extents.sum(1) - 1) / 2, "right") - 1
    found: list[list[Aligned]] = []
    for number, stretch in enumerate(stretches):
        share = np.flatnonzero(numbers == number)
        starts, ends = roughly.extents[share].T - begins[number]
        starts = np.clip(starts, 0, lengths[number] - 1)
        extents = np.stack([starts, np.clip(ends, starts + 1, lengths[number])], 1)
        found.append(_in_stretch(stretch, [words[k] for k in share], extents, aligner))
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


def _in_stretch(stretch: Stretch, words: list[str], extents: np.ndarray, aligner: WordAligner) -> list[Aligned]:
    """Words laid over their stretch alone, by all that is known; at ``extents`` (W, 2), unsure, if they do not fit."""
    try:
        return aligner.align(" ".join(words), stretch.posteriors, stretch.loudness, ELSEWHERE)
    except AlignError:
        return [Aligned(w, start, end, NO_EVIDENCE) for w, (start, end) in zip(words, extents.astype(float).tolist())]


def _with_neighbours(found: list[list[Aligned]]) -> Iterator[list[Aligned]]:
    """What speaks for a word includes its neighbours, those beyond a pause too."""
    means = iter(around(np.array([a.evidence.letters for words in found for a in words])).tolist())
    for words in found:
        yield [replace(a, evidence=a.evidence._replace(around=next(means))) for a in words]
