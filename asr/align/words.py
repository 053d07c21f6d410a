"""Where is each word? Forced alignment of a known text, by the CTC model's own best path and the pauses around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from asr.errors import Error
from asr.search.ctc_paths import viterbi
from asr.text import BLANK, Alphabet

WIDTH = 1000.0  # ln; see viterbi. A wrong letter costs about 5, and a passage that the text lacks some hundred
# Frames of 10 ms that a word goes on after its last symbol, if the next one leaves it room. Measured on flite's voices
# (and clips) of the training data: words end 68 ms (100) after it, and start with their first, 3 ms before it
AFTER = 7
PAUSE_FRAMES = 16  # frames of 10 ms without a symbol may hold a pause; fewer lie within running speech
QUIET_FRAMES = 8  # frames of loudness, at least, that a pause is quiet: a stop's closure is shorter
DEPTH = 15.0, 50.0  # dB between a pause and the words around it: less is noise, more (digital silence) counts as 50
AROUND = 3  # words to either side whose fit speaks for a word, too
EDGE = 0.3  # of that depth: what is louder belongs to a word


class AlignError(Error, ValueError):
    """The text cannot be laid over this audio."""


@dataclass(frozen=True)
class SymbolAlignment:
    """Of each word, by the symbols it was given."""

    extents: np.ndarray  # (W, 2) the frames [from, to) of its symbols
    peaks: np.ndarray  # (W,) mean of ln of its symbols' peak posteriors
    lost: np.ndarray  # (W,) nats a symbol by which the path falls short of each frame's likeliest symbol, at most 0
    pace: np.ndarray  # (W,) ln of its frames a symbol


def align_symbols(
    log_probs: np.ndarray,
    words: Sequence[Sequence[int]],
    separator: Sequence[int] = (),
    elsewhere: float = np.inf,
    inside: Sequence[int] | int = BLANK,
) -> SymbolAlignment:
    """The words' symbols, ``separator`` between them, on the best path over log_probs (T, V), natural log.

    elsewhere: nats a frame below the likeliest symbol, at which speech between the words may belong to none.
    inside: the column of the blank in each word, where the words are spelt in the symbols of several heads.
    Raises AlignError when there are more symbols than frames, or the audio rules them out.
    """
    symbols = [x for word in words for x in (*separator, *word)][len(separator) :]
    needed = len(symbols) + sum(a == b for a, b in zip(symbols, symbols[1:]))
    if needed > len(log_probs):
        room = f"the text needs at least {needed} frames and the audio has {len(log_probs)}"
        raise AlignError(f"{room}: it is too long to have been said here")
    sizes = np.array([len(word) for word in words])
    first = np.cumsum(sizes + len(separator)) - sizes - len(separator)
    blanks = np.full(len(symbols) + 1, BLANK)
    blanks[np.repeat(first, sizes) + _counted(sizes)] = np.repeat(np.broadcast_to(inside, len(words)), sizes)
    columns = log_probs
    if elsewhere < np.inf:
        free = np.maximum(log_probs[:, BLANK], log_probs.max(1) - elsewhere)
        columns = np.column_stack([log_probs, free])
        blanks[first] = blanks[first + sizes] = log_probs.shape[1]
    path, score = viterbi(columns, symbols, blanks, WIDTH)
    if not score > -np.inf:
        raise AlignError("the audio rules this text out: no alignment has a probability above zero")
    states = np.insert(blanks, np.arange(1, len(blanks)), symbols)  # their columns
    on_path = columns[np.arange(len(path)), states[path]]
    return _measured(path, on_path, on_path - log_probs.max(1), first, sizes)


def _counted(sizes: np.ndarray) -> np.ndarray:
    """0 .. n - 1 for each size n."""
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _measured(
    path: np.ndarray, on_path: np.ndarray, short: np.ndarray, first: np.ndarray, sizes: np.ndarray
) -> SymbolAlignment:
    """From the states of the path, its ln probability at each frame, and by how much that falls short."""
    at = np.flatnonzero(path % 2)
    number = path[at] // 2
    begins = np.searchsorted(number, np.arange(first[-1] + sizes[-1]))  # all symbols are there, in order
    peaks = np.maximum.reduceat(on_path[at], begins)
    ends = np.append(begins[1:], len(at)) - 1
    extents = np.stack([at[begins[first]], at[ends[first + sizes - 1]] + 1], 1)
    return SymbolAlignment(
        extents,
        _sums(peaks, np.stack([first, first + sizes], 1)) / sizes,
        _sums(short, extents) / sizes,
        np.log(np.diff(extents)[:, 0] / sizes),
    )


def _sums(values: np.ndarray, extents: np.ndarray) -> np.ndarray:
    """Of the values [from, to), one after the other and none of them empty."""
    return np.add.reduceat(np.append(values, 0.0), extents.ravel())[::2]


@dataclass(frozen=True)
class Sound:
    """What is known of the audio beside its letters: times get better with each part."""

    phonemes: np.ndarray | None = None  # (T, P), natural log: they peak nearer to their sounds than letters do
    words: Sequence[Sequence[int]] = ()  # the columns of each word's phonemes
    loudness: np.ndarray | None = None  # (n,) of every 10 ms, dB: shows where pauses begin and end
    stride: int = 4  # of these to a frame of the letters


class Evidence(NamedTuple):
    """What speaks for a word having been said where it was laid."""

    letters: float  # mean of ln of its letters' peak posteriors
    letters_lost: float  # nats a letter by which its path falls short of the likeliest symbols
    around: float  # `letters`, averaged with the words around it
    length: float  # in letters
    phonemes: float  # as of the letters; 0 where its phonemes are not known
    phonemes_lost: float
    pace: float  # ln of the frames a phoneme takes
    spelt: float  # 1 where its phonemes are not known


@dataclass(frozen=True)
class Aligned:
    """A word on the model's frames, and what speaks for it."""

    word: str
    start_frame: float  # of the model; quarters beside a pause
    end_frame: float
    evidence: Evidence

    @property
    def confidence(self) -> float:
        """0..1: geometric mean of the peak posteriors of its letters."""
        return math.exp(self.evidence.letters)


def align(
    log_probs: np.ndarray, text: str, alphabet: Alphabet, sound: Sound = Sound(), elsewhere: float = math.inf
) -> list[Aligned]:
    """Words of ``text`` with their frames, in order and without overlap. log_probs (T, V), natural log.

    elsewhere: see align_symbols; finite where more may be said than the text has.
    Raises AlignError when the text has symbols that the alphabet lacks, or is longer than its audio.
    """
    words = text.split()
    if not words:
        return []
    separator = spelt(" ", alphabet) if len(words) > 1 else []
    by_letters = align_symbols(log_probs, [spelt(word, alphabet) for word in words], separator, elsewhere)
    by_phonemes = None
    if sound.words and sound.phonemes is not None:
        with suppress(AlignError):  # said too fast for its phonemes: the letters must do
            by_phonemes = align_symbols(sound.phonemes, sound.words, elsewhere=elsewhere)
    extents = (by_phonemes or by_letters).extents
    edges = _edges(extents, len(log_probs), round(AFTER / sound.stride))
    if sound.loudness is not None and len(sound.loudness):
        edges = _moved_to_pauses(edges, extents, sound.loudness, sound.stride)
    evidence = _evidence(words, by_letters, by_phonemes)
    return [Aligned(word, start, end, found) for word, (start, end), found in zip(words, edges.tolist(), evidence)]


def spelt(word: str, alphabet: Alphabet) -> list[int]:
    """Raises AlignError for symbols that the alphabet lacks."""
    try:
        return alphabet.encode(word)
    except ValueError as error:
        raise AlignError(f"cannot align the text, it has symbols that are {error}") from None


def _evidence(words: list[str], letters: SymbolAlignment, phonemes: SymbolAlignment | None) -> list[Evidence]:
    nothing = np.zeros(len(words))
    sounds = [phonemes.peaks, phonemes.lost, phonemes.pace, nothing] if phonemes else [nothing] * 3 + [nothing + 1]
    columns = [letters.peaks, letters.lost, around(letters.peaks), [len(word) for word in words], *sounds]
    return [Evidence(*row) for row in np.stack(columns, 1).tolist()]


def around(values: np.ndarray) -> np.ndarray:
    """The mean of each value (W,) and its neighbours."""
    near = np.ones(2 * AROUND + 1)
    return _same(values, near) / _same(np.ones(len(values)), near)


def _same(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The convolution, as long as the values even where the kernel is longer."""
    return np.convolve(values, kernel)[len(kernel) // 2 :][: len(values)]


def loudness(frames: np.ndarray) -> np.ndarray:
    """Log-mel frames (n, n_mels) -> the power of each in dB (n,)."""
    return 10 / np.log(10) * np.log(np.exp(frames).sum(1))


def _edges(extents: np.ndarray, frames: int, after: int) -> np.ndarray:
    """Where each word starts and ends (W, 2): with its first symbol, and soon after its last or with the next word."""
    starts = extents[:, 0]
    ends = np.minimum(extents[:, 1] + after, [*starts[1:], frames])
    return np.stack([starts, ends], 1).astype(float)


def _moved_to_pauses(edges: np.ndarray, extents: np.ndarray, loudness: np.ndarray, stride: int) -> np.ndarray:
    """The edges (W, 2), those beside a pause moved to where it begins or ends."""
    moved, symbols, words = edges.copy(), stride * extents, stride * edges.astype(int)
    loudness = np.convolve(np.pad(loudness, 1, "edge"), np.full(3, 1 / 3), "valid")  # no holes of a frame or two
    for k in range(len(edges) + 1):  # before word k
        first, last = k == 0, k == len(edges)
        if not (first or last) and stride * (extents[k, 0] - extents[k - 1, 1]) < PAUSE_FRAMES:
            continue
        around = symbols[max(0, k - 1) : k + 1]
        level = min(loudness[a:b].max(initial=-np.inf) for a, b in words[max(0, k - 1) : k + 1])
        begin = 0 if first else around[0, 0] + stride  # each word keeps a frame
        end = len(loudness) if last else around[-1, 1] - stride
        # before the first word the last quiet stretch counts: somebody may breathe or click before it
        quiet = begin + _quiet(loudness[begin:end], level, around[-1, 0] - begin if first else None)
        if len(quiet) and (first or quiet[1] >= around[0, 1]) and (last or quiet[0] <= around[-1, 0]):
            if not first:
                moved[k - 1, 1] = quiet[0] / stride
            if not last:
                moved[k, 0] = (quiet[1] + 1) / stride  # windows of 25 ms hear a word half a window early
    moved = np.where(moved[:, :1] < moved[:, 1:], moved, edges)
    moved[:-1, 1] = np.minimum(moved[:-1, 1], moved[1:, 0])
    return moved


def _quiet(loudness: np.ndarray, level: float, before: int | None = None) -> np.ndarray:
    """Begin and end of the longest stretch far below the ``level`` of the words around; empty without one.

    With ``before``, of the last stretch that is long enough and begins at that frame or earlier.
    """
    least, most = DEPTH
    floor = max(level - most, np.sort(loudness)[: QUIET_FRAMES // 2].max(initial=-np.inf))
    if len(loudness) < QUIET_FRAMES or level - floor < least:
        return np.zeros(0, int)
    quiet = np.concatenate([[False], loudness < floor + EDGE * (level - floor), [False]])
    changes = np.flatnonzero(quiet[1:] != quiet[:-1]).reshape(-1, 2)
    lengths = changes[:, 1] - changes[:, 0]
    if before is None:
        chosen = np.array([lengths.argmax()])
    else:
        chosen = np.flatnonzero((lengths >= QUIET_FRAMES) & (changes[:, 0] <= before))[-1:]
    return changes[chosen][lengths[chosen] >= QUIET_FRAMES].reshape(-1)
