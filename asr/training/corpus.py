"""From the utterances that were found to those that can be trained on, and those held out."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from dataclasses import replace

import numpy as np

from asr.model.interface import FRAME_SECONDS
from asr.text import normalise
from asr.training.corpora import UNKNOWN
from asr.training.data import Audio, ManifestError, Utterance

SPOILT = 0.2  # share of a corpus that may be unusable before training is refused


def usable(utterances: list[Utterance], where: str) -> tuple[list[Utterance], str]:
    """-> those that something can be learnt from, and a sentence about the others, or "". Raises ManifestError."""
    faults = [_fault(u) for u in utterances]
    kept = [u for u, fault in zip(utterances, faults) if not fault]
    counts = Counter(fault for fault in faults if fault)
    told = ", ".join(f"{n} {fault}" for fault, n in counts.most_common())
    if len(kept) < (1 - SPOILT) * len(utterances) or not kept:
        first = next(u.name for u, fault in zip(utterances, faults) if fault)
        raise ManifestError(
            f"{where}: of {len(utterances)} utterances {told}, {first} the first; `asr data check` says more"
        )
    return kept, f"{where}: left out of {len(utterances)} utterances: {told}" if told else ""


def _fault(u: Utterance) -> str:
    if not u.path.is_file():
        return "have no audio file"
    if not u.text:
        return "have no text"
    if lost_symbols(u.raw):
        return "have digits, signs or letters that the alphabet lacks"
    return "have more letters than their audio has frames" if frames_needed(u.text) > u.duration / FRAME_SECONDS else ""


def lost_symbols(text: str) -> list[str]:
    """Those that are said aloud and of which no a-z remains: digits, letters of other scripts, % and & and the like."""
    return [c for c in text if _is_said(c)]


def _is_said(symbol: str) -> bool:
    if normalise(symbol):
        return False
    kind = unicodedata.category(symbol)
    return symbol in "&%@+=#*" or kind[0] == "N" or kind in ("Lu", "Ll", "Lt", "Lo", "Sc", "So")


def frames_needed(text: str) -> int:
    """By CTC: one for each letter, and a blank between two that are the same."""
    return len(text) + sum(a == b for a, b in zip(text, text[1:]))


def measured(utterances: list[Utterance], audio: Audio | Joined) -> list[Utterance]:
    """The same with the durations that their audio has: what manifests say may be wrong."""
    return [replace(u, duration=float(seconds)) for u, seconds in zip(utterances, audio.durations, strict=True)]


def hold_out(utterances: list[Utterance], share: float, most: int) -> tuple[list[Utterance], list[Utterance]]:
    """-> the rest, and about that share, ``most`` utterances at most: of whole speakers where there are ten or more.

    What is said in one part is not said in the other by the same speaker. The choice depends on the data alone.
    """
    speakers = {u.speaker for u in utterances} - {UNKNOWN}
    keys = [u.speaker if len(speakers) >= 10 and u.speaker != UNKNOWN else f"{u.speaker} {u.text}" for u in utterances]
    sizes, wanted, chosen = Counter(keys), min(most, max(1, round(share * len(utterances)))), set()
    for key in sorted(sizes, key=lambda k: hashlib.sha256(k.encode()).digest()):
        if wanted > 0 and len(chosen) < len(sizes) - 1:
            chosen.add(key)
            wanted -= sizes[key]
    return (
        [u for u, key in zip(utterances, keys) if key not in chosen],
        [u for u, key in zip(utterances, keys) if key in chosen],
    )


class Joined:
    """Several corpora's audio under one index."""

    def __init__(self, parts: list[Audio], sizes: list[int]):
        self._parts, self._starts = parts, np.cumsum([0, *sizes])
        self.durations = np.concatenate([part.durations for part in parts])

    def __getitem__(self, i: int) -> np.ndarray:
        part = int(np.searchsorted(self._starts, i, side="right")) - 1
        return self._parts[part][i - self._starts[part]]
