"""When words were said, and when a live listener showed them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from rapidfuzz.distance import Levenshtein

from asr.live.listener import Listener
from asr.live.stream import Result
from asr.transcript import Word

NEAR = 0.3  # s between two alignments of a word, at most


class Shown(NamedTuple):
    """A result, and when a user could see it: s of the stream."""

    result: Result
    at: float


class Delay(NamedTuple):
    """Of a word of a final text, s of the stream."""

    word: Word
    first: float  # when it was first shown at its place
    settled: float  # from when on it was always there, up to the final text
    with_final: bool  # no partial text had it at its place
    reached: float  # when a text first had as many words, right or not


def run(listener: Listener, blocks: Iterable[np.ndarray], rate: int) -> tuple[list[Shown], float]:
    """All results of a stream, and the CPU seconds it took.

    The clock is simulated, so that other work on the machine does not count: a block comes when its last sample
    has been said, is begun when the one before is done, and takes the CPU time that it takes.
    """
    stream, shown, heard, done, spent = listener.stream(), [], 0, 0.0, 0.0
    for block in blocks:
        heard += len(block)
        began = time.process_time()
        results = stream.feed(block)
        cost = time.process_time() - began
        spent, done = spent + cost, max(done, heard / rate) + cost
        shown += [Shown(result, done) for result in results]
    return shown + [Shown(result, done) for result in stream.flush()], spent


def delays(shown: Sequence[Shown]) -> list[Delay]:
    """Of every word of the final texts."""
    found = []
    for final in (s for s in shown if s.result.kind == "final"):
        same = [s for s in shown if s.result.segment == final.result.segment and s.result.kind == "partial"]
        words = final.result.text.split()
        seen = [(s.at, standing(s.result.text.split(), words)) for s in [*same, final]]
        for k, word in enumerate(final.result.words):
            times = [at for at, there in seen if k in there]
            gone = max((at for at, there in seen if k not in there), default=-np.inf)
            reached = next(s.at for s in [*same, final] if len(s.result.text.split()) > k)
            found.append(Delay(word, times[0], min(at for at in times if at > gone), len(times) == 1, reached))
    return found


def changes(shown: Sequence[Shown]) -> int:
    """How many shown words were replaced by others, or taken away."""
    changed, before = 0, {}
    for result in (s.result for s in shown if s.result.kind != "nothing"):
        words = result.text.split()
        old = before.get(result.segment, [])
        changed += len(old) - sum(a == b for a, b in zip(old, words))
        before[result.segment] = words
    return changed


def standing(partial: Sequence[str], final: Sequence[str]) -> set[int]:
    """The numbers of the final words that a partial text has at their places.

    Their places: the partial text is laid over the beginning of the final one that is closest to it.
    """
    beginnings = [Levenshtein.distance(partial, final[:n]) for n in range(len(final) + 1)]
    beginning = final[: int(np.argmin(beginnings))]
    pairs = Levenshtein.opcodes(partial, beginning)
    return {k for p in pairs if p.tag == "equal" for k in range(p.dest_start, p.dest_end)}


def right(found: Sequence[Delay], reference: Sequence[Word]) -> list[tuple[Delay, float]]:
    """The delays of the words that are right, with the time at which the reference's word ends."""
    pairs = Levenshtein.opcodes([d.word.text for d in found], [w.text for w in reference])
    both = [
        (found[p.src_start + i], reference[p.dest_start + i])
        for p in pairs
        if p.tag == "equal"
        for i in range(p.src_end - p.src_start)
    ]
    return [(d, w.end) for d, w in both if w.start - NEAR < d.word.end and d.word.start < w.end + NEAR]
